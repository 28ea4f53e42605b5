/** The inventory as a person looks at it: what each medium is full of, what grooming would free, how long the room lasts. */

import type { Catalog } from '../catalog/catalog.ts';
import {
  fillOfMedia,
  type Intake,
  intakeOfPools,
  type MediumFill,
} from '../catalog/shelf/capacity.ts';
import { Media, type Medium, type Pool } from '../catalog/shelf/media.ts';
import { chooseMedia } from './groom/choose.ts';
import { mediaWarnings } from './media-health.ts';

export type MediaFilter = {
  readonly kind?: string | undefined;
  readonly pool?: string | undefined;
  readonly state?: string | undefined;
  readonly location?: string | undefined;
  /** Those that can be written, and have room. */
  readonly isFree: boolean;
};

export type ListedMedium = {
  readonly medium: Medium;
  readonly fill: MediumFill;
  /** Undefined where it is not worth it. */
  readonly groomFreesBytes: number | undefined;
  /** Of its health; each says what to do. */
  readonly warnings: readonly string[];
};

export type PoolTotal = {
  readonly pool: string;
  readonly media: number;
  /** Blank or scratch: written by nobody yet. */
  readonly scratch: number;
  readonly capacityBytes: number;
  readonly liveBytes: number;
  readonly staleBytes: number;
  /** What may still be written, to where media are filled. */
  readonly roomBytes: number;
  readonly forecast: Forecast | undefined;
};

export type Forecast = {
  readonly bytesADay: number;
  /** Backups it is known from, and the first of them. */
  readonly runs: number;
  readonly sinceMs: number;
  /** Then the room is used up; undefined where nothing is written. */
  readonly runsOutMs: number | undefined;
};

export type MediaInventory = {
  readonly media: readonly ListedMedium[];
  /** Of the pools that these media are of, in order of name. */
  readonly pools: readonly PoolTotal[];
};

/** Up to where a medium is filled, of what its makers promise: FACTS of LTO-9 (16.7 to 17.8 of 18 TB). */
const TARGET_FILL_SHARE = 0.95;
const DAY_MS = 86_400_000;
/** A quarter has its weekends, holidays and monthly runs. */
const HISTORY_MS = 90 * DAY_MS;

const WRITABLE: ReadonlySet<string> = new Set(['unlabelled', 'scratch', 'filling']);
const FRESH: ReadonlySet<string> = new Set(['unlabelled', 'scratch']);
/** Not to be had, or not to be used again. */
const GONE: ReadonlySet<string> = new Set(['retired', 'lost']);

/** In order of barcode. Some milliseconds, however many files the media hold. */
export function mediaInventory(
  catalog: Catalog,
  filter: MediaFilter,
  /** Media of which less is live are worth grooming. */
  groomBelowPercent: number,
): MediaInventory {
  return catalog.read(() => {
    const media = new Media(catalog);
    const fills = fillOfMedia(catalog);
    const warned = mediaWarnings(catalog);
    const groomed = new Set(
      chooseMedia(catalog, { named: [], belowPercent: groomBelowPercent }).map(({ id }) => id),
    );
    const all = media.list().flatMap((medium): ListedMedium[] => {
      const fill = fills.get(medium.id);
      if (!fill) return [];
      const isWorth = groomed.has(medium.id) && fill.staleBytes > 0;
      const groomFreesBytes = isWorth ? fill.staleBytes : undefined;
      return [{ medium, fill, groomFreesBytes, warnings: warned.get(medium.id) ?? [] }];
    });
    const shown = all.filter((one) => passes(one, filter));
    const nowMs = catalog.clock.nowMs();
    const intakes = intakeOfPools(catalog, nowMs - HISTORY_MS);
    const names = new Set(shown.map(({ medium }) => medium.pool));
    const pools = media
      .pools()
      .filter(({ name }) => names.has(name))
      .map((pool) => totalOf(pool, all, { intakes, nowMs }));
    return { media: shown, pools };
  });
}

function passes(one: ListedMedium, { kind, pool, state, location, isFree }: MediaFilter): boolean {
  const { medium } = one;
  return (
    (kind === undefined || medium.kind === kind) &&
    (pool === undefined || medium.pool === pool) &&
    (state === undefined || medium.state === state) &&
    (location === undefined || medium.location === location) &&
    (!isFree || roomOf(one) > 0)
  );
}

function roomOf({ medium }: ListedMedium): number {
  if (!WRITABLE.has(medium.state)) return 0;
  const { capacityBytes, writtenBytes } = medium;
  return Math.max(0, Math.floor(capacityBytes * TARGET_FILL_SHARE) - writtenBytes);
}

function totalOf(
  { id, name }: Pool,
  all: readonly ListedMedium[],
  known: { readonly intakes: readonly Intake[]; readonly nowMs: number },
): PoolTotal {
  const members = all.filter(({ medium }) => medium.poolId === id && !GONE.has(medium.state));
  const sum = (of: (one: ListedMedium) => number) =>
    members.reduce((total, one) => total + of(one), 0);
  const roomBytes = sum(roomOf);
  const intake = known.intakes.find(({ poolId }) => poolId === id);
  return {
    pool: name,
    media: members.length,
    scratch: members.filter(({ medium }) => FRESH.has(medium.state)).length,
    capacityBytes: sum(({ medium }) => medium.capacityBytes),
    liveBytes: sum(({ fill }) => fill.liveBytes),
    staleBytes: sum(({ fill }) => fill.staleBytes),
    roomBytes,
    forecast: intake && forecast(intake, { roomBytes, nowMs: known.nowMs }),
  };
}

/**
 * When the room of a pool is used up, if it goes on as it went. The first run, which stored everything, is left out of it by
 * who counts the intake.
 * @returns undefined where less than a day, or fewer than two runs, are known
 */
export function forecast(
  { bytes, sinceMs, runs }: Intake,
  { roomBytes, nowMs }: { readonly roomBytes: number; readonly nowMs: number },
): Forecast | undefined {
  const days = (nowMs - sinceMs) / DAY_MS;
  if (runs < 2 || days < 1) return undefined;
  const bytesADay = bytes / days;
  const runsOutMs = bytesADay > 0 ? nowMs + (roomBytes / bytesADay) * DAY_MS : undefined;
  return { bytesADay, runs, sinceMs, runsOutMs };
}
