/** Files that are whole after a power cut: the old content or the new, never a mixture. */
import {
  closeSync,
  fchmodSync,
  fdatasync,
  fsync,
  fsyncSync,
  openSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';

// Threads do what waits for the disk. To wake one for the rest as well takes ten times as long as the rest does.
const dataOnDisk = promisify(fdatasync);
const allOnDisk = promisify(fsync);

/** Replaces a file; on disk when this resolves. @param options.mode its permissions; default 0o666 less umask */
export async function replaceFile(
  path: string,
  text: string,
  options: { mode?: number } = {},
): Promise<void> {
  const temporary = `${path}.new`;
  const file = openSync(temporary, 'w', options.mode);
  try {
    // One that a crash left behind keeps the permissions it was made with.
    if (options.mode !== undefined) fchmodSync(file, options.mode);
    writeFileSync(file, text);
    await dataOnDisk(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  await syncDirectory(dirname(path));
}

/** Makes names created or renamed in a directory survive. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = openSync(path, 'r');
  try {
    await allOnDisk(directory);
  } finally {
    closeSync(directory);
  }
}

/** Puts a file, or the names in a directory, on disk before it returns. */
export function syncNow(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
