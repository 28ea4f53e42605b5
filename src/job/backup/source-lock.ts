/** One run of a source at a time, whichever process runs it. */
import { printable } from '../../base/text.ts';
import type { Source } from '../../catalog/job/sources.ts';
import { type LockTools, takeLock } from '../state-lock.ts';

/**
 * Keeps these sources from every other run. @throws CodedError SOURCE_BUSY naming the process that has one
 */
export async function lockSources(
  sources: readonly Source[],
  tools: LockTools,
): Promise<{ close(): Promise<void> }[]> {
  const locks: { close(): Promise<void> }[] = [];
  try {
    for (const { id, name } of sources.toSorted((a, b) => a.id - b.id)) {
      const sentence = (who: string) =>
        `the source ${printable(name)} is being backed up by ${who} just now`;
      locks.push(await takeLock(tools, { name: `source-${id}`, sentence }));
    }
    return locks;
  } catch (error) {
    for (const lock of locks) await lock.close();
    throw error;
  }
}
