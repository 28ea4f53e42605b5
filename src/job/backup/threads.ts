/**
 * Who reads the sources of a run and digests its archives: threads, or the run itself, where it has so little to store that it
 * is done before a thread has started (a tenth of a second each, measured).
 */
import { strict as assert } from 'node:assert';
import type { Outstanding } from '../../catalog/run/run.ts';
import { Digester } from './digester.ts';
import { SLAB_BYTES } from './fragment.ts';
import { ReadAhead } from './read-ahead.ts';

/** On a disk that seeks these take a second or two: no longer does a person wait who stops the run. */
const ROWS_HERE_MAX = 256;
const BYTES_HERE_MAX = 8 * 2 ** 20;
/** Of the catalog, a copy of which may go with the archive. */
const CATALOG_HERE_BYTES_MAX = 32 * 2 ** 20;
/** Slabs, some of which the drives read from, take a part of the memory limit; caches, heads and the program the rest. */
const SLABS_SHARE = 0.09375;

export class Threads {
  readonly digester = new Digester();
  readonly #workers: number;
  readonly #slabs: number;
  #readAhead: ReadAhead | undefined;

  /**
   * @param options.workers threads that read; 0: none
   * @param options.memoryBytes of the whole run
   */
  constructor({
    workers,
    memoryBytes,
  }: { readonly workers: number; readonly memoryBytes: number }) {
    this.#workers = workers;
    const slabs = Math.floor((memoryBytes * SLABS_SHARE) / SLAB_BYTES);
    this.#slabs = Math.max(4, Math.min(64, slabs));
  }

  /** Those of this run. After `start`. */
  get readAhead(): ReadAhead {
    assert(this.#readAhead, 'it is known what there is to store');
    return this.#readAhead;
  }

  /** While the run still looks for what there is: with enough of it they start, for they take a moment. */
  foresee(found: Pick<Outstanding, 'rows' | 'waitingBytes'>): void {
    if (this.#readAhead || isSmall(found) || found.waitingBytes === 0) return;
    this.#readAhead = new ReadAhead({ workers: this.#workers, slabs: this.#slabs });
    this.#readAhead.start();
    if (this.#workers > 0) this.digester.start();
  }

  /** When all is found; readers of what has no bytes never start. */
  start(outstanding: Outstanding, catalogBytes: number): void {
    this.foresee(outstanding);
    if (this.#readAhead) return;
    this.#readAhead = new ReadAhead({
      workers: isSmall(outstanding) ? 0 : this.#workers,
      slabs: this.#slabs,
    });
    if (outstanding.waitingBytes === 0) return;
    this.#readAhead.start();
    if (this.#workers > 0 && catalogBytes > CATALOG_HERE_BYTES_MAX) this.digester.start();
  }

  async close(): Promise<void> {
    await Promise.all([this.#readAhead?.close(), this.digester.close()]);
  }
}

function isSmall({ rows, waitingBytes }: Pick<Outstanding, 'rows' | 'waitingBytes'>): boolean {
  return rows <= ROWS_HERE_MAX && waitingBytes <= BYTES_HERE_MAX;
}
