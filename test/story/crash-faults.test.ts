/**
 * Whatever its drives suffer, a backup ends or fails with a name; a few further runs complete it, what is restored is
 * identical, and every archive that the catalog calls good reads back. A failure is a seed.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CodedError } from '../../src/base/errors.ts';
import { type Random, seededRandom } from '../../src/base/random.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { checkArchives, expectUnchanged, knownPrefixes } from '../sim/check-archives.ts';
import { randomFault } from '../sim/random-faults.ts';
import { differences, randomBytes } from '../sim/rich-tree.ts';
import { seedCount } from '../sim/seeds.ts';

const SEEDS = Array.from({ length: seedCount({ usual: 5, soak: 20 }) }, (_, seed) => seed);
const FAULTS_PER_STORY = 3;
/** Runs until every fault has come, each with something new to write. */
const DAYS_MAX = 20;
/** Runs that one day's tree may take. */
const RUNS_MAX = 5;

const CONFIG = `
[archive]
size = "300KB"
part = "200KB"
block = "64KiB"
`;

function change(world: BackupWorld, day: number, random: Random): void {
  const folder = join(world.source, `day ${day}`);
  mkdirSync(folder);
  for (let file = 0; file < 10; file += 1)
    writeFileSync(join(folder, `${file}`), randomBytes(random, random.below(20_000)));
  writeFileSync(join(world.source, 'large'), randomBytes(random, 500_000 + random.below(300_000)));
  if (day > 1) rmSync(join(world.source, `day ${day - 1}`, '3'));
}

test.each(SEEDS)('seed %i: three faults', async (seed) => {
  const random = seededRandom(seed);
  const world = await BackupWorld.make({
    cartridges: 10,
    capacityBytes: 8 * 2 ** 20,
    config: CONFIG,
  });
  const { faults } = world.sim;
  const copies = seed % 5 === 4 ? 2 : 1;
  for (let index = 0; index < FAULTS_PER_STORY; index += 1)
    faults.add(randomFault(random, index % copies));
  const said: string[] = [];
  const tapes = world.sim.directory;
  try {
    for (let day = 1; day <= 2 || faults.unfired().length > 0; day += 1) {
      expect(day, `not all faults came: ${faults.unfired().join('; ')}`).toBeLessThan(DAYS_MAX);
      change(world, day, random);
      const before = knownPrefixes(world.catalog, tapes);
      for (let runs = 1; ; runs += 1) {
        expect(runs, 'runs that failed').toBeLessThan(RUNS_MAX);
        try {
          const { state, warnings, media } = await world.backup({ copies });
          said.push(`day ${day}: ${state} on ${media.join()} ${warnings.join('; ')}`);
          if (state === 'finished') break;
        } catch (error) {
          if (!(error instanceof CodedError)) throw error;
          said.push(`day ${day}: ${error.code} ${error.message}`);
        }
      }
      expectUnchanged(before, tapes);
      checkArchives(world.catalog, tapes);
    }
    await expectRestored(world);
    await expectSettles(world, copies);
  } catch (error) {
    throw new Error(`seed ${seed}:\n${said.join('\n')}\n${String(error)}`, { cause: error });
  }
});

/** What lies on media that are suspect now is written once more, elsewhere; then there is nothing left to do. */
async function expectSettles(world: BackupWorld, copies: number): Promise<void> {
  const tapes = world.sim.directory;
  const before = knownPrefixes(world.catalog, tapes);
  const moved = await world.backup({ copies });
  const again = await world.backup({ copies });
  expect(again).toMatchObject({ snapshot: null, media: [], bytes: { written: 0, hashed: 0 } });
  expectUnchanged(before, tapes);
  checkArchives(world.catalog, tapes);
  if (moved.media.length > 0) await expectRestored(world);
}

async function expectRestored(world: BackupWorld): Promise<void> {
  const { tree, report } = await world.restore();
  expect(report.failed).toEqual([]);
  expect(differences(world.source, tree)).toBe('');
}
