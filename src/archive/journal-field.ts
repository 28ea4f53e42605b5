/** Fields of a journal: escapes that `printf %b` of any sh reads (FORMAT.md section 5). */
import type { Raw } from '../base/raw.ts';
import { invalid } from './ustar.ts';

// biome-ignore lint/suspicious/noControlCharactersInRegex: control bytes are what is escaped
const CONTROLS = /[\x00-\x1f\x7f\\]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the same
const ESCAPED = /[\x00-\x1f\x7f\\]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the same, with what separates the values of a field
const ESCAPED_VALUE = /[\x00-\x1f\x7f\\;,=]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the same, for names joined by a colon
const ESCAPED_NAME = /[\x00-\x1f\x7f\\:]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the same, for the name of a medium
const ESCAPED_MEDIUM = /[\x00-\x1f\x7f\\;,:~+/@^]/g;
const BLANK = 0x20;
const DELETE = 0x7f;
const BACKSLASH = 0x5c;
const DASH = '\\0055';

/** A field of its own: bytes below 0x20, 0x7f and the backslash. */
export function escapeField(raw: string): string {
  if (raw.length < 2) {
    if (raw === '') return '-';
    if (raw === '-') return DASH;
  }
  return CONTROLS.test(raw) ? raw.replace(ESCAPED, octal) : raw;
}

/** Whether a field that is longer than a character stands as it is. */
export function isPlainField(raw: string): boolean {
  return !CONTROLS.test(raw);
}

/** Whether `escapeField` changes any of these bytes. */
export function isEscaped(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte < BLANK || byte === DELETE || byte === BACKSLASH) return true;
  }
  return false;
}

/** A key or value of EXTRA. */
export function escapeValue(raw: string): string {
  return raw.replace(ESCAPED_VALUE, octal);
}

/** The name of a user or group. */
export function escapeName(raw: string): string {
  if (raw === '' || raw === '-') return escapeField(raw);
  return raw.replace(ESCAPED_NAME, octal);
}

/** The name of a medium in WHERE. */
export function escapeMedium(raw: string): string {
  return raw.replace(ESCAPED_MEDIUM, octal);
}

/** A field of its own, where `-` is none. @throws CodedError ARCHIVE_INVALID */
export function unescapeField(text: string): Raw {
  return unescapeValue(text === '-' ? '' : text);
}

/** A key or value within a field. @throws CodedError ARCHIVE_INVALID for a backslash that begins no escape */
export function unescapeValue(text: string): Raw {
  if (!text.includes('\\')) return text as Raw;
  return text.replace(/\\(0[0-3][0-7][0-7])?/g, (_, digits: string | undefined) => {
    if (digits === undefined) throw invalid('a journal with a broken escape');
    return String.fromCharCode(Number.parseInt(digits, 8));
  }) as Raw;
}

function octal(character: string): string {
  return `\\0${character.charCodeAt(0).toString(8).padStart(3, '0')}`;
}
