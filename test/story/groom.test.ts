/** Grooming: what is needed of a cartridge moves to others, and only then the cartridge may be written anew. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { shortageOf } from '../../src/catalog/content/copies-policy.ts';
import { sweep } from '../../src/catalog/expiry/sweep.ts';
import { Alarms } from '../../src/catalog/job/alarms.ts';
import { Jobs } from '../../src/catalog/job/jobs.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import type { GroomEvent } from '../../src/job/groom/report.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { restoreByScript } from '../sim/by-script.ts';
import { changeTree, makeBytes } from '../sim/changed-tree.ts';
import { checkArchives } from '../sim/check-archives.ts';
import { flipBlock, groomMedia, mediumOf } from '../sim/groom-world.ts';
import { differences, makeRichTree, randomBytes } from '../sim/rich-tree.ts';

const go = new AbortController().signal;
const ONE = 'BKP001L8';

test.each([
  { drives: 1, ownDrives: 1 },
  { drives: 2, ownDrives: 1 },
  { drives: 2, ownDrives: 2 },
])(
  'with $ownDrives of $drives drives: all is elsewhere, the cartridge is written anew',
  async ({ drives, ownDrives }) => {
    const world = await BackupWorld.make({ drives, ownDrives });
    makeRichTree(world.source, seededRandom(1));
    await world.backup();
    await world.sim.clock.sleepMs(60_000, go);
    const report = await groomMedia(world, [ONE], { spoolBytes: 4 * 2 ** 20 * ownDrives * 4 });
    expect(report).toMatchObject({ state: 'finished', lost: [], media: [{ state: 'scratch' }] });
    expect(mediumOf(world, ONE)).toMatchObject({ state: 'scratch', writtenBytes: 0 });
    expect(differences(world.source, (await world.restore()).tree)).toBe('');
    expect(checkArchives(world.catalog, world.sim.directory)).toBeGreaterThan(1);
    // What is left on the shelf.
    rmSync(join(world.sim.directory, `${ONE}.tap`));
    const target = await restoreByScript(world, 'BKP002L8');
    expect(differences(world.source, join(target, world.source))).toBe('');
  },
);

test('two runs, a file in parts, a tree that changed: by product and by script from what is left', async () => {
  const world = await BackupWorld.make({ cartridges: 6, capacityBytes: 24 * 2 ** 20 });
  makeRichTree(world.source, seededRandom(1));
  makeBytes(join(world.source, 'huge.bin'), 25_000_003);
  await world.backup();
  await world.sim.clock.sleepMs(60_000, go);
  changeTree(world.source);
  const { media } = await world.backup();
  await world.sim.clock.sleepMs(60_000, go);
  const report = await groomMedia(world, [ONE]);
  expect(report).toMatchObject({ lost: [], media: [{ state: 'scratch' }] });
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
  checkArchives(world.catalog, world.sim.directory);
  rmSync(join(world.sim.directory, `${ONE}.tap`));
  const target = await restoreByScript(world, media.at(-1));
  expect(differences(world.source, join(target, world.source))).toBe('');
});

test('a later run on another cartridge told where bytes were that have moved since', async () => {
  const world = await BackupWorld.make();
  makeRichTree(world.source, seededRandom(1));
  makeBytes(join(world.source, 'huge.bin'), 2_000_003);
  await world.backup();
  new Media(world.catalog).setState(mediumOf(world, ONE).id, 'full');
  await world.sim.clock.sleepMs(60_000, go);
  changeTree(world.source);
  expect((await world.backup()).media).toEqual(['BKP002L8']);
  await world.sim.clock.sleepMs(60_000, go);
  expect(await groomMedia(world, [ONE])).toMatchObject({ media: [{ state: 'scratch' }] });
  await world.sim.clock.sleepMs(60_000, go);
  // The cartridge is written anew; nothing of what stands there now is taken for what stood there.
  makeBytes(join(world.source, 'later.bin'), 1_000_003);
  new Media(world.catalog).setState(mediumOf(world, 'BKP002L8').id, 'hold');
  expect((await world.backup()).media).toEqual([ONE]);
  expect(mediumOf(world, ONE)).toMatchObject({ state: 'filling', label: { writeGeneration: 2 } });
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
  checkArchives(world.catalog, world.sim.directory);
  const target = await restoreByScript(world, ONE);
  expect(differences(world.source, join(target, world.source))).toBe('');
});

test('what is damaged there is taken from elsewhere; what is nowhere is named, and the cartridge stays', async () => {
  const world = await BackupWorld.make();
  const bytes = randomBytes(seededRandom(5), 3_000_000);
  for (const [index, name] of ['a', 'b', 'c'].entries())
    writeFileSync(
      join(world.source, name),
      bytes.subarray(index * 1_000_000, 900_000 + index * 1e6),
    );
  await world.backup({ copies: 2 });
  const damage = (barcode: string, atBlock: number) => flipBlock(world, barcode, atBlock);
  // Of one file both copies, of another one copy.
  damage(ONE, 6);
  damage('BKP002L8', 6);
  damage(ONE, 4);
  const report = await groomMedia(world, [ONE], { copies: 2 });
  expect(report).toMatchObject({ state: 'partial', media: [{ state: 'kept', contents: 2 }] });
  expect(report.lost.map(({ path }) => path.slice(-2))).toEqual(['/c']);
  expect(mediumOf(world, ONE).state).not.toBe('scratch');
  const { tree, report: restored } = await world.restore();
  expect(restored.failed).toHaveLength(1);
  for (const name of ['a', 'b'])
    expect(readFileSync(join(tree, name)).equals(readFileSync(join(world.source, name)))).toBe(
      true,
    );
});

test('a guard each: hold, alarm, a run that is not finished; nothing is touched', async () => {
  const world = await BackupWorld.make();
  writeFileSync(join(world.source, 'a'), 'needed');
  await world.backup();
  const { catalog } = world;
  const media = new Media(catalog);
  const { id } = mediumOf(world, ONE);
  media.setState(id, 'hold');
  await expect(groomMedia(world, [ONE])).rejects.toThrow(/BKP001L8 is hold: it is not groomed/);
  media.setState(id, 'full');
  const alarms = new Alarms(catalog);
  const alarm = alarms.add(1, ['all files are other ones']);
  await expect(groomMedia(world, [ONE])).rejects.toMatchObject({ code: 'ALARM_OPEN' });
  alarms.settle(alarm.id);
  const facts = {
    uuid: crypto.randomUUID(),
    verb: 'backup',
    host: 'h',
    os: 'test',
    pid: process.pid,
  };
  const job = new Jobs(catalog).add({ ...facts, parameters: {} });
  const report = await groomMedia(world, [ONE]);
  expect(report.media).toMatchObject([
    { state: 'kept', reason: `job ${job} runs, and may name what lies there` },
  ]);
  new Jobs(catalog).setState(job, 'failed');
  expect(await groomMedia(world, [ONE])).toMatchObject({ media: [{ state: 'scratch' }] });
});

test('a library with no room left: a sentence, status 24, and nothing is given up', async () => {
  const world = await BackupWorld.make({ cartridges: 1 });
  makeRichTree(world.source, seededRandom(1));
  await world.backup();
  const failure = await groomMedia(world, [ONE]).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 'MEDIUM_FULL', failure: { exit: 24 } });
  expect(String(failure)).toMatch(/no medium has room/);
  expect(mediumOf(world, ONE).state).toBe('full');
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
});

test.each(['replayed', 'exchanged'] as const)(
  'a cartridge that was given up and then %s is not written over',
  async (how) => {
    const world = await BackupWorld.make({ cartridges: 2 });
    writeFileSync(join(world.source, 'a'), randomBytes(seededRandom(1), 300_000));
    await world.backup();
    const path = join(world.sim.directory, `${ONE}.tap`);
    const older = readFileSync(path);
    writeFileSync(join(world.source, 'b'), 'more');
    new Media(world.catalog).setState(mediumOf(world, 'BKP002L8').id, 'hold');
    await world.backup();
    new Media(world.catalog).setState(mediumOf(world, 'BKP002L8').id, 'unlabelled');
    expect(await groomMedia(world, [ONE])).toMatchObject({ media: [{ state: 'scratch' }] });
    // Another process has put back what it was, or somebody else's cartridge bears its barcode.
    const other = join(world.sim.directory, 'BKP002L8.tap');
    writeFileSync(path, how === 'replayed' ? older : readFileSync(other));
    rmSync(`${path}.index`, { force: true });
    const before = readFileSync(path);
    new Media(world.catalog).setState(mediumOf(world, 'BKP002L8').id, 'hold');
    writeFileSync(join(world.source, 'c'), 'new');
    await world.sim.clock.sleepMs(60_000, go);
    await expect(world.backup()).rejects.toThrow();
    expect(readFileSync(path).equals(before)).toBe(true);
  },
);

test.each(['replayed', 'exchanged'] as const)(
  'copies on a cartridge that was %s while nobody looked are not counted on: what they held is moved',
  async (how) => {
    const world = await BackupWorld.make({ cartridges: 3 });
    const path = join(world.sim.directory, 'BKP002L8.tap');
    writeFileSync(join(world.source, 'a'), randomBytes(seededRandom(1), 300_000));
    await world.backup({ copies: 2 });
    const older = readFileSync(path);
    writeFileSync(join(world.source, 'b'), 'more');
    await world.sim.clock.sleepMs(60_000, go);
    await world.backup({ copies: 2 });
    // As a catalog finds it that was set back: the cartridge is not what it says.
    const other = join(world.sim.directory, `${ONE}.tap`);
    writeFileSync(path, how === 'replayed' ? older : readFileSync(other));
    rmSync(`${path}.index`, { force: true });
    const events: GroomEvent[] = [];
    const report = await groomMedia(world, [ONE], { events });
    expect(report).toMatchObject({ media: [{ state: 'scratch', contents: 2 }] });
    const warned = events.flatMap((event) => (event.event === 'warning' ? event.message : []));
    expect(warned.join()).toMatch(/nothing is given up because of copies on BKP002L8/);
    expect(differences(world.source, (await world.restore()).tree)).toBe('');
  },
);

test('copies on a cartridge that is what it was are counted on, and nothing is moved', async () => {
  const world = await BackupWorld.make({ cartridges: 3 });
  writeFileSync(join(world.source, 'a'), randomBytes(seededRandom(1), 300_000));
  await world.backup({ copies: 2 });
  const report = await groomMedia(world, [ONE]);
  expect(report).toMatchObject({ media: [{ state: 'scratch', contents: 0 }] });
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
});

test('what two cartridges hold that are both groomed; a second name, a deleted file, a second run of nothing', async () => {
  const world = await BackupWorld.make({ cartridges: 6 });
  makeRichTree(world.source, seededRandom(1));
  await world.backup({ copies: 2 });
  const report = await groomMedia(world, [ONE, 'BKP002L8'], { copies: 2 });
  expect(report).toMatchObject({
    state: 'finished',
    media: [{ state: 'scratch' }, { state: 'scratch' }],
  });
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
  const policy = {
    poolId: mediumOf(world, ONE).poolId ?? 0,
    copies: 2,
    offsite: 0,
    readBackMs: undefined,
  };
  expect(shortageOf(world.catalog, policy).contents).toBe(0);
  checkArchives(world.catalog, world.sim.directory);
});

test('what has expired is not moved; what was gone is not back when the journals that told it are', async () => {
  const world = await BackupWorld.make({ cartridges: 5 });
  const { catalog } = world;
  const media = new Media(catalog);
  const random = seededRandom(3);
  writeFileSync(join(world.source, 'kept'), randomBytes(random, 200_000));
  writeFileSync(join(world.source, 'doomed'), randomBytes(random, 300_000));
  await world.backup();
  await world.sim.clock.sleepMs(60_000, go);
  media.setState(mediumOf(world, ONE).id, 'full');
  rmSync(join(world.source, 'doomed'));
  writeFileSync(join(world.source, 'second'), randomBytes(random, 100_000));
  expect((await world.backup()).media).toEqual(['BKP002L8']);
  await world.sim.clock.sleepMs(60_000, go);
  catalog.write(() => catalog.prepare('UPDATE snapshots SET expired_by = 1 WHERE id = 1').run());
  for (const _ of sweep(catalog, 0));
  expect(await groomMedia(world, ['BKP002L8'])).toMatchObject({ media: [{ state: 'scratch' }] });
  rmSync(join(world.sim.directory, 'BKP002L8.tap'));
  // The first cartridge and what was groomed are left: its journal still tells of the file that is gone.
  const script = await restoreByScript(world, ONE);
  expect(differences(world.source, join(script, world.source))).toBe('');
  await world.sim.clock.sleepMs(60_000, go);
  const groomed = await groomMedia(world, [ONE]);
  expect(groomed).toMatchObject({ media: [{ state: 'scratch', contents: 1 }] });
  rmSync(join(world.sim.directory, `${ONE}.tap`));
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
  const again = await restoreByScript(world, 'BKP003L8');
  expect(differences(world.source, join(again, world.source))).toBe('');
});
