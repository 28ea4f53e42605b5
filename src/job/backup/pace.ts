/** How fast the sources deliver, as far as the tape lets them: whether a drive that writes at once would have to stop again and again. */
import type { Clock } from '../../base/clock.ts';

/** Measured again and again over so much: a good part of a drive's second, and more than readers have read ahead. */
const WINDOW_BYTES = 128e6;
/** A source that is barely fast enough is not to change the drive's way all the time. */
const FAST_AGAIN = 1.5;

export class Pace {
  readonly #clock: Clock;
  #isSlow = false;
  #bytes = 0;
  #heldMs = 0;
  #startMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startMs = clock.monotonicMs();
  }

  /** The last time it was measured, the sources were slower than the drive. */
  get isSlow(): boolean {
    return this.#isSlow;
  }

  /** Forgets the time since the last bytes: an archive begins. */
  begin(): void {
    this.#bytes = 0;
    this.#heldMs = 0;
    this.#startMs = this.#clock.monotonicMs();
  }

  /** So many bytes came. @param slowestBytes a second: what the drive needs, to keep the tape moving */
  came(bytes: number, slowestBytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < WINDOW_BYTES) return;
    const ms = this.#clock.monotonicMs() - this.#startMs - this.#heldMs;
    const rateBytes = this.#bytes / Math.max(ms / 1000, Number.EPSILON);
    this.#isSlow = rateBytes < slowestBytes * (this.#isSlow ? FAST_AGAIN : 1);
    this.begin();
  }

  /** Waits for the tape; the sources are not to blame for that time. */
  async held(wait: Promise<void>): Promise<void> {
    const fromMs = this.#clock.monotonicMs();
    try {
      await wait;
    } finally {
      this.#heldMs += this.#clock.monotonicMs() - fromMs;
    }
  }
}
