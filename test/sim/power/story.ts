/** A backup is cut at random calls; whatever is left, the next one completes, and nothing of before is lost. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Random, seededRandom } from '../../../src/base/random.ts';
import type { Catalog } from '../../../src/catalog/catalog.ts';
import {
  checkArchives,
  expectUnchanged,
  knownPrefixes,
  type TapePrefix,
} from '../check-archives.ts';
import { randomBytes } from '../rich-tree.ts';
import { buildPowerSwitch, type Loss } from './process.ts';
import { CrashWorld, changeTree, chooseCut, makeTree } from './world.ts';

/** Backups after a cut that may fail before one ends well. */
const RUNS_MAX = 3;
/** Of so many seeds one cuts the run that goes on, too. */
const CUT_AGAIN_EVERY = 3;
/** Of so many seeds one asks for the older snapshot once more when all is done, and one restores what is seen at the cut. */
const OLD_EVERY = 3;

export type CutStory = {
  /** Which backup is cut: the very first one, or one of a tree that has changed since. */
  readonly which: 'first' | 'second';
  readonly copies: 1 | 2;
  /** Calls that the backup makes; else the cuts would miss what they are for. */
  readonly callsFor: readonly RegExp[];
  readonly world?: { readonly capacity: string; readonly config: string };
  /** What else is done before the backup that is cut. */
  prepare?(world: CrashWorld): void;
  /** A warning that the cut has nothing to do with. */
  readonly mayBeSaid?: RegExp;
  /** Of the calls of a backup that was not cut, from which to which one is cut. Default: all. */
  window?(calls: readonly string[]): readonly [number, number];
};

/** Catalog, log, change of cartridge with a label, confirmations. */
export const SECOND: CutStory = {
  which: 'second',
  copies: 1,
  callsFor: [/ \/state\/catalog.sqlite$/, /-wal$/, /VIR002L8.tap$/, /\.tap\.index$/],
};
/** Both labels of the first cartridges, too. */
export const FIRST: CutStory = { ...SECOND, which: 'first', callsFor: [/VIR001L8.tap$/] };
export const TWO_COPIES: CutStory = {
  which: 'second',
  copies: 2,
  callsFor: [/VIR001L8.tap$/, /VIR002L8.tap$/, /VIR003L8.tap$/, /VIR004L8.tap$/],
};

/** A tape that ends inside a file: what is cut is the tear, and the archive that completes what was torn. */
export const NEAR_END: CutStory = {
  which: 'second',
  copies: 1,
  callsFor: [/VIR001L8.tap$/, /VIR002L8.tap$/],
  world: {
    capacity: '64MiB',
    config:
      '[archive]\nsize = "60MB"\npart = "30MB"\nblock = "64KiB"\n[backup]\nmemory = "64MiB"\nstaging = "always"\n',
  },
  prepare(world) {
    // What is on its way when the drive warns is less than a file that long.
    writeFileSync(join(world.tree, 'huge'), randomBytes(seededRandom(3), 22_000_000));
    const path = join(world.tapes, 'VIR001L8.json');
    const record: object = JSON.parse(readFileSync(path, 'utf8'));
    writeFileSync(path, JSON.stringify({ ...record, earlyWarningBytes: 56 * 2 ** 20 }));
  },
  mayBeSaid: /warning: VIR001L8: the end of the tape came after .*/g,
  window(calls) {
    const tear = calls.findIndex(
      (call) => call.startsWith('fdatasync') && /VIR001L8.tap$/.test(call),
    );
    return [tear - 10, calls.findIndex((call) => /VIR002L8.tap$/.test(call))];
  },
};

export function describeCuts(loss: Loss, story: CutStory, seeds: number): void {
  const copies = ['--copies', String(story.copies)];
  const jobNumber = story.which === 'first' ? 1 : 2;

  describe(`the ${story.which} backup, ${story.copies} at once, ended by loss of ${loss}`, () => {
    let world: CrashWorld;
    let removeLibrary: () => Promise<void>;
    /** The tree of the snapshot before, where there is one. */
    let first: string | undefined;
    let calls: readonly string[];
    let window: readonly [number, number];
    let known: readonly TapePrefix[];
    let seen: readonly string[];

    beforeAll(async () => {
      const { library, remove } = await buildPowerSwitch();
      removeLibrary = remove;
      world = await CrashWorld.make({ library, loss, ...story.world });
      makeTree(world.tree, seededRandom(1));
      if (story.which === 'second') {
        await world.ok('backup', '--single-threaded', ...copies);
        first = world.keepTree('first');
        changeTree(world.tree, seededRandom(2));
      }
      story.prepare?.(world);
      world.keepAs('before');
      known = world.withCatalog((catalog) => knownPrefixes(catalog, world.tapes));
      seen = await world.look();
      const uncut = await world.runUntil(0, 'backup', ...copies);
      expect(uncut, uncut.stderr).toMatchObject({ status: 0 });
      calls = uncut.calls;
      for (const kind of story.callsFor)
        expect(
          calls.some((call) => kind.test(call)),
          String(kind),
        ).toBe(true);
      expect(await world.look()).not.toEqual(seen);
      window = story.window?.(calls) ?? [0, calls.length];
    });

    afterAll(async () => {
      world.remove();
      await removeLibrary();
    });

    /** Cuts it; @returns how many archives it said are stored */
    async function cut(random: Random, said: string[]): Promise<number> {
      const [from, to] = window;
      const at = from + chooseCut(calls.slice(from, to), random);
      const ended = await world.runUntil(at, 'backup', ...copies);
      said.push(`cut at ${at}, ${ended.calls.at(-1)}: ${ended.stderr}`);
      if (ended.status === null) await world.power.lose(random);
      else expect(ended.status, said.join('\n')).toBe(0);
      return ended.stderr.match(/ stored on /g)?.length ?? 0;
    }

    /** Unfinished, it shows nothing of itself: people see the last snapshot, and get it back whole. */
    async function expectUnseen(isRestored: boolean): Promise<void> {
      expect(await world.look()).toEqual(seen);
      if (!isRestored) return;
      if (first !== undefined) return world.expectRestored(first);
      const { exit, stderr } = await world.say('restore', '/', '--to', world.directory);
      expect([exit, stderr]).toEqual([2, expect.stringMatching(/no(thing| snapshot)/)]);
    }

    async function complete(said: string[]): Promise<void> {
      for (let runs = 1; ; runs += 1) {
        const { exit, stderr } = await world.say('backup', '--single-threaded', ...copies);
        said.push(`backup: ${exit} ${stderr}`);
        // No cartridge is refused or given up for what our own end has left there.
        const unexpected = story.mayBeSaid ? stderr.replaceAll(story.mayBeSaid, '') : stderr;
        expect(unexpected).not.toMatch(/warning|wrong/);
        if (exit === 0) return;
        expect(runs, said.join('\n')).toBeLessThan(RUNS_MAX);
      }
    }

    const list = Array.from({ length: seeds }, (_, seed) => seed);
    test.each(list)('seed %i', async (seed) => {
      const random = seededRandom(seed);
      world.backTo('before');
      const said: string[] = [];
      let stored = await cut(random, said);
      if (seed % CUT_AGAIN_EVERY === 2) stored += await cut(random, said);
      try {
        expectUnchanged(known, world.tapes);
        // What it said is stored is stored.
        expect(
          world.withCatalog((catalog) => archivesOf(catalog, jobNumber)),
        ).toBeGreaterThanOrEqual(stored);
        const isFinished = world.withCatalog((catalog) => hasSnapshotOf(catalog, jobNumber));
        if (!isFinished) await expectUnseen(seed % OLD_EVERY === 1);
        else if (seed % OLD_EVERY === 1) await world.expectRestored(world.tree);
        const afterCut = world.withCatalog((catalog) => knownPrefixes(catalog, world.tapes));
        await complete(said);
        await world.expectRestored(world.tree);
        if (first !== undefined && seed % OLD_EVERY === 0)
          await world.expectRestored(first, '--at', '1');
        expectUnchanged(known, world.tapes);
        expectUnchanged(afterCut, world.tapes);
        world.withCatalog((catalog) => checkArchives(catalog, world.tapes));
        expect(world.withCatalog((catalog) => contentsWithFewer(catalog, story.copies))).toBe(0);
      } catch (error) {
        throw new Error(`seed ${seed}: ${said.join('\n')}`, { cause: error });
      }
    });
  });
}

function archivesOf(catalog: Catalog, jobNumber: number): number {
  const good = "SELECT count(*) FROM archives WHERE job = ? AND state = 'good'";
  return catalog.prepare<[number]>(good).get(jobNumber)?.[0] ?? 0;
}

function hasSnapshotOf(catalog: Catalog, jobNumber: number): boolean {
  const finished = "SELECT 1 FROM snapshots WHERE state = 'finished' AND job = ?";
  return catalog.prepare(finished).get(jobNumber) !== undefined;
}

/** Contents of the newest snapshot of which some part has fewer good copies. */
function contentsWithFewer(catalog: Catalog, copies: number): number {
  const few = `
    SELECT count(DISTINCT i.content) FROM versions v JOIN inodes i ON i.id = v.inode
    JOIN contents c ON c.id = i.content AND c.size > 0
    WHERE v.until IS NULL AND (
      SELECT coalesce(min(n), 0) FROM (
        SELECT count(DISTINCT a.medium) AS n FROM extents e
        LEFT JOIN archive_copies a ON a.archive = e.archive AND a.state = 'good'
        WHERE e.content = c.id GROUP BY e.content_offset)) < ?`;
  return catalog.prepare<[number]>(few).get(copies)?.[0] ?? -1;
}
