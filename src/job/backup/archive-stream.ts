/**
 * The stream of one archive on its way to one or several tapes: cut into blocks, counted, digested.
 *
 * Every copy gets the same blocks. A copy whose drive fails is dropped and reported, and the others go on; when the last
 * one fails, so does the stream.
 */
import { strict as assert } from 'node:assert';
import { CodedError } from '../../base/errors.ts';
import type { TapeArchive, Written } from '../../storage/tape-archive.ts';
import type { Digests } from './digest.ts';
import type { Digester } from './digester.ts';
import type { Staging } from './staging.ts';
import type { StreamWay } from './stream-way.ts';

export type CopySink = {
  readonly archive: TapeArchive;
  /** Tells the job that this copy is lost; called once. */
  onFailure(error: CodedError): void;
};

/** Blocks wait for the drives in a ring of so many bytes, two blocks at least, so that neither side waits for each block. */
const RING_BYTES = 8 * 2 ** 20;

export class ArchiveStream {
  readonly #blockBytes: number;
  readonly #digester: Digester;
  readonly #signal: AbortSignal;
  /**
   * Each with the write that uses it, or that took a block from elsewhere in its stead. They come with their first use: a small
   * archive needs few.
   */
  readonly #ring: { readonly block: Buffer; written: Promise<void> }[] = [];
  readonly #ringBlocks: number;
  #sinks: readonly CopySink[];
  #turn = 0;
  #filled = 0;
  #lengthBytes = 0;
  readonly #nearEnd = new Set<TapeArchive>();
  #underway: Promise<void> = Promise.resolve();
  readonly #way: StreamWay;
  /** Once blocks gather somewhere, all that follow do. */
  #staging: Promise<Staging | undefined> | undefined;

  constructor(
    sinks: readonly CopySink[],
    options: {
      readonly blockBytes: number;
      readonly digester: Digester;
      readonly way: StreamWay;
    },
    signal: AbortSignal,
  ) {
    assert(sinks.length > 0);
    this.#way = options.way;
    options.way.begin();
    this.#sinks = sinks;
    this.#blockBytes = options.blockBytes;
    this.#digester = options.digester;
    this.#signal = signal;
    this.#ringBlocks = Math.max(2, Math.floor(RING_BYTES / options.blockBytes));
  }

  /** Bytes of the stream so far. */
  get lengthBytes(): number {
    return this.#lengthBytes;
  }

  /** Copies whose drives have warned: what is written is safe, but the archive has to end soon. */
  get nearEnd(): ReadonlySet<TapeArchive> {
    return this.#nearEnd;
  }

  get copies(): readonly TapeArchive[] {
    return this.#sinks.map(({ archive }) => archive);
  }

  /**
   * Adds bytes to the stream. Whole blocks go to the drives from where they lie.
   * @param onDone the bytes may be changed again: they are digested, and the tapes have them or a copy of them
   * @throws CodedError of the last copy's drive
   */
  async write(bytes: Buffer, onDone: () => void = () => {}): Promise<void> {
    if (bytes.length === 0) {
      onDone();
      return;
    }
    let uses = 2;
    const used = () => {
      uses -= 1;
      if (uses === 0) onDone();
    };
    this.#digester.update(bytes, used);
    let isLent = true;
    try {
      isLent = await this.#append(bytes);
    } finally {
      if (isLent) this.#underway.then(used, used);
      else used();
    }
  }

  /** The digests of everything so far; the bytes that tell them follow by `writeTail`. */
  digests(): Promise<Digests> {
    return this.#digester.end();
  }

  /** The end of the stream, which no digest covers: the digest's own member, padding, zeros behind a tear. */
  async writeTail(bytes: Buffer): Promise<void> {
    await this.#append(bytes);
  }

  /** Filemark on every copy. @returns the copies that count, by their archive */
  async finish(): Promise<ReadonlyMap<TapeArchive, Written>> {
    assert(this.#filled === 0, 'an archive is padded to whole blocks');
    await this.#underway;
    const staging = await this.#staging;
    await staging?.drain();
    await staging?.stop();
    return this.#close();
  }

  /** Ends the archive where it stands, if it is open: what is not a whole block yet is not written. */
  async abandon(): Promise<ReadonlyMap<TapeArchive, Written>> {
    try {
      await this.#underway;
    } finally {
      await (await this.#staging)?.stop();
    }
    this.#filled = 0;
    this.#sinks = this.#sinks.filter(({ archive }) => archive.isOpen);
    return this.#close();
  }

  async #close(): Promise<ReadonlyMap<TapeArchive, Written>> {
    const written = new Map<TapeArchive, Written>();
    await this.#onEach(async ({ archive }) => {
      written.set(archive, await archive.finish(this.#signal));
    });
    return written;
  }

  /** @returns whether drives read some of these bytes from where they are, until all blocks under way by now are written */
  async #append(bytes: Buffer): Promise<boolean> {
    this.#lengthBytes += bytes.length;
    let isLent = false;
    for (let at = 0; at < bytes.length; ) {
      const place = this.#place();
      if (this.#filled === 0) await this.#way.held(place.written);
      const count = Math.min(bytes.length - at, this.#blockBytes - this.#filled);
      const isWhole = count === this.#blockBytes;
      if (!isWhole) bytes.copy(place.block, this.#filled, at, at + count);
      const block = isWhole ? bytes.subarray(at, at + count) : place.block;
      isLent ||= isWhole;
      at += count;
      this.#filled += count;
      if (this.#filled < this.#blockBytes) continue;
      place.written = this.#send(block);
      this.#turn = (this.#turn + 1) % this.#ringBlocks;
      this.#filled = 0;
    }
    return isLent;
  }

  #place() {
    const known = this.#ring[this.#turn];
    if (known) return known;
    const block = Buffer.allocUnsafeSlow(this.#blockBytes);
    const place = { block, written: Promise.resolve() };
    this.#ring.push(place);
    return place;
  }

  /** Hands a full block to the drives, behind all before it. After a failure of the last drive nothing follows. */
  #send(block: Buffer): Promise<void> {
    const isStaged = this.#way.came(block.length);
    this.#underway = this.#underway.then(async () => {
      if (isStaged) this.#staging ??= this.#way.stage((staged) => this.#writeBlock(staged));
      const staging = await this.#staging;
      await (staging ? staging.take(block) : this.#writeBlock(block));
    });
    this.#underway.catch(() => {}); // met by whoever fills the ring next, or ends the archive
    return this.#underway;
  }

  #writeBlock(block: Buffer): Promise<void> {
    return this.#onEach(async ({ archive }) => {
      const warning = await archive.writeBlock(block, this.#signal);
      if (warning !== 'none') this.#nearEnd.add(archive);
    });
  }

  async #onEach(action: (sink: CopySink) => Promise<void>): Promise<void> {
    const failed = new Map<CopySink, CodedError>();
    await Promise.all(
      this.#sinks.map(async (sink) => {
        try {
          await action(sink);
        } catch (error) {
          if (!(error instanceof CodedError) || error.code === 'INTERRUPTED') throw error;
          failed.set(sink, error);
        }
      }),
    );
    for (const [sink, error] of failed) sink.onFailure(error);
    this.#sinks = this.#sinks.filter((sink) => !failed.has(sink));
    const [last] = failed.values();
    if (this.#sinks.length === 0 && last) throw last;
  }
}
