/** The label's restore.sh on cartridges that a backup has written: it brings what the product would. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { rawOf } from '../../src/base/raw.ts';
import { parseSourceOptions } from '../../src/job/source-options.ts';
import { addSource } from '../../src/job/sources.ts';
import { BackupWorld, HOST } from '../sim/backup-world.ts';
import { changeTree, makeBytes } from '../sim/changed-tree.ts';
import { differences, makeRichTree } from '../sim/rich-tree.ts';
import { scratchDirectory } from '../sim/scratch.ts';

/** A virtual cartridge (SIMH .tap) as restore.sh takes it: one file a tape file. */
function saveTapeFiles(tap: string, directory: string): void {
  mkdirSync(directory, { recursive: true });
  const bytes = readFileSync(tap);
  let blocks: Buffer[] = [];
  for (let at = 0, file = 0; at + 4 <= bytes.length; ) {
    const lengthBytes = bytes.readUInt32LE(at);
    if (lengthBytes === 0) {
      writeFileSync(join(directory, String(file)), Buffer.concat(blocks));
      blocks = [];
      file += 1;
      at += 4;
    } else {
      blocks.push(bytes.subarray(at + 4, at + 4 + lengthBytes));
      at += 8 + lengthBytes + (lengthBytes % 2);
    }
  }
}

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

/** All cartridges saved as files, then the script of the label of one. @returns where the tree is */
async function restoreByScript(
  world: BackupWorld,
  barcode: string | undefined,
  options: readonly string[] = [],
): Promise<string> {
  const scratch = await scratchDirectory();
  const saved = join(scratch, 'media');
  for (const name of readdirSync(world.sim.directory).filter((name) => name.endsWith('.tap'))) {
    saveTapeFiles(join(world.sim.directory, name), join(saved, name.slice(0, 8)));
  }
  execFileSync('tar', ['-xf', join(saved, barcode ?? '', '0'), '-C', scratch, 'restore.sh']);
  const target = join(scratch, 'target');
  const script = [join(scratch, 'restore.sh'), '-d', saved, '-t', target, ...options];
  const { status, stderr } = spawnSync('sh', script, { encoding: 'latin1' });
  expect(status, stderr).toBe(0);
  return target;
}
