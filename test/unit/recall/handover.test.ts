/** When a backup lets recalls have its drives, however the clock on the wall is set meanwhile. */
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Clock } from '../../../src/base/clock.ts';
import { RunRoles } from '../../../src/catalog/run-db/roles.ts';
import { RunDb } from '../../../src/catalog/run-db/run-db.ts';
import { BackupHandover } from '../../../src/recall/handover.ts';
import { scratchDirectory } from '../../sim/scratch.ts';

const go = new AbortController().signal;
const HOUR_MS = 3_600_000;

test('a clock that is set back does not keep the drives from those who read', async () => {
  const db = RunDb.open(join(await scratchDirectory(), 'run.db'));
  onTestFinished(() => db.close());
  const rolesOf = (own: string) => new RunRoles(db, { own, isAlive: () => true });
  const reader = rolesOf('reader');
  let [wallMs, passedMs] = [1000 * HOUR_MS, 0];
  const clock: Clock = {
    nowMs: () => wallMs,
    monotonicMs: () => passedMs,
    // Who has asked gives them back at once.
    sleepMs: async () => reader.giveBack(),
  };
  const handover = new BackupHandover(rolesOf('backup'), clock);
  let handed = 0;
  const between = async () => {
    reader.ask(wallMs, { isFirst: false });
    const letGo = async () => {
      handed += 1;
    };
    await handover.between({ hasChanger: true, letGo, onWait: () => {} }, go);
    return handed;
  };
  expect(await between()).toBe(1);
  // Now it has them for half an hour.
  expect(await between()).toBe(1);
  wallMs -= 100 * HOUR_MS;
  expect(await between()).toBe(1);
  passedMs += HOUR_MS;
  expect(await between()).toBe(2);
  // Set forward, it is no later.
  wallMs += 200 * HOUR_MS;
  expect(await between()).toBe(2);
  handover.end();
});
