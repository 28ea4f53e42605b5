import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FreshContents } from '../../../../src/catalog/content/fresh.ts';

const ENTRY = fc.tuple(
  fc.oneof(fc.integer({ min: 0, max: 4 }), fc.nat(), fc.constant(Number.MAX_SAFE_INTEGER)),
  fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 2 ** 48 - 1 })),
);

function valuesOf(fresh: FreshContents, sizeBytes: number, key: number): number[] {
  const values: number[] = [];
  for (let at = fresh.find(sizeBytes, key); at >= 0; at = fresh.find(sizeBytes, key, at))
    values.push(fresh.valueOf(at));
  return values;
}

test('finds what was added, each of several with one key, and nothing else', () => {
  fc.assert(
    fc.property(fc.array(ENTRY, { maxLength: 3000 }), ENTRY, (entries, [size, key]) => {
      const fresh = new FreshContents();
      const model = new Map<string, number[]>();
      for (const [index, [sizeBytes, keyBytes]] of entries.entries()) {
        fresh.add(sizeBytes, keyBytes, index);
        const name = `${sizeBytes} ${keyBytes}`;
        model.set(name, [...(model.get(name) ?? []), index]);
      }
      expect(fresh.count).toBe(entries.length);
      for (const [sizeBytes, keyBytes] of entries)
        expect(valuesOf(fresh, sizeBytes, keyBytes).sort((a, b) => a - b)).toEqual(
          model.get(`${sizeBytes} ${keyBytes}`),
        );
      expect(valuesOf(fresh, size, key)).toHaveLength(model.get(`${size} ${key}`)?.length ?? 0);
      const order = [...fresh.inOrder()].map((at) => [fresh.sizeOf(at), fresh.keyOf(at)] as const);
      expect(order).toEqual(order.toSorted(([a, b], [c, d]) => a - c || b - d));
      fresh.clear();
      expect(valuesOf(fresh, size, key)).toEqual([]);
    }),
    { numRuns: 30 },
  );
});

test('two thousand entries of one key are all found', () => {
  const fresh = new FreshContents();
  for (let index = 0; index < 2000; index += 1) fresh.add(7, 7, index);
  expect(valuesOf(fresh, 7, 7)).toHaveLength(2000);
  expect(fresh.find(7, 8)).toBe(-1);
});
