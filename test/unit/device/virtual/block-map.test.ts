import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BlockMap, frameBytes } from '../../../../src/device/virtual/block-map.ts';

test.each([
  [0, 4],
  [1, 10],
  [2, 10],
  [511, 520],
  [524288, 524296],
])('a record of %i bytes occupies %i', (length, bytes) => expect(frameBytes(length)).toBe(bytes));

/** A tape as a list of lengths, 0 for a mark: what the map must say of it. */
type Model = readonly number[];

function place(model: Model, block: number) {
  const before = model.slice(0, block);
  return {
    block,
    file: before.filter((length) => length === 0).length,
    bytes: before.reduce((sum, length) => sum + length, 0),
    offset: before.reduce((sum, length) => sum + frameBytes(length), 0),
  };
}

function expectSame(map: BlockMap, model: Model): void {
  expect(map.end).toEqual(place(model, model.length));
  for (const [block, lengthBytes] of model.entries()) {
    expect(map.at(block)).toEqual({ ...place(model, block), lengthBytes });
    expect(map.placeOf(block)).toMatchObject(place(model, block));
  }
  expect(map.at(model.length)).toBeUndefined();
  expect(map.at(-1)).toBeUndefined();
  expect(map.placeOf(model.length + 3)).toEqual(map.end);
  const marks = model.flatMap((length, block) => (length === 0 ? [block] : []));
  expect(marks.map((_, index) => map.filemark(index))).toEqual(marks);
  expect(map.filemark(marks.length)).toBeUndefined();
  expect(map.filemark(-1)).toBeUndefined();
}

const step = fc.oneof(
  fc.record({
    kind: fc.constant('append' as const),
    // few lengths, so that runs grow, end and begin again
    length: fc.constantFrom(0, 0, 1, 2, 7, 512),
    count: fc.integer({ min: 1, max: 4 }),
  }),
  fc.record({ kind: fc.constant('truncate' as const), block: fc.nat(30) }),
);

describe('against a list of lengths', () => {
  test('whatever is appended and cut', () =>
    fc.assert(
      fc.property(fc.array(step, { maxLength: 14 }), (steps) => {
        const map = new BlockMap();
        let model: number[] = [];
        for (const taken of steps) {
          if (taken.kind === 'append') {
            map.append(taken.length, taken.count);
            model.push(...new Array<number>(taken.count).fill(taken.length));
          } else {
            map.truncate(taken.block);
            model = model.slice(0, taken.block);
          }
        }
        expectSame(map, model);
      }),
      { numRuns: 300 },
    ));

  test('a tape told in two parts is the same tape', () =>
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(0, 1, 1, 512), { maxLength: 20 }),
        fc.nat(20),
        (model, cut) => {
          const map = new BlockMap();
          for (const length of model) map.append(length);
          const other = new BlockMap();
          for (const length of model.slice(0, cut)) other.append(length);
          for (const run of map.since(cut)) {
            expect(run).toMatchObject({ startBlock: other.end.block, offset: other.end.offset });
            other.append(run.lengthBytes, run.count);
          }
          expectSame(other, model);
        },
      ),
    ));

  test('what is told of it is a copy', () => {
    const map = new BlockMap();
    map.append(10, 2);
    const [run] = map.since(0);
    if (run) run.count = 99;
    expect(map.end.block).toBe(2);
  });
});

test('an 18 TB cartridge is a few runs', () => {
  const map = new BlockMap();
  for (let archive = 0; archive < 500; archive += 1) {
    map.append(524288, 64_000);
    map.append(1000);
    map.append(0);
  }
  expect(map.since(0)).toHaveLength(1500);
  expect(map.end).toMatchObject({ block: 32_001_000, file: 500 });
  expect(map.at(32_000_997)).toMatchObject({ lengthBytes: 524288, file: 499 });
  expect(map.filemark(499)).toBe(32_000_999);
});
