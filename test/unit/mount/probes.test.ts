/** What desktops look for everywhere is answered from memory, unless it is there. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Raw } from '../../../src/base/raw.ts';
import { Probes } from '../../../src/mount/probes.ts';
import { BackupWorld } from '../../sim/backup-world.ts';
import { mountInMemory } from '../../sim/mount-world.ts';

test.each(['.Trash', '.Trash-1000', '._photo.jpg', '.DS_Store', '.hidden', 'autorun.inf'])(
  '%s',
  (name) => {
    expect(new Probes().isProbe(name as Raw)).toBe(true);
  },
);

test.each(['.Trashed', '.', 'hidden', '.ds_store.txt', 'photo.jpg'])(
  '%s is a name like others',
  (name) => {
    expect(new Probes().isProbe(name as Raw)).toBe(false);
  },
);

test('one that was backed up is found, one that comes later too', async () => {
  const world = await BackupWorld.make();
  writeFileSync(join(world.source, '._kept'), 'a file like any other');
  await world.backup();
  const kernel = await mountInMemory(world);
  const { nodeId } = await kernel.walk(world.source);
  expect(await kernel.lookup(nodeId, '._kept')).toMatchObject({ size: 21 });
  expect(await kernel.lookup(nodeId, '.hidden')).toBe(undefined);
  writeFileSync(join(world.source, '.hidden'), 'secret');
  await world.backup();
  expect(await kernel.lookup(nodeId, '.hidden')).toBe(undefined);
  await kernel.tick();
  expect(await kernel.lookup(nodeId, '.hidden')).toMatchObject({ size: 6 });
});
