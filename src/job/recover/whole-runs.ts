/**
 * Which runs are known whole: all archives of theirs were read, or one that tells them anew. Of a run whose first cartridges are
 * missing the last one tells the end, and not what it did until then.
 */
import type { Standing } from './standing.ts';

const NONE: ReadonlySet<string> = new Set();

export class WholeRuns {
  /** Numbers of archives whose journals were read, or that need none, by job. */
  readonly #read = new Map<string, Set<number>>();
  /** Runs whose own archives tell their end. */
  readonly #ended = new Set<string>();
  readonly #retold = new Set<string>();
  readonly #openings: ReadonlyMap<string, Standing['opening']>;
  readonly #grooms: ReadonlySet<string>;

  /** @param of.known numbers of archives of runs in progress, by job: the catalog has all that they tell */
  constructor(
    standing: readonly Standing[],
    of: {
      readonly grooms: ReadonlySet<string>;
      readonly known: ReadonlyMap<string, readonly number[]>;
    },
  ) {
    this.#openings = new Map(standing.map(({ opening }) => [opening.uuid, opening]));
    this.#grooms = of.grooms;
    for (const [uuid, numbers] of of.known) this.#read.set(uuid, new Set(numbers));
  }

  /** @param archiveUuid of an archive; @param ended runs whose end its journal tells */
  isTold(archiveUuid: string, ended: ReadonlySet<string> = NONE): void {
    const opening = this.#openings.get(archiveUuid);
    if (!opening) return;
    const { job, sequence } = opening;
    const read = this.#read.get(job.uuid) ?? new Set();
    this.#read.set(job.uuid, read.add(sequence));
    if (ended.has(job.uuid)) this.#ended.add(job.uuid);
    if (this.#grooms.has(job.uuid)) for (const run of ended) this.#retold.add(run);
  }

  /** UUIDs of runs of which something is missing. @param isAnyLacking otherwise a number without an archive was never written */
  *lacking(isAnyLacking: boolean): Generator<string> {
    if (!isAnyLacking) return;
    for (const uuid of this.#ended) {
      if (this.#retold.has(uuid)) continue;
      const read = this.#read.get(uuid) ?? new Set();
      if (read.size < Math.max(...read)) yield uuid;
    }
  }
}
