/** Which media of the pool a run may write, and how much room each of them has: by the catalog, and by what their chips say. */
import type { Media, Medium } from '../../catalog/shelf/media.ts';
import { GENERATIONS, type GenerationName } from '../../domain/generation.ts';
import type { MediumRoom } from '../../pack/place.ts';
import type { Library } from '../../storage/library.ts';
import type { Tape } from '../../storage/tape.ts';
import { freshRoomOf, generationOf, marginOf, roomOf } from './media-room.ts';
import { registerCartridge } from './register.ts';

export type MediaRoomsTools = {
  readonly library: Library;
  readonly media: Media;
  readonly pool: string;
  /** Barcodes of media not to be written in this run. */
  readonly avoid: ReadonlySet<string>;
  /** Registers and labels cartridges of the library that nobody knows yet. */
  readonly autoLabel: boolean;
  warn(message: string): void;
};

/** The chip counts in MiB, and what filemarks and labels take beside the archives. */
const MEASURE_TOLERANCE_BYTES = 8 * 2 ** 20;
/** An opening, a journal and a digest alone take as many: with less left, a cartridge is full whatever was thought of it. */
const ROOM_BLOCKS_MIN = 4;
/** With less left than this share nothing worth a load fits. */
const FULL_SHARE = 0.01;

export class MediaRooms {
  readonly #tools: MediaRoomsTools;
  /** Not to be tried again in this run. */
  readonly #dropped = new Set<string>();
  readonly #filled = new Map<number, number>();
  /** What the plan was told of each. */
  readonly #toldBytes = new Map<string, number>();
  #hasChanger = false;

  constructor(tools: MediaRoomsTools) {
    this.#tools = tools;
  }

  /** When the library was last looked at. */
  get hasChanger(): boolean {
    return this.#hasChanger;
  }

  /** What the plan may use: media of the pool that are in the library now; all of them where a person is the changer. */
  async list(signal: AbortSignal): Promise<MediumRoom[]> {
    const present = await this.#present(signal);
    const rooms = this.#tools.media
      .list()
      .filter((medium) => this.isUsable(medium) && present.has(medium.barcode))
      .map(
        (medium): MediumRoom => ({
          key: medium.barcode,
          state: medium.state === 'filling' ? 'appendable' : 'scratch',
          roomBytes: roomOf(this.#tools.media, medium),
        }),
      );
    for (const { key, roomBytes } of rooms) this.#toldBytes.set(key, roomBytes);
    return rooms;
  }

  isUsable(medium: Medium): boolean {
    const states = this.#tools.autoLabel
      ? ['unlabelled', 'scratch', 'filling']
      : ['scratch', 'filling'];
    return (
      medium.kind === 'tape' &&
      medium.pool === this.#tools.pool &&
      states.includes(medium.state) &&
      !this.#dropped.has(medium.barcode) &&
      !this.#tools.avoid.has(medium.barcode)
    );
  }

  /** It is not usable in this run any more. */
  drop(barcode: string): void {
    this.#dropped.add(barcode);
  }

  /** Of the pool's media; the newest there is where it has none. */
  generation(): GenerationName {
    return generationOf(this.#tools.media, this.#tools.pool);
  }

  /** Room of an empty medium of the pool; undefined where there is none to tell, and none can be brought. */
  freshBytes(): number | undefined {
    const { media, pool, library } = this.#tools;
    const known = freshRoomOf(media, pool);
    if (known !== undefined || !library.isByHand) return known;
    const capacityBytes = GENERATIONS[this.generation()].nativeBytes;
    return roomOf(media, { poolId: undefined, capacityBytes, writtenBytes: 0 });
  }

  /** What may be written to it behind the archives that are committed. */
  leftBytes(mediumId: number): number {
    return roomOf(this.#tools.media, this.#tools.media.get(mediumId));
  }

  /** What was promised of it and is not written. */
  unwrittenBytes(mediumId: number): number {
    const { capacityBytes, writtenBytes } = this.#tools.media.get(mediumId);
    return capacityBytes - writtenBytes;
  }

  /** Before the end of a medium no plan goes there: half of the margin that it keeps. */
  spareBytes(mediumId: number): number {
    return Math.floor(marginOf(this.#tools.media, this.#tools.media.get(mediumId)) / 2);
  }

  /** Whether it is full with so many bytes more. */
  isFullWith(mediumId: number, bytes: number): boolean {
    const medium = this.#tools.media.get(mediumId);
    return roomOf(this.#tools.media, medium) - bytes < medium.capacityBytes * FULL_SHARE;
  }

  /** How full it was when its last archive ended, 0 to 1. */
  filled(mediumId: number): number {
    const known = this.#filled.get(mediumId);
    if (known !== undefined) return known;
    const { writtenBytes, capacityBytes } = this.#tools.media.get(mediumId);
    const filled = writtenBytes / capacityBytes;
    this.#filled.set(mediumId, filled);
    return filled;
  }

  /** An archive has been added to some. */
  grown(): void {
    this.#filled.clear();
  }

  /**
   * What makers promise is more than most cartridges hold, and places written twice take room that nobody counts: the chip
   * knows what is left.
   * @returns whether it has less room than the plan was told
   */
  async measure(tape: Tape, mediumId: number, signal: AbortSignal): Promise<boolean> {
    const remainingMib = await tape.remainingMib(signal);
    if (remainingMib === undefined) return false;
    const { media } = this.#tools;
    const { barcode, capacityBytes, writtenBytes } = media.get(mediumId);
    const measuredBytes = writtenBytes + remainingMib * 2 ** 20;
    if (Math.abs(measuredBytes - capacityBytes) > MEASURE_TOLERANCE_BYTES)
      media.setCapacity(mediumId, measuredBytes);
    if (this.leftBytes(mediumId) < ROOM_BLOCKS_MIN * tape.blockBytes) {
      media.worsen(mediumId, 'full');
      this.#tools.warn(`${barcode} says that it has no room left; it is written no more`);
    }
    const missingBytes = (this.#toldBytes.get(barcode) ?? 0) - this.leftBytes(mediumId);
    return missingBytes > MEASURE_TOLERANCE_BYTES;
  }

  /** Barcodes in the library; unknown ones that could be written are registered. Without a changer: all. */
  async #present(signal: AbortSignal): Promise<ReadonlySet<string>> {
    const { library, media, autoLabel, pool } = this.#tools;
    const status = await library.status(signal);
    this.#hasChanger = status.changer !== null;
    if (!status.changer) return new Set(media.list().map(({ barcode }) => barcode));
    const present = new Set<string>();
    for (const { barcode } of status.cartridges) {
      if (barcode === null) continue;
      present.add(barcode);
      if (!autoLabel || media.find(barcode)) continue;
      registerCartridge(media, { barcode, pool });
    }
    return present;
  }
}
