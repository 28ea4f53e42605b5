/**
 * The 512-byte header of tar: ustar as POSIX.1-2001 fixes it, read also as GNU and older programs wrote it.
 *
 * Offsets and widths are those of POSIX.1-2001, pax, "ustar Interchange Format". What a header cannot hold is cut here;
 * pax.ts carries it.
 */
import { strict as assert } from 'node:assert';
import { CodedError } from '../base/errors.ts';
import type { Raw } from '../base/raw.ts';
import { writeOctal } from './digits.ts';

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
const LINK_AT = 157;
/** All that every header of ours has in common; never written to. */
const TEMPLATE = makeTemplate();

export function padTo512(lengthBytes: number): number {
  return Math.ceil(lengthBytes / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES;
}

/** Writes a header at `at`. Text longer than its field is cut; numbers must fit. */
export function writeHeader(into: Buffer, at: number, fields: HeaderFields): void {
  fillHeader(into, at, { ...fields, sum: startHeader(into, at, fields) });
}

/** What members that belong together mostly share. */
export type OwnerFields = Pick<HeaderFields, 'mode' | 'uid' | 'gid' | 'user' | 'group'>;

/** Writes a header that has these fields alone, as `writeHeader` does; `fillHeader` completes it. @returns its sum */
export function startHeader(into: Buffer, at: number, owner: OwnerFields): number {
  into.set(TEMPLATE, at);
  into.write(owner.user, at + 265, OWNER_BYTES, 'latin1');
  into.write(owner.group, at + 297, OWNER_BYTES, 'latin1');
  writeOctal(into, at + 106, owner.mode);
  writeOctal(into, at + 114, owner.uid);
  writeOctal(into, at + 122, owner.gid);
  return headerSum(into.subarray(at, at + TAR_BLOCK_BYTES));
}

/**
 * Completes at `at` a copy of what `startHeader` wrote. The checksum is summed from what is written: adding up 512 bytes
 * again would be most of the work.
 * @param fields.sum as `startHeader` returned it
 * @returns whether all of the name and link that was written is ASCII
 */
export function fillHeader(
  into: Buffer,
  at: number,
  fields: Omit<HeaderFields, keyof OwnerFields> & { readonly sum: number },
): boolean {
  const { name, link } = fields;
  let sum = fields.sum;
  const nameBytes = writeName(into, at, name);
  const linkBytes = link === '' ? 0 : writeName(into, at + LINK_AT, link);
  const nameSum = sumAscii(into, at, at + nameBytes);
  const linkSum = sumAscii(into, at + LINK_AT, at + LINK_AT + linkBytes);
  sum += Math.abs(nameSum) + Math.abs(linkSum);
  sum += writeOctal(into, at + 134, fields.sizeBytes);
  sum += writeOctal(into, at + 146, fields.mtimeSeconds);
  const type = fields.type.charCodeAt(0);
  into[at + 156] = type;
  sum += type;
  if (fields.major > 0) sum += writeOctal(into, at + 335, fields.major);
  if (fields.minor > 0) sum += writeOctal(into, at + 343, fields.minor);
  writeChecksum(into, at, sum);
  return nameSum >= 0 && linkSum >= 0;
}

/** Gives a header of size 0 another one. @param fields.sum its `headerSum` */
export function fillSize(
  into: Buffer,
  at: number,
  { sizeBytes, sum }: { readonly sizeBytes: number; readonly sum: number },
): void {
  writeChecksum(into, at, sum + writeOctal(into, at + 134, sizeBytes));
}

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

/** Six digits, over what stands there. */
function writeChecksum(into: Buffer, at: number, sum: number): void {
  let rest = sum;
  for (let last = at + CHECKSUM_AT + 5; last >= at + CHECKSUM_AT; last -= 1) {
    into[last] = 0x30 + (rest & 7);
    rest >>>= 3;
  }
}

/** Over NULs; cut where the field ends. @returns how many bytes were written */
function writeName(into: Buffer, at: number, name: string): number {
  return into.write(name.length > NAME_BYTES ? cutName(name) : name, at, 'latin1');
}

/** The sum of these bytes, negative where one of them is not ASCII. */
function sumAscii(bytes: Uint8Array, from: number, to: number): number {
  let sum = 0;
  let all = 0;
  for (let at = from; at < to; at += 1) {
    const byte = bytes[at] ?? 0;
    sum += byte;
    all |= byte;
  }
  return all > 0x7f ? -sum : sum;
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
  block.write('\0 ', CHECKSUM_AT + 6, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  return block;
}
