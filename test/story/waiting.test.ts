/** Drives that others have: a job waits for them, or does not, as it is told. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Jobs } from '../../src/catalog/job/jobs.ts';
import type { BackupEvent } from '../../src/job/backup/report.ts';
import { BackupWorld } from '../sim/backup-world.ts';

const go = new AbortController().signal;

async function worldWithFile(drives: number): Promise<BackupWorld> {
  const world = await BackupWorld.make({ drives });
  writeFileSync(join(world.source, 'a'), 'one');
  return world;
}

/** All drives in use, as by other jobs. */
async function holdDrives(world: BackupWorld, drives: number) {
  const holds = [];
  for (let drive = 0; drive < drives; drive += 1)
    holds.push(await world.tools.library.attach(`BKP00${4 - drive}L8`, go));
  return holds;
}

test.each([
  [1, 1],
  [2, 2],
])('%i copies in %i drives wait until both are free, and say so', async (copies, drives) => {
  const world = await worldWithFile(drives);
  const holds = await holdDrives(world, drives);
  const [last, ...others] = holds;
  const events: BackupEvent[] = [];
  let states = '';
  const backup = world.backup({
    copies,
    listen: (event) => {
      events.push(event);
      if (event.event !== 'waiting') return;
      states = new Jobs(world.catalog)
        .list(1)
        .map(({ state }) => state)
        .join();
      // The first is free for a while before the second is: nobody may sit on it.
      void (async () => {
        for (const hold of others) await hold.close();
        await world.sim.clock.sleepMs(60_000, go);
        await last?.close();
      })();
    },
  });
  expect(await backup).toMatchObject({ state: 'finished', warnings: [] });
  expect(events.filter(({ event }) => event === 'waiting')).toEqual([
    { event: 'waiting', reason: expect.stringContaining('drive') },
  ]);
  expect(states).toBe('waiting');
  expect((await world.restore()).report.failed).toEqual([]);
});

test('told not to wait, it ends at once, and nothing is lost', async () => {
  const world = await worldWithFile(1);
  const [hold] = await holdDrives(world, 1);
  await expect(world.backup({ wait: false })).rejects.toMatchObject({ code: 'DRIVE_BUSY' });
  await hold?.close();
  expect(await world.backup({ wait: false })).toMatchObject({
    state: 'finished',
    media: ['BKP001L8'],
  });
});

test('a wish to stop ends the waiting', async () => {
  const world = await worldWithFile(1);
  const holds = await holdDrives(world, 1);
  const stop = new AbortController();
  const backup = world.backup({
    signal: stop.signal,
    listen: ({ event }) => {
      if (event === 'waiting') stop.abort(new Error('stopped'));
    },
  });
  await expect(backup).rejects.toThrow('stopped');
  for (const hold of holds) await hold.close();
  expect(await world.backup()).toMatchObject({ state: 'finished' });
});
