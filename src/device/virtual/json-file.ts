/** Small state files: read with a schema, replaced whole or not at all. */
import { open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { z } from 'zod';
import { CodedError, errnoOf } from '../../base/errors.ts';

/** @throws CodedError FAILED when the file is missing or does not fit the schema */
export async function readJson<Schema extends z.ZodType>(
  path: string,
  schema: Schema,
): Promise<z.infer<Schema>> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const why = errnoOf(error) ?? 'unreadable';
    throw new CodedError('FAILED', `${path} cannot be read (${why})`, { path, cause: error });
  }
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new CodedError(
      'FAILED',
      `${path} is damaged; restore it from a backup or remove the virtual library`,
      {
        path,
        cause: error,
      },
    );
  }
}

/** On disk when this resolves; after a power cut the old content or the new, never a mixture. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, 'w');
  try {
    await file.writeFile(`${JSON.stringify(value, undefined, 2)}\n`);
    await file.datasync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}

/** Makes names created or renamed in a directory survive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
