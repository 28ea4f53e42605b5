/** Extended attributes: the file's own, and what the catalog says of it. */
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { snapshotName } from '../../../src/catalog/tree/snapshots.ts';
import { Tree } from '../../../src/catalog/tree/tree.ts';
import { BackupWorld } from '../../sim/backup-world.ts';
import { mountInMemory } from '../../sim/mount-world.ts';

async function world() {
  const made = await BackupWorld.make();
  const file = join(made.source, 'a.txt');
  writeFileSync(file, 'hello\n');
  execFileSync('setfattr', ['-n', 'user.note', '-v', 'its own', file]);
  execFileSync('setfacl', ['-m', 'u:12345:rw', file]);
  writeFileSync(join(made.source, 'plain'), 'two');
  await made.backup();
  return { world: made, file };
}

test('asked for by name they answer; values are what the catalog knows', async () => {
  const { world: made, file } = await world();
  const kernel = await mountInMemory(made);
  const { nodeId } = await kernel.walk(file);
  const b3sum = execFileSync('b3sum', ['--no-names', file], { encoding: 'utf8' }).trim();
  const [snapshot] = new Tree(made.catalog).snapshots.list();
  expect(await kernel.xattr(nodeId, 'user.note')).toBe('its own');
  expect(await kernel.xattr(nodeId, 'system.posix_acl_access')).toBeDefined();
  const expected = {
    hash: b3sum,
    state: 'nearline',
    eta: '60',
    tape: 'BKP001L8',
    copies: '1',
    location: 'BKP001L8 -',
    job: '1',
    version: '1',
    versions: '1',
    snapshot: snapshot && snapshotName(snapshot),
    deleted: 'no',
    source: 'tree',
  };
  for (const [name, value] of Object.entries(expected))
    expect([name, await kernel.xattr(nodeId, `user.shelfs.${name}`)]).toEqual([name, value]);
  expect(await kernel.xattr(nodeId, 'user.shelfs.position')).toMatch(/^\d+:\d+$/);
  expect(await kernel.xattr(nodeId, 'user.shelfs.written')).toMatch(/^20\d\d-.*Z$/);
  expect(await kernel.xattr(nodeId, 'user.ltfs.partition')).toBe('a');
  expect(await kernel.xattr(nodeId, 'user.ltfs.volumeUUID')).toMatch(/^[0-9a-f-]{36}$/);
  expect(await kernel.xattr(nodeId, 'user.nothing')).toBe(undefined);
});

test('copies list only what the file had, getfattr lists all', async () => {
  const { world: made, file } = await world();
  const names = new Map([
    [1, 'cp'],
    [2, 'getfattr'],
  ]);
  const kernel = await mountInMemory(made, { processName: (pid) => names.get(pid) });
  const { nodeId } = await kernel.walk(file);
  const own = ['system.posix_acl_access', 'user.note'];
  expect(await kernel.xattrNames(nodeId, 1)).toEqual(own);
  expect(await kernel.xattrNames(nodeId, 3)).toEqual(own);
  expect(await kernel.xattrNames(nodeId, 2)).toEqual(
    expect.arrayContaining([
      ...own,
      'user.shelfs.hash',
      'user.shelfs.tape',
      'user.ltfs.startblock',
    ]),
  );
  const never = await mountInMemory(made, { processName: () => 'getfattr', xattrs: 'never' });
  expect(await never.xattrNames((await never.walk(file)).nodeId, 2)).toEqual(own);
  const always = await mountInMemory(made, { processName: () => 'cp', xattrs: 'always' });
  expect(await always.xattrNames((await always.walk(file)).nodeId, 1)).toContain(
    'user.shelfs.hash',
  );
});

test('versions are counted by path; a file that is gone says since when', async () => {
  const { world: made, file } = await world();
  writeFileSync(file, 'second version');
  await made.backup();
  rmSync(file);
  await made.backup();
  const kernel = await mountInMemory(made, { root: { kind: 'all' } });
  const { nodeId } = await kernel.walk(file);
  const third = new Tree(made.catalog).snapshots.list()[2];
  expect(await kernel.xattr(nodeId, 'user.shelfs.version')).toBe('2');
  expect(await kernel.xattr(nodeId, 'user.shelfs.versions')).toBe('2');
  expect(await kernel.xattr(nodeId, 'user.shelfs.deleted')).toBe(third && snapshotName(third));
});
