/** Sizes as people write them, and the few helpers for big-endian fields that Buffer lacks. */
import { strict as assert } from 'node:assert';

const DECIMAL = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

const FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1e3,
  kb: 1e3,
  m: 1e6,
  mb: 1e6,
  g: 1e9,
  gb: 1e9,
  t: 1e12,
  tb: 1e12,
  p: 1e15,
  pb: 1e15,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
  pib: 2 ** 50,
};

/**
 * Reads a size such as `2GB`, `1.5 TB`, `512 KiB` or `4096`. Units without an i are decimal, as tape makers count.
 * Undefined where the text is no size, is below one byte or is above what a Number holds exactly.
 */
export function parseSize(text: string): number | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text);
  const factor = FACTORS[match?.[2]?.toLowerCase() ?? '?'];
  if (match?.[1] === undefined || factor === undefined) return undefined;
  const bytes = Math.round(Number(match[1]) * factor);
  return Number.isSafeInteger(bytes) && bytes >= 1 ? bytes : undefined;
}

/** A size for people, decimal, three significant digits: `17.1 TB`. */
export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < DECIMAL.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${DECIMAL[unit]}`;
}

/** A 64-bit big-endian field as a Number. Fields we use stay far below 2^53; one that does not is a broken device. */
export function readUInt64(bytes: Buffer, offset: number): number {
  const value = bytes.readBigUInt64BE(offset);
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : Number.POSITIVE_INFINITY;
}

export function writeUInt64(bytes: Buffer, value: number, offset: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, `not a count: ${value}`);
  bytes.writeBigUInt64BE(BigInt(value), offset);
}

/** A big-endian field of 1 to 8 bytes, the whole buffer. */
export function readUInt(bytes: Buffer): number {
  let value = 0;
  for (const byte of bytes) value = value * 256 + byte;
  return value;
}

export function fromHex(hex: string): Buffer {
  const digits = hex.replace(/[\s:]/g, '');
  assert(/^([0-9a-f]{2})*$/i.test(digits), `not hex: ${hex}`);
  return Buffer.from(digits, 'hex');
}

/** `12 00 00 00 60 00`, as SCSI people write it. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    .toString('hex')
    .replace(/(..)(?=.)/g, '$1 ');
}

/** A fixed-width ASCII field without its padding of blanks or NULs. Bytes that are not printable become `?`. */
export function readAscii(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes)
    text += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : byte === 0 ? ' ' : '?';
  return text.trim();
}

/** Writes text left-aligned into a field of `lengthBytes`, padded with blanks. */
export function asciiField(text: string, lengthBytes: number): Buffer {
  return Buffer.from(text.slice(0, lengthBytes).padEnd(lengthBytes, ' '), 'latin1');
}
