/**
 * Who reads the sources of a run and digests its archives: threads, or the run itself, where it has so little to store that it
 * is done before a thread has started (a tenth of a second each, measured).
 */
import type { Outstanding } from '../../catalog/run.ts';
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
  readonly readAhead: ReadAhead;
  readonly digester = new Digester();
  readonly #isNeeded: boolean;
  readonly #isDigested: boolean;

  /**
   * @param options.workers threads that read; 0: none
   * @param options.memoryBytes of the whole run
   */
  constructor(options: {
    readonly outstanding: Outstanding;
    readonly workers: number;
    readonly memoryBytes: number;
    readonly catalogBytes: number;
  }) {
    const { outstanding, workers, memoryBytes, catalogBytes } = options;
    const { rows, waitingBytes } = outstanding;
    const isSmall = rows <= ROWS_HERE_MAX && waitingBytes <= BYTES_HERE_MAX;
    const slabs = Math.floor((memoryBytes * SLABS_SHARE) / SLAB_BYTES);
    this.#isNeeded = waitingBytes > 0;
    this.readAhead = new ReadAhead({
      workers: isSmall ? 0 : workers,
      slabs: Math.max(4, Math.min(64, slabs)),
    });
    this.#isDigested = workers > 0 && (!isSmall || catalogBytes > CATALOG_HERE_BYTES_MAX);
  }

  /** Before there is something to read: threads take a moment. Without it readers start with the first task. */
  start(): void {
    if (!this.#isNeeded) return;
    this.readAhead.start();
    if (this.#isDigested) this.digester.start();
  }

  async close(): Promise<void> {
    await Promise.all([this.readAhead.close(), this.digester.close()]);
  }
}
