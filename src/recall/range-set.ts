/** A set of bytes as ranges that ascend and do not touch. Pure. */
import type { DataRange } from '../domain/entry.ts';

export class RangeSet {
  #ranges: DataRange[] = [];

  get ranges(): readonly DataRange[] {
    return this.#ranges;
  }

  add({ offset, lengthBytes }: DataRange): void {
    if (lengthBytes === 0) return;
    let [start, end] = [offset, offset + lengthBytes];
    const apart: DataRange[] = [];
    for (const range of this.#ranges) {
      const rangeEnd = range.offset + range.lengthBytes;
      if (rangeEnd < start || range.offset > end) apart.push(range);
      else [start, end] = [Math.min(start, range.offset), Math.max(end, rangeEnd)];
    }
    apart.push({ offset: start, lengthBytes: end - start });
    this.#ranges = apart.sort((a, b) => a.offset - b.offset);
  }

  remove({ offset, lengthBytes }: DataRange): void {
    if (lengthBytes === 0) return;
    const end = offset + lengthBytes;
    this.#ranges = this.#ranges.flatMap((range) => {
      const rangeEnd = range.offset + range.lengthBytes;
      const before = {
        offset: range.offset,
        lengthBytes: Math.min(rangeEnd, offset) - range.offset,
      };
      const start = Math.max(range.offset, end);
      const behind = { offset: start, lengthBytes: rangeEnd - start };
      return [before, behind].filter((part) => part.lengthBytes > 0);
    });
  }

  covers({ offset, lengthBytes }: DataRange): boolean {
    if (lengthBytes === 0) return true;
    return this.#ranges.some(
      (range) => range.offset <= offset && offset + lengthBytes <= range.offset + range.lengthBytes,
    );
  }

  /** What of a range is not in the set. */
  gaps({ offset, lengthBytes }: DataRange): DataRange[] {
    const end = offset + lengthBytes;
    const gaps: DataRange[] = [];
    let at = offset;
    for (const range of this.#ranges) {
      if (range.offset >= end) break;
      if (range.offset > at) gaps.push({ offset: at, lengthBytes: range.offset - at });
      at = Math.max(at, range.offset + range.lengthBytes);
    }
    if (at < end) gaps.push({ offset: at, lengthBytes: end - at });
    return gaps;
  }
}
