/** A mount while others write: what is new appears, what is held stays, snapshots stand still. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { BackupWorld } from '../../sim/backup-world.ts';
import { mountInMemory } from '../../sim/mount-world.ts';

test('a backup by another process is seen at the next look; the kernel is told of directories it knows', async () => {
  const world = await BackupWorld.make();
  mkdirSync(join(world.source, 'sub'));
  writeFileSync(join(world.source, 'sub', 'gone soon'), 'one');
  await world.backup();
  const kernel = await mountInMemory(world);
  const { nodeId } = await kernel.walk(join(world.source, 'sub'));
  const known = await kernel.list(nodeId);
  expect(known).toMatchObject([{ name: 'gone soon', entrySeconds: 1 }]);
  rmSync(join(world.source, 'sub', 'gone soon'));
  writeFileSync(join(world.source, 'sub', 'new'), 'two');
  await world.backup();
  expect((await kernel.list(nodeId)).map(({ name }) => name)).toEqual(['gone soon']);
  await kernel.tick();
  expect((await kernel.list(nodeId)).map(({ name }) => name)).toEqual(['new']);
  const told = [...kernel.forgotten];
  expect(told).toEqual(
    expect.arrayContaining([`${nodeId}`, `${nodeId} gone soon`, `${nodeId} new`]),
  );
  await kernel.tick();
  expect(kernel.forgotten).toEqual(told);
});

test('a directory that is open is read to its end as it was', async () => {
  const world = await BackupWorld.make();
  for (let file = 0; file < 100; file += 1)
    writeFileSync(join(world.source, `f${file}`), `${file}`);
  await world.backup();
  const kernel = await mountInMemory(world);
  const { nodeId } = await kernel.walk(world.source);
  const { body } = await kernel.ask(27, nodeId, Buffer.alloc(8));
  const handle = body.readBigUInt64LE(0);
  const first = await kernel.readDirectory(nodeId, { handle, offset: 0, sizeBytes: 4096 });
  for (let file = 0; file < 100; file += 2) rmSync(join(world.source, `f${file}`));
  await world.backup();
  await kernel.tick();
  const names = new Set(first.map(({ name }) => name));
  for (let chunk = first; chunk.length > 0; ) {
    const offset = chunk.at(-1)?.offset ?? 0;
    chunk = await kernel.readDirectory(nodeId, { handle, offset, sizeBytes: 4096 });
    for (const { name } of chunk) names.add(name);
  }
  expect(names.size).toBe(102);
});

test('a mount of one snapshot, and of all that ever was', async () => {
  const world = await BackupWorld.make();
  writeFileSync(join(world.source, 'old'), 'one');
  await world.backup();
  rmSync(join(world.source, 'old'));
  writeFileSync(join(world.source, 'new'), 'two');
  await world.backup();
  const names = async (root: Parameters<typeof mountInMemory>[1]) => {
    const kernel = await mountInMemory(world, root);
    const entries = await kernel.list((await kernel.walk(world.source)).nodeId);
    return entries.map(({ name, entrySeconds }) => [name, entrySeconds > 1]);
  };
  expect(await names({ root: { kind: 'snapshot', snapshotId: 1 } })).toEqual([['old', true]]);
  expect(await names({ root: { kind: 'all' } })).toEqual([
    ['old', false],
    ['new', false],
  ]);
});

test('nodes of what is virtual are forgotten with their last reference', async () => {
  const world = await BackupWorld.make();
  writeFileSync(join(world.source, 'file'), 'one');
  await world.backup();
  const kernel = await mountInMemory(world);
  const path = `/.shelfs/versions${join(world.source, 'file')}`;
  const first = await kernel.walk(path);
  const again = await kernel.walk(path);
  expect(again.nodeId).toBe(first.nodeId);
  const forget = Buffer.alloc(8);
  forget.writeBigUInt64LE(2n);
  void kernel.send(2, first.nodeId, forget);
  const later = await kernel.walk(path);
  expect(later.nodeId).not.toBe(first.nodeId);
});
