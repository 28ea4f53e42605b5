import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeSparseMap } from '../../../src/archive/sparse.ts';
import type { Extent } from '../../../src/domain/content.ts';
import { unfolding } from '../../../src/recall/unfold.ts';

const LENGTH = 20_000;
const CONTENT_OFFSET = 7;

/** Cut at these places, as blocks of a tape cut it. */
function unfold(extent: Extent, stored: Buffer, cuts: readonly number[]): Buffer {
  const content = Buffer.alloc(CONTENT_OFFSET + LENGTH);
  const one = unfolding(extent, extent.contentOffset);
  const edges = [
    ...new Set([0, ...cuts.map((cut) => cut % stored.length), stored.length]),
  ].toSorted((a, b) => a - b);
  let before = extent.contentOffset;
  for (let index = 1; index < edges.length; index += 1) {
    for (const { offset, bytes } of one.take(stored.subarray(edges[index - 1], edges[index])))
      bytes.copy(content, offset);
    expect(one.reached).toBeGreaterThanOrEqual(before);
    before = one.reached;
  }
  expect(one.reached).toBe(extent.contentOffset + extent.lengthBytes);
  return content.subarray(CONTENT_OFFSET);
}

test('sparse and plain, however they are cut', () => {
  const runs = fc.array(
    fc.record({ gap: fc.integer({ min: 1, max: 900 }), length: fc.integer({ min: 1, max: 900 }) }),
    { maxLength: 10 },
  );
  fc.assert(
    fc.property(runs, fc.array(fc.nat(), { maxLength: 8 }), (sparse, cuts) => {
      const content = Buffer.alloc(LENGTH);
      const ranges: { offset: number; lengthBytes: number }[] = [];
      let at = 0;
      for (const { gap, length } of sparse) {
        ranges.push({ offset: at + gap, lengthBytes: length });
        content.fill((at % 250) + 1, at + gap, at + gap + length);
        at += gap + length;
      }
      const data = ranges.map(({ offset, lengthBytes }) =>
        content.subarray(offset, offset + lengthBytes),
      );
      const stored = Buffer.concat([encodeSparseMap(ranges, LENGTH), ...data]);
      const extent = {
        contentOffset: CONTENT_OFFSET,
        lengthBytes: LENGTH,
        archiveOffset: 1234,
        storedBytes: stored.length,
        form: 'sparse',
      } as const;
      expect(unfold(extent, stored, cuts).equals(content)).toBe(true);
      const plain = { ...extent, storedBytes: LENGTH, form: 'plain' } as const;
      expect(unfold(plain, content, cuts).equals(content)).toBe(true);
    }),
  );
});

test('a map that is none is named', () => {
  const stored = Buffer.alloc(1024, 'x');
  const extent = {
    contentOffset: 0,
    lengthBytes: 5000,
    archiveOffset: 0,
    storedBytes: 1024,
    form: 'sparse',
  } as const;
  expect(() => unfolding(extent, 0).take(stored)).toThrow(
    expect.objectContaining({ code: 'ARCHIVE_INVALID' }),
  );
});
