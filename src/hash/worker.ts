/** What runs in a thread of the hash pool: one batch a task. */
import { type BatchReply, type BatchTask, hashBatch, packResults } from './batch.ts';
import { FileHasher } from './file.ts';

// One a thread, for as long as it lives: buffers and hashers are dear to make.
const hasher = new FileHasher();

export function run({ requests, stop }: BatchTask): BatchReply {
  const flag = new Int32Array(stop);
  const files = hashBatch(hasher, requests);
  for (;;) {
    if (Atomics.load(flag, 0) !== 0) {
      files.return([]);
      return packResults([]);
    }
    const step = files.next();
    if (step.done) return packResults(step.value);
  }
}
