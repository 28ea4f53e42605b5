/** One content that somebody of this process has open: how much of it can be read, and who waits for more. */
import { closeSync, fstatSync } from 'node:fs';
import type { WaitingReader } from '../catalog/run-db/wants.ts';
import type { DataRange } from '../domain/entry.ts';
import { proofLength, type RecallContent } from './content.ts';

/** Who reads, for the storm guard, the log and the operator. */
export type Caller = { readonly pid: number; readonly uid: number };

type Waiter = {
  readonly range: DataRange;
  readonly reader: WaitingReader;
  resolve(descriptor: number): void;
  reject(error: unknown): void;
};

export class Entry {
  readonly content: RecallContent;
  /** How often it is open. */
  users = 0;
  /** Since when it is wanted of tape, wall time; undefined where it is not. */
  wantedMs: number | undefined;
  /** The last is of the file that is spoken of; others are of files that were given up half full. */
  readonly #descriptors: number[] = [];
  #parts: Buffer | undefined;
  #isWhole = false;
  /** By the last of its users; what was under way for it then comes too late. */
  #isClosed = false;
  readonly #waiters = new Set<Waiter>();
  readonly #listeners = new Set<() => void>();

  constructor(content: RecallContent) {
    this.content = content;
  }

  /** With all bytes, proven. */
  get file(): number | undefined {
    return this.#isWhole ? this.#descriptors.at(-1) : undefined;
  }

  /** Those who wait, each once. */
  get readers(): WaitingReader[] {
    return [...new Map([...this.#waiters].map(({ reader }) => [reader.pid, reader])).values()];
  }

  get isWaitedFor(): boolean {
    return this.#waiters.size > 0;
  }

  /** Calls once, when all bytes are there. */
  onStaged(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** A descriptor the range can be read from. */
  readable(range: DataRange): number | undefined {
    return this.#isWhole || this.#covers(range) ? this.#descriptors.at(-1) : undefined;
  }

  /**
   * More can be read: of this file, which need not be the one of before. Takes the descriptor over.
   * @param parts a bit each; undefined: all of it
   */
  adopt(descriptor: number, parts: Buffer | undefined): void {
    if (this.#isClosed || this.#isWhole) {
      closeSync(descriptor);
      return;
    }
    this.#use(descriptor);
    this.#parts = parts && Buffer.from(parts);
    this.#isWhole = parts === undefined;
    for (const waiter of [...this.#waiters]) {
      const readable = this.readable(waiter.range);
      if (readable === undefined) continue;
      this.#waiters.delete(waiter);
      waiter.resolve(readable);
    }
    if (!this.#isWhole) return;
    for (const listener of this.#listeners) listener();
    this.#listeners.clear();
  }

  /** What was handed out before stays open until the end: it may be read from at any time. */
  #use(descriptor: number): void {
    const current = this.#descriptors.at(-1);
    if (current !== undefined && inodeOf(current) === inodeOf(descriptor)) closeSync(descriptor);
    else this.#descriptors.push(descriptor);
  }

  /** @throws what `fail` is told; the signal's reason, after `onLeft` */
  async wait(
    range: DataRange,
    by: { readonly reader: WaitingReader; readonly signal: AbortSignal; onLeft(): void },
  ): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const waiter = { range, reader: by.reader, resolve, reject };
    const leave = () => {
      this.#waiters.delete(waiter);
      reject(by.signal.reason);
      by.onLeft();
    };
    this.#waiters.add(waiter);
    by.signal.addEventListener('abort', leave, { once: true });
    try {
      return await promise;
    } finally {
      by.signal.removeEventListener('abort', leave);
    }
  }

  /** It is not to be had now; who asks again may be luckier. */
  fail(error: unknown): void {
    for (const waiter of this.#waiters) waiter.reject(error);
    this.#waiters.clear();
  }

  close(): void {
    this.#isClosed = true;
    for (const descriptor of this.#descriptors.splice(0)) closeSync(descriptor);
    this.#isWhole = false;
    this.#parts = undefined;
  }

  #covers({ offset, lengthBytes }: DataRange): boolean {
    if (!this.#parts) return false;
    const { sizeBytes } = this.content;
    const end = Math.min(sizeBytes, offset + lengthBytes);
    if (end <= offset) return true;
    const length = proofLength(this.content);
    for (let index = Math.floor(offset / length); index * length < end; index += 1)
      if (((this.#parts[index >> 3] ?? 0) & (1 << (index & 7))) === 0) return false;
    return true;
  }
}

function inodeOf(descriptor: number): bigint {
  return fstatSync(descriptor, { bigint: true }).ino;
}
