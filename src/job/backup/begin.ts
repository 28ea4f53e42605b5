/** The job of a run: the unfinished one of the same sources, else a new one. */

import { CodedError } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import { rawText } from '../../base/raw.ts';
import { printable } from '../../base/text.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { type Job, Jobs } from '../../catalog/job/jobs.ts';
import type { Source } from '../../catalog/job/sources.ts';
import { mountsOf } from '../../source/mounts.ts';
import { findOverlap } from '../../source/overlap.ts';

export type JobRequest = {
  readonly sources: readonly Source[];
  readonly copies: number;
  readonly pool: string;
};

export type JobTools = {
  readonly catalog: Catalog;
  readonly random: Random;
  readonly host: { readonly name: string; readonly system: string };
  readonly pid: number;
};

/** @throws CodedError USAGE where sources overlap */
export function beginJob(
  request: JobRequest,
  tools: JobTools,
): { readonly job: Job; readonly isResumed: boolean } {
  refuseOverlap(request.sources);
  const jobs = new Jobs(tools.catalog);
  const names = request.sources.map(({ name }) => name);
  const isSame = (job: Job) => JSON.stringify(sourcesOf(job)) === JSON.stringify(names);
  const unfinished = jobs.unfinished('backup').findLast(isSame);
  if (unfinished) jobs.resume(unfinished.number, tools.pid);
  const job = jobs.get(unfinished?.number ?? addJob('backup', request, tools));
  if (!job) throw new CodedError('FAILED', 'the job of the backup cannot be read');
  return { job, isResumed: unfinished !== undefined };
}

/** @throws CodedError USAGE where sources overlap */
export function beginDryRun(request: JobRequest, tools: JobTools): Job {
  refuseOverlap(request.sources);
  const job = new Jobs(tools.catalog).get(addJob('dry-run', request, tools));
  if (!job) throw new CodedError('FAILED', 'the job of the dry run cannot be read');
  return job;
}

/** Names of the sources that a job is of. */
export function sourcesOf({ parameters }: Pick<Job, 'parameters'>): readonly string[] {
  const isObject = typeof parameters === 'object' && parameters !== null;
  const sources = isObject && 'sources' in parameters ? parameters.sources : [];
  return Array.isArray(sources) ? sources.map(String) : [];
}

function addJob(
  verb: 'backup' | 'dry-run',
  { sources, copies, pool }: JobRequest,
  { catalog, random, host, pid }: JobTools,
): number {
  return new Jobs(catalog).add({
    uuid: random.uuid(),
    verb,
    host: host.name,
    os: host.system,
    pid,
    parameters: {
      sources: sources.map(({ name }) => name),
      copies,
      pool,
      mounts: mountsOf(sources.map(({ path }) => path)).map(
        ({ mountPoint, type }) => `${rawText(mountPoint)} (${type})`,
      ),
    },
  });
}

function refuseOverlap(sources: readonly Source[]): void {
  const overlaps = [...Map.groupBy(sources, ({ hostId }) => hostId).values()].map(findOverlap);
  const overlap = overlaps.find((found) => found !== undefined);
  if (!overlap) return;
  const names = `${printable(overlap.inner.name)} and ${printable(overlap.outer.name)}`;
  throw new CodedError(
    'USAGE',
    `the sources ${names} overlap: back them up one by one, or remove one`,
  );
}
