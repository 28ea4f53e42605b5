import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RangeSet } from '../../../src/recall/range-set.ts';

const SIZE = 64;
const range = fc.record({
  offset: fc.integer({ min: 0, max: SIZE - 1 }),
  lengthBytes: fc.integer({ min: 0, max: 20 }),
});

test('it is the set of its bytes, whatever is added and removed', () => {
  const step = fc.record({ kind: fc.constantFrom('add', 'remove'), range });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), range, (steps, asked) => {
      const set = new RangeSet();
      const bytes = new Set<number>();
      const each = ({ offset, lengthBytes }: { offset: number; lengthBytes: number }) =>
        Array.from({ length: lengthBytes }, (_, index) => offset + index);
      for (const { kind, range: changed } of steps) {
        if (kind === 'add') {
          set.add(changed);
          for (const byte of each(changed)) bytes.add(byte);
        } else {
          set.remove(changed);
          for (const byte of each(changed)) bytes.delete(byte);
        }
      }
      expect(set.ranges.flatMap(each)).toEqual([...bytes].toSorted((a, b) => a - b));
      expect(set.covers(asked)).toBe(each(asked).every((byte) => bytes.has(byte)));
      expect(set.gaps(asked).flatMap(each)).toEqual(each(asked).filter((byte) => !bytes.has(byte)));
      for (const [index, { offset }] of set.ranges.entries()) {
        const before = set.ranges[index - 1];
        if (before) expect(before.offset + before.lengthBytes).toBeLessThan(offset);
      }
    }),
  );
});
