/**
 * What is needed of somewhere is read into the spool and written to other media from there, as often as the spool is filled: with
 * two drives one half of it is read while the other is written. What one medium gives back wrong is taken from another; what the
 * spool does not take whole is moved in pieces.
 */
import { strict as assert } from 'node:assert';
import type { Clock } from '../../base/clock.ts';
import type { CodedError } from '../../base/errors.ts';
import { rawText } from '../../base/raw.ts';
import type { LiveContent, LiveContents, PoolCopies, Proof } from '../../catalog/care/live.ts';
import type { Spooled } from '../../catalog/care/spooled.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { Contents, type KnownContent } from '../../catalog/content/contents.ts';
import { Wanted } from '../../catalog/restore/wanted.ts';
import { Archives } from '../../catalog/shelf/archives.ts';
import { Media } from '../../catalog/shelf/media.ts';
import type { ArchiveConfig } from '../../config.ts';
import { ARCHIVE_BYTES } from '../../pack/limits.ts';
import type { Library } from '../../storage/library.ts';
import type { Operator } from '../../storage/operator.ts';
import type { MediaSet } from '../backup/media-set.ts';
import { Fetcher } from '../restore/fetch.ts';
import { Beside } from './beside.ts';
import type { KeptTape } from './kept-tape.ts';
import { moveInPieces, pieceBytesMax } from './pieces.ts';
import type { GroomEvent } from './report.ts';
import { type Spool, type SpooledFile, tooLarge } from './spool.ts';
import type { MovedWriter, SpooledPart } from './write.ts';

export type MoveTools = {
  readonly catalog: Catalog;
  readonly library: Library;
  readonly clock: Clock;
  readonly operator: Operator;
  readonly archive: ArchiveConfig;
  readonly job: { readonly number: number };
  /** What is written to. */
  readonly set: MediaSet;
  readonly spool: Spool;
  /** What is read stays in its drive; with one drive it never does. */
  readonly kept: KeptTape;
  /** There is one drive: what is written to leaves it before anything is read, and the other way round. */
  readonly isSwapped: boolean;
  listen(event: GroomEvent): void;
  warn(message: string): void;
  onWait(reason: string | undefined): void;
};

export type MoveOrder = {
  readonly live: LiveContents;
  readonly policy: PoolCopies;
  /** Left out: copies count wherever they are. */
  readonly proof?: Proof;
  /** Media that are read first where there is a choice. */
  readonly preferred: readonly number[];
  readonly spooled: Spooled;
  readonly writer: MovedWriter;
  onLost(entry: LiveContent['entry'], error: CodedError): void;
};

/** Contents that the spool takes: their rows are in tables, but not those of what is being read. */
const CONTENTS_MAX = 1_000_000;
/** Holes of a smaller file are not worth a look. */
const SMALL_BYTES = 2 ** 20;
/** One is read into while the other is written. */
const PARTS = 2;

/**
 * Each once, until all are elsewhere or cannot be had.
 * @returns `pending`: how many only a run has that is not finished; they have no name yet under which they could be told
 * @throws CodedError MEDIUM_FULL where no medium has room; failures of drives
 */
export async function moveAll(
  order: MoveOrder,
  tools: MoveTools,
  signal: AbortSignal,
): Promise<{ readonly pending: number }> {
  const mover = new Mover(order, tools, signal);
  try {
    await mover.run();
  } finally {
    await tools.kept.close();
  }
  // What is still in its drive is read back with what follows.
  await tools.set.verify(signal);
  return { pending: mover.pending };
}

class Mover {
  pending = 0;
  readonly #order: MoveOrder;
  readonly #tools: MoveTools;
  readonly #beside: Beside;
  readonly #known: Contents;
  readonly #media: Media;
  readonly #contents: Iterator<LiveContent>;
  #next: IteratorResult<LiveContent>;
  /** Of the spool that is filled at a time, and how much of that is written in one go. */
  readonly #partBytes: number;
  readonly #portionBytes: number;

  constructor(order: MoveOrder, tools: MoveTools, signal: AbortSignal) {
    const { spool, isSwapped, archive, catalog } = tools;
    this.#order = order;
    this.#tools = tools;
    this.#beside = new Beside(signal);
    this.#known = new Contents(catalog);
    this.#media = new Media(catalog);
    this.#partBytes = isSwapped ? spool.bytesMax : Math.floor(spool.bytesMax / PARTS);
    const archiveBytes = archive.size ?? ARCHIVE_BYTES;
    // Nothing is won by more than an archive at a time where both drives run.
    this.#portionBytes = isSwapped ? spool.bytesMax : Math.min(this.#partBytes, archiveBytes);
    this.#contents = order.live.needing(order.policy, order.proof);
    this.#next = this.#contents.next();
  }

  run(): Promise<void> {
    const { spooled } = this.#order;
    for (let number = 0; number < PARTS; number += 1) {
      spooled.clear(number);
      this.#part(number).file.clear();
    }
    return this.#beside.with(async () => {
      for (let turn = 0; !this.#next.done; turn += 1) {
        this.#beside.signal.throwIfAborted();
        await this.#swap();
        await this.#portion(this.#part(turn % PARTS));
      }
    });
  }

  /** A file for each part that is in use: with one drive the first alone. */
  #part(number: number): SpooledPart {
    const { spool, isSwapped } = this.#tools;
    return { number, file: spool.part(isSwapped ? 0 : number) };
  }

  /** Two drives work at the same time; where a person loads them, one after the other. */
  get #isAtOnce(): boolean {
    const { isSwapped, library } = this.#tools;
    return !isSwapped && !library.isByHand;
  }

  /** With one drive nothing else is in it while it reads. */
  async #swap(): Promise<void> {
    const { set, isSwapped } = this.#tools;
    if (!isSwapped) return;
    await set.verify(this.#beside.signal);
    await set.close();
  }

  /** As much as goes in one go is read; it is written while the next is read, where there is a drive for it. */
  async #portion(part: SpooledPart): Promise<void> {
    const fetcher = this.#fetcher(part);
    let bytes = 0;
    let count = 0;
    for (; !this.#next.done && count < CONTENTS_MAX; this.#next = this.#contents.next()) {
      const live = this.#next.value;
      if (live.isPending) {
        this.pending += 1;
        continue;
      }
      const size = this.#dataBytes(live);
      if (count > 0 && bytes + size > this.#portionBytes) break;
      if (size > this.#partBytes) {
        await this.#large(live, size);
        await this.#swap();
        continue;
      }
      bytes += size;
      count += 1;
      fetcher.want(live.contentId, live.entry);
    }
    await this.#fetch(fetcher, part);
  }

  async #fetch(fetcher: Fetcher<SpooledFile>, part: SpooledPart): Promise<void> {
    const { signal } = this.#beside;
    await fetcher.run(signal);
    await this.#beside.begin(() => this.#order.writer.store(part, signal));
    if (!this.#isAtOnce) await this.#beside.settled();
  }

  /** More than goes beside something else: as a whole where it fits alone, else in pieces. */
  async #large(live: LiveContent, size: number): Promise<void> {
    const { spool, isSwapped } = this.#tools;
    const { contentId, entry } = live;
    await this.#beside.settled();
    const content = this.#known.get(contentId);
    assert(content, 'what is live is whole');
    const pieceBytes = pieceBytesMax(content, this.#partBytes);
    if (pieceBytes > 0) return this.#inPieces(live, content, pieceBytes);
    if (size > spool.bytesMax) {
      const refusal = tooLarge(rawText(entry.path), size, spool.bytesMax);
      return this.#order.onLost(entry, refusal);
    }
    assert(!isSwapped, 'with one drive a part is the whole spool');
    const part = this.#part(0);
    const fetcher = this.#fetcher(part);
    fetcher.want(contentId, entry);
    await this.#fetch(fetcher, part);
    await this.#beside.settled();
  }

  #inPieces(live: LiveContent, content: KnownContent, pieceBytes: number): Promise<void> {
    const { preferred, spooled, onLost, writer } = this.#order;
    const { contentId, entry } = live;
    const moved = { contentId, entry, hostId: spooled.hostOf(entry.directoryId) };
    const order = { moved, content, pieceBytes, heldBy: this.#heldBy(contentId), preferred };
    const tools = {
      ...this.#tools,
      isAtOnce: this.#isAtOnce,
      writer,
      beside: this.#beside,
      file: (number: number) => this.#part(number % PARTS).file,
      swap: () => this.#swap(),
      beforeAttach: (barcode: string) => this.#beforeAttach(barcode),
    };
    return moveInPieces(order, tools, (error) => onLost(entry, error));
  }

  #fetcher(part: SpooledPart): Fetcher<SpooledFile> {
    const { preferred, spooled, onLost } = this.#order;
    const { catalog, library, clock, operator, job, warn, onWait, listen, kept } = this.#tools;
    return new Fetcher<SpooledFile>({
      who: `groom (job ${job.number})`,
      wanted: new Wanted(catalog),
      contents: this.#known,
      archives: new Archives(catalog),
      media: this.#media,
      library,
      clock,
      operator,
      target: { createFile: (_path, sizeBytes) => part.file.createFile(sizeBytes) },
      preferred,
      ...(this.#isAtOnce && { kept }),
      onMedium: (barcode) => listen({ event: 'medium', barcode, drive: null }),
      beforeAttach: (barcode) => this.#beforeAttach(barcode),
      onWait,
      onWhole: (entry, file) => {
        const { contentId } = entry.inode;
        assert(contentId !== undefined, 'what was wanted has a content');
        const heldBy = this.#heldBy(contentId);
        spooled.add({ contentId, entry, base: file.base }, { part: part.number, heldBy });
      },
      onLost,
      onFailure: onLost,
      warn,
    });
  }

  /** What one medium lacks may lie on one that is written to, now or a moment later: then the writing ends first. */
  async #beforeAttach(barcode: string): Promise<void> {
    const { set, kept } = this.#tools;
    const isAttached = set.attached.some(({ tape }) => tape.barcode === barcode);
    if (!isAttached && !kept.mayBeWritten(barcode)) return;
    await this.#beside.settled();
    await set.letGo(barcode, this.#beside.signal);
  }

  #heldBy(contentId: number): readonly number[] {
    const { live, policy } = this.#order;
    return policy.copies > 1 ? live.holdersOf(contentId) : [];
  }

  /** Holes of a content take no room. */
  #dataBytes({ contentId, entry }: LiveContent): number {
    const { sizeBytes } = entry.inode;
    const ranges = sizeBytes > SMALL_BYTES ? this.#known.get(contentId)?.ranges : undefined;
    if (!ranges) return sizeBytes;
    return ranges.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  }
}
