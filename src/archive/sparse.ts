/** The map before a sparse member's data: GNU sparse format 1.0, decimal lines padded with zeros to 512 bytes. */
import { strict as assert } from 'node:assert';
import type { DataRange } from '../domain/entry.ts';
import { parseCount, paxRecord } from './pax.ts';
import { invalid, padTo512, TAR_BLOCK_BYTES } from './ustar.ts';

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

/** The records of a member that begins with a map. @param lengthBytes holes included */
export function sparseRecords(name: string, lengthBytes: number): string {
  return (
    paxRecord('GNU.sparse.major', '1') +
    paxRecord('GNU.sparse.minor', '0') +
    paxRecord('GNU.sparse.name', name) +
    paxRecord('GNU.sparse.realsize', String(lengthBytes))
  );
}

/** Reads a map block by block, so that no byte of the data behind it is taken. */
export class SparseMapReader {
  #count: number | undefined;
  readonly #numbers: number[] = [];
  #digits = '';
  #mapBytes = 0;

  /**
   * Takes the next 512 bytes; true once the map has ended.
   * @throws CodedError ARCHIVE_INVALID for what is no map or exceeds the limits
   */
  push(block: Buffer): boolean {
    assert(block.length === TAR_BLOCK_BYTES);
    this.#mapBytes += block.length;
    if (this.#mapBytes > SPARSE_MAP_BYTES_MAX) throw invalid('a sparse map above 64 MiB');
    const lines = (this.#digits + block.toString('latin1')).split('\n');
    const last = lines.pop() ?? '';
    for (const line of lines) {
      if (this.#isComplete) throw invalid('a sparse map with something behind it');
      this.#add(line);
    }
    this.#digits = this.#isComplete ? '' : last;
    if (this.#digits.length > 16) throw invalid('a sparse map with a broken number');
    return this.#isComplete;
  }

  /** The data ranges within a file of `lengthBytes`. @throws CodedError ARCHIVE_INVALID */
  ranges(lengthBytes: number): DataRange[] {
    assert(this.#isComplete);
    const runs: DataRange[] = [];
    for (let at = 0; at < this.#numbers.length; at += 2)
      runs.push({ offset: this.#numbers[at] ?? 0, lengthBytes: this.#numbers[at + 1] ?? 0 });
    return checkRanges(runs, lengthBytes);
  }

  get #isComplete(): boolean {
    return this.#count !== undefined && this.#numbers.length === 2 * this.#count;
  }

  #add(line: string): void {
    const value = parseCount(line);
    if (value === undefined) throw invalid('a sparse map with a broken number');
    if (this.#count !== undefined) this.#numbers.push(value);
    else if (value > SPARSE_RANGES_MAX) throw invalid(`a sparse map of ${value} runs`);
    else this.#count = value;
  }
}

/**
 * The map at the start of `bytes`: data ranges (those of length 0 left out) and its own padded length. Undefined where
 * the bytes end before it.
 * @throws CodedError ARCHIVE_INVALID also for runs that overlap or lie outside `lengthBytes`
 */
export function parseSparseMap(
  bytes: Buffer,
  lengthBytes: number,
): { ranges: DataRange[]; mapBytes: number } | undefined {
  const reader = new SparseMapReader();
  for (let at = 0; at + TAR_BLOCK_BYTES <= bytes.length; at += TAR_BLOCK_BYTES) {
    if (reader.push(bytes.subarray(at, at + TAR_BLOCK_BYTES)))
      return { ranges: reader.ranges(lengthBytes), mapBytes: at + TAR_BLOCK_BYTES };
  }
  return undefined;
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
