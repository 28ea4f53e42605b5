/**
 * The 512-byte header of tar: ustar as POSIX.1-2001 fixes it, read also as GNU and older programs wrote it.
 *
 * Offsets and widths are those of POSIX.1-2001, pax, "ustar Interchange Format". What a header cannot hold is cut here;
 * pax.ts carries it.
 */
import { strict as assert } from 'node:assert';
import { CodedError } from '../base/errors.ts';
import type { Raw } from '../base/raw.ts';

export const TAR_BLOCK_BYTES = 512;

/** Largest values of octal fields with a closing NUL. */
export const OCTAL_12_MAX = 0o77777777777;
export const OCTAL_8_MAX = 0o7777777;
export const NAME_BYTES = 100;
/** With its closing NUL 32. */
export const OWNER_BYTES = 31;

export type HeaderFields = {
  readonly name: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly mtimeSeconds: number;
  readonly type: string;
  readonly link: string;
  readonly user: string;
  readonly group: string;
  readonly major: number;
  readonly minor: number;
};

export type ParsedHeader = HeaderFields & {
  readonly name: Raw;
  readonly link: Raw;
  readonly user: Raw;
  readonly group: Raw;
};

const ZEROS = Buffer.alloc(TAR_BLOCK_BYTES);

const SPACE = 0x20;
const CHECKSUM_AT = 148;
/** All that every header of ours has in common; never written to. */
const TEMPLATE = makeTemplate();
const TEMPLATE_SUM = headerSum(TEMPLATE);

export function padTo512(lengthBytes: number): number {
  return Math.ceil(lengthBytes / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES;
}

/**
 * Writes a header at `at`. Text longer than its field is cut; numbers must fit. The checksum is summed from what is
 * written over the template: adding up 512 bytes again would be most of the work.
 */
export function writeHeader(into: Buffer, at: number, fields: HeaderFields): void {
  into.set(TEMPLATE, at);
  const name = fields.name.length > NAME_BYTES ? cutName(fields.name) : fields.name;
  let sum = TEMPLATE_SUM;
  sum += writeText(into, at, { value: name, lengthBytes: NAME_BYTES });
  sum += writeOctal(into, at + 106, fields.mode);
  sum += writeOctal(into, at + 114, fields.uid);
  sum += writeOctal(into, at + 122, fields.gid);
  sum += writeOctal(into, at + 134, fields.sizeBytes);
  sum += writeOctal(into, at + 146, fields.mtimeSeconds);
  const type = fields.type.charCodeAt(0);
  into[at + 156] = type;
  sum += type;
  sum += writeText(into, at + 157, { value: fields.link, lengthBytes: NAME_BYTES });
  sum += writeText(into, at + 265, { value: fields.user, lengthBytes: OWNER_BYTES });
  sum += writeText(into, at + 297, { value: fields.group, lengthBytes: OWNER_BYTES });
  sum += writeOctal(into, at + 335, fields.major);
  sum += writeOctal(into, at + 343, fields.minor);
  writeOctal(into, at + CHECKSUM_AT + 5, sum);
}

/** Writes a header whose only difference to `like`, one of size 0, is its size. */
export function writeSizedHeader(into: Buffer, at: number, like: SizedHeader): void {
  into.set(like.block, at);
  const sum = like.sum + writeOctal(into, at + 134, like.sizeBytes);
  into.fill('0', at + CHECKSUM_AT, at + CHECKSUM_AT + 6);
  writeOctal(into, at + CHECKSUM_AT + 5, sum);
}

export type SizedHeader = {
  readonly block: Buffer;
  /** Of `headerSum`. */
  readonly sum: number;
  readonly sizeBytes: number;
};

/** A header, or undefined for a block of zeros. @throws CodedError ARCHIVE_INVALID for anything else. */
export function parseHeader(block: Buffer): ParsedHeader | undefined {
  assert(block.length === TAR_BLOCK_BYTES);
  if (block.equals(ZEROS)) return undefined;
  if (!hasChecksum(block)) throw invalid('a tar header with a wrong checksum');
  const magic = block.toString('latin1', 257, 263);
  const prefix = magic === 'ustar\0' ? text(block, 345, 155) : '';
  const name = text(block, 0, NAME_BYTES);
  return {
    name: (prefix === '' ? name : `${prefix}/${name}`) as Raw,
    mode: count(block, 100, 8) % 0o10000,
    uid: count(block, 108, 8),
    gid: count(block, 116, 8),
    sizeBytes: count(block, 124, 12),
    mtimeSeconds: numeric(block, 136, 12),
    type: String.fromCharCode(block.readUInt8(156)),
    link: text(block, 157, NAME_BYTES),
    user: magic.startsWith('ustar') ? text(block, 265, 32) : ('' as Raw),
    group: magic.startsWith('ustar') ? text(block, 297, 32) : ('' as Raw),
    major: magic.startsWith('ustar') ? count(block, 329, 8) : 0,
    minor: magic.startsWith('ustar') ? count(block, 337, 8) : 0,
  };
}

/** Whether the block is a tar header by its checksum; some old programs summed signed bytes. */
export function hasChecksum(block: Buffer): boolean {
  const unsigned = headerSum(block);
  const high = block.reduce((sum, byte) => (byte < 0x80 ? sum : sum + 1), 0);
  const signed = unsigned - 256 * high;
  const stored = octal(block, CHECKSUM_AT, 8);
  return stored !== undefined && (stored === unsigned || stored === signed);
}

/** A count in octal or GNU's base 256. @throws CodedError ARCHIVE_INVALID */
export function count(block: Buffer, at: number, lengthBytes: number): number {
  const value = numeric(block, at, lengthBytes);
  if (value < 0) throw invalid('a negative number in a tar header');
  return value;
}

export function invalid(reason: string): CodedError {
  return new CodedError('ARCHIVE_INVALID', `this archive cannot be read on: ${reason}`);
}

function numeric(block: Buffer, at: number, lengthBytes: number): number {
  const first = block.readUInt8(at);
  const value =
    first === 0x80 || first === 0xff
      ? base256(block, at, lengthBytes)
      : octal(block, at, lengthBytes);
  if (value === undefined || !Number.isSafeInteger(value))
    throw invalid('a number in a tar header that is none, or too large');
  return value;
}

/** Big-endian two's complement, the first byte being the sign alone. */
function base256(block: Buffer, at: number, lengthBytes: number): number {
  let value = block.readUInt8(at) === 0xff ? -1 : 0;
  for (let index = 1; index < lengthBytes; index += 1)
    value = value * 256 + block.readUInt8(at + index);
  return value;
}

/** Leading blanks and what follows a blank or NUL are none of the number; nothing at all is 0. */
function octal(block: Buffer, at: number, lengthBytes: number): number | undefined {
  let value = 0;
  let index = at;
  const end = at + lengthBytes;
  while (index < end && block[index] === SPACE) index += 1;
  for (; index < end; index += 1) {
    const byte = block[index] ?? 0;
    if (byte === 0 || byte === SPACE) return value;
    if (byte < 0x30 || byte > 0x37) return undefined;
    value = value * 8 + byte - 0x30;
  }
  return value;
}

function text(block: Buffer, at: number, lengthBytes: number): Raw {
  const end = block.indexOf(0, at);
  const stop = end < 0 || end > at + lengthBytes ? at + lengthBytes : end;
  return block.toString('latin1', at, stop) as Raw;
}

/** Right-aligned digits ending at `last`, over the template's zeros. Returns what the checksum grows by. */
function writeOctal(into: Buffer, last: number, value: number): number {
  let rest = value;
  let sum = 0;
  for (let at = last; rest > 0; at -= 1) {
    const digit = rest % 8;
    into[at] = 0x30 + digit;
    sum += digit;
    rest = (rest - digit) / 8;
  }
  return sum;
}

/** At most `lengthBytes` of a text, over the template's NULs. Returns what the checksum grows by. */
function writeText(
  into: Buffer,
  at: number,
  { value, lengthBytes }: { readonly value: string; readonly lengthBytes: number },
): number {
  const end = Math.min(value.length, lengthBytes);
  let sum = 0;
  for (let index = 0; index < end; index += 1) {
    const code = value.charCodeAt(index);
    into[at + index] = code;
    sum += code;
  }
  return sum;
}

/** Without a slash at the end: old programs take such a name for a directory. */
function cutName(name: string): string {
  let end = NAME_BYTES;
  while (end > 1 && name[end - 1] === '/') end -= 1;
  return name.slice(0, end);
}

/** Unsigned sum of a header, its checksum taken as blanks. */
export function headerSum(block: Buffer): number {
  let sum = 8 * SPACE;
  for (let at = 0; at < TAR_BLOCK_BYTES; at += 1)
    if (at < CHECKSUM_AT || at >= CHECKSUM_AT + 8) sum += block[at] ?? 0;
  return sum;
}

function makeTemplate(): Buffer {
  const block = Buffer.alloc(TAR_BLOCK_BYTES);
  for (const [at, digits] of [
    [100, 7],
    [108, 7],
    [116, 7],
    [124, 11],
    [136, 11],
    [329, 7],
    [337, 7],
  ] as const)
    block.fill('0', at, at + digits);
  block.write('000000\0 ', CHECKSUM_AT, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  return block;
}
