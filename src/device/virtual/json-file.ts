/** Small state files: read with a schema, replaced whole or not at all. */
import { readFile } from 'node:fs/promises';
import type { z } from 'zod';
import { replaceFile } from '../../base/durable.ts';
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

export async function writeJson(path: string, value: unknown): Promise<void> {
  await replaceFile(path, `${JSON.stringify(value, undefined, 2)}\n`);
}
