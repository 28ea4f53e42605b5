import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  bestOrder,
  goSeconds,
  locateSeconds,
  ORDERED_MAX,
  passSeconds,
  tapeShape,
} from '../../../src/recall/order.ts';

const LTO9 = tapeShape('LTO-9', 18e12);
const WRAP = 18e12 / 280;
const span = (startByte: number, lengthBytes = 1e6) => ({
  startByte,
  endByte: startByte + lengthBytes,
});

test.each([
  ['standing still', 5e9, 5e9, 0],
  // From the start of wrap 0 to the end of wrap 1, which lies beside it: a wrap change and coming up to speed.
  ['next door on the next wrap', 0, 2 * WRAP - 1, 3],
  ['the whole length of a wrap', 0, WRAP - 1, 62],
  ['half of it', 0, WRAP / 2, 32],
  ['the same place, two wraps on', WRAP / 2, 2.5 * WRAP, 3],
])('a locate: %s', (_, from, to, seconds) => {
  expect(locateSeconds(LTO9, from, to)).toBeCloseTo(seconds, 3);
  expect(locateSeconds(LTO9, to, from)).toBeCloseTo(seconds, 3);
});

test('a short way ahead is read through, a long one is located, and back is always located', () => {
  expect(goSeconds(LTO9, 0, 4e8)).toBeCloseTo(1, 6);
  expect(goSeconds(LTO9, 0, WRAP - 1)).toBeCloseTo(62, 3);
  expect(goSeconds(LTO9, 4e8, 0)).toBeGreaterThan(2);
});

test('scattered extents are read nearest first, in less than in order of block', () => {
  // One at the start and one at the end of each of ten wraps: in order, the tape is run through for each pair.
  const ascending = Array.from({ length: 10 }, (_, wrap) => [
    span(2 * wrap * WRAP + 1e8),
    span(2 * wrap * WRAP + 0.9 * WRAP),
  ]).flat();
  const best = bestOrder(LTO9, 0, ascending);
  expect(passSeconds(LTO9, 0, best)).toBeLessThan(passSeconds(LTO9, 0, ascending) / 3);
});

test('many, or those that lie close, are read as they lie', () => {
  const close = Array.from({ length: 50 }, (_, index) => span(index * 5e7));
  expect(bestOrder(LTO9, 0, close.toReversed())).toEqual(close);
  const many = Array.from({ length: ORDERED_MAX + 1 }, (_, index) => span(index * 1e10));
  expect(bestOrder(LTO9, 0, many.toReversed())).toEqual(many);
});

test('every order has each extent once, and none costs more than order of block', () => {
  const spans = fc.array(fc.integer({ min: 0, max: 17_999_999 }), { maxLength: 40 });
  fc.assert(
    fc.property(spans, fc.integer({ min: 0, max: 17_999_999 }), (starts, head) => {
      const all = [...new Set(starts)].map((start) => span(start * 1e6));
      const best = bestOrder(LTO9, head * 1e6, all);
      const ascending = all.toSorted((a, b) => a.startByte - b.startByte);
      expect(new Set(best)).toEqual(new Set(all));
      expect(best).toHaveLength(all.length);
      expect(passSeconds(LTO9, head * 1e6, best)).toBeLessThanOrEqual(
        passSeconds(LTO9, head * 1e6, ascending),
      );
    }),
  );
});
