/** Where the data of a sparse content lie, as `contents.holes` keeps it (SCHEMA.md section 6). */
import type { DataRange } from '../../domain/entry.ts';

const RANGE_BYTES = 16;

export function encodeRanges(ranges: readonly DataRange[]): Buffer {
  const bytes = Buffer.alloc(ranges.length * RANGE_BYTES);
  for (const [index, { offset, lengthBytes }] of ranges.entries()) {
    bytes.writeBigUInt64BE(BigInt(offset), index * RANGE_BYTES);
    bytes.writeBigUInt64BE(BigInt(lengthBytes), index * RANGE_BYTES + 8);
  }
  return bytes;
}

export function decodeRanges(bytes: Buffer): DataRange[] {
  return Array.from({ length: bytes.length / RANGE_BYTES }, (_, index) => ({
    offset: Number(bytes.readBigUInt64BE(index * RANGE_BYTES)),
    lengthBytes: Number(bytes.readBigUInt64BE(index * RANGE_BYTES + 8)),
  }));
}
