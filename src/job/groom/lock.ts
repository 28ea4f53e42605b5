/** One groom at a time. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError } from '../../base/errors.ts';

export type LockTools = {
  readonly stateDirectory: string;
  /** Takes a lock that ends with the process. @throws CodedError DRIVE_BUSY naming the holder's pid */
  lock(path: string): Promise<{ close(): Promise<void> }>;
};

/** @throws CodedError SOURCE_BUSY naming a process that grooms */
export async function lockGroom({ stateDirectory, lock }: LockTools) {
  const directory = join(stateDirectory, 'locks');
  await mkdir(directory, { recursive: true, mode: 0o700 });
  try {
    return await lock(join(directory, 'groom.lock'));
  } catch (cause) {
    if (!(cause instanceof CodedError) || cause.code !== 'DRIVE_BUSY') throw cause;
    const { pid } = cause.facts;
    const who = pid === undefined ? 'another process' : `process ${pid}`;
    throw new CodedError('SOURCE_BUSY', `${who} grooms just now`, {
      cause,
      ...(pid !== undefined && { pid }),
    });
  }
}
