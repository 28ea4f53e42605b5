/** The map before a sparse member's data: GNU sparse format 1.0, decimal lines padded with zeros to 512 bytes. */
import { strict as assert } from 'node:assert';
import type { DataRange } from '../domain/entry.ts';
import { parseCount } from './pax.ts';
import { invalid, padTo512 } from './ustar.ts';

export const SPARSE_RANGES_MAX = 1_000_000;
export const SPARSE_MAP_BYTES_MAX = 64 * 2 ** 20;

/**
 * The map of a file of `lengthBytes`. Ranges ascend, do not touch and lie within it. A file ending in a hole gets a last
 * run of length 0, without which GNU tar would extract it too short.
 */
export function encodeSparseMap(ranges: readonly DataRange[], lengthBytes: number): Buffer {
  const lines: string[] = [];
  let end = 0;
  for (const range of ranges) {
    assert(range.offset >= end && range.lengthBytes > 0, 'ranges of a sparse file ascend');
    end = range.offset + range.lengthBytes;
    lines.push(`${range.offset}\n${range.lengthBytes}\n`);
  }
  assert(end <= lengthBytes, 'ranges of a sparse file lie within it');
  if (end < lengthBytes || lines.length === 0) lines.push(`${lengthBytes}\n0\n`);
  const text = `${lines.length}\n${lines.join('')}`;
  const map = Buffer.alloc(padTo512(text.length));
  map.write(text, 0, 'latin1');
  return map;
}

/**
 * Reads the map at the start of `bytes`: its data ranges (those of length 0 left out) and its own padded length.
 * Undefined where more bytes are needed to see its end.
 * @throws CodedError ARCHIVE_INVALID also for runs that overlap or lie outside `lengthBytes`
 */
export function parseSparseMap(
  bytes: Buffer,
  lengthBytes: number,
): { ranges: DataRange[]; mapBytes: number } | undefined {
  let at = 0;
  const number = (): number | undefined => {
    const end = bytes.indexOf(0x0a, at);
    if (end < 0 && bytes.length - at <= 16) return undefined;
    const value =
      end < 0 || end - at > 16 ? undefined : parseCount(bytes.toString('latin1', at, end));
    if (value === undefined) throw invalid('a sparse map with a broken number');
    at = end + 1;
    return value;
  };
  const count = number();
  if (count === undefined) return undefined;
  if (count > SPARSE_RANGES_MAX) throw invalid(`a sparse map of ${count} runs`);
  const runs: DataRange[] = [];
  for (let index = 0; index < count; index += 1) {
    const offset = number();
    const run = offset === undefined ? undefined : number();
    if (offset === undefined || run === undefined) return undefined;
    runs.push({ offset, lengthBytes: run });
  }
  const mapBytes = padTo512(at);
  if (mapBytes > bytes.length) return undefined;
  return { ranges: checkRanges(runs, lengthBytes), mapBytes };
}

/** Data ranges of any sparse format, empty ones left out, touching ones joined. @throws CodedError ARCHIVE_INVALID */
export function checkRanges(runs: readonly DataRange[], lengthBytes: number): DataRange[] {
  const ranges: { offset: number; lengthBytes: number }[] = [];
  let end = 0;
  for (const run of runs) {
    if (run.offset < end || run.offset + run.lengthBytes > lengthBytes)
      throw invalid('a sparse map whose runs overlap or leave the file');
    const last = ranges.at(-1);
    if (run.lengthBytes > 0 && last !== undefined && run.offset === end && end > 0)
      last.lengthBytes += run.lengthBytes;
    else if (run.lengthBytes > 0) ranges.push({ ...run });
    end = run.offset + run.lengthBytes;
  }
  return ranges;
}
