/** The digests of an archive's stream, in a thread of its own: it sees all bytes in their order. */
import { strict as assert } from 'node:assert';
import { parentPort } from 'node:worker_threads';
import { StreamDigest } from './digest.ts';

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
const digest = new StreamDigest();

port.on('message', (request: DigestRequest) => {
  if (request.kind === 'begin') digest.begin(request);
  else if (request.kind === 'bytes') {
    digest.update(request.bytes);
    port.postMessage({ kind: 'done', number: request.number } satisfies DigestReply);
  } else port.postMessage({ kind: 'digests', ...digest.end() } satisfies DigestReply);
});
