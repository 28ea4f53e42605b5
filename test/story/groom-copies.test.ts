/** Copies that a pool's policy asks for: groom makes them of whole archives, byte for byte. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { copiesOf, shortageOf } from '../../src/catalog/copies-policy.ts';
import { Media } from '../../src/catalog/media.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { checkArchives } from '../sim/check-archives.ts';
import { groomMedia, mediumOf } from '../sim/groom-world.ts';
import { differences, randomBytes } from '../sim/rich-tree.ts';

const ONE = 'BKP001L8';
const POLICY = { pool: 'main', copies: 2, offsite: 0, readBackMs: undefined };

async function makeWorld(drives: number): Promise<BackupWorld> {
  const world = await BackupWorld.make({
    drives,
    capacityBytes: 24 * 2 ** 20,
    config: '[archive]\nblock = "64KiB"\nsize = "400kB"\n',
  });
  const random = seededRandom(7);
  for (let index = 0; index < 12; index += 1)
    writeFileSync(join(world.source, `file ${index}`), randomBytes(random, 60_000 + index * 7001));
  await world.backup();
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
  const sense = { kind: 'sense', key: 0x3, code: 0x1100, deferred: false } as const;
  const { startBlock = 0 } = firstArchive(world);
  world.sim.faults.add({
    note: 'a block of the first archive',
    on: 'read',
    cartridge: ONE,
    atBlock: startBlock + 2,
    effect: sense,
  });
  const report = await groomMedia(world, [], { tools: { policies: [POLICY] } });
  expect(report.state).toBe('partial');
  expect(report.copied[0]?.missing).toBeGreaterThan(0);
  expect(report.copied[0]?.archives).toBeGreaterThan(0);
  checkArchives(world.catalog, world.sim.directory);
});

function firstArchive({ catalog }: BackupWorld) {
  const [startBlock] =
    catalog.prepare<[number]>('SELECT min(start_block) FROM archive_copies').get() ?? [];
  return { startBlock };
}
