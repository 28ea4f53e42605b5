/** Locks below the state directory: one job of a kind at a time, whichever process runs it. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError } from '../base/errors.ts';

export type LockTools = {
  readonly stateDirectory: string;
  /** Takes a lock that ends with the process. @throws CodedError DRIVE_BUSY naming the holder's pid */
  lock(path: string): Promise<{ close(): Promise<void> }>;
};

const LOCKS = 'locks';

/**
 * @param order.sentence of the refusal, from who has the lock: `process 4711`
 * @throws CodedError SOURCE_BUSY naming the process that has it
 */
export async function takeLock(
  { stateDirectory, lock }: LockTools,
  { name, sentence }: { readonly name: string; readonly sentence: (who: string) => string },
): Promise<{ close(): Promise<void> }> {
  const directory = join(stateDirectory, LOCKS);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  try {
    return await lock(join(directory, `${name}.lock`));
  } catch (cause) {
    if (!(cause instanceof CodedError) || cause.code !== 'DRIVE_BUSY') throw cause;
    const { pid } = cause.facts;
    const who = pid === undefined ? 'another process' : `process ${pid}`;
    throw new CodedError('SOURCE_BUSY', sentence(who), {
      cause,
      ...(pid !== undefined && { pid }),
    });
  }
}
