/** One file with several names that were not all seen in one moment, and names of what is no file: all are one again. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { rawOf } from '../../src/base/raw.ts';
import { Sources } from '../../src/catalog/job/sources.ts';
import { setMediaAside } from '../../src/job/media-state.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { differences } from '../sim/rich-tree.ts';

async function expectWhole(world: BackupWorld): Promise<void> {
  const { tree, report } = await world.restore();
  expect(report.failed).toEqual([]);
  expect(differences(world.source, tree)).toBe('');
  expect(await world.backup()).toMatchObject({ snapshot: null, bytes: { hashed: 0, written: 0 } });
}

/** Leaves a directory out of what is backed up, or nothing. */
function exclude(world: BackupWorld, pattern?: string): void {
  const sources = new Sources(world.catalog);
  const [source] = sources.list();
  sources.setRules(
    source?.id,
    pattern === undefined ? [] : [{ kind: 'pattern', value: rawOf(pattern) }],
  );
}

/** A file with a name in each of two directories, of which the rules leave out `z`. */
async function makeHalfSeen() {
  const world = await BackupWorld.make();
  const at = (...names: string[]) => join(world.source, ...names);
  for (const name of ['a', 'z']) mkdirSync(at(name));
  writeFileSync(at('a', 'file'), 'bytes');
  linkSync(at('a', 'file'), at('z', 'file'));
  exclude(world, '/z/');
  return { world, at };
}

test.each(['b', 'z'])(
  'a name that was left out in %s joins the file it belongs to',
  async (out) => {
    const world = await BackupWorld.make();
    mkdirSync(join(world.source, out));
    mkdirSync(join(world.source, 'm'));
    writeFileSync(join(world.source, 'm', 'file'), 'bytes of one file');
    writeFileSync(join(world.source, 'm', 'empty'), '');
    for (const name of ['file', 'empty'])
      linkSync(join(world.source, 'm', name), join(world.source, out, name));
    symlinkSync('file', join(world.source, 'm', 'link'));
    linkSync(join(world.source, 'm', 'link'), join(world.source, out, 'link'));
    exclude(world, `/${out}/`);
    await world.backup();
    exclude(world);
    expect(await world.backup()).toMatchObject({ unreadable: [], bytes: { hashed: 0 } });
    await expectWhole(world);
  },
);

test('names whose files a run took for two are one after the next', async () => {
  const { world, at } = await makeHalfSeen();
  await world.backup();
  // The first name is known as it is now; then the second alone is, and the first as it was before.
  exclude(world, '/a/');
  chmodSync(at('a', 'file'), 0o640);
  await world.backup();
  exclude(world);
  await world.backup();
  await expectWhole(world);
});

test('a name that joins a file whose only copy is lost is stored', async () => {
  const { world } = await makeHalfSeen();
  const { media } = await world.backup();
  setMediaAside(world.catalog, media, 'lost');
  exclude(world);
  expect((await world.backup()).bytes.written).toBe(5);
  await expectWhole(world);
});

test('a file written anew under one of its names is another', async () => {
  const { world, at } = await makeHalfSeen();
  await world.backup();
  exclude(world);
  unlinkSync(at('a', 'file'));
  writeFileSync(at('a', 'file'), 'other');
  linkSync(at('a', 'file'), at('third'));
  await world.backup();
  const { tree } = await world.restore();
  expect(readFileSync(join(tree, 'z', 'file'), 'utf8')).toBe('bytes');
  await expectWhole(world);
});

test('links and special files have several names again, also where some are there already', async () => {
  const world = await BackupWorld.make();
  const at = (...names: string[]) => join(world.source, ...names);
  mkdirSync(at('d'));
  symlinkSync('nowhere', at('link'));
  execFileSync('mkfifo', ['-m', '0620', at('pipe')]);
  for (const name of ['link', 'pipe']) {
    linkSync(at(name), at('d', name));
    linkSync(at(name), at(`${name} again`));
  }
  await world.backup();
  await expectWhole(world);
  const { tree, to } = await world.restore();
  unlinkSync(join(tree, 'd', 'link'));
  unlinkSync(join(tree, 'link'));
  await world.restore({ to });
  expect(lstatSync(join(tree, 'd', 'link')).ino).toBe(lstatSync(join(tree, 'link')).ino);
});
