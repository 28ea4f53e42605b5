/** All time enters here: nothing else may call Date.now, performance.now or setTimeout. */
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';

export interface Clock {
  /** Wall time for records people read, in ms since the epoch. May step backwards. */
  nowMs(): number;
  /** For durations and timeouts, in ms, fractions included. Never steps backwards. */
  monotonicMs(): number;
  /** Resolves after `durationMs`; rejects with the signal's reason when aborted first. */
  sleepMs(durationMs: number, signal: AbortSignal): Promise<void>;
}

/** The machine's own time. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  async sleepMs(durationMs, signal) {
    signal.throwIfAborted();
    try {
      await sleep(durationMs, undefined, { signal });
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    }
  },
};

type Sleeper = { readonly wakeMs: number; readonly wake: () => void };

/**
 * Time that stands still while somebody works and jumps to the next sleeper when nobody does: a thousand hours of
 * loading take a second. Sleepers wake in order of their time, equal times in order of their call.
 */
export class SimClock implements Clock {
  #elapsedMs = 0;
  #sleepers: Sleeper[] = [];
  #advancing = false;
  readonly #startMs: number;

  /** @param startMs wall time at the start, in ms since the epoch */
  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#startMs = startMs;
  }

  nowMs(): number {
    return this.#startMs + this.#elapsedMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  /** Lets time pass without anybody sleeping: a slow host, a wait for nothing. */
  advanceMs(durationMs: number): void {
    this.#elapsedMs += durationMs;
  }

  async sleepMs(durationMs: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const sleeper = { wakeMs: this.#elapsedMs + Math.max(0, durationMs), wake: resolve };
    const abort = () => {
      this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
      reject(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
    this.#sleepers.push(sleeper);
    void this.#advance();
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /** Wakes the earliest sleeper, one at a time, each after the event loop has had a turn to let others go on. */
  async #advance(): Promise<void> {
    if (this.#advancing) return;
    this.#advancing = true;
    while (this.#sleepers.length > 0) {
      await turn();
      const next = this.#sleepers.toSorted((a, b) => a.wakeMs - b.wakeMs)[0];
      if (!next) break;
      this.#sleepers = this.#sleepers.filter((sleeper) => sleeper !== next);
      this.#elapsedMs = Math.max(this.#elapsedMs, next.wakeMs);
      next.wake();
    }
    this.#advancing = false;
  }
}
