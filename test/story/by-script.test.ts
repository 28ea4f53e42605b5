/** The label's restore.sh on cartridges that a backup has written: it brings what the product would. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { rawOf } from '../../src/base/raw.ts';
import { parseSourceOptions } from '../../src/job/source-options.ts';
import { addSource } from '../../src/job/sources.ts';
import { BackupWorld, HOST } from '../sim/backup-world.ts';
import { restoreByScript } from '../sim/by-script.ts';
import { changeTree, makeBytes } from '../sim/changed-tree.ts';
import { differences, makeRichTree } from '../sim/rich-tree.ts';
import { scratchDirectory } from '../sim/scratch.ts';

test('a tree on several cartridges, changed between two runs', async () => {
  const world = await BackupWorld.make({ cartridges: 3, capacityBytes: 24 * 2 ** 20 });
  makeRichTree(world.source, seededRandom(1));
  makeBytes(join(world.source, 'huge.bin'), 25_000_003);
  await world.backup();
  await world.sim.clock.sleepMs(60_000, new AbortController().signal);
  changeTree(world.source);
  const { media } = await world.backup();
  const target = await restoreByScript(world, media.at(-1));
  expect(differences(world.source, join(target, world.source))).toBe('');
});

test('another host has the same paths: each gets its own back', async () => {
  const world = await BackupWorld.make();
  const elsewhere = await scratchDirectory();
  const { catalog } = world;
  makeRichTree(world.source, seededRandom(1));
  makeRichTree(elsewhere, seededRandom(2));
  const tools = { catalog, hostName: HOST, ownDirectories: [] };
  const { source } = await addSource(tools, {
    name: 'other tree',
    path: rawOf(elsewhere),
    original: rawOf(world.source),
    host: 'other host',
    patterns: [],
    presets: [],
    options: parseSourceOptions({}),
  });
  const first = await world.backup();
  expect(first).toMatchObject({ state: 'finished', unreadable: [] });
  writeFileSync(join(elsewhere, 'added there'), 'by the other');
  rmSync(join(elsewhere, 'sparse.img'));
  await world.sim.clock.sleepMs(60_000, new AbortController().signal);
  const second = await world.backup();
  expect(second.files).toMatchObject({ new: 1, gone: 1 });
  const ours = await world.restore();
  expect(ours.report.failed).toEqual([]);
  expect(differences(world.source, ours.tree)).toBe('');
  const theirs = await world.restore({ host: 'other host' });
  expect(theirs.report.failed).toEqual([]);
  expect(differences(elsewhere, theirs.tree)).toBe('');
  const target = await restoreByScript(world, second.media.at(-1));
  expect(differences(world.source, join(target, world.source))).toBe('');
  const there = await restoreByScript(world, second.media.at(-1), ['-H', 'other host']);
  expect(differences(elsewhere, join(there, world.source))).toBe('');
  expect(source.original).toBe(rawOf(world.source));
});
