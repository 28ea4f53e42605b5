/** Recovery from cartridges that somebody made to do harm, or that were copied out of their library. */
import { copyFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { CodedError } from '../../src/base/errors.ts';
import { seededRandom } from '../../src/base/random.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import { proveCopy } from '../../src/catalog/file/check.ts';
import { adoptCartridges } from '../../src/device/virtual/adopt.ts';
import { VirtualLibrary } from '../../src/device/virtual/library.ts';
import { journalFacts } from '../../src/job/recover/spool.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { memoryLocks } from '../sim/locks.ts';
import { findings, recoverWorld, restorable } from '../sim/recover-world.ts';
import { expectSameLines } from '../sim/same-lines.ts';
import { scratchDirectory } from '../sim/scratch.ts';

const FIRST = 'BKP001L8';
const SECOND = 'BKP002L8';

test('a label of another cartridge under a known barcode: nothing of it counts, and the recovery goes on', async () => {
  const world = await BackupWorld.make({
    cartridges: 2,
    drives: 2,
    config: '[archive]\nblock = "4KiB"\n',
  });
  writeFileSync(join(world.source, 'file'), 'on both');
  await world.backup({ copies: 2 });
  const uuids = world.catalog.prepare<[string]>('SELECT uuid FROM media ORDER BY barcode').all();
  const [first = '', second = ''] = uuids.flat();
  const path = join(world.sim.directory, `${SECOND}.tap`);
  const text = readFileSync(path)
    .toString('latin1')
    .replace(`"uuid": "${second}"`, `"uuid": "${first}"`);
  writeFileSync(path, Buffer.from(text, 'latin1'));
  const { catalog, events } = await recoverWorld(world, { media: [SECOND] });
  const warnings = events.flatMap((event) => (event.event === 'warning' ? [event.message] : []));
  expect(warnings).toContainEqual(
    expect.stringMatching(/BKP002L8 carries the label of another cartridge/),
  );
  expect(findings(catalog)).toEqual([]);
  const media = catalog
    .prepare<[string, string]>('SELECT barcode, uuid FROM media ORDER BY 1')
    .all();
  expect(media).toEqual([
    [FIRST, first],
    [SECOND, second],
  ]);
});

test('a trigger is found in a copy of the catalog, whatever its name', async () => {
  const path = join(await scratchDirectory(), 'catalog.sqlite');
  const clock = { nowMs: () => 0, monotonicMs: () => 0, sleepMs: async () => {} };
  Catalog.create(path, clock).close();
  await proveCopy(path);
  const db = new Database(path);
  // To LIKE the `_` of "sqlite_stat" is any character.
  db.exec('CREATE TRIGGER sqlite0stat AFTER INSERT ON jobs BEGIN DELETE FROM versions; END');
  db.close();
  await expect(proveCopy(path)).rejects.toThrow(CodedError);
});

test('a journal that names thousands of copies and media takes no more memory than others', async () => {
  const path = join(await scratchDirectory(), 'journal');
  const archive = '11111111-2222-4333-8444-555555555555';
  const start = `shelfs-journal\t1\t${archive}\thash=blake3\there\t2026-11-20T09:00:00Z`;
  const copy = 'catalog\t1024\t512\t2026-11-20T09:00:00Z';
  const names = Array.from({ length: 20_000 }, (_, index) => `M${index}`);
  const lines = [start, ...Array<string>(1000).fill(copy), ['media', ...names].join('\t')];
  writeFileSync(path, `${[...lines, `media\t${'N'.repeat(100_000)}`].join('\n')}\n`);
  const { copies, media } = await journalFacts(path, archive);
  expect(copies.length).toBeLessThan(100);
  expect(media.length).toBeLessThanOrEqual(10_000);
});

test('a cartridge that was copied out of its library is enough, without its chip', async () => {
  const world = await BackupWorld.make({ cartridges: 2, drives: 2 });
  writeFileSync(join(world.source, 'file'), 'on both');
  await world.backup({ copies: 2 });
  const directory = await scratchDirectory();
  copyFileSync(join(world.sim.directory, `${SECOND}.tap`), join(directory, `${SECOND}.tap`));
  writeFileSync(join(directory, 'notes.tap'), 'no cartridge');
  expect(await adoptCartridges(directory, seededRandom(1))).toBe(true);
  const { clock } = world.sim;
  const options = { clock, speed: 'model', lockFile: memoryLocks(), bootId: 'boot 1' } as const;
  const library = await VirtualLibrary.open(directory, options);
  const { catalog, report } = await recoverWorld(world, { from: { library, clock } });
  expect(report.media).toEqual([SECOND]);
  expect(findings(catalog)).toEqual([]);
  expectSameLines(restorable(catalog), restorable(world.catalog));
});

test('a directory without cartridges is made no library', async () => {
  const directory = await scratchDirectory();
  writeFileSync(join(directory, 'notes.tap'), 'no cartridge');
  expect(await adoptCartridges(directory, seededRandom(1))).toBe(false);
  expect(await adoptCartridges(join(directory, 'notes.tap'), seededRandom(1))).toBe(false);
});

test('cartridges that cannot be loaded do not keep the others from being read', async () => {
  const world = await BackupWorld.make({ cartridges: 2, drives: 2 });
  writeFileSync(join(world.source, 'file'), 'on both');
  await world.backup({ copies: 2 });
  const directory = await scratchDirectory();
  for (const name of [`${FIRST}.tap`, `${FIRST}.tap.index`, `${SECOND}.tap`])
    copyFileSync(join(world.sim.directory, name), join(directory, name));
  truncateSync(join(directory, `${FIRST}.tap`), 5000);
  writeFileSync(join(directory, 'AAA001L8.tap'), '');
  writeFileSync(
    join(directory, 'AAA001L8.tap.index'),
    readFileSync(join(directory, `${FIRST}.tap.index`)),
  );
  expect(await adoptCartridges(directory, seededRandom(1))).toBe(true);
  const { clock } = world.sim;
  const options = { clock, speed: 'model', lockFile: memoryLocks(), bootId: 'boot 1' } as const;
  const library = await VirtualLibrary.open(directory, options);
  const { catalog, report } = await recoverWorld(world, { from: { library, clock } });
  expect(report.media).toEqual([SECOND]);
  expect(report.leftOut).toEqual(['AAA001L8', FIRST]);
  expectSameLines(restorable(catalog), restorable(world.catalog));
});

test('a cut copy under another barcode does not speak for the cartridge itself', async () => {
  const world = await BackupWorld.make({ cartridges: 2, drives: 2 });
  writeFileSync(join(world.source, 'file'), 'on both');
  await world.backup({ copies: 2 });
  const directory = await scratchDirectory();
  const whole = join(world.sim.directory, `${SECOND}.tap`);
  copyFileSync(whole, join(directory, `${SECOND}.tap`));
  copyFileSync(whole, join(directory, 'AAA001L8.tap'));
  truncateSync(join(directory, 'AAA001L8.tap'), 700_000);
  expect(await adoptCartridges(directory, seededRandom(1))).toBe(true);
  const { clock } = world.sim;
  const options = { clock, speed: 'model', lockFile: memoryLocks(), bootId: 'boot 1' } as const;
  const library = await VirtualLibrary.open(directory, options);
  const { catalog, report } = await recoverWorld(world, { from: { library, clock } });
  expect(report.leftOut).toEqual(['AAA001L8']);
  expectSameLines(restorable(catalog), restorable(world.catalog));
});
