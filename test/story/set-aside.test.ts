/** What a person says of a medium holds, at whatever moment it is said, and whatever a job finds out meanwhile. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { Expiries } from '../../src/catalog/expiry/expiries.ts';
import { planLabel } from '../../src/catalog/shelf/label-plan.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import { eraseMedium } from '../../src/job/erase.ts';
import { expireMedium } from '../../src/job/media-expire.ts';
import { setMediaAside, takeMediaBack } from '../../src/job/media-state.ts';
import { BackupWorld, HOST } from '../sim/backup-world.ts';
import { TapImage } from '../sim/check-archives.ts';
import { expireWorld } from '../sim/expire-world.ts';
import { groomMedia, mediumOf } from '../sim/groom-world.ts';
import { differences, randomBytes } from '../sim/rich-tree.ts';

const go = new AbortController().signal;
const ONE = 'BKP001L8';
const TWO = 'BKP002L8';
const MEANT = { isMeant: true, losesLast: true };

async function smallWorld(copies: number): Promise<BackupWorld> {
  const world = await BackupWorld.make({ cartridges: 6 });
  writeFileSync(join(world.source, 'a'), randomBytes(seededRandom(1), 300_000));
  await world.backup({ copies });
  await world.sim.clock.sleepMs(60_000, go);
  return world;
}

test('set on hold while others are groomed, it is not groomed', async () => {
  const world = await smallWorld(2);
  let held = '';
  const listen = (event: { event: string; barcode?: string }) => {
    if (event.event !== 'done' || held !== '') return;
    held = event.barcode === ONE ? TWO : ONE;
    setMediaAside(world.catalog, [held], 'hold');
  };
  const { media } = await groomMedia(world, [ONE, TWO], { copies: 2, listen });
  expect(media).toMatchObject([{ state: 'scratch' }, { state: 'kept', barcode: held }]);
  expect(mediumOf(world, held).state).toBe('hold');
  expect(takeMediaBack(world.catalog, [held], 'hold')).toMatchObject([{ state: 'filling' }]);
});

test('set on hold in the middle of a backup, nothing more is written to it', async () => {
  const world = await BackupWorld.make({
    config: '[archive]\nblock = "64KiB"\nsize = "400kB"\n',
  });
  const random = seededRandom(7);
  for (let index = 0; index < 12; index += 1)
    writeFileSync(join(world.source, `file ${index}`), randomBytes(random, 100_000));
  let end = 0;
  const report = await world.backup({
    listen: ({ event }) => {
      if (event !== 'archive' || end > 0) return;
      setMediaAside(world.catalog, [ONE], 'hold');
      end = mediumOf(world, ONE).nextBlock;
    },
  });
  expect(report.media).toEqual([ONE, TWO]);
  expect(mediumOf(world, ONE)).toMatchObject({ state: 'hold', nextBlock: end });
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
});

test('what a job finds out of one on hold is so when the hold ends', async () => {
  const world = await smallWorld(1);
  const media = new Media(world.catalog);
  const { id } = mediumOf(world, ONE);
  const now = () => mediumOf(world, ONE).state;
  setMediaAside(world.catalog, [ONE], 'hold');
  setMediaAside(world.catalog, [ONE], 'lost');
  media.worsen(id, 'full');
  media.worsen(id, 'suspect');
  media.worsen(id, 'full');
  expect(now()).toBe('lost');
  takeMediaBack(world.catalog, [ONE], 'lost');
  expect(now()).toBe('hold');
  takeMediaBack(world.catalog, [ONE], 'hold');
  expect(now()).toBe('suspect');
});

test('set on hold while it is loaded to be erased, it is not erased', async () => {
  const world = await smallWorld(2);
  const { catalog, clock, random, library } = world.tools;
  const attach: typeof library.attach = (...where) => {
    setMediaAside(catalog, [ONE], 'hold');
    return library.attach(...where);
  };
  const slow = new Proxy(library, {
    get: (target, name) => {
      if (name === 'attach') return attach;
      const member = Reflect.get(target, name);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
  const tools = { catalog, clock, random, library: slow, host: HOST, program: 'shelfs' };
  const medium = mediumOf(world, ONE);
  await expect(
    eraseMedium({ ...tools, pool: 'main' }, { medium, confirm: ONE, force: true }, go),
  ).rejects.toThrow(/BKP001L8 is hold by now/);
  expect(mediumOf(world, ONE).state).toBe('hold');
});

test('given up while it was lost, nothing is appended to it when it is found; on hold before, it is not given up', async () => {
  const world = await smallWorld(1);
  const { catalog } = world;
  setMediaAside(catalog, [ONE], 'hold');
  setMediaAside(catalog, [ONE], 'lost');
  const giveUp = () => expireMedium(catalog, { name: ONE, confirm: ONE, ...MEANT });
  expect(giveUp).toThrow(/on hold/);
  takeMediaBack(catalog, [ONE], 'lost');
  takeMediaBack(catalog, [ONE], 'hold');
  setMediaAside(catalog, [ONE], 'lost');
  giveUp();
  takeMediaBack(catalog, [ONE], 'lost');
  expect(mediumOf(world, ONE).state).toBe('full');
  expect((await world.backup()).media).toEqual([TWO]);
});

test('expiries that only a medium told which was given up are told again', async () => {
  const world = await smallWorld(1);
  const { catalog } = world;
  writeFileSync(join(world.source, 'b'), 'second');
  await world.backup();
  await expireWorld(world, 'keep-last = 1');
  writeFileSync(join(world.source, 'c'), 'third');
  await world.sim.clock.sleepMs(60_000, go);
  await world.backup();
  const untold = () => new Expiries(catalog).untold().map(({ kind }) => kind);
  expect(untold()).toEqual([]);
  expireMedium(catalog, { name: ONE, confirm: ONE, ...MEANT });
  expect(untold()).toEqual(['snapshot', 'medium']);
  await world.backup();
  expect(untold()).toEqual([]);
});

test('given up, its new label begun, then in its place one to which somebody wrote more: it is not written over', async () => {
  const world = await BackupWorld.make({ cartridges: 2 });
  const { catalog } = world;
  writeFileSync(join(world.source, 'a'), randomBytes(seededRandom(1), 300_000));
  await world.backup();
  await world.sim.clock.sleepMs(60_000, go);
  const { nextBlock } = mediumOf(world, ONE);
  expect(await groomMedia(world, [ONE])).toMatchObject({ media: [{ state: 'scratch' }] });
  // As far as a new label had come when the power went.
  planLabel(catalog, mediumOf(world, ONE).id, { pool: 'main', newUuid: () => crypto.randomUUID() });
  const path = join(world.sim.directory, `${ONE}.tap`);
  const image = TapImage.read(world.sim.directory, ONE);
  const [start, end] = [2, nextBlock].map((block) => image.before(block).length);
  const bytes = readFileSync(path);
  writeFileSync(
    path,
    Buffer.concat([bytes.subarray(0, end), bytes.subarray(start, end), bytes.subarray(end)]),
  );
  rmSync(`${path}.index`, { force: true });
  const before = readFileSync(path);
  setMediaAside(catalog, [TWO], 'hold');
  writeFileSync(join(world.source, 'c'), 'new');
  await expect(world.backup()).rejects.toThrow();
  expect(readFileSync(path).equals(before)).toBe(true);
});

test('two that are erased at once, each for the other, are not both', async () => {
  const world = await smallWorld(2);
  const { catalog, clock, random, library } = world.tools;
  const tools = { catalog, clock, random, library, host: HOST, program: 'shelfs', pool: 'main' };
  const both = [ONE, TWO].map((barcode) => {
    const medium = mediumOf(world, barcode);
    return eraseMedium(tools, { medium, confirm: barcode, force: true }, go);
  });
  const ends = await Promise.allSettled(both);
  expect(ends.map(({ status }) => status)).toContain('rejected');
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
});

test('an archive that did not read back may still have most of its files: its medium is not erased', async () => {
  const world = await smallWorld(1);
  const { catalog, clock, random, library } = world.tools;
  catalog.write(() => catalog.prepare("UPDATE archive_copies SET state = 'bad'").run());
  const tools = { catalog, clock, random, library, host: HOST, program: 'shelfs', pool: 'main' };
  const medium = mediumOf(world, ONE);
  await expect(eraseMedium(tools, { medium, confirm: ONE, force: true }, go)).rejects.toThrow(
    /BKP001L8 alone holds/,
  );
});
