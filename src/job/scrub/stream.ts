/**
 * The stream of one tape file on its way from the drive to its hash: a ring of blocks in shared memory, hashed by a thread
 * while the drive fills the next. The last blocks are held back until it is known how much of them the hash covers.
 */
import { strict as assert } from 'node:assert';
import type { CopyToRead } from '../../catalog/care/read-back.ts';
import type { ReadableTape } from '../../storage/tape-reader.ts';
import { type Tail, tailOf } from './tail.ts';
import { type BlockSink, type FileRead, readTapeFile } from './tape-file.ts';

/** Makes the hash of a stream, elsewhere; job/backup/digester.ts is one. */
export interface StreamHasher {
  begin(options: { readonly sha256: boolean }): void;
  /** @param onDone the bytes may be changed again */
  update(bytes: Uint8Array, onDone: () => void): void;
  end(): Promise<{ readonly blake3: Buffer }>;
}

export type StreamRead = FileRead & {
  /** Undefined where the end of the stream is not there. */
  readonly tail: Tail | undefined;
  /** The stream, its digest and the zeros behind it are those that were written. */
  readonly isRight: boolean;
};

/** Blocks wait for the hash in a ring of so many bytes, and a few blocks at least. */
const RING_BYTES = 16 * 2 ** 20;
/** Digest and zeros lie within the last two blocks, those behind a tear within three. */
const HELD_BLOCKS = 3;

type Slot = { readonly bytes: Buffer; index: number };

/** Reads streams of one cartridge, one behind the other. */
export class StreamReader implements BlockSink {
  readonly #tape: ReadableTape;
  readonly #hasher: StreamHasher;
  readonly #onBlock: (bytes: number) => void;
  /** They come with their first use: a small cartridge needs few. */
  readonly #slots: Slot[] = [];
  readonly #slotsMax: number;
  #free: Slot[] = [];
  #held: Slot[] = [];
  #filling: Slot | undefined;
  #onFree: (() => void) | undefined;
  /** Bytes that the hash covers, where that is known before the end. */
  #coveredBytes = Number.POSITIVE_INFINITY;

  /** @param onBlock told of each block's length as it comes */
  constructor(tape: ReadableTape, hasher: StreamHasher, onBlock: (bytes: number) => void) {
    this.#tape = tape;
    this.#hasher = hasher;
    this.#onBlock = onBlock;
    this.#slotsMax = Math.max(2 * HELD_BLOCKS, Math.floor(RING_BYTES / tape.blockBytes));
  }

  /** @throws CodedError the drive's failures */
  async read(copy: CopyToRead, signal: AbortSignal): Promise<StreamRead> {
    this.#free = [...this.#slots];
    this.#held = [];
    this.#filling = undefined;
    this.#coveredBytes = copy.isTorn ? (copy.lengthBytes ?? 0) : Number.POSITIVE_INFINITY;
    this.#hasher.begin({ sha256: false });
    let file: FileRead;
    try {
      file = await readTapeFile(this.#tape, copy, this, signal);
    } catch (error) {
      // The hasher is asked for its answer all the same, so that the next stream begins with none under way.
      await this.#hasher.end();
      throw error;
    }
    const tail = file.holes.length === 0 && file.blocks > 0 ? this.#tail(copy, file) : undefined;
    this.#sendHeld(tail?.hashedBytes ?? 0);
    const { blake3 } = await this.#hasher.end();
    const isRight =
      file.end === 'filemark' &&
      tail?.blake3 !== undefined &&
      tail.isDigestRight &&
      tail.areZerosRight &&
      blake3.equals(tail.blake3);
    return { ...file, tail, isRight };
  }

  async buffer(): Promise<Buffer> {
    while (!this.#filling) {
      this.#filling = this.#free.pop() ?? this.#newSlot();
      if (this.#filling) break;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onFree = resolve;
      await promise;
    }
    return this.#filling.bytes;
  }

  #newSlot(): Slot | undefined {
    if (this.#slots.length === this.#slotsMax) return undefined;
    const slot = { bytes: Buffer.from(new SharedArrayBuffer(this.#tape.blockBytes)), index: 0 };
    this.#slots.push(slot);
    return slot;
  }

  take(index: number): void {
    const slot = this.#filling;
    assert(slot, 'a block is read into a buffer of ours');
    this.#filling = undefined;
    slot.index = index;
    this.#onBlock(slot.bytes.length);
    this.#held.push(slot);
    if (this.#held.length <= HELD_BLOCKS) return;
    const first = this.#held.shift();
    if (first) this.#send(first, this.#coveredBytes);
  }

  #tail(copy: CopyToRead, { blocks }: FileRead): Tail {
    const bytes = Buffer.concat(this.#held.map((slot) => slot.bytes));
    return tailOf(copy, bytes, blocks * this.#tape.blockBytes);
  }

  #sendHeld(coveredBytes: number): void {
    for (const slot of this.#held) this.#send(slot, coveredBytes);
    this.#held = [];
  }

  #send(slot: Slot, coveredBytes: number): void {
    const { bytes, index } = slot;
    const covered = Math.max(0, Math.min(bytes.length, coveredBytes - index * bytes.length));
    const release = () => {
      this.#free.push(slot);
      this.#onFree?.();
    };
    if (covered === 0) release();
    else this.#hasher.update(bytes.subarray(0, covered), release);
  }
}
