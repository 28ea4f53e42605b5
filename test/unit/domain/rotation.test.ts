/** Which cartridges are carried, and which never are. */
import { expect, test } from 'vitest';
import {
  planRotation,
  type RotatedMedium,
  type RotationRule,
} from '../../../src/domain/rotation.ts';

const DAY = 86_400_000;
const RULE: RotationRule = { pool: 'main', vault: 'Bank', everyMs: 7 * DAY, sets: 2 };

const medium = (id: number, changed: Partial<RotatedMedium> = {}): RotatedMedium => ({
  ...{ id, barcode: `A0000${id}L9`, location: undefined, arrivedMs: undefined },
  ...{ isCarried: true, archives: [id] },
  ...changed,
});
const inVault = (id: number, day: number, changed: Partial<RotatedMedium> = {}) =>
  medium(id, { location: 'Bank', arrivedMs: day * DAY + 1, ...changed });

function plan(
  media: readonly RotatedMedium[],
  options: { alone?: readonly number[]; lastDay?: number; rule?: Partial<RotationRule> } = {},
) {
  const { alone = [], lastDay, rule } = options;
  const made = planRotation({ ...RULE, ...rule }, media, {
    nowMs: 100 * DAY,
    lastTripMs: lastDay === undefined ? undefined : lastDay * DAY,
    isAlone: (id) => alone.includes(id),
  });
  const ids = (list: readonly RotatedMedium[]) => list.map(({ id }) => id);
  return {
    goes: ids(made.goes),
    comes: ids(made.comes),
    stays: ids(made.stays),
    due: made.dueMs / DAY,
  };
}

test('the first trip is due at once, the next after its time', () => {
  expect(plan([medium(1), medium(2)])).toEqual({ goes: [1, 2], comes: [], stays: [], due: 100 });
  expect(plan([inVault(1, 98)], { lastDay: 98 }).due).toBe(105);
});

test('of several copies one goes; what is there already, and what is empty or suspect, does not', () => {
  const mirrored = [medium(1, { archives: [7, 8] }), medium(2, { archives: [7, 8] })];
  expect(plan(mirrored).goes).toEqual([1]);
  expect(plan([...mirrored, inVault(3, 90, { archives: [7, 8] })]).goes).toEqual([]);
  expect(plan([medium(1, { archives: [] }), medium(2, { isCarried: false })]).goes).toEqual([]);
  expect(plan([medium(1, { archives: [7, 8] }), inVault(3, 90, { archives: [7] })]).goes).toEqual([
    1,
  ]);
});

test('the oldest sets come back when more are there than are to stay; a set comes whole', () => {
  const there = [inVault(1, 70), inVault(2, 70), inVault(3, 80), inVault(4, 90)];
  expect(plan(there).comes).toEqual([1, 2]);
  expect(plan([...there, medium(5)]).comes).toEqual([1, 2, 3]);
  expect(plan(there, { rule: { sets: 3 } }).comes).toEqual([]);
  expect(plan([...there, medium(5)], { rule: { sets: 3 } }).comes).toEqual([1, 2]);
});

test('what holds something that nothing else there has stays', () => {
  const there = [inVault(1, 70), inVault(2, 70), inVault(3, 80), inVault(4, 90)];
  expect(plan(there, { alone: [2] })).toMatchObject({ comes: [1], stays: [2] });
});

test('of two that hold the same, only one comes back', () => {
  const there = [inVault(1, 70), inVault(2, 71), inVault(3, 80), inVault(4, 90)];
  const made = planRotation(RULE, there, {
    ...{ nowMs: 100 * DAY, lastTripMs: 90 * DAY },
    isAlone: (id, others) => (id === 1 && !others.includes(2)) || (id === 2 && !others.includes(1)),
  });
  expect(made.comes.map(({ id }) => id)).toEqual([1]);
  expect(made.stays.map(({ id }) => id)).toEqual([2]);
});
