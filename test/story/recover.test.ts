/**
 * The catalog anew after random histories: from all cartridges, from the journals alone, and from each single cartridge all
 * that it can know.
 */
import { expect, test } from 'vitest';
import { CodedError } from '../../src/base/errors.ts';
import { seededRandom } from '../../src/base/random.ts';
import type { Catalog } from '../../src/catalog/catalog.ts';
import type { BackupWorld } from '../sim/backup-world.ts';
import { spoilCopies } from '../sim/broken-tape.ts';
import { expireWorld } from '../sim/expire-world.ts';
import { groomMedia } from '../sim/groom-world.ts';
import { makeHistory } from '../sim/history.ts';
import { findings, recoverWorld, restorable } from '../sim/recover-world.ts';
import { expectSameLines } from '../sim/same-lines.ts';
import { seedCount } from '../sim/seeds.ts';

const HISTORIES = 50;
/** The first of all is one in which groom reads from a cartridge that it goes on to write. */
const FIRST = 10;
const seeds = Array.from(
  { length: seedCount({ usual: 1, soak: HISTORIES }) },
  (_, index) => ((FIRST - 1 + index) % HISTORIES) + 1,
);

test.each(seeds)('a random history, seed %i', { timeout: 300_000 }, async (seed) => {
  const backups = 20;
  const world = await makeHistory({
    random: seededRandom(seed),
    backups,
    between: async (now, day, random) => {
      // What comes behind the last backup no journal tells.
      if (day === backups - 1 || day < 4) return;
      const [full] = fullMedia(now.catalog);
      if (full !== undefined && random.below(4) === 0) await groomIfRoom(now, full);
      if (random.below(3) === 0)
        await expireWorld(now, `keep-last = ${3 + random.below(5)}\nkeep-daily = 2`);
    },
  });
  const expected = restorable(world.catalog);

  const all = await recoverWorld(world);
  expect(all.report.warnings).toBe(0);
  expect(all.report.base).not.toBe(null);
  expect(findings(all.catalog)).toEqual([]);
  expectSameLines(restorable(all.catalog), expected);

  for (const barcode of usedMedia(world.catalog)) await expectFromOne(world, barcode, expected);

  expect(spoilCopies(world.catalog, world.sim.directory)).toBeGreaterThan(0);
  const journals = await recoverWorld(world);
  expect(journals.report.base).toBe(null);
  expect(findings(journals.catalog)).toEqual([]);
  expectSameLines(restorable(journals.catalog), expected);
});

/** All paths up to its close; their bytes where this cartridge has them. */
async function expectFromOne(world: BackupWorld, barcode: string, expected: readonly string[]) {
  const { catalog, report } = await recoverWorld(world, { media: [barcode] });
  expect(findings(catalog)).toEqual([]);
  expect(report.missing).not.toContain(barcode);
  const last = lastToldOn(world.catalog, barcode);
  // What has expired since it was closed it still shows.
  const held = new Set(expected.map(secondsOf));
  const known = (lines: readonly string[]) =>
    lines
      .filter((line) => secondsOf(line) <= last && held.has(secondsOf(line)))
      .map((line) => line.replace(/ (there|lost)$/, ''));
  expectSameLines(known(restorable(catalog)), known(expected));
  const here = hashesOn(world.catalog, barcode);
  const lost = restorable(catalog).filter(
    (line) => line.endsWith(' lost') && here.some((hash) => line.includes(hash)),
  );
  expect(lost).toEqual([]);
}

const secondsOf = (line: string) => Number(line.replace(/^snapshot /, '').split(' ')[0]);

/** Where no cartridge has room for what is to be moved it stays where it is. */
async function groomIfRoom(world: BackupWorld, barcode: string): Promise<void> {
  try {
    await groomMedia(world, [barcode]);
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'MEDIUM_FULL') throw error;
  }
}

function fullMedia(catalog: Catalog): string[] {
  return catalog
    .prepare<[string]>("SELECT barcode FROM media WHERE state = 'full' ORDER BY id")
    .all()
    .flat();
}

function usedMedia(catalog: Catalog): string[] {
  return catalog
    .prepare<[string]>(
      `SELECT DISTINCT m.barcode FROM archive_copies k JOIN media m ON m.id = k.medium
         WHERE k.state = 'good' ORDER BY m.barcode`,
    )
    .all()
    .flat();
}

/**
 * Up to where a cartridge knows all: what its newest copy of the catalog has, and the runs behind that without a gap that its
 * journals tell whole. Others may have been written to another cartridge in between, or their first archives.
 */
function lastToldOn(catalog: Catalog, barcode: string): number {
  const here = `(SELECT k.archive FROM archive_copies k JOIN media m ON m.id = k.medium
    WHERE m.barcode = @barcode AND k.state = 'good')`;
  const [takenMs] =
    catalog
      .prepare<[number | null]>(`SELECT max(taken_ms) FROM catalog_copies WHERE archive IN ${here}`)
      .get({ barcode }) ?? [];
  const snapshots = catalog
    .prepare<[number, number]>(
      `SELECT s.seconds, EXISTS(SELECT 1 FROM told_runs t WHERE t.job = s.job AND t.archive IN ${here})
         OR (EXISTS(SELECT 1 FROM archives a WHERE a.job = s.job)
           AND NOT EXISTS(SELECT 1 FROM archives a WHERE a.job = s.job AND a.id NOT IN ${here}))
       FROM snapshots s ORDER BY s.id`,
    )
    .all({ barcode });
  let last = 0;
  for (const [seconds, isTold] of snapshots) {
    if (isTold === 0 && seconds * 1000 >= (takenMs ?? 0)) return last;
    last = seconds;
  }
  return last;
}

/** Contents that need no other cartridge. */
function hashesOn(catalog: Catalog, barcode: string): string[] {
  return catalog
    .prepare<[string]>(
      `SELECT hex(c.hash) FROM contents c WHERE c.size > 0 AND c.hash IS NOT NULL AND EXISTS(
         SELECT 1 FROM extents e JOIN archive_copies k ON k.archive = e.archive JOIN media m ON m.id = k.medium
         WHERE e.content = c.id AND e.content_offset = 0 AND e.length IS NULL AND m.barcode = ? AND k.state = 'good')`,
    )
    .all(barcode)
    .flat();
}
