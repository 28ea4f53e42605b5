/**
 * The clock model of a tape drive: how many seconds each thing takes.
 *
 * The tape is a serpentine: wrap 0 runs from the beginning to the end, wrap 1 back, and so on. A locate costs the
 * distance along the tape, wherever the bytes lie in order; so block 10^6 may be one second away and block 10 a minute.
 * A small virtual cartridge is a full-length tape with few bytes on each wrap: its locates cost what real ones do.
 *
 * Writing goes into the drive's buffer, which the tape empties between two speeds. A host that is late for longer than
 * the buffer lasts at the slowest one makes the tape stop, go back and start again.
 */
import {
  BACKHITCH_SECONDS,
  type Mechanics,
  START_STOP_SECONDS,
  WRAP_CHANGE_SECONDS,
} from './mechanics.ts';

export type Spent = { readonly seconds: number; readonly backhitches: number };

export class Motion {
  readonly #mechanics: Mechanics;
  readonly #capacityBytes: number;
  /** Accepted from the host, not yet on tape. */
  #bufferedBytes = 0;
  /** Read ahead of the host. */
  #aheadBytes = 0;
  #moving: 'stopped' | 'writing' | 'reading' = 'stopped';

  constructor(mechanics: Mechanics, capacityBytes: number) {
    this.#mechanics = mechanics;
    this.#capacityBytes = capacityBytes;
  }

  /** Metres from the beginning of the tape, and the wrap, at which a byte of data lies. */
  placeOf(bytes: number): { wrap: number; metres: number } {
    const { wraps, tapeMetres } = this.#mechanics;
    const wrapBytes = this.#capacityBytes / wraps;
    const wrap = Math.min(wraps - 1, Math.floor(bytes / wrapBytes));
    const along = Math.min(1, (bytes - wrap * wrapBytes) / wrapBytes) * tapeMetres;
    return { wrap, metres: wrap % 2 === 0 ? along : tapeMetres - along };
  }

  /** Seconds from one place to another; nothing when the tape need not move. The tape stands afterwards. */
  locate(fromBytes: number, toBytes: number): number {
    return this.flush() + this.#go(fromBytes, toBytes);
  }

  /** Seconds to bytes that are to be read next: located, or read through where they lie close ahead. Nothing moves. */
  reach(fromBytes: number, toBytes: number): number {
    const seconds = this.#go(fromBytes, toBytes);
    return toBytes < fromBytes ? seconds : Math.min(seconds, (toBytes - fromBytes) / this.#rate);
  }

  rewind(fromBytes: number): number {
    const flushed = this.flush();
    const { metres } = this.placeOf(fromBytes);
    return metres === 0 ? flushed : flushed + this.#travel(metres);
  }

  load(): number {
    return this.#mechanics.loadSeconds;
  }

  unload(fromBytes: number): number {
    return this.rewind(fromBytes) + this.#mechanics.unloadSeconds;
  }

  /** Empties the buffer onto the tape and stops it. */
  flush(): number {
    const seconds = this.#bufferedBytes / this.#rate;
    this.#bufferedBytes = 0;
    this.#aheadBytes = 0;
    this.#moving = 'stopped';
    return seconds;
  }

  /** @param lateSeconds how long the drive waited for this block since it had taken the last one */
  write(bytes: number, lateSeconds: number): Spent {
    const { slowestRateMbs, bufferBytes } = this.#mechanics;
    let seconds = 0;
    let backhitches = 0;
    let spareBytes = 0;
    if (this.#moving === 'writing') {
      // A buffer that fills up lets the tape run at its fastest: what it can take meanwhile beyond the slowest rate.
      spareBytes = lateSeconds * (this.#rate - slowestRateMbs * 1e6);
      this.#bufferedBytes -= lateSeconds * slowestRateMbs * 1e6;
      seconds += lateSeconds;
      if (this.#bufferedBytes < 0) {
        backhitches = 1;
        seconds += BACKHITCH_SECONDS;
        this.#bufferedBytes = 0;
      }
    } else {
      seconds += START_STOP_SECONDS;
      this.#aheadBytes = 0;
      this.#moving = 'writing';
    }
    this.#bufferedBytes += bytes;
    const excess = this.#bufferedBytes - bufferBytes;
    if (excess > 0) {
      seconds += Math.max(0, excess - spareBytes) / this.#rate;
      this.#bufferedBytes = bufferBytes;
    }
    return { seconds, backhitches };
  }

  /** @param lateSeconds how long the drive waited for this READ since it had answered the last one */
  read(bytes: number, lateSeconds: number): Spent {
    const { bufferBytes } = this.#mechanics;
    let seconds = 0;
    let backhitches = 0;
    if (this.#moving === 'reading') {
      seconds += lateSeconds;
      this.#aheadBytes += lateSeconds * this.#rate;
      if (this.#aheadBytes > bufferBytes) {
        // The buffer was full: the tape stopped and has to come back for what follows.
        this.#aheadBytes = bufferBytes;
        backhitches = 1;
      }
    } else {
      seconds += this.flush() + START_STOP_SECONDS;
      this.#moving = 'reading';
    }
    const missing = bytes - this.#aheadBytes;
    this.#aheadBytes = Math.max(0, -missing);
    if (missing > 0) seconds += missing / this.#rate;
    return { seconds, backhitches };
  }

  get #rate(): number {
    return this.#mechanics.rateMbs * 1e6;
  }

  #go(fromBytes: number, toBytes: number): number {
    if (fromBytes === toBytes) return 0;
    const from = this.placeOf(fromBytes);
    const to = this.placeOf(toBytes);
    const wrapChange = from.wrap === to.wrap ? 0 : WRAP_CHANGE_SECONDS;
    return wrapChange + this.#travel(Math.abs(from.metres - to.metres));
  }

  #travel(metres: number): number {
    const { tapeMetres, endToEndSeconds } = this.#mechanics;
    return START_STOP_SECONDS + (metres / tapeMetres) * (endToEndSeconds - START_STOP_SECONDS);
  }
}
