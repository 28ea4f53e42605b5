/** How paths, times and counts are shown, and what of them a document says. */
import { type Raw, rawBytes, rawText } from '../base/raw.ts';
import type { Moment } from '../domain/entry.ts';

/** For documents: the path itself where it is UTF-8; else as it is printed, and its bytes beside it. */
export function documentPath(raw: Raw): { readonly path: string; readonly pathBase64?: string } {
  const bytes = rawBytes(raw);
  const path = documentText(raw);
  return path === undefined
    ? { path: rawText(raw), pathBase64: bytes.toString('base64') }
    : { path };
}

/** Undefined where the bytes are no UTF-8. */
export function documentText(raw: Raw): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(rawBytes(raw));
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** `2026-11-20 09:00:00Z` @param ms since the epoch, or what a file says is that */
export function formatTime(ms: number): string {
  const date = new Date(ms);
  // A file may carry any time; Date ends at the year 275760.
  if (Number.isNaN(date.getTime())) return `${Math.floor(ms / 1000)} s`;
  return date.toISOString().replace('T', ' ').replace(/\.\d+/, '');
}

/** ISO 8601 for documents; undefined where Date cannot say it. */
export function documentTime(ms: number): string | undefined {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}

/** `1 file`, `12,345 files` */
export function countOf(number: number, noun: string): string {
  const plural = noun.endsWith('y') ? `${noun.slice(0, -1)}ies` : `${noun}s`;
  return `${number.toLocaleString('en-US')} ${number === 1 ? noun : plural}`;
}

/** ISO 8601 to the nanosecond, for documents; seconds since the epoch where Date cannot say it. */
export function documentMoment({ seconds, nanoseconds }: Moment): string {
  const fraction = String(nanoseconds).padStart(9, '0');
  const whole = documentTime(seconds * 1000)?.replace(/\.\d+Z$/, '');
  return whole === undefined ? `@${seconds}.${fraction}` : `${whole}.${fraction}Z`;
}
