/** Jobs: what runs, what ran, what it said, and ending one. */

import type { Clock } from '../base/clock.ts';
import { CodedError, usage } from '../base/errors.ts';
import type { Raw } from '../base/raw.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { type Job, type JobState, Jobs } from '../catalog/job/jobs.ts';
import { type FoundLine, queryLogs } from '../catalog/job/log-query.ts';
import { Sources } from '../catalog/job/sources.ts';
import { isWriting } from '../catalog/job/writing.ts';
import { PendingRows } from '../catalog/pending/rows.ts';
import { Run } from '../catalog/run/run.ts';
import { Archives } from '../catalog/shelf/archives.ts';
import { Media } from '../catalog/shelf/media.ts';
import { Snapshots, snapshotName } from '../catalog/tree/snapshots.ts';
import { sourcesOf } from './backup/begin.ts';
import { lockSources } from './backup/source-lock.ts';
import { type Change, changesBetween } from './snapshots.ts';
import type { LockTools } from './state-lock.ts';

export type JobSummary = Job & {
  /** Name of the snapshot it made. */
  readonly snapshot: string | undefined;
  /** Running or waiting by the catalog, but its process is no more. */
  readonly isInterrupted: boolean;
};

/** Newest first. */
export function listJobs(catalog: Catalog, limit: number): JobSummary[] {
  return new Jobs(catalog).list(limit).map((job) => summaryOf(catalog, job));
}

/** @throws CodedError USAGE where there is none of this number */
export function findJob(catalog: Catalog, number: number): JobSummary {
  const job = new Jobs(catalog).get(number);
  if (job) return summaryOf(catalog, job);
  throw usage(`there is no job ${number}; \`shelfs jobs\` lists them`);
}

export type JobArchive = {
  readonly uuid: string;
  readonly state: string;
  readonly lengthBytes: number | undefined;
  readonly copies: readonly { barcode: string; fileNumber: number; state: string }[];
};

/** What a job has written, in order. @throws CodedError USAGE */
export function archivesOf(catalog: Catalog, number: number): JobArchive[] {
  findJob(catalog, number);
  const archives = new Archives(catalog);
  const media = new Media(catalog);
  return archives.ofJob(number).map(({ archiveId, uuid, state, lengthBytes }) => ({
    ...{ uuid, state, lengthBytes },
    copies: archives.copies(archiveId).map((copy) => ({
      barcode: media.get(copy.mediumId).barcode,
      fileNumber: copy.fileNumber,
      state: copy.state,
    })),
  }));
}

export type JobEntry = {
  readonly path: Raw;
  /** `again`: unchanged, and stored once more because its copies are lost. */
  readonly change:
    | 'new'
    | 'changed'
    | 'moved'
    | 'linked'
    | 'duplicate'
    | 'attributes'
    | 'gone'
    | 'again';
  readonly movedFrom: Raw | undefined;
  /** Of a file. */
  readonly sizeBytes: number | undefined;
};

const CHANGES = {
  added: 'new',
  modified: 'changed',
  deleted: 'gone',
  moved: 'moved',
  attributes: 'attributes',
} as const satisfies Record<Change['change'], JobEntry['change']>;

/**
 * What a job found, in order of path: of a finished one how its snapshot differs from the one before, as far as that has not
 * expired, of another one what is recorded by now.
 * @throws CodedError USAGE
 */
export function* entriesOf(catalog: Catalog, number: number): Generator<JobEntry> {
  const { snapshotId } = findJob(catalog, number);
  if (snapshotId === undefined) {
    for (const { path, change, movedFrom, inode } of new PendingRows(catalog, number).inOrder(
      'all',
    ))
      yield { path, change, movedFrom, sizeBytes: sizeOf(inode) };
    return;
  }
  const snapshots = new Snapshots(catalog);
  if (!snapshots.get(snapshotId))
    throw usage(`the snapshot of job ${number} has expired: what it found is no longer known`);
  const before = snapshots.before(snapshotId)?.id ?? 0;
  for (const found of changesBetween(catalog, before, snapshotId)) {
    const { path, movedFrom, after } = found;
    yield { path, change: CHANGES[found.change], movedFrom, sizeBytes: sizeOf(after) };
  }
}

export type CancelTools = LockTools & {
  /** Open for writing. */
  readonly catalog: Catalog;
  readonly clock: Clock;
  /** Asks a process to end as a person at its terminal does. */
  interrupt(pid: number): void;
};

/** How often a process that was asked to stop is looked after. */
const STOPPING_MS = 200;

/**
 * Ends a backup. One that runs is asked to stop behind the file it is at, and waited for. What it has stored becomes a
 * partial snapshot; one that has stored nothing is cancelled.
 * @throws CodedError USAGE where there is nothing to be ended; SOURCE_BUSY where another job has its sources now; the
 *   signal's reason, which leaves the job interrupted
 */
export async function cancelJob(
  tools: CancelTools,
  number: number,
  signal: AbortSignal,
): Promise<JobState> {
  const { catalog, clock } = tools;
  const job = findJob(catalog, number);
  if (job.state !== 'running' && job.state !== 'waiting')
    throw usage(`job ${number} is ${job.state}: there is nothing to be cancelled`);
  if (job.verb !== 'backup') throw usage(`job ${number} is no backup: it cannot be cancelled`);
  const locks = await lockStopped(tools, job, signal);
  try {
    const run = new Run(catalog, number);
    // It came to its end meanwhile, or was being finished when its process ended, and is by now.
    const { state, snapshotId } = findJob(catalog, number);
    if (snapshotId !== undefined || (state !== 'running' && state !== 'waiting')) return state;
    run.resume();
    if (run.entries('all').next().done) {
      run.discard();
      new Jobs(catalog).setState(number, 'cancelled');
    } else run.finish({ state: 'partial', timeMs: clock.nowMs() });
    return findJob(catalog, number).state;
  } finally {
    for (const lock of locks) await lock.close();
  }
}

/** The locks of a job's sources, when its own process has let go of them. */
async function lockStopped(
  tools: CancelTools,
  job: Job,
  signal: AbortSignal,
): Promise<Awaited<ReturnType<typeof lockSources>>> {
  const { catalog, clock } = tools;
  const names = new Set(sourcesOf(job));
  const sources = new Sources(catalog).list().filter(({ name }) => names.has(name));
  for (let isAsked = false; ; isAsked = true) {
    try {
      return await lockSources(sources, tools);
    } catch (error) {
      const isItsOwn = error instanceof CodedError && error.facts.pid === job.pid;
      if (!isItsOwn || !isWriting(catalog, job.pid)) throw error;
    }
    if (!isAsked) tools.interrupt(job.pid);
    await clock.sleepMs(STOPPING_MS, signal);
  }
}

const LINES_A_PAGE = 1000;
const WATCH_MS = 1000;

/** What a job says, from its beginning and until it has ended or its process has. */
export async function* watchJob(
  { catalog, clock }: { readonly catalog: Catalog; readonly clock: Clock },
  number: number,
  signal: AbortSignal,
): AsyncGenerator<FoundLine, JobSummary> {
  let after = 0;
  for (;;) {
    // Asked before the lines, so that the last ones are not missed.
    const job = findJob(catalog, number);
    for (;;) {
      const lines = queryLogs(catalog, { jobNumber: number }, { after, limit: LINES_A_PAGE });
      yield* lines;
      after = lines.at(-1)?.id ?? after;
      if (lines.length < LINES_A_PAGE) break;
    }
    if (job.isInterrupted || (job.state !== 'running' && job.state !== 'waiting')) return job;
    await clock.sleepMs(WATCH_MS, signal);
  }
}

function summaryOf(catalog: Catalog, job: Job): JobSummary {
  const snapshot =
    job.snapshotId === undefined ? undefined : new Snapshots(catalog).get(job.snapshotId);
  const isOpen = job.state === 'running' || job.state === 'waiting';
  return {
    ...job,
    snapshot: snapshot && snapshotName(snapshot),
    isInterrupted: isOpen && !isWriting(catalog, job.pid),
  };
}

function sizeOf(inode: { type: string; sizeBytes: number } | undefined): number | undefined {
  return inode?.type === 'file' ? inode.sizeBytes : undefined;
}
