/** Makes the files of a copy of the catalog in a thread of its own. */
import { strict as assert } from 'node:assert';
import { parentPort, workerData } from 'node:worker_threads';
import { CodedError, type FailureCode } from '../../base/errors.ts';
import { type CopyOrder, makeCopyFiles } from './copy-files.ts';

export type CopyReply =
  | { readonly kind: 'made'; readonly databaseBytes: number }
  | { readonly kind: 'failed'; readonly code: FailureCode; readonly message: string };

assert(parentPort, 'a worker has a parent');
const order: CopyOrder = workerData;
parentPort.postMessage(await reply());

async function reply(): Promise<CopyReply> {
  try {
    return { kind: 'made', databaseBytes: await makeCopyFiles(order) };
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return { kind: 'failed', code: error.code, message: error.message };
  }
}
