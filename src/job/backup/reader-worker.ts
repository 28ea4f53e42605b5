/** A reader in a thread of its own. */
import { strict as assert } from 'node:assert';
import { parentPort } from 'node:worker_threads';
import type { FragmentResult, PackedResult, PackedTask, RunTask } from './fragment.ts';
import { transferList } from './fragment-codec.ts';
import { Reader } from './reader.ts';

export type WorkerRequest = {
  readonly slab: SharedArrayBuffer;
  readonly task: RunTask | PackedTask;
};

export type WorkerReply = FragmentResult | PackedResult;

assert(parentPort, 'a worker has a parent');
const port = parentPort;
const reader = new Reader();
port.on('message', ({ task, slab }: WorkerRequest) => {
  const room = Buffer.from(slab);
  if ('kind' in task) {
    port.postMessage(reader.fill(task, room));
    return;
  }
  const packed = reader.fillPacked(task, room);
  port.postMessage(packed, transferList(packed));
});
