/** A second backup is cut at random calls; whatever is left, the next one completes, and nothing of before is lost. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seededRandom } from '../../../src/base/random.ts';
import type { Catalog } from '../../../src/catalog/catalog.ts';
import {
  checkArchives,
  expectUnchanged,
  knownPrefixes,
  type TapePrefix,
} from '../check-archives.ts';
import { buildPowerSwitch, type Loss } from './process.ts';
import { CrashWorld, changeTree, chooseCut, makeTree } from './world.ts';

/** Backups after a cut that may fail before one ends well. */
const RUNS_MAX = 3;
/** Of so many seeds one cuts the run that goes on, too. */
const CUT_AGAIN_EVERY = 3;

export function describeCuts(loss: Loss, seeds: number): void {
  describe(`a second backup ended by loss of ${loss}`, () => {
    let world: CrashWorld;
    let removeLibrary: () => Promise<void>;
    let first: string;
    let calls: readonly string[];
    let known: readonly TapePrefix[];

    beforeAll(async () => {
      const { library, remove } = await buildPowerSwitch();
      removeLibrary = remove;
      world = await CrashWorld.make({ library, loss });
      makeTree(world.tree, seededRandom(1));
      await world.ok('backup', '--single-threaded');
      first = world.keepTree('first');
      changeTree(world.tree, seededRandom(2));
      world.keepAs('before');
      known = world.withCatalog((catalog) => knownPrefixes(catalog, world.tapes));
      expect(known[1]).toMatchObject({ barcode: 'VIR002L8', bytes: Buffer.alloc(0) });
      const uncut = await world.backupUntil(0);
      expect(uncut, uncut.stderr).toMatchObject({ status: 0 });
      calls = uncut.calls;
      // Else the cuts would miss what they are for: catalog, log, change of cartridge with a label, confirmations.
      for (const kind of [/ \/state\/catalog.sqlite$/, /-wal$/, /VIR002L8.tap$/, /\.tap\.index$/])
        expect(
          calls.some((call) => kind.test(call)),
          String(kind),
        ).toBe(true);
    });

    afterAll(async () => {
      world.remove();
      await removeLibrary();
    });

    const list = Array.from({ length: seeds }, (_, seed) => seed);
    test.each(list)('seed %i', async (seed) => {
      const random = seededRandom(seed);
      world.backTo('before');
      const said: string[] = [];
      let stored = 0;
      const cut = async () => {
        const at = chooseCut(calls, random);
        const ended = await world.backupUntil(at);
        said.push(`cut at ${at}, ${ended.calls.at(-1)}: ${ended.stderr}`);
        if (ended.status === null) await world.power.lose(random);
        stored += ended.stderr.match(/ stored on /g)?.length ?? 0;
        if (ended.status !== null) expect(ended.status, said.join('\n')).toBe(0);
      };
      await cut();
      if (seed % CUT_AGAIN_EVERY === 2) await cut();
      try {
        expectUnchanged(known, world.tapes);
        // What it said is stored is stored.
        expect(world.withCatalog(archivesOfSecond)).toBeGreaterThanOrEqual(stored);
        const isFinished = world.withCatalog(hasSecondSnapshot);
        await world.expectRestored(isFinished ? world.tree : first);
        const afterCut = world.withCatalog((catalog) => knownPrefixes(catalog, world.tapes));
        for (let runs = 1; ; runs += 1) {
          const { exit, stderr } = await world.say('backup', '--single-threaded');
          said.push(`backup: ${exit} ${stderr}`);
          // No cartridge is refused or given up for what our own end has left there.
          expect(stderr).not.toMatch(/warning|wrong/);
          if (exit === 0) break;
          expect(runs, said.join('\n')).toBeLessThan(RUNS_MAX);
        }
        await world.expectRestored(world.tree);
        await world.expectRestored(first, '--at', '1');
        expectUnchanged(known, world.tapes);
        expectUnchanged(afterCut, world.tapes);
        world.withCatalog((catalog) => checkArchives(catalog, world.tapes));
      } catch (error) {
        throw new Error(`seed ${seed}: ${said.join('\n')}`, { cause: error });
      }
    });
  });
}

function archivesOfSecond(catalog: Catalog): number {
  const good = "SELECT count(*) FROM archives WHERE job = 2 AND state = 'good'";
  return catalog.prepare<[number]>(good).get()?.[0] ?? 0;
}

function hasSecondSnapshot(catalog: Catalog): boolean {
  return (
    catalog.prepare("SELECT 1 FROM snapshots WHERE state = 'finished' AND id = 2").get() !==
    undefined
  );
}
