import fc from 'fast-check';
import { expect, test } from 'vitest';
import { seededRandom, systemRandom } from '../../../src/base/random.ts';

test('the same seed gives the same numbers, another seed others', () => {
  const draw = (seed: number) => {
    const random = seededRandom(seed);
    return [random.below(1000), random.uuid(), random.below(1e12)];
  };
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
});

test('numbers stay below the limit and uuids are version 4', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 2 ** 48 - 1 }), (seed, limit) => {
      const random = seededRandom(seed);
      for (let i = 0; i < 20; i++) {
        const n = random.below(limit);
        if (!Number.isInteger(n) || n < 0 || n >= limit) return false;
      }
      return /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(
        random.uuid(),
      );
    }),
  );
  expect(systemRandom.below(1)).toBe(0);
  expect(systemRandom.uuid()).not.toBe(systemRandom.uuid());
});
