/** Names in a directory that begin in one way, without the rest of them in memory: there may be millions. */
import { opendirSync } from 'node:fs';
import { CodedError, errnoOf } from '../base/errors.ts';
import { type Raw, rawText } from '../base/raw.ts';

/** Read from the kernel at once. */
const NAMES_READ = 1024;

/**
 * @param directory an open one; it is reached by its descriptor, so that nobody can put another in its place
 * @throws CodedError TARGET_FAILED, naming `path`
 */
export function namesBeginning(directory: number, prefix: string, path: Raw): Raw[] {
  const found: Raw[] = [];
  try {
    const listing = opendirSync(`/proc/self/fd/${directory}`, {
      encoding: 'latin1',
      bufferSize: NAMES_READ,
    });
    try {
      for (let entry = listing.readSync(); entry !== null; entry = listing.readSync())
        if (entry.name.startsWith(prefix)) found.push(entry.name as Raw);
    } finally {
      listing.closeSync();
    }
  } catch (cause) {
    const errno = errnoOf(cause);
    if (errno === undefined || errno.startsWith('ERR_')) throw cause;
    const text = rawText(path);
    throw new CodedError('TARGET_FAILED', `${text} cannot be listed (${errno})`, {
      cause,
      path: text,
    });
  }
  return found;
}
