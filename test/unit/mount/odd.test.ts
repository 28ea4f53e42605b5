/** Catalogs with a history: what was a directory and is a file, what was always empty. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Directories } from '../../../src/catalog/tree/directories.ts';
import { BackupWorld, HOST } from '../../sim/backup-world.ts';
import { mountInMemory } from '../../sim/mount-world.ts';

test('a directory that became a file: its versions are there, behind the permissions it had', async () => {
  const world = await BackupWorld.make();
  const place = join(world.source, 'private');
  mkdirSync(place);
  writeFileSync(join(place, 'secret'), 'nobody else reads this');
  chmodSync(place, 0o700);
  await world.backup();
  rmSync(place, { recursive: true });
  writeFileSync(place, 'a file now');
  await world.backup();
  const kernel = await mountInMemory(world);
  const found = await kernel.walk(`/.shelfs/versions${place}`);
  expect((await kernel.attributes(found.nodeId)).mode).toBe(0o040700);
  expect(found.mode).toBe(0o040700);
  const names = (await kernel.list(found.nodeId)).map(({ name }) => name);
  expect(names).toEqual([expect.stringMatching(/^20.*Z$/), 'secret']);
});

test('a directory in which nothing ever was has its own attributes, as of now', async () => {
  const world = await BackupWorld.make();
  const place = join(world.source, 'drop');
  mkdirSync(place);
  execFileSync('setfattr', ['-n', 'user.note', '-v', 'its own', place]);
  execFileSync('setfacl', ['-d', '-m', 'u:12345:rwx', place]);
  await world.backup();
  const kernel = await mountInMemory(world);
  const { nodeId } = await kernel.walk(place);
  expect(await kernel.xattr(nodeId, 'user.note')).toBe('its own');
  expect(await kernel.xattr(nodeId, 'system.posix_acl_default')).toBeDefined();
  expect(await kernel.xattrNames(nodeId, 1)).toEqual(['system.posix_acl_default', 'user.note']);
  // The door answers for a node without this bit that there are none.
  expect(Math.floor(nodeId / 2 ** 51) % 2).toBe(1);
  expect(await kernel.list(nodeId)).toEqual([]);
  chmodSync(place, 0o700);
  await world.backup();
  await kernel.tick();
  const now = await kernel.walk(place);
  expect((await kernel.attributes(now.nodeId)).mode).toBe(0o040700);
});

test('a host of which nothing was known then is an empty directory', async () => {
  const world = await BackupWorld.make();
  writeFileSync(join(world.source, 'a'), 'a');
  await world.backup();
  new Directories(world.catalog).ensureHost('other');
  const kernel = await mountInMemory(world, { hostName: 'other' });
  const { nodeId } = await kernel.walk('/.shelfs/hosts');
  expect((await kernel.list(nodeId)).map(({ name }) => name)).toEqual(['other', HOST]);
  const [snapshot] = await kernel.list((await kernel.walk('/.snapshots')).nodeId);
  for (const path of ['/.shelfs/hosts/other', `/.snapshots/${snapshot?.name}`, '/.shelfs/tree']) {
    const root = await kernel.walk(path);
    expect((await kernel.attributes(root.nodeId)).ino).toBe(root.ino);
    expect(await kernel.list(root.nodeId)).toEqual([]);
  }
});
