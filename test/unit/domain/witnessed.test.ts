/** Age as far as there is a witness: ordinary pauses count in full, leaps of the clock do not. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decide, type Policy } from '../../../src/domain/retention.ts';
import { witnessedSeconds } from '../../../src/domain/witnessed.ts';

const HOUR = 3600;
const DAY = 24 * HOUR;

/** A snapshot at the end of each pause, the first at 0. */
function after(pauses: readonly number[]): number[] {
  let now = 0;
  return [0, ...pauses.map((pause) => (now += pause))];
}

/** By how much each seems younger than the clock says. */
function younger(pauses: readonly number[]): number[] {
  const seconds = after(pauses);
  return witnessedSeconds(seconds).map((moment, index) => moment - (seconds[index] ?? 0));
}

describe('what counts', () => {
  test.each([
    ['nothing', [], [0]],
    ['one a day', [DAY, DAY, DAY], [0, 0, 0, 0]],
    ['more and more often', [DAY, DAY, HOUR, HOUR], [0, 0, 0, 0, 0]],
    [
      'a leap of three hundred days',
      [DAY, DAY, 301 * DAY, DAY],
      [300 * DAY, 300 * DAY, 300 * DAY, 0, 0],
    ],
    ['a leap of two days', [DAY, DAY, DAY, 3 * DAY], [2 * DAY, 2 * DAY, 2 * DAY, 2 * DAY, 0]],
    ['a leap at the very beginning', [100 * DAY], [99 * DAY, 0]],
    // The first week-end is a surprise, as the second is; from then on they are the habit.
    [
      'week-ends',
      [DAY, DAY, 3 * DAY, DAY, DAY, 3 * DAY, DAY, 3 * DAY],
      [4, 4, 4, 2, 2, 2, 0, 0, 0].map((days) => days * DAY),
    ],
    ['once a week', [7 * DAY, 7 * DAY, 7 * DAY], [12 * DAY, 6 * DAY, 0, 0]],
  ])('%s', (_, pauses, expected) => expect(younger(pauses)).toEqual(expected));
});

const pauses = fc.array(fc.integer({ min: 1, max: 400 * DAY }), { maxLength: 40 });

test('nothing seems older than the clock says, and the order stays', () => {
  fc.assert(
    fc.property(pauses, (given) => {
      const moments = witnessedSeconds(after(given));
      expect(younger(given).every((seconds) => seconds >= 0)).toBe(true);
      expect(moments).toEqual(moments.toSorted((a, b) => a - b));
    }),
  );
});

/**
 * Snapshots of a shelf with a habit, and the same ones by a clock that leaps: whatever the rule, what goes by the clock that leapt goes
 * by the other one too, but for the one pause in which it leapt, of which nobody knows more than the habit.
 */
test('a leap expires nothing that a sane clock keeps', () => {
  const spans = fc.record({
    count: fc.integer({ min: 1, max: 900 }),
    unit: fc.constantFrom('h', 'd'),
  });
  fc.assert(
    fc.property(
      fc.record({
        habit: fc.array(fc.constantFrom(DAY, DAY, 3 * DAY), { minLength: 8, maxLength: 40 }),
        leap: fc.integer({ min: 1, max: 365 * DAY }),
        at: fc.nat(),
        within: spans,
      }),
      ({ habit, leap, at, within }) => {
        const where = 4 + (at % (habit.length - 4));
        // Two of the longest at first: the habit is known.
        const sane = [3 * DAY, 3 * DAY, ...habit].with(where, 3 * DAY);
        const leapt = sane.with(where, (sane[where] ?? 0) + leap);
        const policy: Policy = { counts: {}, windows: {}, pick: 'latest', within };
        const kept = (all: readonly number[]) => {
          const seconds = after(all);
          const born = witnessedSeconds(seconds);
          const candidates = seconds.map((second, index) => ({
            ...{ id: index, seconds: second, witnessedSeconds: born[index], isPartial: false },
            ...{ sources: ['home'], pool: 'main', isHeld: false },
          }));
          const policies = { general: policy, sources: {}, pools: {} };
          return decide(candidates, policies, 1e11).flatMap(({ id, reasons }) =>
            reasons.length > 0 ? [id] : [],
          );
        };
        const keptBySane = kept(sane);
        const keptByLeapt = new Set(kept(leapt));
        for (const id of keptBySane) expect(keptByLeapt.has(id)).toBe(true);
      },
    ),
  );
});
