/**
 * Whether another job writes, or has written since a moment: what was found out about the catalog then may no longer be so. A
 * job that goes on after a crash counts as well as a new one.
 */
import type { Catalog } from '../catalog.ts';
import { isWriting } from './writing.ts';

export class OtherJobs {
  readonly #ownNumber: number;
  readonly #catalog: Catalog;
  readonly #unfinished;
  readonly #stamp;

  /** @param ownNumber of the job that asks; 0 for none */
  constructor(catalog: Catalog, ownNumber: number) {
    this.#catalog = catalog;
    this.#ownNumber = ownNumber;
    this.#unfinished = catalog.prepare<[number, number]>(
      "SELECT number, pid FROM jobs WHERE state IN ('running', 'waiting') AND number <> ?",
    );
    this.#stamp = catalog.prepare<[number, number, number, number, number]>(
      `SELECT count(*), coalesce(max(number), 0), total(ended_ms), total(pid),
         total(state IN ('running', 'waiting')) FROM jobs WHERE number <> ?`,
    );
  }

  /** The number of a job whose process is there and has not ended it; undefined for none. */
  writing(): number | undefined {
    const found = this.#unfinished
      .all(this.#ownNumber)
      .find(([, pid]) => isWriting(this.#catalog, pid));
    return found?.[0];
  }

  /** The newest there is; 0 for none. */
  newest(): number {
    return this.#stamp.get(this.#ownNumber)?.[1] ?? 0;
  }

  /** Differs as soon as a job has begun, gone on or ended since. */
  stamp(): string {
    return (this.#stamp.get(this.#ownNumber) ?? []).join();
  }
}
