/**
 * Expiry: snapshots that no rule keeps any more are given up, then the catalog is swept of what only they showed. No medium is
 * touched: what lies there becomes stale, and is freed when the medium is groomed.
 *
 * Guards, each by itself enough to refuse: the clock, which neither went back nor leapt; no alarm of a backup is open; the newest
 * snapshot, those on hold, the newest complete one of each source, and the last that can be read of any path are never among them. All of this is asked once more in the
 * transaction that marks them. Cut anywhere, the next run goes on.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../base/clock.ts';
import { CodedError } from '../base/errors.ts';
import type { Random } from '../base/random.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { type Freed, freedBy } from '../catalog/expiry/freed.ts';
import { lastGoodIn } from '../catalog/expiry/last-good.ts';
import { Retention } from '../catalog/expiry/retention.ts';
import { needsSweep, type Swept, sweep } from '../catalog/expiry/sweep.ts';
import { Alarms } from '../catalog/job/alarms.ts';
import { refuseDoubtfulClock } from '../catalog/job/clock.ts';
import { Jobs } from '../catalog/job/jobs.ts';
import { isWriting } from '../catalog/job/writing.ts';
import { snapshotName } from '../catalog/tree/snapshots.ts';
import type { RetentionConfig } from '../config.ts';
import { type Retained, retainedSnapshots } from './retention.ts';

export type ExpireTools = {
  /** Open for writing. */
  readonly catalog: Catalog;
  readonly retention: RetentionConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly host: { readonly name: string; readonly system: string };
  readonly pid: number;
};

export type ExpireRequest = {
  /** A person says so, where it is doubted. */
  readonly clockIsRight: boolean;
};

export type ExpirePlan = {
  /** Oldest first. */
  readonly expiring: readonly Retained[];
  readonly kept: readonly Retained[];
  readonly freed: Freed;
  /** Without one everything is kept. */
  readonly hasPolicy: boolean;
  /** What would stop it, in a sentence. */
  readonly refused: string | undefined;
};

export type ExpireReport = {
  /** Null where there was nothing to do. */
  readonly job: number | null;
  readonly expired: readonly string[];
  readonly kept: number;
  readonly freed: Freed;
  readonly swept: Omit<Swept, 'disturbedBy'>;
  /** The job that writes: what is left is swept by the next run. */
  readonly waitsFor: number | null;
};

export type ExpireEvent =
  | { readonly event: 'begin'; readonly job: number }
  | { readonly event: 'expired'; readonly snapshot: string; readonly id: number }
  | ({ readonly event: 'sweep' } & Omit<Swept, 'disturbedBy'>)
  | ({ readonly event: 'end' } & ExpireReport);

/** What `expire` would do. Changes nothing; the catalog may be open for reading. */
export function planExpiry(catalog: Catalog, retention: RetentionConfig): ExpirePlan {
  const all = withLastGood(catalog, retainedSnapshots(catalog, retention));
  const expiring = all.filter(({ reasons }) => reasons.length === 0);
  return {
    expiring,
    kept: all.filter(({ reasons }) => reasons.length > 0),
    freed: freedBy(
      catalog,
      expiring.map(({ id }) => id),
    ),
    hasPolicy: hasPolicy(retention),
    refused: whyRefused(catalog),
  };
}

/**
 * @throws CodedError ALARM_OPEN, CLOCK_DOUBTFUL, SOURCE_BUSY while another process expires; the signal's reason: what has
 *   expired stays so, the next run goes on with the sweep
 */
export async function expire(
  request: ExpireRequest,
  tools: ExpireTools,
  listen: (event: ExpireEvent) => void,
  signal: AbortSignal,
): Promise<ExpireReport> {
  const { catalog, retention } = tools;
  refuseOthers(catalog);
  new Alarms(catalog).refuseOpen();
  if (!request.clockIsRight) refuseDoubtfulClock(catalog);
  const plan = planExpiry(catalog, retention);
  const golden = plan.kept.filter(({ isGolden, hold }) => isGolden && hold === undefined);
  const nothing = plan.expiring.length === 0 && golden.length === 0 && !needsSweep(catalog);
  if (nothing && !request.clockIsRight) {
    const report = reportOf(plan, { job: null, expired: [] });
    listen({ event: 'end', ...report });
    return report;
  }
  const jobs = new Jobs(catalog);
  const job = beginJob(tools, request);
  listen({ event: 'begin', job });
  try {
    const marks = new Retention(catalog);
    const ids = golden.map(({ id }) => id);
    if (golden.length > 0) marks.hold(ids, `golden (${retention.golden})`);
    const expired = mark(plan, { ...tools, job, ...request });
    for (const snapshot of expired) listen({ event: 'expired', ...snapshot });
    const swept = await sweepAll(tools, job, { listen, signal });
    const report = reportOf(plan, { job, expired, swept });
    jobs.setReport(job, report);
    jobs.setState(job, 'finished');
    listen({ event: 'end', ...report });
    return report;
  } catch (error) {
    jobs.setState(job, signal.aborted ? 'cancelled' : 'failed');
    throw error;
  }
}

/** No rule keeps them, but what they show can be read nowhere else. */
function withLastGood(catalog: Catalog, all: readonly Retained[]): Retained[] {
  const going = all.filter(({ reasons }) => reasons.length === 0).map(({ id }) => id);
  const lastGood = new Set(lastGoodIn(catalog, going));
  return all.map((snapshot) =>
    lastGood.has(snapshot.id) ? { ...snapshot, reasons: ['last good copy'] } : snapshot,
  );
}

type Named = { readonly snapshot: string; readonly id: number };

/** Those that may expire, with a line in the job's log. */
function mark(
  { expiring }: ExpirePlan,
  { catalog, job, clockIsRight }: ExpireTools & ExpireRequest & { readonly job: number },
): Named[] {
  const ids = new Retention(catalog).expire(
    expiring.map(({ id }) => id),
    { jobNumber: job, clockIsRight },
  );
  const named = expiring.filter(({ id }) => ids.includes(id));
  const timeMs = catalog.clock.nowMs();
  const lines = named.map((snapshot) => ({
    jobNumber: job,
    timeMs,
    level: 'info' as const,
    message: `snapshot ${snapshotName(snapshot)} has expired: no rule keeps it`,
  }));
  new Jobs(catalog).log(lines);
  return named.map((snapshot) => ({ snapshot: snapshotName(snapshot), id: snapshot.id }));
}

async function sweepAll(
  { catalog }: ExpireTools,
  job: number,
  { listen, signal }: { listen(event: ExpireEvent): void; readonly signal: AbortSignal },
): Promise<Swept> {
  const steps = sweep(catalog, job);
  for (let next = steps.next(); ; next = steps.next()) {
    if (next.done) return next.value;
    const { disturbedBy: _, ...gone } = next.value;
    listen({ event: 'sweep', ...gone });
    await turn();
    signal.throwIfAborted();
  }
}

function reportOf(
  { kept, freed }: ExpirePlan,
  done: { readonly job: number | null; readonly expired: readonly Named[]; readonly swept?: Swept },
): ExpireReport {
  const { versions = 0, inodes = 0, contents = 0, disturbedBy } = done.swept ?? {};
  return {
    job: done.job,
    expired: done.expired.map(({ snapshot }) => snapshot),
    kept: kept.length,
    freed,
    swept: { versions, inodes, contents },
    waitsFor: disturbedBy ?? null,
  };
}

/** One at a time; one whose process is no more has ended. */
function refuseOthers(catalog: Catalog): void {
  const jobs = new Jobs(catalog);
  for (const { number, pid } of jobs.unfinished('expire')) {
    if (!isWriting(catalog, pid)) jobs.setState(number, 'failed');
    else
      throw new CodedError('SOURCE_BUSY', `job ${number} (process ${pid}) expires just now`, {
        pid,
      });
  }
}

function beginJob(
  { catalog, random, host, pid }: ExpireTools,
  { clockIsRight }: ExpireRequest,
): number {
  return new Jobs(catalog).add({
    uuid: random.uuid(),
    verb: 'expire',
    host: host.name,
    os: host.system,
    pid,
    parameters: { clockIsRight },
  });
}

function hasPolicy({ general, sources, pools }: RetentionConfig): boolean {
  return general !== undefined || Object.keys({ ...sources, ...pools }).length > 0;
}

function whyRefused(catalog: Catalog): string | undefined {
  try {
    new Alarms(catalog).refuseOpen();
    refuseDoubtfulClock(catalog);
    return undefined;
  } catch (error) {
    if (error instanceof CodedError) return error.message;
    throw error;
  }
}
