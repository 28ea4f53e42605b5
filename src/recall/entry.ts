/** One content that somebody of this process has open: how much of it can be read, and who waits for more. */
import { closeSync } from 'node:fs';
import type { DataRange } from '../domain/entry.ts';
import { proofLength, type RecallContent } from './content.ts';

/** Who reads, for the storm guard, the log and the operator. */
export type Caller = { readonly pid: number; readonly uid: number };

type Waiter = {
  readonly range: DataRange;
  readonly caller: Caller;
  resolve(descriptor: number): void;
  reject(error: unknown): void;
};

export class Entry {
  readonly content: RecallContent;
  /** How often it is open. */
  users = 0;
  /** Since when it is wanted of tape, wall time; undefined where it is not. */
  wantedMs: number | undefined;
  #descriptor: number | undefined;
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
    return this.#isWhole ? this.#descriptor : undefined;
  }

  get hasDescriptor(): boolean {
    return this.#descriptor !== undefined;
  }

  /** Those who wait, each once. */
  get callers(): Caller[] {
    return [...new Map([...this.#waiters].map(({ caller }) => [caller.pid, caller])).values()];
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
    return this.#isWhole || this.#covers(range) ? this.#descriptor : undefined;
  }

  /**
   * More can be read. Takes the descriptor over where it has none yet.
   * @param parts a bit each; undefined: all of it
   */
  adopt(descriptor: number | undefined, parts: Buffer | undefined): void {
    const isOfNoUse = this.#isClosed || this.#descriptor !== undefined;
    if (descriptor !== undefined && isOfNoUse) closeSync(descriptor);
    if (this.#isClosed) return;
    this.#descriptor ??= descriptor;
    if (parts) this.#parts = Buffer.from(parts);
    const isNew = parts === undefined && !this.#isWhole;
    this.#isWhole ||= parts === undefined;
    for (const waiter of [...this.#waiters]) {
      const readable = this.readable(waiter.range);
      if (readable === undefined) continue;
      this.#waiters.delete(waiter);
      waiter.resolve(readable);
    }
    if (!isNew) return;
    for (const listener of this.#listeners) listener();
    this.#listeners.clear();
  }

  /** @throws what `fail` is told; the signal's reason, after `onLeft` */
  async wait(
    range: DataRange,
    by: { readonly caller: Caller; readonly signal: AbortSignal; onLeft(): void },
  ): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const waiter = { range, caller: by.caller, resolve, reject };
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
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
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
