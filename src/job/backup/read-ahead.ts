/**
 * Readers that run ahead of the tape. Tasks go in and fragments come out in the same order; between them lie as many slabs
 * as the memory limit allows, given out in the order of the stream, so that the next fragment always has one.
 */
import { strict as assert } from 'node:assert';
import { Worker } from 'node:worker_threads';
import { workerFile } from '../../base/program-files.ts';
import { type FragmentResult, type ReadTask, SLAB_BYTES } from './fragment.ts';
import { receivedResult, transferList, unpackResult } from './fragment-codec.ts';
import { Reader } from './reader.ts';
import type { WorkerReply, WorkerRequest } from './reader-worker.ts';

export type Fragment = {
  readonly bytes: Buffer;
  readonly result: FragmentResult;
  /** The slab may be filled again. Called once, when nobody looks at `bytes` any more. */
  release(): void;
};

export type ReadRequest = { readonly task: ReadTask; readonly slab: SharedArrayBuffer };

/** Fills slabs; tasks given to one reader are carried out in their order. */
export interface TaskReader {
  fill(request: ReadRequest): Promise<FragmentResult>;
  close(): Promise<void>;
}

export type ReadAheadOptions = {
  /** 0: in the process itself. */
  readonly workers: number;
  readonly slabs: number;
};

/**
 * Batches of small files under way: more for each reader than one in its hands and one that waits are no faster (measured), and what
 * is known of a thousand files takes a megabyte.
 */
const SMALL_AHEAD = 8;

/** A batch of small files leaves a megabyte of garbage; by default it may grow to many times that. */
const YOUNG_GENERATION_MB = 8;

export class ReadAhead {
  /** Not from the beginning: most runs of an unchanged tree read nothing. */
  readonly #readers: TaskReader[] = [];
  readonly #workers: number;
  readonly #free: SharedArrayBuffer[] = [];
  /** Slabs that may still be made: a small run needs one or two. */
  #unmade: number;
  readonly #waiting: ((slab: SharedArrayBuffer) => void)[] = [];
  /** Who reads a large file goes on with it, also in a later archive: its hash is begun there. */
  readonly #pinned = new Map<string, TaskReader>();
  #turn = 0;

  constructor({ workers, slabs }: ReadAheadOptions) {
    assert(slabs >= 2, 'one slab is written while the next is filled');
    this.#workers = workers;
    this.#unmade = slabs;
  }

  /** Starts the readers before the first task comes: a thread takes as long to start as a thousand small files to read. */
  start(): void {
    while (this.#readers.length < Math.max(1, this.#workers)) this.#addReader();
  }

  /** Fragments of the tasks, in their order. Each has to be released. */
  async *fragments<T extends { readonly task: ReadTask }>(
    items: Iterable<T> | AsyncIterable<T>,
  ): AsyncGenerator<{ item: T; fragment: Fragment }> {
    const underway: Promise<{ item: T; fragment: Fragment }>[] = [];
    const ahead = this.#free.length + this.#unmade;
    try {
      for await (const item of items) {
        let slab = this.#take();
        // With no slab left, fragments have to be taken, used and released first: as many as there are, so that no drive has to
        // wait for the second while the first is on its way to tape.
        while (slab === undefined && underway.length > 0) {
          yield await next(underway);
          slab = this.#take();
        }
        const room = slab ?? (await this.#slab());
        const promise = this.#fill(this.#readerOf(item.task), item, room);
        promise.catch(() => {}); // awaited in its turn
        underway.push(promise);
        const most = item.task.kind === 'small' ? Math.min(ahead, SMALL_AHEAD) : ahead;
        if (underway.length >= most) yield await next(underway);
      }
      while (underway.length > 0) yield await next(underway);
    } finally {
      for (const left of await Promise.allSettled(underway)) {
        if (left.status === 'fulfilled') left.value.fragment.release();
      }
    }
  }

  async close(): Promise<void> {
    for (const reader of this.#readers) await reader.close();
  }

  async #fill<T extends { readonly task: ReadTask }>(
    reader: TaskReader,
    item: T,
    slab: SharedArrayBuffer,
  ): Promise<{ item: T; fragment: Fragment }> {
    let isReleased = false;
    const release = () => {
      assert(!isReleased, 'a slab is released once');
      isReleased = true;
      const waiter = this.#waiting.shift();
      if (waiter) waiter(slab);
      else this.#free.push(slab);
    };
    try {
      const result = await reader.fill({ task: item.task, slab });
      return {
        item,
        fragment: { bytes: Buffer.from(slab, 0, result.lengthBytes), result, release },
      };
    } catch (error) {
      release();
      throw error;
    }
  }

  #take(): SharedArrayBuffer | undefined {
    const slab = this.#free.pop();
    if (slab || this.#unmade === 0) return slab;
    this.#unmade -= 1;
    return new SharedArrayBuffer(SLAB_BYTES);
  }

  #slab(): Promise<SharedArrayBuffer> {
    const slab = this.#take();
    if (slab) return Promise.resolve(slab);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #readerOf(task: ReadTask): TaskReader {
    if (task.kind === 'small') return this.#nextReader();
    const key = `${task.place.source}\0${task.place.path}`;
    const reader = this.#pinned.get(key) ?? this.#nextReader();
    if (task.isLast) this.#pinned.delete(key);
    else this.#pinned.set(key, reader);
    return reader;
  }

  #nextReader(): TaskReader {
    const index = this.#turn % Math.max(1, this.#workers);
    this.#turn += 1;
    return this.#readers[index] ?? this.#addReader();
  }

  #addReader(): TaskReader {
    const file = this.#workers === 0 ? undefined : workerFile(import.meta.url, 'reader-worker');
    const reader = file ? new ReaderThread(file) : new ReaderHere();
    this.#readers.push(reader);
    return reader;
  }
}

async function next<T>(queue: Promise<T>[]): Promise<T> {
  const first = queue.shift();
  assert(first);
  return first;
}

/** `--single-threaded`: no worker, the same bytes. */
class ReaderHere implements TaskReader {
  readonly #reader = new Reader();

  async fill({ task, slab }: ReadRequest): Promise<FragmentResult> {
    return this.#reader.fill(task, Buffer.from(slab));
  }

  async close(): Promise<void> {
    this.#reader.close();
  }
}

class ReaderThread implements TaskReader {
  readonly #worker: Worker;
  readonly #waiting: PromiseWithResolvers<FragmentResult>[] = [];
  /** A mistake of ours ended the thread: nobody answers any more. */
  #failure: { readonly error: unknown } | undefined;

  constructor(file: URL) {
    this.#worker = new Worker(file, {
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    this.#worker.on('message', (reply: WorkerReply) => {
      this.#waiting
        .shift()
        ?.resolve('members' in reply ? receivedResult(reply) : unpackResult(reply));
    });
    this.#worker.on('error', (error) => {
      this.#failure = { error };
      for (const { reject } of this.#waiting.splice(0)) reject(error);
    });
  }

  async fill({ task, slab }: ReadRequest): Promise<FragmentResult> {
    if (this.#failure) throw this.#failure.error;
    const answer = Promise.withResolvers<FragmentResult>();
    this.#waiting.push(answer);
    if (task.kind === 'run') {
      this.#worker.postMessage({ task, slab } satisfies WorkerRequest);
    } else {
      const { packed } = task;
      const request = { task: packed, slab } satisfies WorkerRequest;
      this.#worker.postMessage(request, transferList(packed));
    }
    return answer.promise;
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
