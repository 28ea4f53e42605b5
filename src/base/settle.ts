/**
 * Waiting until no later change of a file can have the times it has now.
 *
 * The kernel stamps files by a clock that ticks every 1 to 10 ms (before Linux 6.13); some file systems know seconds or two
 * of them. A file read and then changed within one tick looks unchanged for ever. So nothing is read before the tick of
 * its last change is over: what comes then has another ctime, and is seen by the look after the reading or by the next scan.
 */
import { systemClock } from './clock.ts';

const TICK_MS = 20;
/** Where a time has no nanoseconds it may be one of FAT or of an old server. */
const COARSE_TICK_MS = 2000;
/** Wall time is cut to whole ms: what was changed within this one seems younger than now by less than this. */
const CUT_MS = 1;

/** Columns of several files, one behind the other: where the seconds of the first ctime stand, nanoseconds behind them. */
export type CtimeColumns = { readonly at: number; readonly step: number };

const ALONE: CtimeColumns = { at: 0, step: 2 };

/**
 * Waits for the youngest of the files; blocks the thread. What seems to be of the future is not waited for: the clock was put back,
 * or is a server's.
 * @param stamps with the ctime of each file; seconds and nanoseconds where nothing else is told
 */
export function settle(stamps: ArrayLike<number>, { at, step }: CtimeColumns = ALONE): void {
  const nowMs = systemClock.nowMs();
  let waitMs = 0;
  for (let index = at; index < stamps.length; index += step) {
    const nanoseconds = stamps[index + 1] ?? 0;
    const ageMs = nowMs - (stamps[index] ?? 0) * 1000 - nanoseconds / 1e6;
    const tickMs = nanoseconds === 0 ? COARSE_TICK_MS : TICK_MS;
    if (ageMs > -CUT_MS && tickMs - ageMs > waitMs) waitMs = tickMs - ageMs;
  }
  if (waitMs > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, waitMs);
}
