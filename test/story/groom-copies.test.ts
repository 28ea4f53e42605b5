/** Copies that a pool's policy asks for: groom makes them of whole archives, byte for byte. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { copiesOf, shortageOf } from '../../src/catalog/content/copies-policy.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { checkArchives } from '../sim/check-archives.ts';
import { expireWorld } from '../sim/expire-world.ts';
import { flipBlock, groomMedia, mediumOf } from '../sim/groom-world.ts';
import { differences, randomBytes } from '../sim/rich-tree.ts';
import { breakOnTape } from '../sim/tap-damage.ts';

const ONE = 'BKP001L8';
const POLICY = { pool: 'main', copies: 2, offsite: 0, readBackMs: undefined };

async function makeWorld(drives: number, copies = 1): Promise<BackupWorld> {
  const world = await BackupWorld.make({
    drives,
    capacityBytes: 24 * 2 ** 20,
    config: '[archive]\nblock = "64KiB"\nsize = "400kB"\n',
  });
  const random = seededRandom(7);
  for (let index = 0; index < 12; index += 1)
    writeFileSync(join(world.source, `file ${index}`), randomBytes(random, 60_000 + index * 7001));
  await world.backup({ copies });
  return world;
}

function policyIn({ catalog }: BackupWorld) {
  return { ...POLICY, poolId: new Media(catalog).ensurePool('main').id };
}

test.each([1, 2])(
  'with %i drives: a second copy, and nothing is lost with the first',
  async (drives) => {
    const world = await makeWorld(drives);
    const policy = policyIn(world);
    expect(shortageOf(world.catalog, policy)).toMatchObject({ contents: 12, onlyElsewhere: 0 });
    const before = checkArchives(world.catalog, world.sim.directory);
    const options = { spoolBytes: 900_000, tools: { policies: [POLICY] } };
    const report = await groomMedia(world, [], options);
    expect(report).toMatchObject({
      state: 'finished',
      media: [],
      copied: [{ archives: before, missing: 0 }],
    });
    expect(shortageOf(world.catalog, policy).contents).toBe(0);
    expect(checkArchives(world.catalog, world.sim.directory)).toBe(2 * before + 1);
    // There is nothing more to be done.
    expect(await groomMedia(world, [], options)).toMatchObject({ copied: [{ archives: 0 }] });
    new Media(world.catalog).setState(mediumOf(world, ONE).id, 'lost');
    expect(shortageOf(world.catalog, policy).contents).toBe(12);
    expect(differences(world.source, (await world.restore()).tree)).toBe('');
  },
);

test('by policy a copy counts when it was read back lately, and so many are off site', async () => {
  const world = await makeWorld(2);
  const { catalog } = world;
  const policy = { ...policyIn(world), copies: 1 };
  expect(shortageOf(catalog, policy).contents).toBe(0);
  const offsite = { ...policy, offsite: 1 };
  expect(shortageOf(catalog, offsite)).toMatchObject({ contents: 12, onlyElsewhere: 12 });
  new Media(catalog).move(mediumOf(world, ONE).id, 'bank');
  catalog.write(() =>
    catalog.prepare("UPDATE locations SET is_offsite = 1 WHERE name = 'bank'").run(),
  );
  expect(shortageOf(catalog, offsite).contents).toBe(0);
  await world.sim.clock.sleepMs(1000, new AbortController().signal);
  const stale = { ...policy, readBackMs: 500 };
  expect(shortageOf(catalog, stale)).toMatchObject({ contents: 12, onlyElsewhere: 12 });
  const [content = 0] = catalog.prepare<[number]>('SELECT max(content) FROM extents').get() ?? [];
  expect(copiesOf(catalog, content, offsite)).toEqual({ copies: 1, offsite: 1 });
  expect(copiesOf(catalog, content, stale)).toEqual({ copies: 0, offsite: 0 });
});

test('an archive that cannot be read is told, the others are copied', async () => {
  const world = await makeWorld(2);
  const [first = 0] = startsOn(world, ONE);
  breakOnTape(world.sim.directory, ONE, [first + 2]);
  const report = await groomMedia(world, [], { tools: { policies: [POLICY] } });
  expect(report.state).toBe('partial');
  // The block is of two files.
  expect(report.copied[0]?.missing).toBe(2);
  expect(report.copied[0]?.archives).toBeGreaterThan(0);
});

test('what is left in an archive that is mostly dead gets its second copy too', async () => {
  const world = await makeWorld(2);
  for (let index = 1; index < 12; index += 1) rmSync(join(world.source, `file ${index}`));
  await world.sim.clock.sleepMs(60_000, new AbortController().signal);
  await world.backup();
  await expireWorld(world, 'keep-last = 1');
  const policy = policyIn(world);
  expect(shortageOf(world.catalog, policy).contents).toBe(1);
  const report = await groomMedia(world, [], { tools: { policies: [POLICY] }, belowPercent: 1 });
  expect(report).toMatchObject({ state: 'finished', copied: [{ contents: 1, missing: 0 }] });
  new Media(world.catalog).setState(mediumOf(world, ONE).id, 'lost');
  expect(shortageOf(world.catalog, policy).contents).toBe(1);
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
  checkArchives(world.catalog, world.sim.directory);
});

test('where one medium gives wrong bytes back another is copied; where each does, what is good of each', async () => {
  const world = await makeWorld(2, 2);
  const { catalog } = world;
  const [first = 0, second = 0] = startsOn(world, ONE);
  for (const block of [first + 1, second + 1]) flipBlock(world, ONE, block);
  flipBlock(world, 'BKP002L8', second + 4);
  const archives = startsOn(world, ONE).length;
  const three = { ...POLICY, copies: 3 };
  const report = await groomMedia(world, [], { tools: { policies: [three] } });
  expect(report).toMatchObject({
    state: 'finished',
    copied: [{ archives: archives - 1, missing: 0 }],
  });
  expect(shortageOf(catalog, { ...policyIn(world), copies: 3 }).contents).toBe(0);
});

test('what an archive holds that a tape ended in gets its second copy', async () => {
  const world = await BackupWorld.make({
    cartridges: 5,
    capacityBytes: 100 * 2 ** 20,
    config: '[archive]\nsize = "90MB"\npart = "20MB"\nblock = "64KiB"\n',
  });
  const path = join(world.sim.directory, `${ONE}.json`);
  const record: object = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(path, JSON.stringify({ ...record, earlyWarningBytes: 58 * 2 ** 20 }));
  for (let index = 0; index < 4; index += 1)
    writeFileSync(join(world.source, `${index}`), randomBytes(seededRandom(index), 14_000_000));
  await world.backup();
  const torn = 'SELECT count(*) FROM archives WHERE completed_by IS NOT NULL';
  expect(world.catalog.prepare<[number]>(torn).get()).toEqual([1]);
  const report = await groomMedia(world, [], { tools: { policies: [POLICY] } });
  expect(report).toMatchObject({ state: 'finished', copied: [{ missing: 0 }] });
  new Media(world.catalog).setState(mediumOf(world, ONE).id, 'lost');
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
});

/** First blocks of the archives on it. */
function startsOn(world: BackupWorld, barcode: string): number[] {
  return world.catalog
    .prepare<[number]>(
      'SELECT start_block FROM archive_copies WHERE medium = ? AND state = ? ORDER BY file_number',
    )
    .all(mediumOf(world, barcode).id, 'good')
    .flat();
}

/** Drive 0 has the cartridge of the backup and reads; drive 1 writes and reads back. */
const LOST_PLACES = [
  ...[1, 3, 6, 10, 15].map((atCount) => ({ drive: 0, on: 'read', atCount }) as const),
  ...[1, 3, 10, 15, 20].map((atCount) => ({ drive: 1, on: 'read', atCount }) as const),
  ...[1, 3, 6, 10, 15].map((atCount) => ({ drive: 1, on: 'position', atCount }) as const),
  ...[1, 3, 6, 10, 15].map((atCount) => ({ drive: 1, on: 'write', atCount }) as const),
];

test.each(LOST_PLACES)(
  'drive $drive loses its place at $on number $atCount and is asked again',
  async (fault) => {
    const world = await makeWorld(2);
    const effect = { kind: 'reset', swallowed: fault.on === 'position' } as const;
    world.sim.faults.add({ ...fault, effect, note: `${fault.on} ${fault.atCount}` });
    const report = await groomMedia(world, [], { tools: { policies: [POLICY] } });
    expect(report).toMatchObject({ state: 'finished', copied: [{ missing: 0 }] });
    expect(shortageOf(world.catalog, policyIn(world)).contents).toBe(0);
    checkArchives(world.catalog, world.sim.directory);
  },
);

test.each([1, 6, 7])(
  'a medium that fails with filemark %i it gets does not count: others have the copies when groom says so',
  async (atCount) => {
    const world = await makeWorld(2);
    const effect = { kind: 'sense', key: 0x3, code: 0x0c00, deferred: true } as const;
    world.sim.faults.add({
      on: 'filemark',
      drive: 1,
      atCount,
      effect,
      note: `filemark ${atCount}`,
    });
    const report = await groomMedia(world, [], { tools: { policies: [POLICY] } });
    expect(shortageOf(world.catalog, policyIn(world)).contents).toBe(0);
    expect(report).toMatchObject({ state: 'finished', copied: [{ missing: 0 }] });
    const suspects = new Media(world.catalog).list().filter(({ state }) => state === 'suspect');
    expect(suspects).toHaveLength(1);
    checkArchives(world.catalog, world.sim.directory);
  },
);
