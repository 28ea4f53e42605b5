/**
 * Paths as people type them: relative ones from where they are, bytes that no keyboard has as `rawText` prints them.
 *
 * What the kernel hands to a program as arguments arrives as text, and bytes that are no UTF-8 are lost on the way. So
 * `\xNN` stands for a byte and `\u{N}` for a character; a backslash before an x of its own is `\x5c`.
 */
import { CodedError } from '../base/errors.ts';
import { joinRaw, type Raw, rawOf } from '../base/raw.ts';
import { printable } from '../base/text.ts';
import { normalizePath } from '../source/original.ts';

/** The kernel takes no longer one (PATH_MAX), but the catalog knows paths that were reached in steps. */
const PATH_BYTES_MAX = 64 * 1024;

/** @throws CodedError USAGE where an escape names no byte a path may have */
export function rawArgument(text: string): Raw {
  const raw = text
    .split(/(\\x[0-9a-fA-F]{2}|\\u\{[0-9a-fA-F]{1,6}\})/)
    .map((part, index) => (index % 2 === 1 ? escaped(part, text) : rawOf(part)))
    .join('') as Raw;
  if (raw.includes('\0')) throw usage(text, 'holds a NUL, which no name has');
  if (raw.length > PATH_BYTES_MAX) throw usage(text.slice(0, 100), 'is longer than any path');
  return raw;
}

/**
 * An absolute path without `.`, `..` and a slash at its end, by its words alone.
 * @param from where a relative one starts; absolute
 * @throws CodedError USAGE
 */
export function pathArgument(text: string, from: Raw): Raw {
  const raw = rawArgument(text);
  if (raw === '') throw usage(text, 'is empty');
  return normalizePath(raw.startsWith('/') ? raw : joinRaw(from, raw));
}

function escaped(part: string, text: string): Raw {
  if (part.startsWith('\\x')) return String.fromCharCode(Number.parseInt(part.slice(2), 16)) as Raw;
  const code = Number.parseInt(part.slice(3, -1), 16);
  if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
    throw usage(text, `holds ${part}, which is no character`);
  }
  return rawOf(String.fromCodePoint(code));
}

function usage(text: string, what: string): CodedError {
  return new CodedError('USAGE', `"${printable(text)}" ${what}`);
}
