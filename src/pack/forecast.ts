/**
 * What a plan costs, for `--dry-run`: media and their fill, how far that is from the tightest packing, and hours.
 *
 * The tightest packing known is first-fit decreasing: the largest file first, each onto the first medium with room. It
 * would scatter a directory over all media, so we do not write that way; but it shows what path order costs.
 */
import { strict as assert } from 'node:assert';
import { type GenerationName, streamingBytes } from '../domain/generation.ts';
import { storedBytesMax } from './item.ts';
import type { MediumRoom } from './place.ts';
import type { PlanStep } from './plan.ts';

/** What moving and writing a cartridge takes. */
export type TapeTimes = {
  /** Native streaming rate, bytes per second. */
  readonly rateBytes: number;
  /** From the slot to ready, and to the end of its data. */
  readonly loadSeconds: number;
  /** Rewind, unload and back to the slot. */
  readonly unloadSeconds: number;
  /** The tape stops for a synchronous filemark and comes up to speed again. */
  readonly archiveSeconds: number;
};

/** Measured on LTO-9: load 16 s, mean locate 65 s, rewind 62 s, unload 56 s; a small library's picker takes 10 s. */
export function tapeTimes(generation: GenerationName): TapeTimes {
  return {
    rateBytes: streamingBytes(generation),
    loadSeconds: 10 + 16 + 65,
    unloadSeconds: 62 + 56 + 10,
    archiveSeconds: 5,
  };
}

export type MediumForecast = {
  readonly key: string;
  /** At most, label included. */
  readonly writtenBytes: number;
  readonly roomBytes: number;
  readonly archives: number;
};

export type Forecast = {
  /** In the order in which they are written. */
  readonly media: readonly MediumForecast[];
  readonly entries: number;
  readonly archives: number;
  /** Of one copy. */
  readonly storedBytes: number;
  /** Room left over on all media but the last of each copy. */
  readonly wasteBytes: number;
  /** Media first-fit decreasing would use for one copy, and what it would leave over. */
  readonly tightest: { readonly media: number; readonly wasteBytes: number };
  readonly hours: number;
};

/** Pieces below this share of a medium fill every gap alike: they are counted together. */
const SAND_SHARE = 1 / 1000;

export type ForecastOptions = {
  readonly media: readonly MediumRoom[];
  readonly labelBytes: number;
  /** Media written at the same time; at most as many as copies help. */
  readonly drives: number;
  readonly copies: number;
  readonly times: TapeTimes;
  /** How fast the source can be read, bytes per second; undefined: no slower than the drive. */
  readonly sourceBytes?: number;
};

/** Takes the steps of a plan one by one; memory grows with the media (a thousand numbers each), not with the entries. */
export class Forecaster<K> {
  readonly #options: ForecastOptions;
  readonly #media = new Map<string, MediumForecast>();
  /** Media of the first copy, in the order in which they are written. */
  readonly #firstCopy = new Set<string>();
  /** Stored bytes of pieces that are no sand. */
  readonly #large: number[] = [];
  readonly #sandBelowBytes: number;
  #sandBytes = 0;
  #storedBytes = 0;
  #entries = 0;
  #archives = 0;
  #writing: readonly string[] = [];

  constructor(options: ForecastOptions) {
    assert(options.drives >= 1 && options.copies >= 1);
    this.#options = options;
    const largestBytes = Math.max(0, ...options.media.map((medium) => medium.roomBytes));
    this.#sandBelowBytes = largestBytes * SAND_SHARE;
  }

  take(step: PlanStep<K>): void {
    if (step.kind === 'begin') {
      this.#writing = step.media;
      for (const key of step.media.slice(0, 1)) this.#firstCopy.add(key);
    } else if (step.kind === 'piece') {
      const bytes = storedBytesMax(step);
      if (bytes < this.#sandBelowBytes) this.#sandBytes += bytes;
      else this.#large.push(bytes);
      this.#storedBytes += bytes;
      this.#entries += 1;
    } else {
      this.#archives += 1;
      for (const key of this.#writing) this.#write(key, step.bytesMax);
    }
  }

  /** Of all steps taken so far. */
  forecast(): Forecast {
    const { copies } = this.#options;
    const media = [...this.#media.values()];
    const closed = media.slice(0, Math.max(0, media.length - copies));
    return {
      media,
      entries: this.#entries,
      archives: this.#archives,
      storedBytes: this.#storedBytes,
      wasteBytes: closed.reduce((sum, one) => sum + one.roomBytes - one.writtenBytes, 0),
      tightest: this.#firstFitDecreasing(),
      hours: this.#seconds(media) / 3600,
    };
  }

  #write(key: string, bytes: number): void {
    const before = this.#media.get(key);
    if (before !== undefined) {
      const writtenBytes = before.writtenBytes + bytes;
      this.#media.set(key, { ...before, writtenBytes, archives: before.archives + 1 });
      return;
    }
    const medium = this.#medium(key);
    const { roomBytes } = medium;
    const labelBytes = roomBytes - this.#usableBytes(medium);
    this.#media.set(key, { key, roomBytes, writtenBytes: labelBytes + bytes, archives: 1 });
  }

  /** On the media of the plan's first copy, in their order, then on more like the roomiest. */
  #firstFitDecreasing(): Forecast['tightest'] {
    const roomiestBytes = Math.max(0, ...this.#options.media.map((one) => this.#usableBytes(one)));
    const rooms = [...this.#firstCopy].map((key) => this.#usableBytes(this.#medium(key)));
    const left: number[] = [];
    const firstWith = (bytes: number): number => {
      const found = left.findIndex((room) => room >= bytes);
      if (found >= 0) return found;
      do left.push(rooms[left.length] ?? roomiestBytes);
      while ((left.at(-1) ?? 0) < bytes);
      return left.length - 1;
    };
    for (const bytes of this.#large.toSorted((a, b) => b - a)) {
      assert(bytes <= roomiestBytes, 'what is planned fits somewhere');
      const index = firstWith(bytes);
      left[index] = (left[index] ?? 0) - bytes;
    }
    for (let sandBytes = this.#sandBytes; sandBytes > 0; ) {
      const index = firstWith(1);
      const poured = Math.min(sandBytes, left[index] ?? 0);
      left[index] = (left[index] ?? 0) - poured;
      sandBytes -= poured;
    }
    const wasteBytes = left.slice(0, -1).reduce((sum, room) => sum + room, 0);
    return { media: left.length, wasteBytes };
  }

  #medium(key: string): MediumRoom {
    const medium = this.#options.media.find((one) => one.key === key);
    assert(medium !== undefined, `${key} is in the plan, but not among the media`);
    return medium;
  }

  #usableBytes({ state, roomBytes }: MediumRoom): number {
    return roomBytes - (state === 'scratch' ? this.#options.labelBytes : 0);
  }

  /** Copies are written at once, as far as there are drives; the others afterwards. */
  #seconds(media: readonly MediumForecast[]): number {
    const { drives, copies, times, sourceBytes } = this.#options;
    const rateBytes = Math.min(times.rateBytes, sourceBytes ?? Number.POSITIVE_INFINITY);
    const each = media.map(
      ({ writtenBytes, archives }) =>
        times.loadSeconds +
        writtenBytes / rateBytes +
        archives * times.archiveSeconds +
        times.unloadSeconds,
    );
    const all = each.reduce((sum, seconds) => sum + seconds, 0);
    return all / Math.min(drives, copies);
  }
}
