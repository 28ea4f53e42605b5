/** What the catalog keeps for a cartridge that was given up goes when the cartridge has a new label, and nothing misses it. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Contents } from '../../src/catalog/content/contents.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { spoilCopies } from '../sim/broken-tape.ts';
import { expireWorld } from '../sim/expire-world.ts';
import { groomMedia, mediumOf } from '../sim/groom-world.ts';
import { findings, recoverWorld, restorable } from '../sim/recover-world.ts';
import { expectSameLines } from '../sim/same-lines.ts';

const FIRST = 'BKP001L8';
const go = new AbortController().signal;

test('extents and ends of what lay there are swept, and journals alone still tell the same', async () => {
  const world = await BackupWorld.make({ cartridges: 3, config: '[archive]\nblock = "4KiB"\n' });
  const { catalog, source, sim, tools } = world;
  const count = (sql: string) =>
    catalog.prepare<[number]>(`SELECT count(*) FROM ${sql}`).get()?.[0] ?? 0;
  const sweep = async (day: number) => {
    writeFileSync(join(source, `added on day ${day}`), `added ${day}`);
    await world.backup();
    await sim.clock.sleepMs(86_400_000, go);
    await expireWorld(world, 'keep-last = 1');
  };
  const ofLost = `extents e WHERE NOT EXISTS(
    SELECT 1 FROM archive_copies k WHERE k.archive = e.archive AND k.state <> 'lost')`;
  mkdirSync(join(source, 'folder'));
  writeFileSync(join(source, 'stays'), 'as it was');
  for (const day of [1, 2, 3]) {
    writeFileSync(join(source, 'folder', `made on day ${day}`), `day ${day}`);
    if (day > 1) rmSync(join(source, 'folder', `made on day ${day - 1}`));
    await world.backup();
    await sim.clock.sleepMs(86_400_000, go);
  }
  await expireWorld(world, 'keep-last = 1');
  expect(count('bygones')).toBe(2);
  expect((await groomMedia(world, [FIRST])).media).toMatchObject([{ state: 'scratch' }]);
  expect(count(ofLost)).toBeGreaterThan(0);
  const unwell = () => {
    const isWeak = new Contents(catalog).weakness({ copies: 1 });
    const ids = catalog.prepare<[number]>('SELECT id FROM contents WHERE id > 1').all().flat();
    return ids.filter(isWeak);
  };
  expect(unwell()).toEqual([]);

  await sweep(4);
  expect(count(ofLost)).toBe(0);
  expect(count("archives WHERE state = 'good' AND dead_bytes = length_bytes")).toBe(3);
  expect(unwell()).toEqual([]);
  // The cartridge can still be read by whoever has nothing but cartridges.
  expect(count('bygones')).toBe(2);

  await tools.label(FIRST, 'main', go);
  expect(count(`archive_copies WHERE medium = ${mediumOf(world, FIRST).id}`)).toBe(0);
  await sweep(5);
  expect(count('bygones')).toBe(0);
  expect(findings(catalog)).toEqual([]);

  // Runs are told once more, without the names that nobody can know any more.
  await groomMedia(world, ['BKP002L8']);
  spoilCopies(catalog, sim.directory);
  const recovered = await recoverWorld(world);
  expect(findings(recovered.catalog)).toEqual([]);
  expectSameLines(restorable(recovered.catalog), restorable(catalog));
});
