import { expect, test } from 'vitest';
import { SimClock } from '../../../src/base/clock.ts';
import { REFUSED_DEFAULT, StormGuard, systemPrograms } from '../../../src/recall/guard.ts';

const refused = expect.objectContaining({ code: 'RECALL_REFUSED' });

function guard(budgetBytes = Number.POSITIVE_INFINITY, list = REFUSED_DEFAULT) {
  const clock = new SimClock();
  return { clock, guard: new StormGuard({ refused: list, budgetBytes, clock }) };
}

test.each([
  ['tumblerd', true],
  ['tracker-miner-f', true],
  ['updatedb.plocat', true],
  ['Plex Media Scan', true],
  ['clamscan', true],
  ['cp', false],
  ['rsync', false],
  ['smbd', false],
  ['mdse', false],
  ['', false],
])('%s: refused %s', (name, isRefused) => {
  const admit = () => guard().guard.admit({ pid: 1, name }, 1);
  if (isRefused) expect(admit).toThrow(refused);
  else expect(admit).not.toThrow();
});

test("a list of one's own takes the place of ours", () => {
  const own = guard(undefined, ['cp']).guard;
  expect(() => own.admit({ pid: 1, name: 'cp' }, 1)).toThrow(refused);
  expect(() => own.admit({ pid: 1, name: 'tumblerd' }, 1)).not.toThrow();
});

test('a budget is of a process and an hour, and one file is always allowed', () => {
  const { clock, guard: budget } = guard(100);
  const cp = { pid: 1, name: 'cp' };
  budget.admit(cp, 1000);
  expect(() => budget.admit(cp, 1)).toThrow(refused);
  budget.admit({ pid: 2, name: 'cp' }, 60);
  budget.admit({ pid: 2, name: 'cp' }, 40);
  expect(() => budget.admit({ pid: 2, name: 'cp' }, 1)).toThrow(refused);
  clock.advanceMs(3_600_001);
  expect(() => budget.admit(cp, 1)).not.toThrow();
});

test('names are those of the kernel; who is gone has none', () => {
  expect(systemPrograms.nameOf(process.pid)).not.toBe('');
  expect(systemPrograms.nameOf(2 ** 22 + 1)).toBe('');
});
