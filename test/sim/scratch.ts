/** A directory that goes away with the test, in memory where the machine has a tmpfs. */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

export async function scratchDirectory(): Promise<string> {
  const hasMemory = await stat('/dev/shm').then(
    () => true,
    () => false,
  );
  const directory = await mkdtemp(join(hasMemory ? '/dev/shm' : tmpdir(), 'shelfs-test-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}
