/**
 * Digests of an archive's whole stream, made beside the writing: any bare system can check it later. A thread makes them once it
 * was started; for the little that a small run writes it would take longer to begin than to hash.
 */
import { strict as assert } from 'node:assert';
import { Worker } from 'node:worker_threads';
import { workerFile } from '../../base/program-files.ts';
import { type Digests, StreamDigest } from './digest.ts';
import type { DigestReply, DigestRequest } from './digest-worker.ts';

/** Its garbage is small and short-lived; by default it may grow to many times that before it is collected. */
const YOUNG_GENERATION_MB = 4;

export class Digester {
  readonly #here = new StreamDigest();
  #thread: Worker | undefined;
  /** Who has the archive that is open; undefined: nobody but us. */
  #by: Worker | undefined;
  readonly #busy = new Map<number, () => void>();
  #next = 0;
  #digests: PromiseWithResolvers<Digests> | undefined;
  #failure: Error | undefined;

  /** From the next archive on a thread makes them. May be called twice. */
  start(): void {
    this.#thread ??= this.#startThread();
  }

  begin(options: { readonly sha256: boolean }): void {
    this.#by = this.#thread;
    if (this.#by) this.#send(this.#by, { kind: 'begin', ...options });
    else this.#here.begin(options);
  }

  /** @param onDone the bytes may be changed again; shared memory is not copied */
  update(bytes: Uint8Array, onDone: () => void): void {
    if (this.#failure) throw this.#failure;
    if (!this.#by) {
      this.#here.update(bytes);
      onDone();
      return;
    }
    this.#busy.set(this.#next, onDone);
    this.#send(this.#by, { kind: 'bytes', bytes, number: this.#next });
    this.#next += 1;
  }

  /** Of all bytes since `begin`. */
  async end(): Promise<Digests> {
    if (this.#failure) throw this.#failure;
    if (!this.#by) return this.#here.end();
    assert(!this.#digests, 'one archive at a time');
    this.#digests = Promise.withResolvers();
    this.#send(this.#by, { kind: 'end' });
    try {
      return await this.#digests.promise;
    } finally {
      this.#digests = undefined;
    }
  }

  async close(): Promise<void> {
    await this.#thread?.terminate();
  }

  #send(thread: Worker, request: DigestRequest): void {
    thread.postMessage(request);
  }

  #startThread(): Worker | undefined {
    const file = workerFile(import.meta.url, 'digest-worker');
    if (!file) return undefined;
    const worker = new Worker(file, {
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MB },
    });
    worker.on('message', (reply: DigestReply) => this.#take(reply));
    worker.on('error', (error: Error) => {
      this.#failure = error;
      this.#digests?.reject(error);
      for (const done of this.#busy.values()) done();
    });
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
