/**
 * Which runs are known whole: all archives of theirs were read, or one that tells them anew. Of a run whose first cartridges are
 * missing the last one tells the end, and not what it did until then.
 */
import type { NumberedArchive } from '../../catalog/rebuild/shelf.ts';
import type { Standing } from './standing.ts';

/** Runs whose end a journal tells, by UUID of the job, with the archives that it says they have; undefined where it does not say. */
export type EndedRuns = ReadonlyMap<string, number | undefined>;

const NONE: EndedRuns = new Map();

export class WholeRuns {
  /** Numbers of archives whose journals were read, or that need none, by job. */
  readonly #read = new Map<string, Set<number>>();
  /** Of those the ones that count. */
  readonly #good = new Map<string, Set<number>>();
  /** Runs whose own archives tell their end, and how many they are. */
  readonly #ended = new Map<string, number | undefined>();
  readonly #retold = new Set<string>();
  readonly #openings: ReadonlyMap<string, Standing['opening']>;
  readonly #grooms: ReadonlySet<string>;

  /** @param of.known archives of runs in progress, by job: the catalog has all that they tell */
  constructor(
    standing: readonly Standing[],
    of: {
      readonly grooms: ReadonlySet<string>;
      readonly known: ReadonlyMap<string, readonly NumberedArchive[]>;
    },
  ) {
    this.#openings = new Map(standing.map(({ opening }) => [opening.uuid, opening]));
    this.#grooms = of.grooms;
    for (const [uuid, archives] of of.known)
      for (const { sequence, isGood } of archives) this.#add(uuid, sequence, isGood);
  }

  /** The journal of an archive was read, or of the one that completes it. @param ended runs whose end it tells */
  isTold(archiveUuid: string, ended: EndedRuns = NONE): void {
    const opening = this.#openings.get(archiveUuid);
    if (!opening) return;
    const { uuid } = opening.job;
    this.#add(uuid, opening.sequence, true);
    if (ended.has(uuid)) this.#ended.set(uuid, most(this.#ended.get(uuid), ended.get(uuid)));
    if (this.#grooms.has(uuid)) for (const run of ended.keys()) this.#retold.add(run);
  }

  /** An archive was given up while it was written: what was in it was told later. */
  isTorn(archiveUuid: string): void {
    const opening = this.#openings.get(archiveUuid);
    if (opening) this.#add(opening.job.uuid, opening.sequence, false);
  }

  /** UUIDs of runs of which something is missing. @param isAnyLacking otherwise a number without an archive was never written */
  *lacking(isAnyLacking: boolean): Generator<string> {
    if (!isAnyLacking) return;
    for (const [uuid, archives] of this.#ended) {
      if (this.#retold.has(uuid)) continue;
      const read = this.#read.get(uuid) ?? new Set();
      // Where the end does not say how many there are, a number that is missing may have been one that failed.
      const isLacking =
        archives === undefined
          ? read.size < Math.max(...read)
          : (this.#good.get(uuid)?.size ?? 0) < archives;
      if (isLacking) yield uuid;
    }
  }

  #add(jobUuid: string, sequence: number, isGood: boolean): void {
    for (const numbers of isGood ? [this.#read, this.#good] : [this.#read])
      numbers.set(jobUuid, (numbers.get(jobUuid) ?? new Set()).add(sequence));
  }
}

/** Of two ends of one run, the later one has the more archives. */
function most(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.max(a, b);
}
