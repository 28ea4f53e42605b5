/**
 * Whether the machine's clock is to be believed, before anything is given up because of its age. What was seen last is kept in
 * the catalog (SCHEMA.md section 9), beyond the end of every process.
 */
import { CodedError } from '../../base/errors.ts';
import type { Catalog } from '../catalog.ts';

/** Clocks are set right by so much while they run. */
const BACK_MS_MAX = 60_000;
/** No shelf is left alone for longer without somebody who can say so. */
const AHEAD_MS_MAX = 366 * 86_400_000;

/** `behind`: somebody saw a later time before. `ahead`: nobody saw any time for more than a year. */
export type ClockFinding = {
  readonly kind: 'right' | 'behind' | 'ahead';
  /** The latest time that was seen, in ms since the epoch. */
  readonly lastMs: number;
  readonly nowMs: number;
};

/** A job sees the time. A leap is not believed: it would make the next one look small. Part of the caller's `write`. */
export function noteClock(catalog: Catalog): void {
  catalog
    .prepare(
      `UPDATE counters SET next = @nowMs WHERE name = 'clock_ms' AND next < @nowMs
         AND (next = 0 OR @nowMs - next <= ${AHEAD_MS_MAX})`,
    )
    .run({ nowMs: Math.floor(catalog.clock.nowMs()) });
}

export function judgeClock(catalog: Catalog): ClockFinding {
  const nowMs = Math.floor(catalog.clock.nowMs());
  const lastMs = lastSeenMs(catalog);
  const aheadMs = lastMs === 0 ? 0 : nowMs - lastMs;
  if (aheadMs > AHEAD_MS_MAX) return { kind: 'ahead', lastMs, nowMs };
  // Snapshots of a clock that was wrong stand later than any time that was believed.
  const newestMs = newestSnapshotMs(catalog);
  const latestMs = Math.max(lastMs, newestMs);
  const kind = nowMs < latestMs - BACK_MS_MAX ? 'behind' : 'right';
  return { kind, lastMs: latestMs, nowMs };
}

/** @throws CodedError CLOCK_DOUBTFUL saying how to go on */
export function refuseDoubtfulClock(catalog: Catalog): void {
  const { kind, lastMs, nowMs } = judgeClock(catalog);
  if (kind === 'right') return;
  const [now, last] = [nowMs, lastMs].map((ms) => new Date(ms).toISOString().slice(0, 19));
  const what =
    kind === 'behind'
      ? `the clock shows ${now} UTC, but ${last} UTC was seen before`
      : `the clock shows ${now} UTC, more than a year behind the last job (${last} UTC)`;
  throw new CodedError(
    'CLOCK_DOUBTFUL',
    `${what}: nothing expires. Set it right; where it is right, say so with --clock-is-right`,
  );
}

/** A person says that the clock is right now. */
export function believeClock(catalog: Catalog): void {
  catalog.write(() =>
    catalog
      .prepare("UPDATE counters SET next = ? WHERE name = 'clock_ms'")
      .run(Math.floor(catalog.clock.nowMs())),
  );
}

function lastSeenMs(catalog: Catalog): number {
  const row = catalog.prepare<[number]>("SELECT next FROM counters WHERE name = 'clock_ms'").get();
  return row?.[0] ?? 0;
}

/** Several snapshots within one second are numbered on: those are no leap. */
function newestSnapshotMs(catalog: Catalog): number {
  const row = catalog
    .prepare<[number | null, number]>('SELECT max(seconds), count(*) FROM snapshots')
    .get();
  const [seconds, count] = row ?? [null, 0];
  return seconds === null ? 0 : (seconds - count) * 1000;
}
