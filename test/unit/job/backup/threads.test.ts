/** When threads start: with what the scan finds, before all is found; in a small run never. */
import { expect, onTestFinished, test } from 'vitest';
import type { Outstanding } from '../../../../src/catalog/run/run.ts';
import { Threads } from '../../../../src/job/backup/threads.ts';

const MANY: Outstanding = { rows: 1000, waitingBytes: 1e6, needsMedium: true };
const FEW: Outstanding = { rows: 3, waitingBytes: 5, needsMedium: true };

function threads(): Threads {
  const made = new Threads({ workers: 1, memoryBytes: 2 ** 28 });
  onTestFinished(() => made.close());
  return made;
}

test('who reads is known when enough was found, and stays the same when the rest is', () => {
  const run = threads();
  run.foresee(FEW);
  expect(() => run.readAhead).toThrow(/it is known/);
  run.foresee({ ...MANY, waitingBytes: 0 });
  expect(() => run.readAhead).toThrow(/it is known/);
  run.foresee(MANY);
  const { readAhead } = run;
  run.foresee({ ...MANY, rows: 2000 });
  // Most turned out to be stored already.
  run.start(FEW, 0);
  expect(run.readAhead).toBe(readAhead);
});

test.each([
  ['little', FEW],
  ['nothing that has bytes', { ...MANY, waitingBytes: 0 }],
  ['nothing', { rows: 0, waitingBytes: 0, needsMedium: false }],
])('with %s somebody reads all the same', (_, outstanding) => {
  const run = threads();
  run.start(outstanding, 0);
  expect(run.readAhead).toBeDefined();
});
