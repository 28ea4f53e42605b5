/** Who walks a tree: told to all processes, and forgotten when it walks no more. */
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { SimClock } from '../../../src/base/clock.ts';
import { Below } from '../../../src/catalog/restore/below.ts';
import { RunDb } from '../../../src/catalog/run-db/run-db.ts';
import { RunWants } from '../../../src/catalog/run-db/wants.ts';
import { Directories } from '../../../src/catalog/tree/directories.ts';
import { WALK_KEPT_MS, Walkers } from '../../../src/recall/walkers.ts';
import { BackupWorld, HOST } from '../../sim/backup-world.ts';

test('a mount that lives on does not keep those who walked it long ago', async () => {
  const world = await BackupWorld.make();
  const db = RunDb.open(join(world.state, 'run.db'));
  onTestFinished(() => db.close());
  const wants = new RunWants(db);
  const clock = new SimClock();
  const below = new Below(world.catalog);
  const { directoryId } = new Directories(world.catalog).ensureHost(HOST);
  const programs = { nameOf: () => 'cp' };
  const walkers = new Walkers({ below, wants, process: 'boot:1:1', programs, clock });
  for (let pid = 1; pid <= 20; pid += 1) {
    // The second file it waits for makes it a walker.
    for (let file = 0; file < 2; file += 1) walkers.waits(pid, { directoryId, snapshotId: 1 });
    clock.advanceMs(WALK_KEPT_MS / 2);
  }
  expect(wants.walks().map(({ walker }) => walker)).toEqual(['18', '19', '20']);
});
