/** One run of a source at a time, whichever process runs it. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError } from '../../base/errors.ts';
import { printable } from '../../base/text.ts';
import type { Source } from '../../catalog/sources.ts';

export type LockTools = {
  readonly stateDirectory: string;
  /** Takes a lock that ends with the process. @throws CodedError DRIVE_BUSY naming the holder's pid */
  lock(path: string): Promise<{ close(): Promise<void> }>;
};

const LOCKS = 'locks';

/**
 * Keeps these sources from every other run. @throws CodedError SOURCE_BUSY naming the process that has one
 */
export async function lockSources(
  sources: readonly Source[],
  tools: LockTools,
): Promise<{ close(): Promise<void> }[]> {
  const directory = join(tools.stateDirectory, LOCKS);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const locks: { close(): Promise<void> }[] = [];
  try {
    for (const { id, name } of sources.toSorted((a, b) => a.id - b.id)) {
      locks.push(await lockOne(join(directory, `source-${id}.lock`), name, tools));
    }
    return locks;
  } catch (error) {
    for (const lock of locks) await lock.close();
    throw error;
  }
}

async function lockOne(
  path: string,
  name: string,
  tools: LockTools,
): Promise<{ close(): Promise<void> }> {
  try {
    return await tools.lock(path);
  } catch (cause) {
    if (!(cause instanceof CodedError) || cause.code !== 'DRIVE_BUSY') throw cause;
    const { pid } = cause.facts;
    const who = pid === undefined ? 'another process' : `process ${pid}`;
    throw new CodedError(
      'SOURCE_BUSY',
      `the source ${printable(name)} is being backed up by ${who} just now`,
      { cause, ...(pid !== undefined && { pid }) },
    );
  }
}
