/** Ends a wait early: whoever has news rings, whoever sleeps is woken. */
import type { Clock } from '../base/clock.ts';

export class Bell {
  readonly #clock: Clock;
  #hasRung = false;
  #wake: AbortController | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  ring(): void {
    this.#hasRung = true;
    this.#wake?.abort();
  }

  /** Until somebody rings, or has rung since the last wait; `durationMs` at most. @throws the signal's reason when aborted */
  async wait(durationMs: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!this.#hasRung) {
      const wake = new AbortController();
      this.#wake = wake;
      try {
        await this.#clock.sleepMs(durationMs, AbortSignal.any([signal, wake.signal]));
      } catch (error) {
        signal.throwIfAborted();
        if (!wake.signal.aborted) throw error;
      } finally {
        this.#wake = undefined;
      }
    }
    this.#hasRung = false;
  }
}
