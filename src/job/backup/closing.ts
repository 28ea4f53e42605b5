/**
 * What a cartridge carries when it closes, behind the members of its last archive: in the journal what the run is still to
 * store, and a copy of the catalog. A run's last archive has a copy too where the journals since its medium's last have grown.
 */
import { formatCatalogCopy, formatMedia } from '../../archive/journal.ts';
import type { Clock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { CatalogCopy, databaseBytes } from '../../catalog/file/copy.ts';
import type { Job } from '../../catalog/job/jobs.ts';
import type { Run } from '../../catalog/run/run.ts';
import { CatalogCopies } from '../../catalog/shelf/catalog-copies.ts';
import type { ArchiveWriter } from './archive-writer.ts';
import { CLOSING_SHARE_MAX, untoldMax } from './closing-reserve.ts';
import { addUntold, mediaOf } from './run-journal.ts';

export type ClosingTools = {
  readonly catalog: Catalog;
  readonly run: Run;
  readonly job: Job;
  readonly clock: Clock;
  readonly program: string;
  readonly copies: number;
  /** Where the copy waits until it is written. */
  readonly spoolDirectory: string;
  warn(message: string): void;
};

export type ClosingOrder = {
  /** The run ends with this archive: its journal says so. */
  readonly isEnd: boolean;
  /** Nothing more is written to one of its media, by this run at least. */
  readonly isClosing: boolean;
  /** What is left of its media behind what the archive has by now: of the one with the least. */
  readonly roomBytes: number;
  /** Of an empty medium. */
  readonly freshRoomBytes: number;
};

export type WarnedOrder = {
  /** The run ends there: nothing is left to be told. */
  readonly isEnd: boolean;
  /** Of an empty medium. */
  readonly freshRoomBytes: number;
  /** What may be written to each of the media now. */
  room(): Promise<number>;
  /** One more archive, to all of them. @returns whether it is there */
  write(add: (writer: ArchiveWriter) => Promise<void>): Promise<boolean>;
};

/** A catalog shrinks to no less: of one that cannot fit no copy is made, which takes minutes while a drive waits. */
const COMPRESSION_MAX = 20;

export class Closing {
  readonly #tools: ClosingTools;

  constructor(tools: ClosingTools) {
    this.#tools = tools;
  }

  /** All that an archive has besides its run, before it is finished. What finds no room is left out. */
  async add(writer: ArchiveWriter, order: ClosingOrder): Promise<void> {
    const { catalog } = this.#tools;
    const journalBytes = writer.journalBytes;
    if (order.isClosing && !order.isEnd) this.#tellRest(writer, order.roomBytes);
    const isDue = () => new CatalogCopies(catalog).isDue(writer.mediumIds, writer.journalBytes);
    if (!order.isClosing && !(order.isEnd && isDue())) return;
    const roomBytes = order.roomBytes - (writer.journalBytes - journalBytes);
    await this.#addCopy(writer, Math.min(roomBytes, order.freshRoomBytes * CLOSING_SHARE_MAX));
  }

  /**
   * The same behind a drive's early warning. The list is small and has an archive of its own, before that of the copy: the
   * tape may end sooner than its chip says.
   */
  async addBehindWarning({ isEnd, freshRoomBytes, room, write }: WarnedOrder): Promise<void> {
    const { catalog } = this.#tools;
    if (!isEnd) {
      const roomBytes = await room();
      if (!this.#hasRoomForRest(roomBytes)) return;
      if (!(await write(async (writer) => this.#tellRest(writer, roomBytes)))) return;
    }
    const roomBytes = Math.min(await room(), freshRoomBytes * CLOSING_SHARE_MAX);
    if (databaseBytes(catalog) > roomBytes * COMPRESSION_MAX) return this.#warnOfCopy();
    await write((writer) => this.#addCopy(writer, roomBytes));
  }

  #hasRoomForRest(roomBytes: number): boolean {
    const { catalog, job, copies, warn } = this.#tools;
    const hasRoom = untoldMax(catalog, { jobNumber: job.number, copies }) <= roomBytes;
    if (!hasRoom) warn('there was no room on a medium for the list of what is still to be stored');
    return hasRoom;
  }

  #tellRest(writer: ArchiveWriter, roomBytes: number): void {
    if (!this.#hasRoomForRest(roomBytes)) return;
    const { catalog, run, job } = this.#tools;
    addUntold(writer, { catalog, run, job });
    for (const line of formatMedia(mediaOf(catalog))) writer.addLine(line);
  }

  async #addCopy(writer: ArchiveWriter, roomBytes: number): Promise<void> {
    const added = await addCatalogCopy(writer, this.#tools, roomBytes);
    if (added === 'no-room') this.#warnOfCopy();
  }

  #warnOfCopy(): void {
    this.#tools.warn('there was no room on a medium for a copy of the catalog; the next has one');
  }
}

/** An archive that a copy of the catalog may go into. */
export type CopyHolder = Pick<ArchiveWriter, 'identity' | 'addOwn' | 'addLine' | 'holdsCopy'>;

/** As it is now. `failed`: it could not be made; why was told. */
export async function addCatalogCopy(
  writer: CopyHolder,
  tools: Pick<ClosingTools, 'catalog' | 'clock' | 'program' | 'spoolDirectory' | 'warn'>,
  roomBytes: number,
): Promise<'added' | 'no-room' | 'failed'> {
  const takenMs = tools.clock.nowMs();
  const copy = await makeCopy(writer, tools, takenMs);
  if (!copy) return 'failed';
  try {
    if (copy.lengthBytes + OVERHEAD_BYTES > roomBytes) return 'no-room';
    const [database, text] = copy.files;
    const position = await writer.addOwn(database);
    await writer.addOwn(text);
    const taken = new Date(takenMs).toISOString();
    writer.addLine(formatCatalogCopy({ position, lengthBytes: database.lengthBytes, taken }));
    writer.holdsCopy({
      position,
      lengthBytes: database.lengthBytes,
      databaseBytes: copy.databaseBytes,
      takenMs,
    });
    return 'added';
  } finally {
    copy.close();
  }
}

/** Undefined where it cannot be made: what a run stores is worth more, and its journals tell the same. */
async function makeCopy(
  { identity }: CopyHolder,
  tools: Pick<ClosingTools, 'catalog' | 'program' | 'spoolDirectory' | 'warn'>,
  takenMs: number,
): Promise<CatalogCopy | undefined> {
  const { catalog, spoolDirectory, program, warn } = tools;
  const { uuid } = identity;
  try {
    return await CatalogCopy.make({
      catalogPath: catalog.path,
      directory: spoolDirectory,
      name: uuid,
      head: [uuid, new Date(takenMs).toISOString(), program],
    });
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    warn(`no copy of the catalog could be made: ${error.message}`);
    return undefined;
  }
}

/** Headers and padding of its two members. */
const OVERHEAD_BYTES = 8192;
