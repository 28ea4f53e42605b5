/**
 * A batch of files as it travels between threads: columns instead of objects, which clone several times slower, and
 * hashes in one buffer.
 */
import { strict as assert } from 'node:assert';
import { HASH_BYTES } from '../domain/content.ts';
import type { FileHash, FileHasher, HashRequest } from './file.ts';

export type BatchTask = {
  readonly requests: readonly HashRequest[];
  /** One Int32 in shared memory: not 0 once nobody waits for the result. */
  readonly stop: SharedArrayBuffer;
};

const FINE = 0;
const CHANGED = 1;
const FAILED = 2;

export type BatchReply = {
  /** FINE, CHANGED or FAILED, a file each; fewer than requests when it was stopped. */
  readonly states: Uint8Array;
  readonly sizesBytes: Float64Array;
  /** HASH_BYTES a file. */
  readonly hashes: Uint8Array;
  /** By index, where there are some. */
  readonly segments: ReadonlyMap<number, Uint8Array>;
  readonly errnos: ReadonlyMap<number, string>;
};

/** Hashes one file after another; a turn is yielded between files and within large ones. */
export function* hashBatch(
  hasher: FileHasher,
  requests: readonly HashRequest[],
): Generator<void, FileHash[]> {
  const results: FileHash[] = [];
  for (const request of requests) {
    results.push(yield* hasher.hash(request));
    yield;
  }
  return results;
}

export function packResults(results: readonly FileHash[]): BatchReply {
  const states = new Uint8Array(results.length);
  const sizesBytes = new Float64Array(results.length);
  const hashes = new Uint8Array(results.length * HASH_BYTES);
  const segments = new Map<number, Uint8Array>();
  const errnos = new Map<number, string>();
  for (const [index, result] of results.entries()) {
    if ('errno' in result) {
      states[index] = FAILED;
      errnos.set(index, result.errno);
      continue;
    }
    states[index] = result.changed ? CHANGED : FINE;
    sizesBytes[index] = result.sizeBytes;
    hashes.set(result.hash, index * HASH_BYTES);
    if (result.segments !== undefined) segments.set(index, exact(result.segments));
  }
  return { states, sizesBytes, hashes, segments, errnos };
}

export function unpackResults(reply: BatchReply): FileHash[] {
  const hashes = Buffer.from(reply.hashes.buffer);
  return Array.from(reply.states, (state, index) => {
    const errno = reply.errnos.get(index);
    if (errno !== undefined) return { errno };
    assert(state !== FAILED, 'a failure has its errno');
    const segments = reply.segments.get(index);
    return {
      hash: hashes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES),
      sizeBytes: reply.sizesBytes[index] ?? 0,
      segments:
        segments === undefined ? undefined : Buffer.from(segments.buffer, 0, segments.length),
      changed: state === CHANGED,
    };
  });
}

/** With memory of its own: a clone takes along all that a view is cut from. */
function exact(bytes: Buffer): Uint8Array {
  return new Uint8Array(bytes);
}
