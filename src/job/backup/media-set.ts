/**
 * The media of a run: which of those it may write are attached, and what becomes of one that fails. How much room each has is
 * told by media-rooms.ts.
 *
 * A medium is loaded once in a run: the plan fills it before the next, and what is attached stays attached until then.
 */
import { strict as assert } from 'node:assert';
import type { Clock } from '../../base/clock.ts';
import { CodedError, type FailureCode } from '../../base/errors.ts';
import type { Archives } from '../../catalog/shelf/archives.ts';
import { isGivenUp } from '../../catalog/shelf/label-plan.ts';
import type { Medium } from '../../catalog/shelf/media.ts';
import type { MediumRoom } from '../../pack/place.ts';
import type { DriveHandover } from '../../recall/handover.ts';
import { cleanAsked } from '../../storage/clean.ts';
import { LostPlaces } from '../../storage/lost-places.ts';
import { ofMedium } from '../../storage/of-medium.ts';
import type { Operator } from '../../storage/operator.ts';
import { decideFailure } from '../../storage/operator-failure.ts';
import { Tape } from '../../storage/tape.ts';
import { AttachFailure, isBusy } from './attach-failure.ts';
import { HandMedia } from './hand-media.ts';
import { MediaRooms, type MediaRoomsTools } from './media-rooms.ts';
import type { CopyTarget } from './open-archive.ts';
import { proveEnd } from './prove-end.ts';
import { ReadBack } from './read-back.ts';
import { registerCartridge } from './register.ts';
import type { ArchiveProof } from './verify.ts';

export type MediaTools = MediaRoomsTools & {
  readonly clock: Clock;
  readonly archives: Archives;
  readonly blockBytes: number;
  /** Read back what was written before a medium leaves its drive. */
  readonly verify: boolean;
  /** Who may have the drives between two archives; undefined: nobody. */
  readonly handover: DriveHandover | undefined;
  /** Whether to wait for drives that other processes have. */
  readonly isPatient: boolean;
  /** Who brings cartridges where a person is the changer. */
  readonly operator: Operator;
  /** `backup (job 7)` */
  readonly who: string;
  /** Which cartridge of the run the next one is, counted from 1, and of how many about. */
  ordinal(): { readonly number: number; readonly expected: number | undefined };
  /** Drives or cartridges are waited for: why, and undefined when the waiting is over. */
  onWait(reason: string | undefined): void;
  /** A copy did not read back. */
  onDamage(): void;
  /** Writes a label onto a blank cartridge. @throws CodedError MEDIUM_MISMATCH where it is not blank */
  label(barcode: string, signal: AbortSignal): Promise<Medium>;
  onAttach(barcode: string, drive: string): void;
  /** Its label and the end of its data are what the catalog knows. */
  onProven?(barcode: string): void;
};

/** How often drives are asked for that others have. */
const BUSY_POLL_MS = 2000;

/** Where a person loads: another cartridge is there, or none. */
const GONE: ReadonlySet<FailureCode> = new Set([
  'MEDIUM_OFFLINE',
  'DRIVE_EMPTY',
  'MEDIUM_MISMATCH',
]);

export class MediaSet {
  readonly room: MediaRooms;
  readonly #tools: MediaTools;
  readonly #attached = new Map<string, CopyTarget>();
  readonly #used: string[] = [];
  readonly #readBack: ReadBack;
  readonly #hand: HandMedia | undefined;
  #isOtherwise = false;

  constructor(tools: MediaTools) {
    this.#tools = tools;
    this.room = new MediaRooms(tools);
    this.#readBack = new ReadBack(tools);
    const { library } = tools;
    const isUsable = (medium: Medium) => this.room.isUsable(medium);
    const register = (barcode: string) =>
      registerCartridge(tools.media, { barcode, pool: tools.pool });
    if (library.isByHand) this.#hand = new HandMedia({ ...tools, isUsable, register });
  }

  /** Barcodes written to, in order of their first archive. */
  get used(): readonly string[] {
    return this.#used;
  }

  /** How full the attached ones were when their last archive ended, 0 to 1. */
  fill(): { readonly barcode: string; readonly filled: number }[] {
    return [...this.#attached].map(([barcode, { mediumId }]) => ({
      barcode,
      filled: this.room.filled(mediumId),
    }));
  }

  get attached(): readonly CopyTarget[] {
    return [...this.#attached.values()];
  }

  /**
   * What was attached is not what the plan was told: a cartridge has less room, or a person brought another one. Plan
   * anew; nothing was written.
   */
  get isOtherwise(): boolean {
    return this.#isOtherwise;
  }

  /** Whether a person may bring what there is not. */
  get isByHand(): boolean {
    return this.#hand !== undefined;
  }

  /** What a run writes to: where a person is the changer, what is in a drive, then whatever is brought. */
  async roomsToWrite(signal: AbortSignal): Promise<MediumRoom[]> {
    const rooms = await this.rooms(signal);
    const hand = this.#hand;
    if (!hand) return rooms;
    const roomBytes = this.room.freshBytes() ?? 0;
    const more = HandMedia.newKeys().map(
      (key): MediumRoom => ({ key, state: 'scratch', roomBytes }),
    );
    return [...rooms.filter(({ key }) => hand.has(key)), ...more];
  }

  /** What the plan may use; see `MediaRooms.list`. */
  rooms(signal: AbortSignal): Promise<MediumRoom[]> {
    this.#isOtherwise = false;
    return this.room.list(signal);
  }

  /**
   * Attaches the media of the next archive, unless `isOtherwise` then says that the plan is out of date, and lets go of
   * all others. Where another process has the drives, it is waited
   * for, with none held meanwhile: two jobs of two copies each would wait for each other for ever.
   * @throws AttachFailure, of DRIVE_BUSY and LIBRARY_BUSY only where nobody waits
   */
  async attach(barcodes: readonly string[], signal: AbortSignal): Promise<readonly CopyTarget[]> {
    for (let isWaiting = false; ; isWaiting = true) {
      try {
        const targets = await this.#attachAll(barcodes, signal);
        if (isWaiting) this.#tools.onWait(undefined);
        return targets;
      } catch (error) {
        if (!isBusy(error) || !this.#tools.isPatient) throw error;
        for (const barcode of [...this.#attached.keys()]) await this.#detach(barcode);
        if (!isWaiting) this.#tools.onWait(error.message);
        await this.#tools.clock.sleepMs(BUSY_POLL_MS, signal);
      }
    }
  }

  async #attachAll(
    barcodes: readonly string[],
    signal: AbortSignal,
  ): Promise<readonly CopyTarget[]> {
    for (const barcode of this.#attached.keys()) {
      if (barcodes.includes(barcode)) continue;
      const target = this.#attached.get(barcode);
      if (target) await this.#verify(target, signal);
      await this.#detach(barcode);
    }
    const targets: CopyTarget[] = [];
    for (const barcode of barcodes) {
      if (HandMedia.isNew(barcode)) {
        await this.#hand?.bring(new Set(this.#attached.keys()), signal);
        this.#isOtherwise = true;
        return [];
      }
      if (await this.#isSetAside(barcode, signal)) return [];
      const target = this.#attached.get(barcode) ?? (await this.#attach(barcode, signal));
      if (!target) return [];
      targets.push(target);
    }
    return targets;
  }

  /** A person may say so in mid-run: nothing more is written to it then, and what is to come is planned anew. */
  async #isSetAside(barcode: string, signal: AbortSignal): Promise<boolean> {
    const state = this.#tools.media.find(barcode)?.state;
    if (state !== 'hold' && state !== 'lost') return false;
    this.#isOtherwise = true;
    await this.letGo(barcode, signal);
    return true;
  }

  /** Lets go of a medium that somebody else of this job wants to read; one that is not attached is none. */
  async letGo(barcode: string, signal: AbortSignal): Promise<void> {
    const target = this.#attached.get(barcode);
    if (target) await this.#verify(target, signal);
    await this.#detach(barcode);
  }

  /**
   * What is to be done about a medium whose drive gave up. While somebody is asked, nothing is held.
   * @returns `bad`: it is to be dropped
   */
  async decide(
    mediumId: number,
    error: CodedError,
    signal: AbortSignal,
  ): Promise<'retry' | 'bad' | 'abort'> {
    const { who, onWait } = this.#tools;
    const { barcode } = this.#tools.media.get(mediumId);
    let isAsked = false;
    const onAsked = async () => {
      isAsked = true;
      onWait(error.message);
      await this.close();
    };
    const decision = await decideFailure({ barcode, error, who, onAsked }, this.#tools, signal);
    if (isAsked) onWait(undefined);
    return decision;
  }

  /** Between two archives: whoever waits for files has the drives for a while, if any are held. */
  async handOver(signal: AbortSignal): Promise<void> {
    const { handover, onWait } = this.#tools;
    if (this.#attached.size === 0) return;
    await this.#cleanAtOnce(signal);
    const letGo = async () => {
      await this.verify(signal);
      await this.close();
    };
    await handover?.between({ hasChanger: this.room.hasChanger, letGo, onWait }, signal);
  }

  /** A drive that asks for it now writes badly until it is cleaned; its cartridge is loaded again for the next archive. */
  async #cleanAtOnce(signal: AbortSignal): Promise<void> {
    const { library, clock, warn } = this.#tools;
    if (!library.keeper?.cleans) return;
    const asking = await Promise.all(
      [...this.#attached.values()].map(({ tape }) => tape.asksForCleaning(signal)),
    );
    if (!asking.includes(true)) return;
    await this.verify(signal);
    await this.close();
    await cleanAsked(library, { clock, signal, warn });
  }

  /** After a failure the medium is not written again in this run; a bad one is marked. */
  async drop(mediumId: number, error: CodedError): Promise<void> {
    const { media, warn } = this.#tools;
    const { barcode } = media.get(mediumId);
    this.room.drop(barcode);
    warn(`${barcode}: ${error.message}`);
    const { retry } = error.failure;
    if (error.code === 'MEDIUM_FULL') media.worsen(mediumId, 'full');
    else if (error.code === 'MEDIUM_UNWRITABLE') media.worsen(mediumId, 'suspect');
    else if (retry === 'other-medium' || error.code === 'MEDIUM_MISMATCH')
      media.setAside(mediumId, 'hold');
    await this.#detach(barcode);
  }

  barcodeOf(mediumId: number): string {
    return this.#tools.media.get(mediumId).barcode;
  }

  /** The drive has met the end of it before the plan did. */
  setFull(mediumId: number): void {
    this.#tools.media.worsen(mediumId, 'full');
  }

  /** Archives of this run, to be read back before the medium leaves its drive. */
  keepProofs(mediumId: number, added: readonly ArchiveProof[]): void {
    this.#readBack.add(mediumId, added);
  }

  /** Reads back what was written to the attached media since they were attached, where that is wanted. */
  async verify(signal: AbortSignal): Promise<void> {
    for (const target of [...this.#attached.values()]) await this.#verify(target, signal);
  }

  /** Lets go of a medium whose drive has to be proven again. */
  async detach(mediumId: number): Promise<void> {
    await this.#detach(this.#tools.media.get(mediumId).barcode);
  }

  async close(): Promise<void> {
    for (const barcode of [...this.#attached.keys()]) await this.#detach(barcode);
  }

  /** @returns undefined where a person has taken it away */
  async #attach(barcode: string, signal: AbortSignal): Promise<CopyTarget | undefined> {
    const { media, archives, onAttach } = this.#tools;
    let medium = media.find(barcode);
    assert(medium, `no medium ${barcode}`);
    try {
      if (medium.state === 'unlabelled' || isGivenUp(medium))
        medium = await this.#tools.label(barcode, signal);
      const tape = await this.#attachTape(medium, signal);
      if (!tape) return undefined;
      try {
        onAttach(barcode, tape.drive.name);
        if (tape.blockBytes !== this.#tools.blockBytes) {
          this.#tools.warn(`${barcode} has blocks of ${tape.blockBytes} bytes; they are kept`);
        }
        await proveEnd({ tape, medium, archives }, signal);
        const isSmaller = await this.room.measure(tape, medium.id, signal);
        this.#isOtherwise ||= isSmaller;
        const target = { mediumId: medium.id, tape };
        this.#attached.set(barcode, target);
        if (!this.#used.includes(barcode)) this.#used.push(barcode);
        this.#tools.onProven?.(barcode);
        return target;
      } catch (error) {
        await tape.close();
        throw error;
      }
    } catch (error) {
      if (error instanceof CodedError) throw new AttachFailure(medium.id, error);
      throw error;
    }
  }

  async #attachTape({ barcode, uuid }: Medium, signal: AbortSignal): Promise<Tape | undefined> {
    assert(uuid !== undefined, 'labelled');
    try {
      return await Tape.attach(this.#tools.library, { barcode, uuid }, signal);
    } catch (error) {
      const isGone = error instanceof CodedError && GONE.has(error.code);
      if (!this.#hand || !isGone) throw error;
      this.#hand.forget(barcode);
      this.#isOtherwise = true;
      return undefined;
    }
  }

  /** A drive that was reset meanwhile is attached anew, so that label and end of the data are proven again. */
  async #verify(target: CopyTarget, signal: AbortSignal): Promise<void> {
    if (!this.#tools.verify) return;
    const { barcode } = target.tape;
    const lostPlaces = new LostPlaces<string>();
    let attached: CopyTarget | undefined = target;
    while (attached) {
      try {
        return await this.#readBack.of(attached, signal);
      } catch (error) {
        if (!(error instanceof CodedError) || !lostPlaces.mayTryAgain(barcode, error)) throw error;
        this.#tools.warn(ofMedium(barcode, error));
        await this.#detach(barcode);
        attached = await this.#attach(barcode, signal).catch((failure: unknown) => {
          throw failure instanceof AttachFailure ? failure.failure : failure;
        });
      }
    }
  }

  async #detach(barcode: string): Promise<void> {
    const target = this.#attached.get(barcode);
    if (!target) return;
    this.#attached.delete(barcode);
    await target.tape.close();
    const medium = this.#tools.media.get(target.mediumId);
    if (this.room.isFullWith(medium.id, 0) && medium.state === 'filling')
      this.#tools.media.worsen(medium.id, 'full');
  }
}
