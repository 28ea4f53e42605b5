/** The job of a scrub: the one of the same words that was cut short, else a new one; and what of it is done. */
import { z } from 'zod';
import { CodedError } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import type { CopyToRead } from '../../catalog/care/read-back.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { type Job, Jobs } from '../../catalog/job/jobs.ts';
import { isWriting } from '../../catalog/job/writing.ts';

export type ScrubRequest = {
  /** Barcodes or VOLSERs; none: all that are at hand. */
  readonly media: readonly string[];
  /** Archives are begun as long as fewer bytes than this have been; infinite: all. */
  readonly maxBytes: number;
  /** Above 0, up to 100. */
  readonly samplePercent: number;
  /** Label, end of data and journals alone. */
  readonly isQuick: boolean;
};

const PROGRESS = z.object({
  /** Read and not right: archive and medium of each. What was right has its time in the catalog. */
  damaged: z.array(z.tuple([z.int(), z.int()])),
});

const PARAMETERS = z.object({
  media: z.array(z.string()),
  maxBytes: z.number().nullable(),
  samplePercent: z.number(),
  isQuick: z.boolean(),
});

/** What a scrub was asked for that was cut short; undefined where the job is no scrub. @throws CodedError USAGE where it is over */
export function cutScrub(catalog: Catalog, number: number): ScrubRequest | undefined {
  const job = new Jobs(catalog).get(number);
  if (job?.verb !== 'scrub') return undefined;
  if (job.state !== 'running' && job.state !== 'waiting') {
    const sentence = `job ${number} is ${job.state}: there is nothing to go on with`;
    throw new CodedError('USAGE', sentence);
  }
  const parameters = PARAMETERS.parse(job.parameters);
  return { ...parameters, maxBytes: parameters.maxBytes ?? Number.POSITIVE_INFINITY };
}

/** What of a scrub is done, in whatever processes; kept with its job. */
export class ScrubJob {
  readonly job: Job;
  readonly isResumed: boolean;
  readonly #jobs: Jobs;
  readonly #damaged: [number, number][];

  /** Others that were cut short and are of other words are over. */
  constructor(
    request: ScrubRequest,
    tools: {
      readonly catalog: Catalog;
      readonly random: Random;
      readonly host: { readonly name: string; readonly system: string };
      readonly pid: number;
    },
  ) {
    const { catalog, random, host, pid } = tools;
    this.#jobs = new Jobs(catalog);
    const { media, samplePercent, isQuick } = request;
    const maxBytes = Number.isFinite(request.maxBytes) ? request.maxBytes : null;
    const parameters = { media: media.toSorted(), maxBytes, samplePercent, isQuick };
    const words = JSON.stringify(parameters);
    const cut = this.#jobs
      .unfinished('scrub')
      .filter((job) => job.pid === pid || !isWriting(catalog, job.pid));
    const same = isQuick
      ? undefined
      : cut.findLast((job) => JSON.stringify(job.parameters) === words);
    for (const { number } of cut)
      if (number !== same?.number) this.#jobs.setState(number, 'cancelled');
    if (same) this.#jobs.resume(same.number, pid);
    const facts = { uuid: random.uuid(), verb: 'scrub', host: host.name, os: host.system, pid };
    const job = this.#jobs.get(same?.number ?? this.#jobs.add({ ...facts, parameters }));
    if (!job) throw new CodedError('FAILED', 'the job of the scrub cannot be read');
    this.job = job;
    this.isResumed = same !== undefined;
    const progress = PROGRESS.safeParse(job.report);
    this.#damaged = progress.success ? [...progress.data.damaged] : [];
  }

  isDone({ archiveId, mediumId, verifiedMs }: CopyToRead): boolean {
    if (!this.isResumed) return false;
    if (verifiedMs !== undefined && verifiedMs >= this.job.startedMs) return true;
    return this.#damaged.some(([archive, medium]) => archive === archiveId && medium === mediumId);
  }

  /** Media on which an archive was not right. */
  get damagedMedia(): ReadonlySet<number> {
    return new Set(this.#damaged.map(([, medium]) => medium));
  }

  addDamaged({ archiveId, mediumId }: CopyToRead): void {
    this.#damaged.push([archiveId, mediumId]);
    this.#jobs.setReport(this.job.number, { damaged: this.#damaged });
  }
}
