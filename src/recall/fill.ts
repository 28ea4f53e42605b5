/**
 * One content on its way into the stage, from extents that may lie on several media.
 *
 * Small ones are put together and proven in memory. Of larger ones the bytes go to the file as they come; each part that
 * has a hash of its own is read back and proven by the prover, off this thread, and from then on never written again:
 * readers have it open. A part that proves wrong is as if it had never come.
 */
import { strict as assert } from 'node:assert';
import type { FileHandle } from 'node:fs/promises';
import { CodedError } from '../base/errors.ts';
import { HASH_BYTES } from '../domain/content.ts';
import type { DataRange } from '../domain/entry.ts';
import { hashInto } from '../hash/small.ts';
import { overlap, proofCount, proofLength, proofOf, type RecallContent } from './content.ts';
import { RangeSet } from './range-set.ts';
import type { Stage } from './stage.ts';
import type { Placed } from './unfold.ts';

/** Hashes a range of a file off this thread. Undefined where it has fewer bytes. */
export interface Prover {
  hashOf(path: string, range: DataRange, signal: AbortSignal): Promise<Buffer | undefined>;
}

/** Hashed in this thread at once: 0.3 ms. */
const SMALL_BYTES = 2 ** 20;

export class Fill {
  readonly content: RecallContent;
  readonly #tools: FillTools;
  /** Of a small content, until it is proven. */
  #memory: Buffer | undefined;
  #file: FileHandle | undefined;
  #opening: Promise<FileHandle> | undefined;
  readonly #present = new RangeSet();
  readonly #proven = new RangeSet();
  readonly #parts: Buffer;
  /** Proofs under way. */
  readonly #proofs = new Map<number, Promise<void>>();
  #wrong: DataRange[] = [];
  #failure: unknown;

  constructor(content: RecallContent, tools: FillTools) {
    this.content = content;
    this.#tools = tools;
    this.#parts = Buffer.alloc(Math.ceil(proofCount(content) / 8));
    if (content.sizeBytes <= SMALL_BYTES) this.#memory = Buffer.alloc(content.sizeBytes);
  }

  /** Begins to prove what is there already. Once, before anything else. */
  resume(): void {
    const { left } = this.#tools;
    for (let index = 0; left && index < proofCount(this.content); index += 1) {
      if (!hasBit(left, index)) continue;
      const { range } = proofOf(this.content, index);
      this.#present.add(range);
      this.#begin(index, 'left');
    }
  }

  get isWhole(): boolean {
    return this.#proven.covers({ offset: 0, lengthBytes: this.content.sizeBytes });
  }

  get hasProven(): boolean {
    return this.#proven.ranges.length > 0;
  }

  /** Proven parts, a bit each. */
  get parts(): Buffer {
    return this.#parts;
  }

  get file(): FileHandle | undefined {
    return this.#file;
  }

  /** What of a range is neither here nor proven. */
  missing(range: DataRange): DataRange[] {
    return this.#present.gaps(range);
  }

  /**
   * Puts bytes where they belong; resolves when they may be overwritten by the caller.
   * @param reached up to here all is known, from `from` on: holes count
   * @throws CodedError STAGE_FULL, STAGE_FAILED
   */
  async take(placed: readonly Placed[], { from, reached }: { from: number; reached: number }) {
    if (this.#failure !== undefined) throw this.#failure;
    for (const { offset, bytes } of placed) {
      for (const part of this.#writable({ offset, lengthBytes: bytes.length })) {
        const at = part.offset - offset;
        await this.#write(bytes.subarray(at, at + part.lengthBytes), part.offset);
      }
    }
    const range = { offset: from, lengthBytes: reached - from };
    this.#present.add(range);
    this.#proveParts(range);
  }

  /**
   * Waits for all proofs. @returns what proved wrong since the last time, and has to come again
   * @throws CodedError STAGE_FULL, STAGE_FAILED
   */
  async settle(): Promise<readonly DataRange[]> {
    await Promise.all(this.#proofs.values());
    if (this.#failure !== undefined) throw this.#failure;
    const wrong = this.#wrong;
    this.#wrong = [];
    return wrong;
  }

  /** Ended, well or not: the file is closed. May be called twice. */
  async close(): Promise<void> {
    await Promise.allSettled([this.#opening, ...this.#proofs.values()]);
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  /** Data of the content, as far as it is not here: what is here is proven, or being proven. Holes stay holes. */
  #writable(range: DataRange): DataRange[] {
    const { ranges } = this.content;
    const data = ranges?.flatMap((one) => overlap(one, range) ?? []) ?? [range];
    return data.flatMap((part) => this.#present.gaps(part));
  }

  async #write(bytes: Buffer, offset: number): Promise<void> {
    if (this.#memory) {
      bytes.copy(this.#memory, offset);
      return;
    }
    const file = await this.#opened();
    try {
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await file.write(bytes, at, bytes.length - at, offset + at);
        at += bytesWritten;
      }
    } catch (error) {
      throw this.#tools.stage.failure(error);
    }
  }

  async #opened(): Promise<FileHandle> {
    this.#opening ??= this.#open();
    this.#file = await this.#opening;
    return this.#file;
  }

  async #open(): Promise<FileHandle> {
    const { stage, left } = this.#tools;
    const begun = left && (await stage.openLeft(this.content));
    return begun ?? stage.create(this.content);
  }

  #proveParts(range: DataRange): void {
    const length = proofLength(this.content);
    const first = Math.floor(range.offset / length);
    const last = Math.floor(Math.max(range.offset, range.offset + range.lengthBytes - 1) / length);
    for (let index = first; index <= last; index += 1) {
      const { range: part } = proofOf(this.content, index);
      if (this.#proofs.has(index) || this.#proven.covers(part)) continue;
      if (this.#present.covers(part)) this.#begin(index, 'come');
    }
  }

  /** @param whence `left`: by who is gone; nobody is to blame for it */
  #begin(index: number, whence: 'left' | 'come'): void {
    const proof = this.#prove(index, whence)
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => this.#proofs.delete(index));
    this.#proofs.set(index, proof);
  }

  async #prove(index: number, whence: 'left' | 'come'): Promise<void> {
    const { range, hash } = proofOf(this.content, index);
    const found = this.#memory ? hashOf(this.#memory) : await this.#hashOfFile(range);
    if (!found?.equals(hash)) {
      this.#present.remove(range);
      if (whence === 'come') this.#wrong.push(range);
      return;
    }
    if (this.#memory) await this.#writeOut(this.#memory);
    this.#proven.add(range);
    this.#parts[index >> 3] = (this.#parts[index >> 3] ?? 0) | (1 << (index & 7));
    this.#tools.onProven(this);
  }

  async #hashOfFile(range: DataRange): Promise<Buffer | undefined> {
    // One that is all hole was never written to.
    const file = await this.#opened();
    const { stage, prover, signal } = this.#tools;
    const { hash } = this.content;
    const found = await prover.hashOf(stage.pathOf(hash), range, signal);
    if (stage.isCurrent(hash, file.fd)) return found;
    const sentence = `somebody else fills a file of the stage ${stage.directory} that is ours`;
    throw new CodedError('STAGE_FAILED', sentence, { path: stage.directory });
  }

  /** Proven in memory: the file is made of nothing else. */
  async #writeOut(memory: Buffer): Promise<void> {
    const { sizeBytes, ranges } = this.content;
    this.#memory = undefined;
    await this.#opened();
    for (const { offset, lengthBytes } of ranges ?? [{ offset: 0, lengthBytes: sizeBytes }]) {
      assert(offset + lengthBytes <= memory.length);
      await this.#write(memory.subarray(offset, offset + lengthBytes), offset);
    }
  }
}

export type FillTools = {
  /** Of a file that somebody else has begun: its parts that were proven then. They are proven once more. */
  readonly left?: Buffer | undefined;
  readonly stage: Stage;
  readonly prover: Prover;
  readonly signal: AbortSignal;
  /** One more part is proven; `isWhole` tells whether it was the last. */
  onProven(fill: Fill): void;
};

/** Why a content cannot be had. */
export type Loss = { readonly contentId: number; readonly error: CodedError };

const hasBit = (bits: Buffer, index: number): boolean =>
  ((bits[index >> 3] ?? 0) & (1 << (index & 7))) !== 0;

function hashOf(bytes: Buffer): Buffer {
  const hash = Buffer.allocUnsafe(HASH_BYTES);
  hashInto(hash, 0, bytes);
  return hash;
}
