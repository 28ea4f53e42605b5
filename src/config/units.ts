/** Sizes, durations and spans in the config, as people write them. */
import { z } from 'zod';
import { parseSize } from '../base/bytes.ts';
import { parseDuration } from '../base/duration.ts';
import { parseSpan } from '../domain/span.ts';

/** `32GB`, `512 KiB`, or a number of bytes. */
export const sizeSchema = z.union([z.string(), z.number()]).transform((value, context) => {
  const bytes = parseSize(String(value));
  if (bytes !== undefined) return bytes;
  context.addIssue(`"${value}" is no size; write for instance "32GB" or "512KiB"`);
  return z.NEVER;
});

/** `12h`, `90 s`; in ms. */
export const durationSchema = z.string().transform((value, context) => {
  const durationMs = parseDuration(value);
  if (durationMs !== undefined) return durationMs;
  context.addIssue(`"${value}" is no duration; write for instance "12h", "30min" or "5s"`);
  return z.NEVER;
});

/** `180d`, `24mo`. */
export const spanSchema = z.string().transform((value, context) => {
  const span = parseSpan(value);
  if (span) return span;
  context.addIssue(
    `"${value}" is no span; write for instance "720h", "180d", "8w", "24mo" or "10y"`,
  );
  return z.NEVER;
});
