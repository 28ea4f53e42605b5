/** The tree as the kernel is told of it: names, attributes, views, without any medium. */
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededRandom } from '../../../src/base/random.ts';
import { OPCODE } from '../../../src/mount/protocol/opcodes.ts';
import { BackupWorld } from '../../sim/backup-world.ts';
import type { FakeKernel } from '../../sim/fake-kernel.ts';
import { mountInMemory } from '../../sim/mount-world.ts';
import { makeRichTree } from '../../sim/rich-tree.ts';

async function richWorld(): Promise<BackupWorld> {
  const world = await BackupWorld.make();
  makeRichTree(world.source, seededRandom(1));
  await world.backup();
  return world;
}

/** Every path below the source in the mount, with what it looks like. */
async function* walk(
  kernel: FakeKernel,
  path: string,
  nodeId?: number,
): AsyncGenerator<{ path: string; entry: Awaited<ReturnType<FakeKernel['walk']>> }> {
  const id = nodeId ?? (await kernel.walk(path)).nodeId;
  for (const entry of await kernel.list(id)) {
    yield { path: `${path}/${entry.name}`, entry };
    if ((entry.mode & 0o170000) !== 0o040000) continue;
    // As a kernel does with what a listing gave it no node for.
    const found = entry.nodeId === 0 ? await kernel.lookup(id, entry.name) : entry;
    yield* walk(kernel, `${path}/${entry.name}`, found?.nodeId);
  }
}

test('a rich tree looks as its source does, by listing and by name', async () => {
  const world = await richWorld();
  const kernel = await mountInMemory(world);
  const seen: string[] = [];
  for await (const { path, entry } of walk(kernel, world.source)) {
    seen.push(path);
    const real = lstatSync(Buffer.from(path, 'latin1'), { bigint: true });
    expect({ path, mode: entry.mode, uid: entry.uid, gid: entry.gid, rdev: entry.rdev }).toEqual({
      path,
      mode: Number(real.mode),
      uid: Number(real.uid),
      gid: Number(real.gid),
      rdev: Number(real.rdev),
    });
    expect([path, BigInt(entry.mtime) * 1_000_000_000n + BigInt(entry.mtimeNs)]).toEqual([
      path,
      real.mtimeNs,
    ]);
    if (real.isDirectory()) continue;
    expect([path, entry.size, entry.links]).toEqual([path, Number(real.size), Number(real.nlink)]);
    const byName = await kernel.walk(path);
    expect(byName).toMatchObject({ nodeId: entry.nodeId, ino: entry.ino, size: entry.size });
    expect(await kernel.attributes(entry.nodeId)).toMatchObject({
      ino: entry.ino,
      mode: entry.mode,
    });
  }
  const real = execFileSync('find', [world.source, '-mindepth', '1', '-print0']);
  const expected = real.toString('latin1').split('\0').filter(Boolean);
  expect(seen.toSorted()).toEqual(expected.toSorted());
});

test('hard links have one inode number, duplicates have their own', async () => {
  const world = await richWorld();
  const kernel = await mountInMemory(world);
  const ino = async (name: string) => (await kernel.walk(join(world.source, name))).ino;
  expect(await ino('documents/large.bin')).toBe(await ino('zz hard link to large'));
  expect(await ino('documents/same 1')).not.toBe(await ino('documents/deep/same 2'));
});

test('blocks are what is stored, and at least one where there is any data', async () => {
  const world = await richWorld();
  const kernel = await mountInMemory(world);
  const blocks = async (name: string) => (await kernel.walk(join(world.source, name))).blocks;
  expect(await blocks('all hole')).toBe(0);
  expect(await blocks('documents/a.txt')).toBe(1);
  const sparse = await blocks('sparse.img');
  expect(sparse).toBeGreaterThan(100);
  expect(sparse).toBeLessThan(400);
});

test('a small answer at a time loses no entry and repeats none', async () => {
  const world = await BackupWorld.make();
  const names = Array.from({ length: 300 }, (_, index) => `${'n'.repeat(index % 200)}${index}`);
  for (const name of names) writeFileSync(join(world.source, name), name);
  await world.backup();
  const kernel = await mountInMemory(world);
  const { nodeId } = await kernel.walk(world.source);
  const listed = (await kernel.list(nodeId, 4096)).map(({ name }) => name);
  expect(listed.toSorted()).toEqual(names.toSorted());
});

test('a directory read from any place, again and again, is the same; answers made ahead are sent', async () => {
  const world = await BackupWorld.make();
  const names = Array.from({ length: 300 }, (_, index) => `name ${index}`);
  for (const name of names) writeFileSync(join(world.source, name), name);
  await world.backup();
  const kernel = await mountInMemory(world);
  const { nodeId } = await kernel.walk(world.source);
  const whole = await kernel.list(nodeId, 4096);
  expect(kernel.sentAhead).toBeGreaterThan(10);
  const opened = await kernel.ask(OPCODE.OPENDIR, nodeId, Buffer.alloc(8));
  const handle = opened.body.readBigUInt64LE(0);
  for (const [offset, sizeBytes] of [
    [0, 4096],
    [200, 4096],
    [20, 8192],
    [20, 4096],
    [302, 4096],
    [302, 4096],
    [150, 4096],
    [0, 131_072],
    [100, 131_072],
  ] as const) {
    const found = await kernel.readDirectory(nodeId, { handle, offset, sizeBytes });
    const listed = found.filter(({ name }) => name !== '.' && name !== '..');
    const start = Math.max(0, offset - 2);
    expect(listed).toEqual(whole.slice(start, start + listed.length));
    expect(listed.length > 0 || offset === 302).toBe(true);
  }
});

test('numbers and listings follow the tape', async () => {
  const world = await BackupWorld.make();
  writeFileSync(join(world.source, 'z first'), 'first run');
  await world.backup();
  writeFileSync(join(world.source, 'a second'), 'second run');
  await world.backup();
  const kernel = await mountInMemory(world);
  const listed = await kernel.list((await kernel.walk(world.source)).nodeId);
  expect(listed.map(({ name }) => name)).toEqual(['z first', 'a second']);
  const numbers = listed.map(({ ino }) => ino);
  expect(numbers).toEqual(numbers.toSorted((a, b) => (a < b ? -1 : 1)));
});

test('old snapshots, deleted files and versions are found by name', async () => {
  const world = await richWorld();
  const old = join(world.source, 'documents', 'a.txt');
  const before = statSync(old).size;
  mkdirSync(join(world.source, 'folder'));
  writeFileSync(join(world.source, 'folder', 'inside'), 'inside');
  await world.backup();
  world.sim.clock.sleepMs(3_600_000, new AbortController().signal);
  writeFileSync(old, 'longer than it was');
  rmSync(join(world.source, 'sparse.img'));
  renameSync(join(world.source, 'documents', 'deep'), join(world.source, 'moved'));
  rmSync(join(world.source, 'folder'), { recursive: true });
  writeFileSync(join(world.source, 'folder'), 'a file now');
  await world.backup();
  const kernel = await mountInMemory(world);
  const snapshots = (await kernel.list((await kernel.walk('/.snapshots')).nodeId)).map(
    ({ name }) => name,
  );
  const [first, , second, ...links] = snapshots;
  expect(links).toEqual(['latest', 'hourly', 'daily', 'monthly']);
  expect((await kernel.walk(`/.snapshots/${first}${old}`)).size).toBe(before);
  expect((await kernel.walk(`/.snapshots/${second}${old}`)).size).toBe(18);
  expect((await kernel.walk(old)).size).toBe(18);
  const colons = first?.replace(/T(\d\d)(\d\d)/, 'T$1:$2:');
  expect((await kernel.walk(`/.snapshots/${colons}`)).mode & 0o170000).toBe(0o120000);
  const versions = await kernel.list((await kernel.walk(`/.shelfs/versions${old}`)).nodeId);
  expect(versions.map(({ name, size }) => [name, size])).toEqual([
    [second, 18],
    [first, before],
  ]);
  const deleted: string[] = [];
  for await (const { path } of walk(kernel, '/.shelfs/deleted')) deleted.push(path);
  const root = `/.shelfs/deleted${world.source}`;
  expect(deleted).toContain(`${root}/sparse.img`);
  expect(deleted).toContain(`${root}/documents/deep/same 2`);
  expect(deleted).toContain(`${root}/folder/inside`);
  expect(deleted).not.toContain(`${root}/documents/a.txt`);
  expect(deleted).not.toContain(`${root}/moved`);
});

test('of names without an id of the catalog few are remembered, and numbers stay', async () => {
  const world = await BackupWorld.make();
  writeFileSync(join(world.source, 'file'), 'first');
  mkdirSync(join(world.source, 'empty'));
  await world.backup();
  const kernel = await mountInMemory(world);
  for (const [folder, name] of [
    [`/.shelfs/versions${world.source}`, 'file'],
    [world.source, 'empty'],
    ['/.snapshots', 'latest'],
  ] as const) {
    const parent = (await kernel.walk(folder)).nodeId;
    const listed = (await kernel.list(parent)).find((entry) => entry.name === name);
    expect(listed).toMatchObject({ nodeId: 0, entrySeconds: 0 });
    const first = await kernel.lookup(parent, name);
    const again = await kernel.lookup(parent, name);
    assert(first && again);
    expect(first).toMatchObject({ nodeId: again.nodeId, ino: listed?.ino, entrySeconds: 0 });
    expect(first.nodeId).toBeGreaterThan(0);
    if (name !== 'latest') {
      // What it remembered below them would keep them.
      for (const below of await kernel.list(first.nodeId))
        expect(below).toMatchObject({ nodeId: 0, entrySeconds: 0 });
      const missing = await kernel.ask(OPCODE.LOOKUP, first.nodeId, Buffer.from('nothing\0'));
      expect(Number(missing.body.readBigUInt64LE(16))).toBe(0);
    }
    kernel.forget(first.nodeId, 1);
    expect(await kernel.attributes(first.nodeId)).toMatchObject({ ino: first.ino });
    kernel.forget(first.nodeId, 1);
    await expect(kernel.attributes(first.nodeId)).rejects.toThrow('ENOENT');
    expect(await kernel.lookup(parent, name)).toMatchObject({ ino: first.ino });
    const told = kernel.forgotten.length;
    for (let times = 0; times < 2000; times += 1) await kernel.lookup(parent, name);
    expect(kernel.forgotten.slice(told)).toContain(`${parent} ${name}`);
  }
});

test('a medium shows what lies on it; hosts, tree and texts are there; the root hides them', async () => {
  const world = await richWorld();
  const kernel = await mountInMemory(world);
  const names = async (path: string) =>
    (await kernel.list((await kernel.walk(path)).nodeId)).map(({ name }) => name);
  expect(await names('/.shelfs/media')).toEqual(['BKP001L8']);
  expect((await kernel.walk(`/.shelfs/media/BKP001L8${world.source}/documents/a.txt`)).size).toBe(
    6,
  );
  expect(await names('/.shelfs/hosts')).toEqual(['testhost']);
  expect(await names('/')).not.toContain('.shelfs');
  expect(await names('/.shelfs/tree')).toEqual(await names('/'));
  const { nodeId } = await kernel.walk('/.shelfs/wanted');
  const { handle } = await kernel.open(nodeId);
  const { body } = await kernel.read(nodeId, { handle, offset: 0, lengthBytes: 4096 }).answer;
  expect(body.toString()).toBe('nothing is wanted\n');
});
