/** Where a content has data and where holes: found by halving, for there may be a million of them. */
import type { DataRange } from '../../domain/entry.ts';

export class DataMap {
  readonly #ranges: readonly DataRange[];
  /** Bytes of data before each range. */
  readonly #before: Float64Array;

  /** @param ranges ascending */
  constructor(ranges: readonly DataRange[]) {
    this.#ranges = ranges;
    this.#before = new Float64Array(ranges.length);
    let bytes = 0;
    for (const [index, { lengthBytes }] of ranges.entries()) {
      this.#before[index] = bytes;
      bytes += lengthBytes;
    }
  }

  /** Bytes of data before an offset in the content. */
  before(offset: number): number {
    const index = this.#firstBehind(offset) - 1;
    const range = this.#ranges[index];
    if (!range) return 0;
    return (this.#before[index] ?? 0) + Math.min(range.lengthBytes, offset - range.offset);
  }

  /** Data between two offsets, as ranges of the content. */
  *between(from: number, to: number): Generator<DataRange> {
    for (let index = Math.max(0, this.#firstBehind(from) - 1); ; index += 1) {
      const range = this.#ranges[index];
      if (!range || range.offset >= to) return;
      const offset = Math.max(from, range.offset);
      const end = Math.min(to, range.offset + range.lengthBytes);
      if (offset < end) yield { offset, lengthBytes: end - offset };
    }
  }

  /** Index of the first range that begins behind an offset. */
  #firstBehind(offset: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ranges[middle]?.offset ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
