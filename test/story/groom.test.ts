/** Grooming: what is needed of a cartridge moves to others, and only then the cartridge may be written anew. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { Media } from '../../src/catalog/media.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { restoreByScript } from '../sim/by-script.ts';
import { changeTree, makeBytes } from '../sim/changed-tree.ts';
import { checkArchives } from '../sim/check-archives.ts';
import { groomMedia, mediumOf } from '../sim/groom-world.ts';
import { differences, makeRichTree } from '../sim/rich-tree.ts';

const go = new AbortController().signal;
const ONE = 'BKP001L8';

test.each([1, 2])(
  'with %i drives: all is elsewhere, the cartridge is written anew',
  async (drives) => {
    const world = await BackupWorld.make({ drives });
    makeRichTree(world.source, seededRandom(1));
    await world.backup();
    await world.sim.clock.sleepMs(60_000, go);
    const report = await groomMedia(world, [ONE], { spoolBytes: 4 * 2 ** 20 * drives * 4 });
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
