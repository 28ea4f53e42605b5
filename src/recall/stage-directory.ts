/** The directory of the stage: a cache, so that somebody may remove it at any time. */
import { mkdirSync, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { CodedError, errnoOf } from '../base/errors.ts';

/**
 * Makes it where there is none, and refuses one that others could write to: they could exchange what was proven.
 * @param above `made`: what it lies in as well; `there`: only itself, for where it was a disk may be missing
 * @throws CodedError STAGE_FAILED; what the file system refuses
 */
export function makeStageDirectory(directory: string, above: 'made' | 'there'): void {
  mkdirSync(directory, { recursive: above === 'made', mode: 0o700 });
  const { uid, mode } = statSync(directory);
  if (uid === process.geteuid?.() && (mode & 0o022) === 0) return;
  const sentence = `the stage ${directory} belongs to another user, or others may write there; chown and chmod go-w mend it`;
  throw new CodedError('STAGE_FAILED', sentence, { path: directory });
}

/** None where there is no directory. @throws what the file system refuses */
export async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}
