/** Backup and restore over the virtual library: what comes back is what was there. */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import type { BackupEvent } from '../../src/job/backup/report.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { differences, makeRichTree, randomBytes } from '../sim/rich-tree.ts';

describe.each([
  ['single-threaded', 0],
  ['with workers', 2],
])('%s', (_, workers) => {
  test('a tree with one of everything comes back, and a second run writes nothing', async () => {
    const world = await BackupWorld.make();
    makeRichTree(world.source, seededRandom(1));
    const first = await world.backup({ workers });
    expect(first).toMatchObject({ state: 'finished', unreadable: [], media: ['BKP001L8'] });
    const { tree, report } = await world.restore();
    expect(report).toMatchObject({ failed: [], notSet: {} });
    expect(differences(world.source, tree)).toBe('');
    const second = await world.backup({ workers });
    expect(second).toMatchObject({
      snapshot: null,
      media: [],
      files: { new: 0, changed: 0, gone: 0 },
      bytes: { hashed: 0, written: 0 },
    });
  });

  test('what has been done grows to what there was to do', async () => {
    const world = await BackupWorld.make();
    for (let file = 0; file < 10; file += 1)
      writeFileSync(join(world.source, `f${file}`), `bytes ${file}`);
    writeFileSync(join(world.source, 'large'), randomBytes(seededRandom(1), 6_000_000));
    const events: BackupEvent[] = [];
    await world.backup({ workers, events });
    const last = events.findLast(({ event }) => event === 'progress');
    expect(last).toMatchObject({ bytes: 6_000_070, bytesTotal: 6_000_070 });
  });
});

test('only what has changed is written, and every snapshot comes back as it was', async () => {
  const world = await BackupWorld.make();
  makeRichTree(world.source, seededRandom(1));
  await world.backup();
  const before = await world.restore();
  world.sim.clock.sleepMs(60_000, new AbortController().signal);
  writeFileSync(join(world.source, 'documents', 'a.txt'), 'changed');
  writeFileSync(join(world.source, 'added'), randomBytes(seededRandom(7), 5000));
  rmSync(join(world.source, 'sparse.img'));
  renameSync(join(world.source, 'documents', 'copy of large.bin'), join(world.source, 'moved.bin'));
  rmSync(join(world.source, 'nothing in here'), { recursive: true });
  const second = await world.backup();
  expect(second.bytes.written).toBeLessThan(10_000);
  expect(second.files).toMatchObject({ moved: 1, gone: 2 });
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
  const old = await world.restore({ at: '1' });
  expect(differences(before.tree, old.tree)).toBe('');
});

test('files go over as many cartridges as they need, the large one in parts, each loaded once', async () => {
  const world = await BackupWorld.make({ cartridges: 6, capacityBytes: 40 * 2 ** 20 });
  const random = seededRandom(3);
  writeFileSync(join(world.source, 'huge.bin'), randomBytes(random, 60_000_003));
  for (let index = 0; index < 12; index += 1) {
    writeFileSync(join(world.source, `file ${index}`), randomBytes(random, 3_000_000 + index));
  }
  const report = await world.backup({ workers: 1 });
  expect(report).toMatchObject({ state: 'finished', warnings: [] });
  expect(report.media.length).toBeGreaterThan(2);
  const loads = (await world.sim.library.statistics()).reduce((sum, { loads }) => sum + loads, 0);
  expect(loads).toBe(report.media.length);
  const { tree, report: restored } = await world.restore();
  expect(restored.failed).toEqual([]);
  expect(restored.media.toSorted()).toEqual(report.media.toSorted());
  expect(differences(world.source, tree)).toBe('');
});

test('two copies are the same archives on two cartridges, and either brings everything back', async () => {
  const world = await BackupWorld.make({ cartridges: 4 });
  makeRichTree(world.source, seededRandom(5));
  const report = await world.backup({ copies: 2 });
  expect(report.media).toEqual(['BKP001L8', 'BKP002L8']);
  for (const lost of ['BKP001L8', 'BKP002L8']) {
    const media = new Media(world.catalog);
    const medium = media.find(lost);
    if (!medium) throw new Error('not there');
    media.setState(medium.id, 'lost');
    const { tree, report } = await world.restore();
    expect(report.failed).toEqual([]);
    expect(report.media).not.toContain(lost);
    expect(differences(world.source, tree)).toBe('');
    media.setState(medium.id, 'filling');
  }
});

test('what lay on a lost cartridge is written again to another one', async () => {
  const world = await BackupWorld.make();
  makeRichTree(world.source, seededRandom(1));
  await world.backup();
  const media = new Media(world.catalog);
  const medium = media.find('BKP001L8');
  if (!medium) throw new Error('not there');
  media.setState(medium.id, 'lost');
  const second = await world.backup();
  expect(second).toMatchObject({ media: ['BKP002L8'], files: { changed: 0 }, warnings: [] });
  const { tree, report } = await world.restore();
  expect(report).toMatchObject({ failed: [], media: ['BKP002L8'] });
  expect(differences(world.source, tree)).toBe('');
  expect(await world.backup()).toMatchObject({ media: [] });
});

test('a cartridge that does not read back what was written is found by --verify', async () => {
  const world = await BackupWorld.make();
  makeRichTree(world.source, seededRandom(1));
  expect(await world.backup({ verify: true })).toMatchObject({ state: 'finished', warnings: [] });
  writeFileSync(join(world.source, 'later'), randomBytes(seededRandom(2), 8_000_000));
  // Some reads go to the label and to the end of the data, then sixteen to the new archive.
  const effect = { kind: 'sense', key: 3, code: 0x1100, deferred: false } as const;
  world.sim.faults.add({ note: 'bad block', on: 'read', atCount: 12, effect });
  const second = await world.backup({ verify: true });
  expect(second).toMatchObject({ state: 'partial' });
  expect(second.warnings.join()).toMatch(/BKP001L8.*stores its files again/);
});

test('two copies in two drives take hardly longer than one', async () => {
  const longest = async (copies: number) => {
    const world = await BackupWorld.make({ capacityBytes: 200 * 2 ** 20 });
    const chunk = randomBytes(seededRandom(1), 1_000_000);
    writeFileSync(join(world.source, 'a'), Buffer.concat(Array(40).fill(chunk)));
    await world.backup({ copies, workers: 1 });
    const drives = await world.sim.library.statistics();
    return Math.max(...drives.map(({ modelSeconds }) => modelSeconds));
  };
  expect((await longest(2)) / (await longest(1))).toBeLessThanOrEqual(1.2);
});

test('large files of one size are read once, but for those that begin and end alike', async () => {
  const world = await BackupWorld.make();
  const random = seededRandom(11);
  const sizeBytes = 5 * 2 ** 20;
  const one = randomBytes(random, sizeBytes);
  writeFileSync(join(world.source, 'a'), one);
  writeFileSync(join(world.source, 'b, the same'), one);
  writeFileSync(join(world.source, 'c, another'), randomBytes(random, sizeBytes));
  const inMiddle = Buffer.from(one);
  inMiddle[sizeBytes / 2] = (one[sizeBytes / 2] ?? 0) ^ 1;
  writeFileSync(join(world.source, 'd, another in its middle'), inMiddle);
  const report = await world.backup({ workers: 1 });
  expect(report.bytes).toMatchObject({
    written: 3 * sizeBytes,
    deduplicated: sizeBytes,
    // a, b and d before they are written, and what is written.
    hashed: 6 * sizeBytes,
  });
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
});

test('cartridges that hold less than was promised are filled by what their chips say', async () => {
  const capacityBytes = 40 * 2 ** 20;
  const world = await BackupWorld.make({
    cartridges: 6,
    capacityBytes,
    claimedBytes: 2 * capacityBytes,
  });
  const random = seededRandom(5);
  writeFileSync(join(world.source, 'huge.bin'), randomBytes(random, 70_000_003));
  for (let index = 0; index < 5; index += 1) {
    writeFileSync(join(world.source, `file ${index}`), randomBytes(random, 3_000_000 + index));
  }
  const report = await world.backup({ workers: 1 });
  const loads = (await world.sim.library.statistics()).reduce((sum, { loads }) => sum + loads, 0);
  expect(loads).toBe(report.media.length);
  const { tree, report: restored } = await world.restore();
  expect(restored.failed).toEqual([]);
  expect(differences(world.source, tree)).toBe('');
});

test('a cartridge that ended early makes neither the archives nor the parts of others small', async () => {
  const world = await BackupWorld.make({ config: '[archive]\nsize = "20MB"\n' });
  const media = new Media(world.catalog);
  const [early] = media.list();
  media.setCapacity(early?.id ?? 0, 2 ** 20);
  media.setState(early?.id ?? 0, 'full');
  for (let file = 0; file < 5; file += 1)
    writeFileSync(join(world.source, `f${file}`), randomBytes(seededRandom(file), 2_000_000));
  const events: BackupEvent[] = [];
  expect(await world.backup({ events })).toMatchObject({ state: 'finished' });
  expect(events.filter(({ event }) => event === 'archive').length).toBe(1);
});

test('cartridges without room, whatever was promised, are passed over, and the run says so', async () => {
  const capacityBytes = 8 * 2 ** 20;
  const world = await BackupWorld.make({
    cartridges: 2,
    capacityBytes,
    claimedBytes: 200 * 2 ** 20,
  });
  const media = new Media(world.catalog);
  const { id } = media.ensurePool('main');
  media.setPoolPolicy(id, { copies: 1, marginBytes: capacityBytes });
  writeFileSync(join(world.source, 'a'), randomBytes(seededRandom(1), 1000));
  await expect(world.backup()).rejects.toMatchObject({ code: 'MEDIUM_FULL' });
  const states = media.list().map(({ state }) => state);
  expect(states).toEqual(['full', 'full']);
});

test('what stands where a file is to be restored stays, and how many are other files is told', async () => {
  const world = await BackupWorld.make();
  makeRichTree(world.source, seededRandom(3));
  for (const name of ['same', 'longer', 'a directory'])
    writeFileSync(join(world.source, name), name);
  await world.backup();
  const { to, tree, report } = await world.restore();
  expect(report).toMatchObject({ kept: 0, keptOther: 0 });
  expect((await world.restore({ to })).report).toMatchObject({ restored: 0, keptOther: 0 });
  writeFileSync(join(tree, 'longer'), 'longer than it was');
  rmSync(join(tree, 'a directory'));
  mkdirSync(join(tree, 'a directory'));
  expect((await world.restore({ to })).report).toMatchObject({ restored: 0, keptOther: 2 });
  rmSync(join(tree, 'a directory'), { recursive: true });
  const { report: last } = await world.restore({ to, overwrite: true });
  expect(last).toMatchObject({ keptOther: 0, failed: [] });
  expect(differences(world.source, tree)).toBe('');
});
