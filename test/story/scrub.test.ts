/** Cartridges read back: what is wrong on them is named and marked, and what is whole goes on serving. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CodedError } from '../../src/base/errors.ts';
import { seededRandom } from '../../src/base/random.ts';
import { Damages } from '../../src/catalog/care/damages.ts';
import { ReadBack } from '../../src/catalog/care/read-back.ts';
import { Jobs } from '../../src/catalog/job/jobs.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import type { Barcode } from '../../src/domain/barcode.ts';
import { Digester } from '../../src/job/backup/digester.ts';
import type { ScrubEvent } from '../../src/job/scrub/report.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { TapImage } from '../sim/check-archives.ts';
import { desk, insert } from '../sim/operator-world.ts';
import { differences, makeRichTree, randomBytes } from '../sim/rich-tree.ts';
import { extentsOn, goodCopies, mediumOf, placeIn, scrubWorld } from '../sim/scrub-world.ts';
import { breakOnTape, flipOnTape } from '../sim/tap-damage.ts';

const ONE = 'BKP001L8';
const TWO = 'BKP002L8';
const SMALL_BLOCKS = '[archive]\nblock = 4096\n';

/** Twelve files in two runs: two archives on each cartridge. */
async function twelve(copies: number, config = SMALL_BLOCKS) {
  const world = await BackupWorld.make({ config });
  const random = seededRandom(4);
  const write = (from: number) => {
    for (let index = from; index < from + 6; index += 1)
      writeFileSync(join(world.source, `file ${index}`), randomBytes(random, 5000 + 3000 * index));
  };
  write(0);
  await world.backup({ copies });
  await world.sim.clock.sleepMs(5000, new AbortController().signal);
  write(6);
  await world.backup({ copies });
  return world;
}

function extentOf(world: BackupWorld, barcode: string, path: string) {
  const found = extentsOn(world, barcode).find((extent) => extent.path === path);
  if (!found) throw new Error(`${path} is not on ${barcode}`);
  return found;
}

test('what is right is read once, marked, and nothing is written to the cartridge', async () => {
  const world = await BackupWorld.make();
  makeRichTree(world.source, seededRandom(1));
  await world.backup({ copies: 2 });
  const before = [ONE, TWO].map((barcode) => TapImage.read(world.sim.directory, barcode));
  const events: ScrubEvent[] = [];
  const hasher = new Digester();
  hasher.start();
  const report = await scrubWorld(world, {
    listen: (event) => events.push(event),
    tools: { hasher },
  });
  await hasher.close();
  expect(report).toMatchObject({
    state: 'finished',
    archives: 2,
    damagedArchives: 0,
    findings: 0,
    damagedFiles: 0,
    notRead: [],
  });
  const readBack = world.catalog.part(ReadBack);
  for (const barcode of [ONE, TWO]) {
    const [copy] = readBack.copiesOn(mediumOf(world, barcode).id);
    expect(copy?.verifiedMs).toBeGreaterThan(0);
    expect(mediumOf(world, barcode).state).toBe('filling');
  }
  expect(report.bytes).toBe(2 * (readBack.copiesOn(mediumOf(world, ONE).id)[0]?.lengthBytes ?? 0));
  expect(events.map(({ event }) => event).filter((event) => event !== 'progress')).toEqual([
    ...['begin', 'medium', 'archive', 'medium', 'archive', 'end'],
  ]);
  expect([ONE, TWO].map((barcode) => TapImage.read(world.sim.directory, barcode))).toEqual(before);
  expect(new Jobs(world.catalog).get(report.job)).toMatchObject({
    verb: 'scrub',
    state: 'finished',
  });
});

test('a byte of a file: that file is named, with its snapshots and its other copy, which is used', async () => {
  const world = await twelve(2);
  const hurt = extentOf(world, ONE, 'file 3');
  flipOnTape(world.sim.directory, ONE, placeIn(hurt, 17));
  const report = await scrubWorld(world);
  expect(report).toMatchObject({ damagedArchives: 1, damagedFiles: 1, lostFiles: 0 });
  expect(report.damaged).toEqual([
    {
      barcode: ONE,
      path: join(world.source, 'file 3'),
      host: 'testhost',
      bytes: 14_000,
      first: expect.stringMatching(/^\d{4}-/),
      last: expect.stringMatching(/^\d{4}-/),
      elsewhere: [{ barcode: TWO, location: null }],
      isSafe: true,
    },
  ]);
  expect(report.damaged[0]?.first).not.toBe(report.damaged[0]?.last);
  expect(report.found.map(({ kind, file }) => [kind, file])).toEqual([['files', 1]]);
  expect(mediumOf(world, ONE).state).toBe('suspect');
  expect(mediumOf(world, TWO).state).toBe('filling');
  expect(goodCopies(world, hurt.contentId)).toBe(1);
  const loads: string[] = [];
  const { tree, report: restored } = await world.restore({
    listen: (event) => {
      if (event.event === 'medium') loads.push(event.barcode);
    },
  });
  expect(restored.failures).toBe(0);
  expect(loads).toEqual([TWO]);
  expect(differences(world.source, tree)).toBe('');
});

test('the only copy: that file alone is lost, all others come back from the suspect cartridge', async () => {
  const world = await twelve(1);
  flipOnTape(world.sim.directory, ONE, placeIn(extentOf(world, ONE, 'file 8'), 100));
  const report = await scrubWorld(world, { media: [ONE] });
  expect(report).toMatchObject({ damagedFiles: 1, lostFiles: 1 });
  expect(report.damaged[0]).toMatchObject({ elsewhere: [], isSafe: false });
  const { tree, report: restored } = await world.restore();
  expect(restored.failed.map(({ path }) => path)).toEqual([join(world.source, 'file 8')]);
  expect(restored.restored).toBeGreaterThanOrEqual(11);
  rmSync(join(world.source, 'file 8'));
  expect(differences(world.source, tree).replaceAll(/^\.d.*\n/gm, '')).toBe('');
});

test('read right again, damage that was noted is no more; the cartridge stays what a person last knew it as', async () => {
  const world = await twelve(1);
  const place = placeIn(extentOf(world, ONE, 'file 2'), 5);
  flipOnTape(world.sim.directory, ONE, place);
  await scrubWorld(world);
  flipOnTape(world.sim.directory, ONE, place);
  const again = await scrubWorld(world);
  expect(again).toMatchObject({ damagedArchives: 0, damagedFiles: 0, findings: 0 });
  const { id } = mediumOf(world, ONE);
  expect(new Damages(world.catalog).isAny(id)).toBe(false);
  expect(mediumOf(world, ONE).state).toBe('suspect');
});

describe('what is no file', () => {
  const at = (world: BackupWorld, index: number) => {
    const copy = world.catalog.part(ReadBack).copiesOn(mediumOf(world, ONE).id)[index];
    if (!copy?.lengthBlocks) throw new Error('no such archive');
    return { first: copy.startBlock, last: copy.startBlock + copy.lengthBlocks - 1 };
  };
  test.each([
    ['the label', () => ({ block: 0, at: 600 }), 'label'],
    ['restore.sh on it', () => ({ block: 3, at: 10 }), 'label'],
    ['an opening', (world: BackupWorld) => ({ block: at(world, 0).first, at: 1536 }), 'opening'],
    [
      'zeros at the end',
      (world: BackupWorld) => ({ block: at(world, 1).last, at: 4095 }),
      'padding',
    ],
  ])('%s: nothing is lost, and it is told as what it is', async (_, place, kind) => {
    const world = await twelve(1);
    flipOnTape(world.sim.directory, ONE, { ...place(world), xor: 0x20 });
    const report = await scrubWorld(world);
    expect(report.found.map((found) => found.kind)).toEqual([kind]);
    expect(report).toMatchObject({ damagedFiles: 0, lostFiles: 0 });
    expect(mediumOf(world, ONE).state).toBe('suspect');
    const { tree, report: restored } = await world.restore();
    expect(restored.failures).toBe(0);
    expect(differences(world.source, tree)).toBe('');
  });

  test('a label that nobody can read keeps nothing from being read, and the cartridge from being written', async () => {
    const world = await twelve(1);
    breakOnTape(world.sim.directory, ONE, [0, 1, 2]);
    const { tree, report: restored } = await world.restore();
    expect(restored.failures).toBe(0);
    expect(differences(world.source, tree)).toBe('');
    const report = await scrubWorld(world);
    expect(report).toMatchObject({ damagedArchives: 0, damagedFiles: 0, archives: 2 });
    expect(report.found.map(({ kind }) => kind)).toEqual(['label']);
    new Media(world.catalog).setState(mediumOf(world, ONE).id, 'filling');
    for (const { barcode, id } of new Media(world.catalog).list())
      if (barcode !== ONE) new Media(world.catalog).setState(id, 'hold');
    const before = TapImage.read(world.sim.directory, ONE);
    writeFileSync(join(world.source, 'more'), 'more');
    await expect(world.backup()).rejects.toBeInstanceOf(CodedError);
    expect(TapImage.read(world.sim.directory, ONE)).toEqual(before);
  });
});

describe('blocks that cannot be read', () => {
  test('are passed over and told; what lies in them is named, and the rest is proven', async () => {
    const world = await twelve(1);
    const [from, to] = [extentOf(world, ONE, 'file 4'), extentOf(world, ONE, 'file 5')];
    const first = placeIn(from, from.extent.storedBytes - 1).block;
    breakOnTape(world.sim.directory, ONE, [first, first + 1]);
    const report = await scrubWorld(world);
    const inside = (extent: typeof from) => {
      const [begin, end] = [
        placeIn(extent).block,
        placeIn(extent, extent.extent.storedBytes - 1).block,
      ];
      return begin <= first + 1 && end >= first;
    };
    const expected = extentsOn(world, ONE)
      .filter(inside)
      .map(({ path }) => join(world.source, path));
    expect(expected).toContain(join(world.source, 'file 4'));
    expect(inside(to)).toBe(true);
    expect(report.damaged.map(({ path }) => path).sort()).toEqual(expected.sort());
    const unreadable = report.found.find(({ kind }) => kind === 'unreadable');
    expect(unreadable?.blocks).toEqual({ first, count: 2 });
    expect(unreadable?.sentence).toMatch(/^blocks \d+ to \d+ cannot be read: /);
    const { report: restored } = await world.restore();
    expect(restored.failed.map(({ path }) => path).sort()).toEqual(expected.sort());
  });

  test('that come at the second attempt are told, and no damage', async () => {
    const world = await twelve(1);
    const { block } = placeIn(extentOf(world, ONE, 'file 7'), 0);
    const effect = { kind: 'sense', key: 3, code: 0x1100 } as const;
    world.sim.faults.add({ note: 'once', on: 'read', atBlock: block, effect });
    const report = await scrubWorld(world);
    expect(report).toMatchObject({ damagedArchives: 0, damagedFiles: 0 });
    expect(report.found.map(({ kind }) => kind)).toEqual(['transient']);
    expect(mediumOf(world, ONE).state).toBe('filling');
  });

  test('a bit that a drive reads wrong once is no damage of the cartridge', async () => {
    const world = await twelve(1);
    const { block } = placeIn(extentOf(world, ONE, 'file 7'), 0);
    const effect = { kind: 'bit-flip', byte: 9, bit: 1 } as const;
    world.sim.faults.add({ note: 'once', on: 'read', atBlock: block, effect });
    const report = await scrubWorld(world);
    expect(report).toMatchObject({ damagedArchives: 0, findings: 1 });
    expect(report.found[0]?.kind).toBe('transient');
    expect(mediumOf(world, ONE).state).toBe('filling');
  });

  test('an archive of which nothing can be read is bad; the others are read', async () => {
    const world = await twelve(2);
    const [copy] = world.catalog.part(ReadBack).copiesOn(mediumOf(world, ONE).id);
    const { startBlock = 0, lengthBlocks = 0 } = copy ?? {};
    const blocks = Array.from({ length: lengthBlocks }, (_, index) => startBlock + index);
    breakOnTape(world.sim.directory, ONE, blocks);
    const report = await scrubWorld(world, { media: [ONE] });
    expect(report).toMatchObject({
      archives: 2,
      damagedArchives: 1,
      damagedFiles: 6,
      lostFiles: 0,
    });
    expect(world.catalog.part(ReadBack).copiesOn(mediumOf(world, ONE).id)).toHaveLength(1);
    const { tree } = await world.restore();
    expect(differences(world.source, tree)).toBe('');
  });
});

test('a file in parts over several archives is proven with all its parts, and no other is blamed', async () => {
  const world = await BackupWorld.make({ config: '[archive]\npart = "2MB"\nsize = "3MB"\n' });
  const random = seededRandom(6);
  for (const name of ['big', 'other'])
    writeFileSync(join(world.source, name), randomBytes(random, 5_000_000));
  await world.backup();
  const parts = extentsOn(world, ONE).filter(({ path }) => path === 'other');
  expect(parts.length).toBeGreaterThan(1);
  const [, second] = parts;
  if (second) flipOnTape(world.sim.directory, ONE, placeIn(second, 1000));
  const report = await scrubWorld(world);
  expect(report.damaged.map(({ path }) => path)).toEqual([join(world.source, 'other')]);
  const { report: restored } = await world.restore();
  expect(restored.failed.map(({ path }) => path)).toEqual([join(world.source, 'other')]);
});

test('cut in the middle it goes on there, and reads nothing twice', async () => {
  const world = await twelve(2);
  flipOnTape(world.sim.directory, ONE, placeIn(extentOf(world, ONE, 'file 1'), 3));
  const stop = new AbortController();
  const reason = new CodedError('INTERRUPTED', 'stopped');
  let archives = 0;
  const cut = scrubWorld(world, {
    signal: stop.signal,
    listen: ({ event }) => {
      if (event === 'archive') archives += 1;
      if (archives === 3) stop.abort(reason);
    },
  });
  await expect(cut).rejects.toBe(reason);
  const report = await scrubWorld(world);
  expect(report).toMatchObject({ archives: 1, damagedFiles: 1, state: 'finished' });
  const jobs = new Jobs(world.catalog).list(10).filter(({ verb }) => verb === 'scrub');
  expect(jobs.map(({ state }) => state)).toEqual(['finished']);
  // All is done: what comes now is a new one.
  expect(await scrubWorld(world)).toMatchObject({ archives: 4 });
});

test('a drive that was reset goes on at the archive it was at', async () => {
  const world = await twelve(1);
  const effect = { kind: 'reset', swallowed: false } as const;
  world.sim.faults.add({ note: 'reset', on: 'read', atCount: 40, effect });
  expect(await scrubWorld(world)).toMatchObject({ archives: 2, findings: 0, state: 'finished' });
});

describe('a part of it', () => {
  const filesOf = (events: readonly ScrubEvent[]) =>
    events.flatMap((event) =>
      event.event === 'archive' ? [`${event.barcode} ${event.file}`] : [],
    );
  test('of so many bytes begins with what was unread for longest', async () => {
    const world = await twelve(2);
    const read: string[][] = [];
    for (let index = 0; index < 4; index += 1) {
      const events: ScrubEvent[] = [];
      await world.sim.clock.sleepMs(60_000, new AbortController().signal);
      await scrubWorld(world, { maxBytes: 1, listen: (event) => events.push(event) });
      read.push(filesOf(events));
    }
    expect(read).toEqual([[`${ONE} 1`], [`${TWO} 1`], [`${ONE} 2`], [`${TWO} 2`]]);
  });

  test('a sample of each cartridge comes round to all', async () => {
    const world = await twelve(1);
    const events: ScrubEvent[] = [];
    for (let index = 0; index < 2; index += 1) {
      await world.sim.clock.sleepMs(60_000, new AbortController().signal);
      await scrubWorld(world, { samplePercent: 1, listen: (event) => events.push(event) });
    }
    expect(filesOf(events)).toEqual([`${ONE} 1`, `${ONE} 2`]);
  });

  test('quick looks at label, journals and end of data, and reads no files', async () => {
    const world = await twelve(1);
    flipOnTape(world.sim.directory, ONE, placeIn(extentOf(world, ONE, 'file 3'), 17));
    const fine = await scrubWorld(world, { isQuick: true });
    expect(fine).toMatchObject({ findings: 0, bytes: 0 });
    const [copy] = world.catalog.part(ReadBack).copiesOn(mediumOf(world, ONE).id);
    expect(copy?.verifiedMs).toBeUndefined();
    const last = (copy?.startBlock ?? 0) + (copy?.lengthBlocks ?? 0) - 1;
    breakOnTape(world.sim.directory, ONE, [last]);
    const report = await scrubWorld(world, { isQuick: true });
    expect(report.found.map(({ kind }) => kind)).toEqual(['journal']);
  });
});

test('copies that were given up while they were read do not come back', async () => {
  const world = await twelve(2);
  const { id } = mediumOf(world, ONE);
  const lost = "UPDATE archive_copies SET state = 'lost' WHERE medium = ?";
  await scrubWorld(world, {
    media: [ONE],
    listen: ({ event }) => {
      if (event === 'progress') world.catalog.write(() => world.catalog.prepare(lost).run(id));
    },
  });
  expect(world.catalog.part(ReadBack).copiesOn(id)).toEqual([]);
});

test('where a person is the changer: what is in the drive is read, one that is named is asked for', async () => {
  const shape = { drives: 1, isByHand: true, cartridges: 2 };
  const world = await BackupWorld.make({ ...shape, config: SMALL_BLOCKS });
  writeFileSync(join(world.source, 'a file'), randomBytes(seededRandom(1), 20_000));
  const at = desk(world.sim, { state: world.state });
  await insert(world.sim, ONE as Barcode);
  const backup = world.backup({ operator: at.operator });
  const { id } = await at.next();
  at.questions.answer(id, ONE as Barcode, world.sim.clock.nowMs());
  await backup;
  const told = at.told.length;
  flipOnTape(world.sim.directory, ONE, { block: 0, at: 700 });
  const here = await scrubWorld(world, { tools: { operator: at.operator } });
  expect(here).toMatchObject({ archives: 1, damagedArchives: 0, notRead: [] });
  expect(here.found.map(({ kind }) => kind)).toEqual(['label']);
  expect(at.told.length).toBe(told);
  flipOnTape(world.sim.directory, ONE, { block: 0, at: 700 });
  await world.tools.library.ejectDrive(0, new AbortController().signal);
  await insert(world.sim, TWO as Barcode);
  const asking = scrubWorld(world, { media: [ONE], tools: { operator: at.operator } });
  expect((await at.next()).about).toMatchObject({ kind: 'medium', barcode: ONE });
  await insert(world.sim, ONE as Barcode);
  expect(await asking).toMatchObject({ archives: 1, findings: 0, state: 'finished' });
});

test('a tape that was cut elsewhere is told, with all that is gone', async () => {
  const world = await twelve(2);
  const { drive, close } = await world.tools.library.attach(ONE, new AbortController().signal);
  const go = new AbortController().signal;
  const { block } = placeIn(extentOf(world, ONE, 'file 10'));
  await drive.locate(block, go);
  await drive.unit.send({ cdb: [0x19, 0, 0, 0, 0, 0] }, go);
  await close();
  const report = await scrubWorld(world, { media: [ONE] });
  expect(report.found.map(({ kind }) => kind)).toContain('end-of-data');
  expect(report).toMatchObject({ damagedFiles: 6, lostFiles: 0 });
  expect(readdirSync(world.source)).toHaveLength(12);
  mkdirSync(join(world.source, 'restored'));
  const { report: restored } = await world.restore({ to: join(world.source, 'restored') });
  expect(restored.failures).toBe(0);
});
