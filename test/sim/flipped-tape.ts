/** A cartridge in memory, as it lies on its virtual tape, with single bytes changed: for what has to be tried a million times. */
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { CodedError } from '../../src/base/errors.ts';
import type { ReadResult } from '../../src/device/block-read.ts';
import type { Position } from '../../src/device/head.ts';
import type { StreamHasher } from '../../src/job/scrub/stream.ts';
import type { ReadableTape } from '../../src/storage/tape-reader.ts';
import type { TapImage } from './check-archives.ts';

type Place = { readonly block: number; readonly at: number };

export class FlippedTape implements ReadableTape {
  readonly barcode: string;
  readonly blockBytes: number;
  readonly #blocks: readonly Buffer[];
  /** Filemarks before each block. */
  readonly #files: readonly number[];
  #at = 0;

  constructor(image: TapImage, options: { barcode: string; blockBytes: number }) {
    this.barcode = options.barcode;
    this.blockBytes = options.blockBytes;
    const blocks = Array.from({ length: image.lengthBlocks }, (_, block) => image.block(block));
    this.#blocks = blocks.map((block) => Buffer.from(block));
    let files = 0;
    this.#files = blocks.map((block) => (block.length === 0 ? files++ : files));
  }

  /** Every byte of every block, in order. */
  *places(): Generator<Place> {
    for (const [block, { length }] of this.#blocks.entries())
      for (let at = 0; at < length; at += 1) yield { block, at };
  }

  get dataBytes(): number {
    return this.#blocks.reduce((sum, { length }) => sum + length, 0);
  }

  /** @param xor 1 to 255; a second time takes it back */
  flip({ block, at }: Place, xor: number): void {
    const bytes = this.#blocks[block];
    if (bytes) bytes[at] = (bytes[at] ?? 0) ^ xor;
  }

  readonly drive: ReadableTape['drive'] = this.#drive();

  #drive(): ReadableTape['drive'] {
    const position = (): Position => {
      const last = this.#files.at(-1) ?? -1;
      const file = this.#files[this.#at] ?? last + 1;
      return { proven: true, block: this.#at, file, atEndOfData: false };
    };
    return {
      get position() {
        return position();
      },
      locate: async (block: number): Promise<void> => {
        if (block > this.#blocks.length)
          throw new CodedError('MEDIUM_UNREADABLE', 'it lies beyond the data');
        this.#at = block;
      },
      read: (buffer: Uint8Array) => this.#read(buffer),
    };
  }

  async #read(buffer: Uint8Array): Promise<ReadResult> {
    const block = this.#blocks[this.#at];
    if (!block) return { kind: 'end-of-data' };
    this.#at += 1;
    if (block.length === 0) return { kind: 'filemark' };
    buffer.set(block.subarray(0, buffer.length));
    const kind = block.length > buffer.length ? 'longer-block' : 'block';
    return { kind, lengthBytes: block.length };
  }
}

/** What the digest thread does, without a thread. */
export class InlineHasher implements StreamHasher {
  readonly #hasher = new Blake3Hasher();

  begin(): void {
    this.#hasher.reset();
  }

  update(bytes: Uint8Array, onDone: () => void): void {
    this.#hasher.update(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    onDone();
  }

  async end(): Promise<{ readonly blake3: Buffer }> {
    return { blake3: this.#hasher.digestBuffer() };
  }
}
