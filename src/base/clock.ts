/** All time enters here: nothing else may call Date.now, performance.now or setTimeout. */
import { setTimeout as sleep } from 'node:timers/promises';

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
