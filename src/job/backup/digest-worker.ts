/** BLAKE3 and SHA-256 of an archive's stream, in a thread of its own: it sees all bytes in their order. */
import { strict as assert } from 'node:assert';
import { createHash, type Hash } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import { Blake3Hasher } from '@napi-rs/blake-hash';

export type DigestRequest =
  | { readonly kind: 'begin'; readonly sha256: boolean }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array; readonly number: number }
  | { readonly kind: 'end' };

export type DigestReply =
  /** The bytes with this number have been read and may be reused. */
  | { readonly kind: 'done'; readonly number: number }
  | {
      readonly kind: 'digests';
      readonly blake3: Uint8Array;
      readonly sha256: Uint8Array | undefined;
    };

assert(parentPort, 'a worker has a parent');
const port = parentPort;
const blake3 = new Blake3Hasher();
let sha256: Hash | undefined;

port.on('message', (request: DigestRequest) => {
  if (request.kind === 'begin') {
    blake3.reset();
    sha256 = request.sha256 ? createHash('sha256') : undefined;
  } else if (request.kind === 'bytes') {
    const { buffer, byteOffset, byteLength } = request.bytes;
    const bytes = Buffer.from(buffer, byteOffset, byteLength);
    blake3.update(bytes);
    sha256?.update(bytes);
    port.postMessage({ kind: 'done', number: request.number } satisfies DigestReply);
  } else {
    const reply: DigestReply = {
      kind: 'digests',
      blake3: blake3.digestBuffer(),
      sha256: sha256?.digest(),
    };
    sha256 = undefined;
    port.postMessage(reply);
  }
});
