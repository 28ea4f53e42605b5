/** Digests of an archive's whole stream, made beside the writing: any bare system can check it later. */
import { strict as assert } from 'node:assert';
import { Worker } from 'node:worker_threads';
import { workerFile } from '../../base/worker-file.ts';
import type { DigestReply, DigestRequest } from './digest-worker.ts';
import { type Digests, StreamDigest } from './stream-digest.ts';

/** Its garbage is small and short-lived; by default it may grow to many times that before it is collected. */
const YOUNG_GENERATION_MB = 4;

export class Digester {
  /** In the caller's thread. */
  readonly #here: StreamDigest | undefined;
  #thread: Worker | undefined;
  readonly #busy = new Map<number, () => void>();
  #next = 0;
  #digests: PromiseWithResolvers<Digests> | undefined;
  #failure: Error | undefined;

  /** @param options.isThreaded false: for a stream of a few MiB, which is digested before a thread has started */
  constructor({ isThreaded = true }: { readonly isThreaded?: boolean } = {}) {
    if (!isThreaded) this.#here = new StreamDigest();
  }

  /** Starts the thread before the first archive begins. */
  start(): void {
    if (!this.#here) this.#worker();
  }

  begin(options: { readonly sha256: boolean }): void {
    if (this.#here) this.#here.begin(options);
    else this.#send({ kind: 'begin', ...options });
  }

  /** @param onDone the bytes may be changed again; shared memory is not copied */
  update(bytes: Uint8Array, onDone: () => void): void {
    if (this.#here) {
      this.#here.update(bytes);
      onDone();
      return;
    }
    if (this.#failure) throw this.#failure;
    this.#busy.set(this.#next, onDone);
    this.#send({ kind: 'bytes', bytes, number: this.#next });
    this.#next += 1;
  }

  /** Of all bytes since `begin`. */
  async end(): Promise<Digests> {
    if (this.#here) return this.#here.end();
    if (this.#failure) throw this.#failure;
    assert(!this.#digests, 'one archive at a time');
    this.#digests = Promise.withResolvers();
    this.#send({ kind: 'end' });
    try {
      return await this.#digests.promise;
    } finally {
      this.#digests = undefined;
    }
  }

  async close(): Promise<void> {
    await this.#thread?.terminate();
  }

  #send(request: DigestRequest): void {
    this.#worker().postMessage(request);
  }

  /** Not from the beginning: most runs of an unchanged tree write no archive. */
  #worker(): Worker {
    if (this.#thread) return this.#thread;
    const worker = new Worker(workerFile(import.meta.url, 'digest-worker'), {
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    worker.on('message', (reply: DigestReply) => this.#take(reply));
    worker.on('error', (error: Error) => {
      this.#failure = error;
      this.#digests?.reject(error);
      for (const done of this.#busy.values()) done();
    });
    this.#thread = worker;
    return worker;
  }

  #take(reply: DigestReply): void {
    if (reply.kind === 'done') {
      this.#busy.get(reply.number)?.();
      this.#busy.delete(reply.number);
    } else {
      const { blake3, sha256 } = reply;
      this.#digests?.resolve({
        blake3: Buffer.from(blake3),
        sha256: sha256 && Buffer.from(sha256),
      });
    }
  }
}
