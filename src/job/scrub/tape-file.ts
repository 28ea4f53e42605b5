/**
 * One tape file read from its first block to its filemark, whatever is in the way: a block that cannot be read is tried
 * once more, then passed over and told. The drive streams as long as there are buffers.
 */
import { CodedError } from '../../base/errors.ts';
import type { ReadableTape } from '../../storage/tape-reader.ts';

/** Blocks of a tape file, counted from its first. */
export type BlockRun = { readonly index: number; readonly count: number };

/** `goes-on`: blocks stand where the filemark should; `lost`: nothing behind some place can be reached. */
export type FileEnd = 'filemark' | 'end-of-data' | 'goes-on' | 'lost';

export type FileRead = {
  /** Up to the end, those among them that cannot be read. */
  readonly blocks: number;
  readonly end: FileEnd;
  /** Not to be read, or not of the length of all blocks. */
  readonly holes: readonly BlockRun[];
  /** Why, of the first of them. */
  readonly failure: string | undefined;
  /** Blocks that came at the second attempt only. */
  readonly retried: number;
};

export interface BlockSink {
  /** Where the next block is to be read into; resolves when there is room. */
  buffer(): Promise<Buffer>;
  /** The buffer holds this block now. */
  take(index: number): void;
}

/** A drive needs minutes for each block that it gives up: behind so many in a row it looks further on. */
const HOLES_IN_A_ROW = 64;
const LEAP_BLOCKS_MAX = 4096;

/**
 * @param at.lengthBlocks where the filemark should be; undefined where nobody knows
 * @throws CodedError the drive's failures, but not those of the medium
 */
export async function readTapeFile(
  tape: ReadableTape,
  at: { readonly startBlock: number; readonly lengthBlocks: number | undefined },
  sink: BlockSink,
  signal: AbortSignal,
): Promise<FileRead> {
  const file = new TapeFile(tape, at, signal);
  return file.read(sink);
}

class TapeFile {
  readonly #tape: ReadableTape;
  readonly #startBlock: number;
  readonly #lengthBlocks: number;
  readonly #signal: AbortSignal;
  readonly #holes: { index: number; count: number }[] = [];
  #failure: string | undefined;
  #retried = 0;
  /** Blocks passed over at once. */
  #leap = 1;

  constructor(
    tape: ReadableTape,
    at: { readonly startBlock: number; readonly lengthBlocks: number | undefined },
    signal: AbortSignal,
  ) {
    this.#tape = tape;
    this.#startBlock = at.startBlock;
    this.#lengthBlocks = at.lengthBlocks ?? Number.POSITIVE_INFINITY;
    this.#signal = signal;
  }

  async read(sink: BlockSink): Promise<FileRead> {
    if (!(await this.#goTo(0))) return this.#ended(0, 'lost');
    for (let index = 0; ; ) {
      this.#signal.throwIfAborted();
      const found = await this.#readBlock(index, await sink.buffer());
      if (found === 'filemark' || found === 'end-of-data') return this.#ended(index, found);
      if (index >= this.#lengthBlocks)
        return this.#ended(index, found === 'unreadable' ? 'lost' : 'goes-on');
      if (found === 'block') {
        sink.take(index);
        this.#leap = 1;
        index += 1;
        continue;
      }
      const count = found === 'odd' ? 1 : Math.min(this.#leap, this.#lengthBlocks - index);
      this.#addHole(index, count);
      index += count;
      if (found === 'unreadable' && !(await this.#goTo(index))) return this.#ended(index, 'lost');
    }
  }

  #ended(blocks: number, end: FileEnd): FileRead {
    const rest = this.#lengthBlocks - blocks;
    // What is not there is a hole too, as far as it is known that it should be there.
    if (rest > 0 && Number.isFinite(rest)) this.#addHole(blocks, rest);
    const [failure, retried] = [this.#failure, this.#retried];
    return { blocks, end, holes: this.#holes, failure, retried };
  }

  #addHole(index: number, count: number): void {
    const last = this.#holes.at(-1);
    const isNext = last && last.index + last.count === index;
    if (isNext) last.count += count;
    else this.#holes.push({ index, count });
    const inARow = this.#holes.at(-1)?.count ?? 0;
    if (inARow >= HOLES_IN_A_ROW) this.#leap = Math.min(this.#leap * 2, LEAP_BLOCKS_MAX);
  }

  async #readBlock(
    index: number,
    buffer: Buffer,
  ): Promise<'block' | 'odd' | 'unreadable' | 'filemark' | 'end-of-data'> {
    const last = this.#holes.at(-1);
    const isInHole = last !== undefined && last.index + last.count === index;
    for (let isAgain = isInHole; ; isAgain = true) {
      try {
        const result = await this.#tape.drive.read(buffer, this.#signal);
        if (isAgain && !isInHole) this.#retried += 1;
        if (result.kind === 'filemark' || result.kind === 'end-of-data') return result.kind;
        if (result.lengthBytes === buffer.length) return 'block';
        this.#failure ??= `a block of ${result.lengthBytes} bytes instead of ${buffer.length}`;
        return 'odd';
      } catch (error) {
        if (!isOfMedium(error)) throw error;
        if (isAgain || !(await this.#goTo(index))) {
          this.#failure ??= error.message;
          return 'unreadable';
        }
      }
    }
  }

  /** @returns false where the medium does not let the drive go there */
  async #goTo(index: number): Promise<boolean> {
    const { drive } = this.#tape;
    const block = this.#startBlock + index;
    if (drive.position.proven && drive.position.block === block) return true;
    try {
      await drive.locate(block, this.#signal);
      return true;
    } catch (error) {
      if (!isOfMedium(error)) throw error;
      this.#failure ??= error.message;
      return false;
    }
  }
}

function isOfMedium(error: unknown): error is CodedError {
  return error instanceof CodedError && error.code === 'MEDIUM_UNREADABLE';
}
