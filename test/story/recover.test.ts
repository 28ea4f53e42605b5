/**
 * The catalog anew after random histories: from all cartridges, from the journals alone, and from each single cartridge all
 * that it can know.
 */
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import type { Catalog } from '../../src/catalog/catalog.ts';
import type { BackupWorld } from '../sim/backup-world.ts';
import { spoilCopies } from '../sim/broken-tape.ts';
import { expireWorld } from '../sim/expire-world.ts';
import { makeHistory } from '../sim/history.ts';
import { findings, recoverWorld, restorable } from '../sim/recover-world.ts';
import { expectSameLines } from '../sim/same-lines.ts';
import { seedCount } from '../sim/seeds.ts';

const seeds = Array.from({ length: seedCount({ usual: 2, soak: 50 }) }, (_, index) => index + 1);

test.each(seeds)('a random history, seed %i', async (seed) => {
  const backups = 20;
  const world = await makeHistory({
    random: seededRandom(seed),
    backups,
    between: async (now, day, random) => {
      // What comes behind the last backup no journal tells.
      if (day === backups - 1 || day < 4 || random.below(3) > 0) return;
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

function usedMedia(catalog: Catalog): string[] {
  return catalog
    .prepare<[string]>(
      'SELECT DISTINCT m.barcode FROM archive_copies k JOIN media m ON m.id = k.medium ORDER BY m.barcode',
    )
    .all()
    .flat();
}

/** The newest snapshot whose run ended with an archive on this cartridge, or before one began. */
function lastToldOn(catalog: Catalog, barcode: string): number {
  const [last] =
    catalog
      .prepare<[number | null]>(
        `SELECT max(s.seconds) FROM archive_copies k JOIN media m ON m.id = k.medium JOIN archives a ON a.id = k.archive
           JOIN snapshots s ON s.job = a.job
         WHERE m.barcode = ? AND NOT EXISTS(SELECT 1 FROM archives l WHERE l.job = a.job AND l.sequence > a.sequence)`,
      )
      .get(barcode) ?? [];
  return last ?? 0;
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
