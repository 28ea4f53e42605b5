/** Small state files: read with a schema, replaced whole or not at all. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { replaceFile } from '../../base/durable.ts';
import { CodedError, errnoOf } from '../../base/errors.ts';

/** Whole numbers that only grow, and places on a tape. */
export const countSchema = z.int().nonnegative();

/** Name of a cartridge's files: never a part of a path. */
export const cartridgeNameSchema = z.string().regex(/^[A-Z0-9]{1,32}$/);

/** @throws CodedError FAILED when the file is missing or does not fit the schema */
export async function readJson<Schema extends z.ZodType>(
  path: string,
  schema: Schema,
): Promise<z.infer<Schema>> {
  let text: string;
  try {
    // At once: a thread to be woken for it takes many times as long.
    text = readFileSync(path, 'utf8');
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

/** @throws CodedError FAILED when the value does not fit the schema or the disk does not take it; the file is as before */
export async function writeJson(
  path: string,
  value: unknown,
  schema: z.ZodType = z.unknown(),
): Promise<void> {
  const checked = schema.safeParse(value);
  if (!checked.success) {
    const facts = { path, cause: checked.error };
    throw new CodedError(
      'FAILED',
      `${path} would be damaged by this change; it was not made`,
      facts,
    );
  }
  try {
    await replaceFile(path, `${JSON.stringify(checked.data, undefined, 2)}\n`);
  } catch (cause) {
    const why = errnoOf(cause);
    if (why === undefined) throw cause;
    throw new CodedError('FAILED', `${path} cannot be written (${why})`, { path, cause });
  }
}
