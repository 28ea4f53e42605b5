/**
 * Retention: which snapshots are kept, and why. Pure: no clock, no catalog.
 *
 * A policy divides time into periods and keeps one snapshot of each. Periods are those of UTC, weeks begin on Monday: a shelf
 * outlives the time zones it was filled in. What is kept never depends on the order in which snapshots are given, nor on how often
 * somebody asks: expiring each day leaves what expiring once in ten years leaves.
 *
 * Three are kept whatever policies say: the newest, those on hold, and of each series the newest that is complete. Where no policy
 * applies, everything is kept.
 */
import { lessSpan, type Span } from './span.ts';

export const PERIODS = ['hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;
export type Period = (typeof PERIODS)[number];

/** At least one rule; `parse` in the config sees to it. */
export type Policy = {
  /** The newest so many. */
  readonly last?: number | undefined;
  /** All within the span. */
  readonly within?: Span | undefined;
  /** One of each of the newest so many periods in which there is any. */
  readonly counts: Readonly<Partial<Record<Period, number>>>;
  /** One of each period, as long as it lies within the span. */
  readonly windows: Readonly<Partial<Record<Period, Span>>>;
  /** Which one of a period. Complete ones come before partial ones. */
  readonly pick: 'latest' | 'earliest';
};

export type Policies = {
  /** For runs that none of the others is for; undefined: those are kept. */
  readonly general: Policy | undefined;
  /** By name of source, of pool. */
  readonly sources: Readonly<Record<string, Policy>>;
  readonly pools: Readonly<Record<string, Policy>>;
};

export type Dated = {
  readonly id: number;
  /** Since the epoch. No two are of the same second. */
  readonly seconds: number;
  readonly isPartial: boolean;
  /** From when its age counts (witnessed.ts), not before `seconds`; left out: those. */
  readonly witnessedSeconds?: number | undefined;
};

export type Candidate = Dated & {
  /** Of its run. */
  readonly sources: readonly string[];
  readonly pool: string | undefined;
  readonly isHeld: boolean;
};

/** `complete`: the newest complete one of its series. `last good copy`: what it shows can be read nowhere else (catalog/expiry/last-good.ts). */
export const REASONS = [
  'newest',
  'held',
  'last',
  'within',
  ...PERIODS,
  'complete',
  'last good copy',
  'no policy',
] as const;
export type Reason = (typeof REASONS)[number];

export type Decision = {
  readonly id: number;
  /** Why it is kept, in the order of REASONS; none: it is not. */
  readonly reasons: readonly Reason[];
};

/**
 * Every candidate once, in order of id. A snapshot is kept when any policy that applies to it keeps it: those of its run's
 * sources and of its pool, else the general one, each over the runs of one source.
 * @param asOf seconds since the epoch; spans reach back from there, or from the newest snapshot where that is earlier
 */
export function decide(
  candidates: readonly Candidate[],
  policies: Policies,
  asOf: number,
): Decision[] {
  const sorted = candidates.toSorted((a, b) => a.id - b.id);
  const reasons = new Map<number, Set<Reason>>(sorted.map(({ id }) => [id, new Set()]));
  const add = (id: number, reason: Reason) => reasons.get(id)?.add(reason);
  const newest = sorted.at(-1);
  if (!newest) return [];
  add(newest.id, 'newest');
  for (const { id, isHeld } of sorted) if (isHeld) add(id, 'held');
  const reference = Math.min(asOf, newest.seconds);
  for (const { policy, snapshots } of seriesOf(sorted, policies)) {
    if (policy) for (const [id, tier] of keptBy(policy, snapshots, reference)) add(id, tier);
    else for (const { id } of snapshots) add(id, 'no policy');
    const complete = snapshots.findLast(({ isPartial }) => !isPartial);
    if (complete) add(complete.id, 'complete');
  }
  return sorted.map(({ id }) => ({
    id,
    reasons: REASONS.filter((reason) => reasons.get(id)?.has(reason)),
  }));
}

type Series = { readonly policy: Policy | undefined; readonly snapshots: Candidate[] };

/** The runs of one source under one policy, oldest first. */
function seriesOf(sorted: readonly Candidate[], policies: Policies): Series[] {
  const all = new Map<string, Series>();
  for (const candidate of sorted) {
    // A run of which nobody knows what it was of is a series of its own.
    const sources = candidate.sources.length > 0 ? candidate.sources : [undefined];
    for (const source of sources)
      for (const [name, policy] of policiesFor(source, candidate.pool, policies)) {
        const key = JSON.stringify([name, source]);
        const series = all.get(key) ?? { policy, snapshots: [] };
        series.snapshots.push(candidate);
        all.set(key, series);
      }
  }
  return [...all.values()];
}

function policiesFor(
  source: string | undefined,
  pool: string | undefined,
  { general, sources, pools }: Policies,
): [name: string, policy: Policy | undefined][] {
  const found: [string, Policy][] = [];
  const ofSource = source === undefined ? undefined : ownOf(sources, source);
  const ofPool = pool === undefined ? undefined : ownOf(pools, pool);
  if (ofSource) found.push(['source', ofSource]);
  if (ofPool) found.push([`pool ${pool}`, ofPool]);
  return found.length > 0 ? found : [['general', general]];
}

/** A source may be called `constructor`. */
function ownOf(policies: Readonly<Record<string, Policy>>, name: string): Policy | undefined {
  return Object.hasOwn(policies, name) ? policies[name] : undefined;
}

/** @param snapshots oldest first */
function* keptBy(
  policy: Policy,
  snapshots: readonly Dated[],
  reference: number,
): Generator<[id: number, tier: Reason]> {
  const { last, within } = policy;
  if (last !== undefined) for (const { id } of snapshots.slice(-last)) yield [id, 'last'];
  if (within) {
    const from = lessSpan(reference, within);
    for (const snapshot of snapshots) if (bornAt(snapshot) >= from) yield [snapshot.id, 'within'];
  }
  for (const period of PERIODS) {
    const count = policy.counts[period] ?? 0;
    const window = policy.windows[period];
    if (count === 0 && !window) continue;
    const from = window ? lessSpan(reference, window) : Number.POSITIVE_INFINITY;
    const chosen = chosenOf(snapshots, period, policy.pick);
    // The chosen one leaves the window with its period: no other takes its place, which may be gone by then.
    for (const [index, snapshot] of chosen.entries())
      if (index >= chosen.length - count || bornAt(snapshot) >= from) yield [snapshot.id, period];
  }
}

function bornAt({ seconds, witnessedSeconds = seconds }: Dated): number {
  return witnessedSeconds;
}

/**
 * One of each period, oldest first: the latest or earliest of the complete ones, else of the partial ones.
 * @param snapshots oldest first
 */
export function chosenOf<Snapshot extends Dated>(
  snapshots: readonly Snapshot[],
  period: Period,
  pick: Policy['pick'],
): Snapshot[] {
  const chosen = new Map<string, Snapshot>();
  for (const snapshot of snapshots) {
    const key = periodOf(snapshot.seconds, period);
    const known = chosen.get(key);
    const isBetter =
      !known ||
      (known.isPartial && !snapshot.isPartial) ||
      (known.isPartial === snapshot.isPartial && pick === 'latest');
    if (isBetter) chosen.set(key, snapshot);
  }
  return [...chosen.values()].sort((a, b) => a.seconds - b.seconds);
}

/** ISO 8601, cut where the period ends. */
const CHARACTERS = {
  hourly: '2026-11-20T09'.length,
  daily: '2026-11-20'.length,
  monthly: '2026-11'.length,
  yearly: '2026'.length,
} as const;
const DAY_SECONDS = 86_400;
/** 1970-01-01 was a Thursday: the Monday before is three days earlier. */
const MONDAY_SHIFT_DAYS = 3;

function periodOf(seconds: number, period: Period): string {
  if (period === 'weekly')
    return String(Math.floor((Math.floor(seconds / DAY_SECONDS) + MONDAY_SHIFT_DAYS) / 7));
  const text = new Date(seconds * 1000).toISOString();
  // Years beyond 9999 are written with a sign and six digits.
  const extra = text.length - '2026-11-20T09:00:00.000Z'.length;
  return text.slice(0, CHARACTERS[period] + extra);
}
