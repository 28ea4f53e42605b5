/**
 * Random damage of larger cartridges: thousands of single bytes in memory, and a few cartridges hurt in many places, as a
 * person meets them. Each is found; the files that are not whole are exactly those named; with a second copy nobody is asked.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { ReadBack } from '../../src/catalog/care/read-back.ts';
import { Contents } from '../../src/catalog/content/contents.ts';
import { checkCopy } from '../../src/job/scrub/check.ts';
import { touchesAny } from '../../src/job/scrub/contents.ts';
import { StreamReader } from '../../src/job/scrub/stream.ts';
import { absentOperator } from '../../src/storage/operator.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { TapImage } from '../sim/check-archives.ts';
import { FlippedTape, InlineHasher } from '../sim/flipped-tape.ts';
import { differences, makeSparse, randomBytes } from '../sim/rich-tree.ts';
import { extentsOn, mediumOf, placeIn, scrubWorld } from '../sim/scrub-world.ts';
import { seedCount } from '../sim/seeds.ts';
import { breakOnTape, flipOnTape } from '../sim/tap-damage.ts';

const ONE = 'BKP001L8';
const go = new AbortController().signal;
const FLIPS = seedCount({ usual: 40, soak: 10_000 });
const SEEDS = seedCount({ usual: 1, soak: 30 });

/** Small and large files, holes, and a file in parts that several archives share. */
async function larger(copies: number, seed: number) {
  const config = '[archive]\nblock = 32768\npart = "1MB"\nsize = "2MB"\n';
  const world = await BackupWorld.make({ config });
  const random = seededRandom(seed);
  const at = (...names: string[]) => join(world.source, ...names);
  mkdirSync(at('d'));
  for (let index = 0; index < 40; index += 1)
    writeFileSync(at('d', `file ${index}`), randomBytes(random, 100 + random.below(60_000)));
  writeFileSync(at('large'), randomBytes(random, 900_000));
  writeFileSync(at('in parts'), randomBytes(random, 2_600_000));
  makeSparse(at('sparse'), 400_000, [
    [8192, 4096],
    [200_000, 3000],
  ]);
  await world.backup({ copies });
  return world;
}

test('single bytes: each is found, and what is named is what they are in', async () => {
  const world = await larger(1, 1);
  const copies = world.catalog.part(ReadBack).copiesOn(mediumOf(world, ONE).id);
  expect(copies.length).toBeGreaterThan(1);
  const all = extentsOn(world, ONE);
  const image = TapImage.read(world.sim.directory, ONE);
  const tape = new FlippedTape(image, { barcode: ONE, blockBytes: 32_768 });
  const reader = new StreamReader(tape, new InlineHasher(), () => {});
  const contents = new Contents(world.catalog);
  const extentsOf = (archiveId: number) => all.filter(({ copy }) => copy.archiveId === archiveId);
  const tools = { tape, reader, contents, extentsOf };
  const random = seededRandom(2);
  for (let flip = 0; flip < FLIPS; flip += 1) {
    const copy = copies[random.below(copies.length)];
    if (!copy?.lengthBlocks) throw new Error('no archive');
    const index = random.below(copy.lengthBlocks);
    const place = { block: copy.startBlock + index, at: random.below(32_768) };
    const position = index * 32_768 + place.at;
    const xor = 1 << random.below(8);
    tape.flip(place, xor);
    const { state, ranges } = await checkCopy(copy, tools, go);
    const what = `flip ${flip}: byte ${place.at} of block ${place.block}`;
    expect(state, what).toBe('damaged');
    const [hit, named] = [new Set<string>(), new Set<string>()];
    for (const { extent, path } of extentsOf(copy.archiveId)) {
      const range = { position: extent.archiveOffset, lengthBytes: extent.storedBytes };
      if (touchesAny(range, ranges)) named.add(path);
      if (touchesAny(range, [{ position, lengthBytes: 1 }])) hit.add(path);
    }
    // A sparse map ends in zeros that mean nothing.
    const isPlain = !hit.has('sparse');
    if (isPlain) expect([...named], what).toEqual([...hit]);
    tape.flip(place, xor);
  }
  for (const copy of copies) expect((await checkCopy(copy, tools, go)).state).toBe('right');
}, 3_600_000);

describe.each(Array.from({ length: SEEDS }, (_, seed) => seed))('seed %i', (seed) => {
  /** @returns paths of the files that were hit */
  function hurt(world: BackupWorld): Set<string> {
    const random = seededRandom(100 + seed);
    const hit = new Set<string>();
    const all = extentsOn(world, ONE).filter(({ extent }) => extent.form === 'plain');
    for (let index = 0; index < 5; index += 1) {
      const extent = all[random.below(all.length)];
      if (!extent) throw new Error('nothing is there');
      const place = placeIn(extent, random.below(extent.extent.storedBytes));
      flipOnTape(world.sim.directory, ONE, { ...place, xor: 1 + random.below(255) });
      hit.add(extent.path);
    }
    const broken = all[random.below(all.length)];
    if (broken) {
      const { block } = placeIn(broken, random.below(broken.extent.storedBytes));
      breakOnTape(world.sim.directory, ONE, [block]);
      for (const extent of extentsOn(world, ONE)) {
        const last = placeIn(extent, extent.extent.storedBytes - 1).block;
        if (placeIn(extent).block <= block && block <= last) hit.add(extent.path);
      }
    }
    return hit;
  }
  const nameOf = (path: string) => path.slice(path.lastIndexOf('/') + 1);

  test('in many places, the only copy: what is named is lost, all else comes back', async () => {
    const world = await larger(1, seed);
    const expected = [...hurt(world)].sort();
    const report = await scrubWorld(world);
    expect(report.damaged.map(({ path }) => nameOf(path)).sort()).toEqual(expected);
    expect(report.lostFiles).toBe(expected.length);
    const { report: restored } = await world.restore();
    expect(restored.failed.map(({ path }) => nameOf(path)).sort()).toEqual(expected);
  });

  test('with a second copy nothing is lost, and nobody is asked', async () => {
    const world = await larger(2, seed);
    const expected = [...hurt(world)].sort();
    const report = await scrubWorld(world);
    expect(report.damaged.map(({ path }) => nameOf(path)).sort()).toEqual(expected);
    expect(report.lostFiles).toBe(0);
    const { tree, report: restored } = await world.restore({
      operator: { ...absentOperator, ask: () => Promise.reject(new Error('asked')) },
    });
    expect(restored.failures).toBe(0);
    expect(differences(world.source, tree)).toBe('');
  });
});
