/** The health of cartridges and drives, from a drive's words to the book of a state directory; and cleaning. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CodedError } from '../../src/base/errors.ts';
import { Jobs } from '../../src/catalog/job/jobs.ts';
import { HealthBook } from '../../src/catalog/shelf/health.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import type { BackupEvent } from '../../src/job/backup/report.ts';
import {
  careWarnings,
  drivesAsking,
  healthOfCleaners,
  healthOfDrives,
} from '../../src/job/media-health.ts';
import { cleanDrive } from '../../src/storage/clean.ts';
import type { HealthKeeper } from '../../src/storage/health-watch.ts';
import type { Library } from '../../src/storage/library.ts';
import { healthKeeper, withNotes } from '../../src/wire/care.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { addCleaner, cleanings } from '../sim/cleaner.ts';
import { CommandLine } from '../sim/command-line.ts';
import { libraryOf } from '../sim/library-of.ts';
import { SimWorld } from '../sim/world.ts';

const go = new AbortController().signal;

async function watched(config = ''): Promise<BackupWorld> {
  const world = await BackupWorld.make({
    drives: 1,
    config,
    keeper: (catalog) =>
      healthKeeper(
        { writing: async (work) => work(catalog) },
        { cleans: true, warn: (message) => expect.fail(message) },
      ),
  });
  writeFileSync(join(world.source, 'a'), randomBytes(5 * 2 ** 20));
  return world;
}

test('a backup and a restore record what chip and drive said', async () => {
  const world = await watched();
  const effect = { kind: 'tape-alert', flag: 19 } as const;
  world.sim.faults.add({ note: 'near its end', on: 'write', atCount: 6, effect });
  await world.backup();
  await world.restore();
  const { catalog } = world;
  const medium = new Media(catalog).find('BKP001L8');
  const readings = new HealthBook(catalog).ofMedium(medium?.id ?? 0);
  expect(readings.length).toBeGreaterThanOrEqual(2);
  // The first stay is that of its labelling.
  expect(readings[0]).toMatchObject({ alerts: [], loads: 1 });
  expect(readings[1]).toMatchObject({ alerts: [19], loads: 1, uncorrectedReads: 0 });
  expect(readings[1]?.writtenBytes).toBeGreaterThan(5 * 2 ** 20);
  expect(readings.at(-1)?.readBytes).toBeGreaterThan(5 * 2 ** 20);
  expect(readings.at(-1)?.writtenMib).toBeGreaterThanOrEqual(5);
  const [job] = catalog.prepare<[number | null]>('SELECT job FROM health').all();
  expect(job).toEqual([1]);
  expect(careWarnings(catalog)).toEqual([
    { about: 'BKP001L8', sentence: expect.stringMatching(/near the end of its life/) },
  ]);
  expect(healthOfDrives(catalog)).toHaveLength(1);
});

test('a cartridge that a person loads is recorded too', async () => {
  const world = await watched();
  await world.tools.library.load({ kind: 'cartridge', name: 'BKP002L8' }, undefined, go);
  const id = new Media(world.catalog).find('BKP002L8')?.id ?? 0;
  expect(new HealthBook(world.catalog).ofMedium(id)).toMatchObject([{ loads: 1 }]);
});

test('a drive that asks to be cleaned now is cleaned after the archive, and the backup goes on', async () => {
  const world = await watched('[archive]\nsize = "4MB"');
  for (let number = 0; number < 4; number += 1)
    writeFileSync(join(world.source, `${number}`), randomBytes(3 * 2 ** 20));
  await addCleaner(world.sim);
  const effect = { kind: 'tape-alert', flag: 20 } as const;
  world.sim.faults.add({ note: 'dirty', on: 'write', atCount: 6, effect });
  const report = await world.backup();
  expect(report).toMatchObject({ state: 'finished', media: ['BKP001L8'] });
  expect(report.warnings).toEqual([expect.stringMatching(/asked to be cleaned: CLN001L8 did it/)]);
  expect(cleanings(world.sim)).toBe(1);
  expect(new HealthBook(world.catalog).cleanings()).toMatchObject([{ outcome: 'cleaned' }]);
  expect(careWarnings(world.catalog)).toEqual([]);
  expect((await world.restore()).report.failures).toBe(0);
});

test('without a cleaning cartridge it is said once, and the backup goes on', async () => {
  const world = await watched('[archive]\nsize = "4MB"');
  for (let number = 0; number < 4; number += 1)
    writeFileSync(join(world.source, `${number}`), randomBytes(3 * 2 ** 20));
  const effect = { kind: 'tape-alert', flag: 20 } as const;
  world.sim.faults.add({ note: 'dirty', on: 'write', atCount: 6, effect });
  const told: string[] = [];
  const listen = (event: BackupEvent) => {
    if (event.event === 'warning') told.push(event.message);
  };
  expect((await world.backup({ listen })).state).toBe('finished');
  expect(told).toEqual([expect.stringMatching(/asks to be cleaned, and the library has no/)]);
  expect(drivesAsking(world.catalog)).toEqual(['virtual drive 0']);
  expect(careWarnings(world.catalog)).toEqual([
    { about: expect.stringMatching(/^drive /), sentence: expect.stringMatching(/cleaned now/) },
  ]);
});

test('a catalog that cannot be written for it ends no job', async () => {
  const warnings: string[] = [];
  const busy = () => Promise.reject(new CodedError('CATALOG_BUSY', 'somebody has it'));
  const world = await BackupWorld.make({
    keeper: () =>
      healthKeeper({ writing: busy }, { cleans: false, warn: (one) => void warnings.push(one) }),
  });
  writeFileSync(join(world.source, 'a'), 'a');
  expect((await world.backup()).state).toBe('finished');
  expect(warnings).toContain('the health of BKP001L8 was not recorded: somebody has it');
});

const NOBODY: HealthKeeper = {
  keep: async () => {},
  keepCleaning: async () => {},
  spent: async () => new Set(),
  warn: () => {},
  cleans: false,
  asked: async () => [],
};

async function cleaningWorld(
  spent: ReadonlySet<string>,
): Promise<{ sim: SimWorld; library: Library }> {
  const sim = await SimWorld.make({
    shape: { barcodes: ['ABC001L8', 'CLN001L8'] as never, slots: 3, drives: 1 },
  });
  return { sim, library: await libraryOf(sim, { ...NOBODY, spent: async () => spent }) };
}

test('cleaning takes the cartridge from its slot and brings it back; a spent one is named', async () => {
  const spent = new Set<string>();
  const { sim, library } = await cleaningWorld(spent);
  await library.load({ kind: 'cartridge', name: 'ABC001L8' }, 0, go);
  const tools = { clock: sim.clock, signal: go };
  const done = await cleanDrive(library, undefined, tools);
  expect(done).toMatchObject({ cartridge: 'CLN001L8', outcome: 'cleaned', drive: { number: 0 } });
  const { cartridges } = await library.status(go);
  expect(cartridges.map(({ barcode, place }) => `${barcode} ${place}`)).toEqual([
    'ABC001L8 slot 1',
    'CLN001L8 slot 2',
  ]);
  for (let use = 2; use <= 50; use += 1) await cleanDrive(library, undefined, tools);
  expect((await cleanDrive(library, undefined, tools)).outcome).toBe('spent');
  spent.add('CLN001L8');
  await expect(cleanDrive(library, undefined, tools)).rejects.toMatchObject({
    code: 'MEDIUM_OFFLINE',
    message: expect.stringMatching(/no cleaning cartridge that is not used up/),
  });
});

test('by the command line: counted, shown, and asked for where there is none', async () => {
  const line = await CommandLine.make();
  const none = await line.fails('library', 'clean');
  expect(none).toEqual({ exit: 20, stderr: expect.stringMatching(/holds no cleaning cartridge/) });
  line.withCatalog((catalog) => {
    const book = new HealthBook(catalog);
    const drive = { serial: 'S1', path: 'virtual drive 0', model: 'M' };
    const at = { mediumId: undefined, jobNumber: undefined };
    for (let use = 0; use < 46; use += 1)
      book.add(drive, { cleanedBy: 'CLN001L1', outcome: 'cleaned' }, at);
    expect(healthOfCleaners(catalog)).toMatchObject([{ barcode: 'CLN001L1', uses: 46, left: 4 }]);
  });
  expect(await line.ok('library', 'status')).toMatch(/CLN001L1 is good for 4 more cleanings/);
  expect((await line.say('doctor')).stdout).toMatch(/CLN001L1 is good for 4 more cleanings: have/);
});

test('what goes wrong beside the work stands in the log of the job', async () => {
  const world = await BackupWorld.make();
  const { catalog } = world;
  const jobs = new Jobs(catalog);
  const facts = { uuid: 'one', verb: 'backup', host: 'here', os: 'test', parameters: {} };
  const number = jobs.add({ ...facts, pid: process.pid });
  const told: string[] = [];
  const notes = withNotes({ writing: async (work) => work(catalog) }, (one) => told.push(one));
  notes.warn('the mail did not go out');
  await notes.settled();
  expect(told).toEqual(['the mail did not go out']);
  expect(jobs.logs(number, 0, 10)).toMatchObject([{ level: 'warning', message: told[0] }]);
  const busy = () => Promise.reject(new CodedError('CATALOG_BUSY', 'somebody has it'));
  const unwritten = withNotes({ writing: busy }, (one) => told.push(one));
  unwritten.warn('again');
  await unwritten.settled();
  expect(told.at(-1)).toMatch(/not noted in the job's log: somebody has it/);
});
