/** Extended header records of pax (POSIX.1-2001): `LENGTH KEY=VALUE\n`, LENGTH counting itself, bytes one character each. */
import type { Raw } from '../base/raw.ts';
import { writeDecimal, writeWord } from './digits.ts';
import { invalid } from './ustar.ts';

/** All records of one extended header; also what GNU tar and Python take without complaint. */
export const PAX_BYTES_MAX = 2 ** 20;

const BLANK = 0x20;
const EQUALS = 0x3d;
const LINE_FEED = 0x0a;

export type PaxRecord = { readonly key: Raw; readonly value: Raw };

export function paxRecord(key: string, value: string): string {
  return `${recordLength(key.length + value.length)} ${key}=${value}\n`;
}

/** The same, written as bytes. There must be room for it. @returns where it ends */
export function writeRecord(
  into: Buffer,
  at: number,
  { key, value }: { readonly key: string; readonly value: string },
): number {
  const lengthBytes = recordLength(key.length + value.length);
  let end = writeDecimal(into, at, lengthBytes);
  into[end] = BLANK;
  end = writeWord(into, end + 1, key);
  into[end] = EQUALS;
  into.write(value, end + 1, 'latin1');
  into[at + lengthBytes - 1] = LINE_FEED;
  return at + lengthBytes;
}

/** All records, in order, doubles included. @throws CodedError ARCHIVE_INVALID */
export function parsePax(bytes: Buffer): PaxRecord[] {
  const records: PaxRecord[] = [];
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const lengthBytes =
      space < 0 || space - at > 7 ? 0 : parseCount(bytes.toString('latin1', at, space));
    const end = at + (lengthBytes ?? 0);
    const equals = bytes.indexOf(0x3d, space + 1);
    if (!lengthBytes || end > bytes.length || equals <= space + 1 || equals >= end)
      throw invalid('an extended header with a broken record');
    if (bytes[end - 1] !== 0x0a) throw invalid('an extended header record without its end of line');
    records.push({
      key: bytes.toString('latin1', space + 1, equals) as Raw,
      value: bytes.toString('latin1', equals + 1, end - 1) as Raw,
    });
    at = end;
  }
  return records;
}

/** A decimal count of at most 16 digits; undefined where the text is none. */
export function parseCount(text: string | undefined): number | undefined {
  if (text === undefined || text.length === 0 || text.length > 16) return undefined;
  let value = 0;
  for (let index = 0; index < text.length; index += 1) {
    const digit = text.charCodeAt(index) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return Number.isSafeInteger(value) ? value : undefined;
}

/** Of a record whose key and value have `textBytes` together. */
function recordLength(textBytes: number): number {
  const bare = textBytes + 3;
  const lengthBytes = bare + digits(bare);
  return digits(lengthBytes) > digits(bare) ? bare + digits(lengthBytes) : lengthBytes;
}

function digits(value: number): number {
  let count = 1;
  for (let limit = 10; value >= limit; limit *= 10) count += 1;
  return count;
}
