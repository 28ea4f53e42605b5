/** From the command to the run: which sources, locked against a second run, with their own commands before and after. */
import { strict as assert } from 'node:assert';
import { usage } from '../../base/errors.ts';
import { printable } from '../../base/text.ts';
import { Jobs } from '../../catalog/job/jobs.ts';
import { type Source, Sources } from '../../catalog/job/sources.ts';
import { usableDrives } from '../../storage/library-status.ts';
import type { LockTools } from '../state-lock.ts';
import { type BackupRequest, type BackupTools, backup, dryRun } from './backup.ts';
import { sourcesOf } from './begin.ts';
import type { DryRunReport } from './dry-run.ts';
import { holdersOfLacking, isShort, isTornShort } from './further-copies.ts';
import type { BackupReport, Listen } from './report.ts';
import { runCommand } from './source-command.ts';
import { lockSources } from './source-lock.ts';

export type StartRequest = {
  /** Names; none: all. */
  readonly sources: readonly string[];
  readonly copies: number | undefined;
  readonly pool: string | undefined;
  readonly allowEmpty: boolean;
  readonly verify: boolean;
  readonly wait: boolean;
  readonly workers: number;
};

export type StartTools = BackupTools & LockTools;

/**
 * @throws CodedError USAGE where there is no such source, SOURCE_BUSY naming the process that backs one of them up; as
 *   `backup`
 */
export function startBackup(
  request: StartRequest,
  tools: StartTools,
  listen: Listen,
  signal: AbortSignal,
): Promise<BackupReport> {
  return withSources(
    request,
    tools,
    async (order) => {
      const ended: BackupReport[] = [];
      const tell: Listen = (event) => {
        if (event.event === 'end') ended.push(event);
        else listen(event);
      };
      try {
        await backupCopies(order, tools, tell, signal);
      } finally {
        // Also where further copies failed: what was stored before is told.
        if (ended.length > 0) listen({ ...asOne(ended), event: 'end' });
      }
      return asOne(ended);
    },
    signal,
  );
}

/** What was found is what the first run found; those behind it went over the same sources for more copies. */
function asOne(reports: readonly BackupReport[]): BackupReport {
  const [first] = reports;
  assert(first, 'one run at least');
  const sum = (of: (report: BackupReport) => number) =>
    reports.reduce((total, report) => total + of(report), 0);
  return {
    ...first,
    snapshot: reports.findLast(({ snapshot }) => snapshot !== null)?.snapshot ?? null,
    state: reports.some(({ state }) => state === 'partial') ? 'partial' : 'finished',
    bytes: {
      ...first.bytes,
      hashed: sum(({ bytes }) => bytes.hashed),
      written: sum(({ bytes }) => bytes.written),
    },
    media: [...new Set(reports.flatMap(({ media }) => media))],
    warnings: reports.flatMap(({ warnings }) => warnings),
    seconds: sum(({ seconds }) => seconds),
    cpuSeconds: sum(({ cpuSeconds }) => cpuSeconds),
    peakRssBytes: Math.max(...reports.map(({ peakRssBytes }) => peakRssBytes)),
  };
}

/**
 * As many copies at once as there are drives. Those that are left are made of the archives, where the spool takes them; else
 * they follow in runs of their own, which read the sources again and store what has too few.
 */
export async function backupCopies(
  order: BackupRequest,
  tools: BackupTools,
  listen: Listen,
  signal: AbortSignal,
): Promise<BackupReport[]> {
  const drives = usableDrives(await tools.library.status(signal));
  const { copiesWanted, pool } = order;
  const atOnce = Math.max(1, Math.min(copiesWanted, drives.length));
  const reports: BackupReport[] = [];
  for (let done = 0; done < copiesWanted; done += atOnce) {
    const copies = Math.min(atOnce, copiesWanted - done);
    const jobs = reports.map(({ job }) => job);
    const isLast = done + copies === copiesWanted;
    const further =
      copiesWanted > atOnce ? { copies: copiesWanted, jobs, isAtOnce: !isLast } : undefined;
    const avoid = holdersOfLacking({ jobs, copies: copiesWanted, pool }, tools);
    const run = { ...order, copies, copiesWanted: done + copies, avoid, further };
    reports.push(await backup(run, tools, listen, signal));
    if (!isLast && !isShort(tools, { pool, copies: copiesWanted })) break;
  }
  const jobs = reports.map(({ job }) => job);
  if (copiesWanted > atOnce && isTornShort(tools, { jobs, pool, copies: copiesWanted })) {
    const message =
      'something in an archive that ended early has fewer copies than asked for, for its source has changed; where the pool asks for copies, `shelfs groom` makes them';
    listen({ event: 'warning', message });
  }
  return reports;
}

/** Throws as `startBackup`. */
export function startDryRun(
  request: StartRequest,
  tools: StartTools,
  signal: AbortSignal,
): Promise<DryRunReport> {
  return withSources(request, tools, (order) => dryRun(order, tools, signal), signal);
}

/** Locked, with the commands of the sources before and after. */
async function withSources<T>(
  request: StartRequest,
  tools: StartTools,
  use: (order: BackupRequest) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const sources = chooseSources(new Sources(tools.catalog), request.sources);
  const locks = await lockSources(sources, tools);
  try {
    for (const source of sources) await runCommand(source, 'before', signal);
    const copies = request.copies ?? tools.backup.copies;
    try {
      return await use({
        sources,
        copies,
        copiesWanted: copies,
        avoid: [],
        pool: request.pool ?? tools.backup.pool,
        allowEmpty: request.allowEmpty,
        verify: request.verify,
        wait: request.wait,
        workers: request.workers,
      });
    } finally {
      for (const source of sources) await runCommand(source, 'after', new AbortController().signal);
    }
  } finally {
    for (const lock of locks) await lock.close();
  }
}

/** The names of an unfinished run's sources. @throws CodedError USAGE where there is none of that number */
export function resumable(
  tools: Pick<StartTools, 'catalog'>,
  jobNumber: number,
): readonly string[] {
  const job = new Jobs(tools.catalog).get(jobNumber);
  if (job?.verb !== 'backup') throw usage(`there is no backup with number ${jobNumber}`);
  if (job.state !== 'running' && job.state !== 'waiting') {
    throw usage(`job ${jobNumber} is ${job.state}: there is nothing to go on with`);
  }
  return sourcesOf(job);
}

function chooseSources(sources: Sources, names: readonly string[]): Source[] {
  const all = sources.list();
  if (all.length === 0) {
    throw usage('nothing is protected yet; `shelfs source add PATH` says what is to be');
  }
  if (names.length === 0) return all;
  return [...new Set(names)].sort().map((name) => {
    const source = all.find((candidate) => candidate.name === name);
    if (source) return source;
    throw usage(`there is no source ${printable(name)}; \`shelfs source list\` names them`);
  });
}
