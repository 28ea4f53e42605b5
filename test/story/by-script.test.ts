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
import { TapImage } from '../sim/check-archives.ts';
import { streamsOn } from '../sim/media-streams.ts';
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

test.each([1, 2, 3, 40])(
  'the last archive is cut behind block %d, and no filemark ends it',
  async (blocks) => {
    const world = await BackupWorld.make({ config: '[archive]\nblock = "64KiB"\n' });
    makeRichTree(world.source, seededRandom(1));
    makeBytes(join(world.source, 'huge.bin'), 3_000_003);
    await world.backup();
    await world.sim.clock.sleepMs(60_000, new AbortController().signal);
    changeTree(world.source);
    const { media } = await world.backup();
    const [barcode = ''] = media;
    const path = join(world.sim.directory, `${barcode}.tap`);
    const [first = Buffer.alloc(0)] = streamsOn(world.sim.directory, barcode);
    // The same archive once more, as a run would begin it that was cut by a power loss.
    const image = TapImage.read(world.sim.directory, barcode);
    const before = image.before(image.lengthBlocks);
    const cut = Array.from({ length: blocks }, (_, index) =>
      tapRecord(first.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES)),
    );
    writeFileSync(path, Buffer.concat([before, ...cut]));
    const target = await restoreByScript(world, barcode);
    expect(differences(world.source, join(target, world.source))).toBe('');
  },
);

const BLOCK_BYTES = 64 * 2 ** 10;

function tapRecord(block: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(block.length);
  return Buffer.concat([length, block, length]);
}
