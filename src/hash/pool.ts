/**
 * Hashes many files on several threads, results in the order of the requests.
 *
 * Small files travel in batches: a task a file would cost six times the hashing. Memory is bounded by the batches in
 * flight, each of at most BATCH_FILES_MAX paths; contents are read through one buffer a thread and never travel.
 */
import { strict as assert } from 'node:assert';
import { setImmediate as turn } from 'node:timers/promises';
import { Piscina } from 'piscina';
import { workerFile } from '../base/program-files.ts';
import { type BatchReply, type BatchTask, hashBatch, unpackResults } from './batch.ts';
import { type FileHash, FileHasher, type HashRequest } from './file.ts';

/** Measured: below 64 files a task the messages cost as much as the hashing, above 256 nothing more is gained. */
const BATCH_FILES_MAX = 128;

/** Expected bytes at which a batch is large enough: a large file goes alone. */
const BATCH_BYTES = 16 * 2 ** 20;

/** Batches in flight for each thread: one in work, the others so that it never waits and a large file holds up few. */
const BATCHES_A_WORKER = 4;

/** So much is hashed in the caller's thread before others are started for more: they take longer to start. */
const HERE_FILES_MAX = 64;
const HERE_BYTES_MAX = 8 * 2 ** 20;

/** Turns of the event loop are given this often when hashing in the caller's thread, in steps (files or 64 MiB). */
const STEPS_A_TURN = 4;

export type HashedFile<R extends HashRequest = HashRequest> = {
  readonly request: R;
  readonly result: FileHash;
};

type Flight<R> = { readonly batch: readonly R[]; readonly results: Promise<FileHash[]> };

export class HashPool {
  readonly #workers: number;
  /** Started when there is enough to hash: most runs find nothing or little, and a thread costs 100 ms and 10 MiB. */
  #threads: Piscina<BatchTask, BatchReply> | undefined;
  /** Of a thread that had no work yet: it could not begin. */
  #failure: { readonly error: Error } | undefined;
  /** Hashed, or being hashed, in the caller's thread in their stead. */
  #filesHere = 0;
  #bytesHere = 0;
  /** Hashers of the caller's own thread that nobody uses at the moment. */
  readonly #idle: FileHasher[] = [];
  readonly #flightsMax: number;

  /** @param options.workers threads; 0 hashes in the caller's own, with turns for others in between */
  constructor({ workers }: { readonly workers: number }) {
    assert(Number.isInteger(workers) && workers >= 0, `not a number of threads: ${workers}`);
    this.#flightsMax = Math.max(1, workers * BATCHES_A_WORKER);
    this.#workers = workers;
  }

  /**
   * Requests are taken only as results are: a source of any length is fine. Leaving the loop early ends the work.
   * @throws the signal's reason when aborted, within a moment, also in the middle of a large file
   */
  async *hashAll<R extends HashRequest>(
    requests: Iterable<R> | AsyncIterable<R>,
    signal: AbortSignal,
  ): AsyncGenerator<HashedFile<R>> {
    const stop = new SharedArrayBuffer(4);
    const flights: Flight<R>[] = [];
    const halt = () => Atomics.store(new Int32Array(stop), 0, 1);
    signal.addEventListener('abort', halt, { once: true });
    try {
      signal.throwIfAborted();
      for await (const batch of batches(requests)) {
        signal.throwIfAborted();
        flights.push(this.#start(batch, stop));
        if (flights.length >= this.#flightsMax) yield* landed(flights.shift(), signal);
      }
      while (flights.length > 0) yield* landed(flights.shift(), signal);
    } finally {
      halt();
      signal.removeEventListener('abort', halt);
      // Stopped ones end at once; their outcome is of no interest, but nobody reads on when this returns.
      await Promise.allSettled(flights.map(({ results }) => results));
    }
  }

  /** Results in the order of the requests. As `hashAll`, for what is at hand. */
  async hash(requests: readonly HashRequest[], signal: AbortSignal): Promise<FileHash[]> {
    const results: FileHash[] = [];
    for await (const { result } of this.hashAll(requests, signal)) results.push(result);
    return results;
  }

  /** Whether the batch is so little, with all before it, that no thread is worth starting. */
  #takesHere(batch: readonly HashRequest[]): boolean {
    if (this.#threads) return false;
    const files = this.#filesHere + batch.length;
    const bytes = batch.reduce((sum, request) => sum + bytesOf(request), this.#bytesHere);
    if (files > HERE_FILES_MAX || bytes > HERE_BYTES_MAX) return false;
    this.#filesHere = files;
    this.#bytesHere = bytes;
    return true;
  }

  /** Ends the threads. Nothing may be in work. */
  async close(): Promise<void> {
    await this.#threads?.destroy();
  }

  #start<R extends HashRequest>(batch: readonly R[], stop: SharedArrayBuffer): Flight<R> {
    const results = this.#run(batch, stop);
    // Awaited in its turn; until then a rejection is not unhandled.
    results.catch(() => undefined);
    return { batch, results };
  }

  async #run(batch: readonly HashRequest[], stop: SharedArrayBuffer): Promise<FileHash[]> {
    const threads = this.#threadsFor(batch);
    if (!threads) {
      const hasher = this.#idle.pop() ?? new FileHasher();
      const results = await hashHere(hasher, batch, stop);
      this.#idle.push(hasher);
      return results;
    }
    const requests = batch.map(({ path, expected, ranges, sampleBytes, span }) => ({
      path,
      ...(expected === undefined ? {} : { expected }),
      ...(ranges === undefined ? {} : { ranges }),
      ...(sampleBytes === undefined ? {} : { sampleBytes }),
      ...(span === undefined ? {} : { span }),
    }));
    try {
      return unpackResults(await threads.run({ requests, stop }));
    } catch (error) {
      throw this.#failure?.error ?? error;
    }
  }

  /** Undefined: it is hashed in the caller's. */
  #threadsFor(batch: readonly HashRequest[]): Piscina<BatchTask, BatchReply> | undefined {
    if (this.#workers === 0 || this.#takesHere(batch)) return undefined;
    if (this.#threads) return this.#threads;
    const threads = startThreads(this.#workers);
    threads?.on('error', (error: Error) => {
      this.#failure ??= { error };
      // Whoever waits for one of them would wait for ever.
      void threads.destroy();
    });
    this.#threads = threads;
    return threads;
  }
}

function startThreads(workers: number): Piscina<BatchTask, BatchReply> | undefined {
  const file = workerFile(import.meta.url, 'worker');
  if (!file) return undefined;
  return new Piscina<BatchTask, BatchReply>({
    filename: file.href,
    // By a name of its own: Node wraps a module that has a default where it is required, as piscina does, and ends the whole process
    // where the thread is ended at that moment (24.21, an assertion in CreateRequiredModuleFacade; seen where a thread was not needed).
    name: 'run',
    minThreads: workers,
    maxThreads: workers,
    // The queue holds what is in flight; nothing else is ever queued.
    maxQueue: Number.POSITIVE_INFINITY,
    env: {},
  });
}

async function hashHere(
  hasher: FileHasher,
  batch: readonly HashRequest[],
  stop: SharedArrayBuffer,
): Promise<FileHash[]> {
  const flag = new Int32Array(stop);
  const files = hashBatch(hasher, batch);
  for (let steps = 1; ; steps += 1) {
    if (steps % STEPS_A_TURN === 0) await turn();
    if (Atomics.load(flag, 0) !== 0) {
      files.return([]);
      return [];
    }
    const step = files.next();
    if (step.done) return step.value;
  }
}

async function* landed<R extends HashRequest>(
  flight: Flight<R> | undefined,
  signal: AbortSignal,
): AsyncGenerator<HashedFile<R>> {
  assert(flight !== undefined);
  const results = await flight.results;
  signal.throwIfAborted();
  assert.equal(results.length, flight.batch.length, 'every request has its result');
  for (const [index, request] of flight.batch.entries()) {
    const result = results[index];
    assert(result !== undefined);
    yield { request, result };
  }
}

/** In order; a batch ends at so many files or expected bytes. */
async function* batches<R extends HashRequest>(
  requests: Iterable<R> | AsyncIterable<R>,
): AsyncGenerator<R[]> {
  let batch: R[] = [];
  let bytes = 0;
  for await (const request of requests) {
    batch.push(request);
    bytes += request.expected ? bytesOf(request) : 0;
    if (batch.length < BATCH_FILES_MAX && bytes < BATCH_BYTES) continue;
    yield batch;
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield batch;
}

/** That are read of a file; of unknown length: any number. */
function bytesOf({ expected, sampleBytes = Number.POSITIVE_INFINITY, span }: HashRequest): number {
  const lengthBytes = span?.lengthBytes ?? expected?.sizeBytes ?? Number.POSITIVE_INFINITY;
  return Math.min(lengthBytes, 2 * sampleBytes);
}
