/** Files that are whole after a power cut: the old content or the new, never a mixture. */
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Replaces a file; on disk when this resolves. @param options.mode its permissions; default 0o666 less umask */
export async function replaceFile(
  path: string,
  text: string,
  options: { mode?: number } = {},
): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, 'w', options.mode);
  try {
    // One that a crash left behind keeps the permissions it was made with.
    if (options.mode !== undefined) await file.chmod(options.mode);
    await file.writeFile(text);
    await file.datasync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}

/** Makes names created or renamed in a directory survive. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
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
