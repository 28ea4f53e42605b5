/** A reader in a thread of its own. */
import { strict as assert } from 'node:assert';
import { parentPort } from 'node:worker_threads';
import type { ReadTask } from './fragment.ts';
import { Reader } from './reader.ts';

export type ReadRequest = { readonly task: ReadTask; readonly slab: SharedArrayBuffer };

assert(parentPort, 'a worker has a parent');
const port = parentPort;
const reader = new Reader();
port.on('message', ({ task, slab }: ReadRequest) => {
  port.postMessage(reader.fill(task, Buffer.from(slab)));
});
