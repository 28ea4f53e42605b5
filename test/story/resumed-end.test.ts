/** What journals say of a run's end: once, and what the catalog says. */
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { unjournaled } from '../../src/catalog/run/journal.ts';
import { Archives } from '../../src/catalog/shelf/archives.ts';
import { Snapshots } from '../../src/catalog/tree/snapshots.ts';
import { BackupWorld } from '../sim/backup-world.ts';

/** Between its last archive and its end a run may verify, and copy, for hours. */
async function cutBehindLastArchive(world: BackupWorld): Promise<void> {
  const stop = new AbortController();
  const listen = ({ event }: { event: string }) => {
    if (event === 'archive') stop.abort(new Error('stopped'));
  };
  const cut = world.backup({ verify: true, listen, signal: stop.signal });
  await expect(cut).rejects.toThrow('stopped');
}

const archivesOf = ({ catalog }: BackupWorld) => new Archives(catalog).ofJob(1);

test('a run that was cut behind its last archive tells its end once', async () => {
  const world = await BackupWorld.make();
  writeFileSync(join(world.source, 'f'), 'bytes');
  await cutBehindLastArchive(world);
  const told = new Archives(world.catalog).endOf(1);
  expect(told?.state).toBe('finished');
  await world.sim.clock.sleepMs(7_200_000, new AbortController().signal);
  for (const cut of [true, false])
    if (cut) await cutAgain(world);
    else expect(await world.backup()).toMatchObject({ state: 'finished', job: 1 });
  expect(archivesOf(world)).toHaveLength(1);
  expect(unjournaled(world.catalog)).toEqual([]);
  expect(new Snapshots(world.catalog).live()?.seconds).toBe(told?.seconds);
});

/** Before it has looked at its sources. */
async function cutAgain(world: BackupWorld): Promise<void> {
  const signal = AbortSignal.abort(new Error('stopped again'));
  await expect(world.backup({ signal })).rejects.toThrow('stopped again');
}

test('what it says it has found is what the run has found, not what its last process has', async () => {
  const world = await BackupWorld.make();
  for (const name of ['kept', 'changed', 'gone', 'old'])
    writeFileSync(join(world.source, name), `bytes of ${name}`);
  await world.backup();
  writeFileSync(join(world.source, 'changed'), 'others');
  writeFileSync(join(world.source, 'new'), 'new bytes');
  rmSync(join(world.source, 'gone'));
  renameSync(join(world.source, 'old'), join(world.source, 'moved'));
  await cutBehindLastArchive(world);
  const { files } = await world.backup();
  expect(files).toMatchObject({ new: 1, changed: 1, moved: 1, gone: 1, same: 1 });
});

test('what it finds then is told, with an end behind it', async () => {
  const world = await BackupWorld.make();
  writeFileSync(join(world.source, 'f'), 'bytes');
  await cutBehindLastArchive(world);
  writeFileSync(join(world.source, 'g'), 'other bytes');
  expect(await world.backup()).toMatchObject({ state: 'finished', job: 1 });
  expect(archivesOf(world)).toHaveLength(2);
  expect(unjournaled(world.catalog)).toEqual([]);
});

test('the time of a snapshot is the one that its journal tells, however long a drive takes to confirm it', async () => {
  const world = await BackupWorld.make({ speed: 'real' });
  writeFileSync(join(world.source, 'f'), 'bytes');
  await world.backup({ verify: true });
  expect(unjournaled(world.catalog)).toEqual([]);
  expect(new Snapshots(world.catalog).live()?.seconds).toBe(
    new Archives(world.catalog).endOf(1)?.seconds,
  );
});
