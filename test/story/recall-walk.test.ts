/** A tree copied out of the mount, one file after the other: what lies beside is read in the same pass. */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { rawOf } from '../../src/base/raw.ts';
import { Directories } from '../../src/catalog/tree/directories.ts';
import { Snapshots } from '../../src/catalog/tree/snapshots.ts';
import { HOST } from '../sim/backup-world.ts';
import { type ProcessOptions, RecallWorld, readAll, type SimProcess } from '../sim/recall-world.ts';
import { randomBytes } from '../sim/rich-tree.ts';

type Made = { readonly path: string; readonly bytes: Buffer };

const FOLDERS = 12;
const FILES = 25;

/** A tree stored in three runs on three cartridges, a third of each folder's files on each. */
async function treeOnMedia(world: RecallWorld, folders = FOLDERS): Promise<Made[]> {
  const random = seededRandom(5);
  const made: Made[] = [];
  for (let run = 0; run < 3; run += 1) {
    for (let folder = 0; folder < folders; folder += 1) {
      for (let file = run; file < FILES; file += 3) {
        const path = `folder ${folder % 4}/deeper ${folder}/file ${file}`;
        const bytes = randomBytes(random, 1 + random.below(30_000));
        mkdirSync(dirname(join(world.backup.source, path)), { recursive: true });
        writeFileSync(join(world.backup.source, path), bytes);
        made.push({ path, bytes });
      }
    }
    for (const barcode of (await world.backup.backup()).media) world.fill(barcode);
  }
  return made;
}

async function copy(
  world: RecallWorld,
  process: SimProcess,
  files: readonly Made[],
  { pid = 9, lists = false }: { pid?: number; lists?: boolean } = {},
) {
  const directories = new Directories(world.backup.catalog);
  const host = directories.ensureHost(HOST);
  const snapshotId = new Snapshots(world.backup.catalog).live()?.id ?? 0;
  const listed = new Set<string>();
  for (const { path, bytes } of files) {
    // As cp goes down a tree.
    const above = dirname(path).split('/');
    for (let depth = 0; lists && depth <= above.length; depth += 1) {
      const directory = join(world.backup.source, ...above.slice(0, depth));
      const directoryId = directories.find(host.id, rawOf(directory)) ?? 0;
      if (!listed.has(directory))
        process.recall.listed({ pid, uid: 0 }, { directoryId, snapshotId });
      listed.add(directory);
    }
    const directoryId = directories.find(host.id, rawOf(join(world.backup.source, dirname(path))));
    const place = { directoryId: directoryId ?? 0, snapshotId };
    const opened = process.recall.open(world.contentId(path), { pid, uid: 0 }, place);
    expect((await readAll(opened, bytes.length, { pid })).equals(bytes), path).toBe(true);
    opened.close();
  }
}

async function copied(options: ProcessOptions, folders = FOLDERS) {
  const world = await RecallWorld.make({ drives: 1 });
  const files = await treeOnMedia(world, folders);
  const mount = world.start(options);
  const inPathOrder = files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const before = world.backup.sim.clock.monotonicMs();
  await copy(world, mount, inPathOrder, { lists: true });
  const seconds = (world.backup.sim.clock.monotonicMs() - before) / 1000;
  return { world, mount, seconds, files: inPathOrder };
}

test('each cartridge is loaded once, though files of all three lie in each folder', async () => {
  const { mount, world, files } = await copied({});
  expect(mount.media.toSorted()).toEqual(['BKP001L8', 'BKP002L8', 'BKP003L8']);
  await mount.close();
  expect(readdirSync(world.stageDirectory)).toHaveLength(files.length);
});

test('with a stage that holds a fifth of it everything is right all the same, and the limit is kept', async () => {
  const stageBytes = 250_000;
  const { mount, world } = await copied({ stageBytes }, 3);
  await mount.close();
  expect(readdirSync(world.stageDirectory).length * 4096).toBeLessThan(stageBytes * 2);
});

test('two files are enough for the rest of a directory, one is not', async () => {
  const world = await RecallWorld.make({ drives: 1 });
  const files = await treeOnMedia(world);
  const mount = world.start();
  const folder = files.filter(({ path }) => path.startsWith('folder 0/deeper 0/'));
  const staged = () =>
    readdirSync(world.stageDirectory).filter((name) => name.length === 64).length;
  await copy(world, mount, folder.slice(0, 1));
  await world.whenIdle();
  expect(staged()).toBe(1);
  await copy(world, mount, folder.slice(1, 2));
  await world.whenIdle();
  // Those of the folder that lie on the cartridge of these two.
  expect(staged()).toBe(Math.ceil(FILES / 3));
});
