/** Drives that give up while somebody is there: he says what is to be done. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CodedError } from '../../src/base/errors.ts';
import type { Catalog } from '../../src/catalog/catalog.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import type { Choice } from '../../src/domain/question.ts';
import { healthOfLibrary } from '../../src/job/media-health.ts';
import { decideFailure } from '../../src/storage/operator-failure.ts';
import { healthKeeper } from '../../src/wire/care.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { addCleaner, cleanings } from '../sim/cleaner.ts';
import { desk } from '../sim/operator-world.ts';

const go = new AbortController().signal;
/** 3h 0Ch/02h: write error, auto reallocation failed (SPC-4). */
const WRITE_ERROR = { kind: 'sense', key: 3, code: 0x0c02 } as const;
/** 4h 44h/00h: internal target failure. */
const HARDWARE_ERROR = { kind: 'sense', key: 4, code: 0x4400 } as const;

async function worldWithFile(): Promise<BackupWorld> {
  const world = await BackupWorld.make({ drives: 1 });
  writeFileSync(join(world.source, 'a'), randomBytes(5 * 2 ** 20));
  return world;
}

/** Answers the next question; while it is open, nobody holds the drive. */
async function decide(
  world: BackupWorld,
  { next, questions }: ReturnType<typeof desk>,
  choice: Choice,
) {
  const { id, about, choices } = await next();
  expect(about).toEqual({ kind: 'failure', barcode: 'BKP001L8' });
  const clean = choice === 'clean' ? [choice] : [];
  expect(choices).toEqual(['retry', 'bad', ...clean, 'abort']);
  for (;;) {
    const { drives } = await world.tools.library.status(go);
    if (drives.every(({ state }) => state !== 'held')) break;
    await world.sim.clock.sleepMs(100, go);
  }
  questions.answer(id, choice, 0);
}

/** The drive is asked three times before anybody is. */
function breakRewinds({ sim }: BackupWorld, where: { cartridge?: string } = {}) {
  for (let atCount = 1; atCount <= 4; atCount += 1) {
    const note = `broken ${atCount}`;
    sim.faults.add({ note, on: 'rewind', atCount, ...where, effect: HARDWARE_ERROR });
  }
}

/** Behind the label: the third block that a backup writes. */
function failWrite(world: BackupWorld) {
  world.sim.faults.add({ note: 'bad spot', on: 'write', atCount: 6, effect: WRITE_ERROR });
}

test.each([
  ['retry', 'BKP001L8', 'filling'],
  ['bad', 'BKP002L8', 'suspect'],
] as const)('a backup: %s', async (choice, medium, state) => {
  const world = await worldWithFile();
  failWrite(world);
  const at = desk(world.sim, { state: world.state });
  const deciding = decide(world, at, choice);
  const report = await world.backup({ operator: at.operator });
  await deciding;
  expect(report).toMatchObject({ state: 'finished', media: expect.arrayContaining([medium]) });
  expect(new Media(world.catalog).find('BKP001L8')?.state).toBe(state);
  expect((await world.restore()).report.failed).toEqual([]);
});

test('where a person loads, he is asked to clean the drive, once, and it goes on', async () => {
  const keeper = (catalog: Catalog) =>
    healthKeeper(
      { writing: async (work) => work(catalog) },
      { cleans: false, warn: (message) => expect.fail(message) },
    );
  const world = await BackupWorld.make({ isByHand: true, drives: 1, keeper });
  const { operator, questions, next } = desk(world.sim, { state: world.state });
  const error = new CodedError('DRIVE_NEEDS_CLEANING', 'it is dirty', { device: 'drive 0' });
  const request = { barcode: 'BKP001L8', error, who: 'backup (job 1)' };
  const tools = { operator, library: world.tools.library, clock: world.sim.clock };
  const deciding = decideFailure(request, tools, go);
  const first = await next();
  expect(first.choices).toEqual(['retry', 'bad', 'clean', 'abort']);
  questions.answer(first.id, 'clean', 0);
  const second = await next();
  expect(second.reason).toMatch(/put a cleaning cartridge into drive 0, .*then put BKP001L8 back/);
  expect(second.choices).toEqual(['retry', 'bad', 'abort']);
  questions.answer(second.id, 'retry', 0);
  expect(await deciding).toBe('retry');
  // By his word: it is in the book, and no cleaning cartridge has a use less for it.
  expect(healthOfLibrary(world.catalog)).toMatchObject({
    drives: [{ cleanings: 1 }],
    cleaners: [],
  });
});

test('a backup: abort ends it with 23, and the next one goes on', async () => {
  const world = await worldWithFile();
  failWrite(world);
  const at = desk(world.sim, { state: world.state });
  const deciding = decide(world, at, 'abort');
  const error = await world.backup({ operator: at.operator }).catch((reason: unknown) => reason);
  await deciding;
  expect(error).toMatchObject({ code: 'MEDIUM_UNWRITABLE', failure: { exit: 23 } });
  expect(new Media(world.catalog).find('BKP001L8')?.state).toBe('scratch');
  expect(await world.backup()).toMatchObject({ state: 'finished', media: ['BKP001L8'] });
});

test('a backup with nobody there takes another cartridge at once', async () => {
  const world = await worldWithFile();
  failWrite(world);
  const at = desk(world.sim, { state: world.state, channels: [] });
  const report = await world.backup({ operator: at.operator });
  expect(report).toMatchObject({ state: 'finished' });
  expect(new Media(world.catalog).find('BKP001L8')?.state).toBe('suspect');
  expect(world.sim.clock.monotonicMs()).toBeLessThan(3_600_000);
});

test.each([
  ['retry', 0],
  ['bad', 1],
] as const)('a restore: %s', async (choice, failures) => {
  const world = await worldWithFile();
  await world.backup();
  breakRewinds(world);
  const at = desk(world.sim, { state: world.state });
  const deciding = decide(world, at, choice);
  const { report } = await world.restore({ operator: at.operator });
  await deciding;
  expect(report.failures).toBe(failures);
});

test('a restore: abort ends it with the failure', async () => {
  const world = await worldWithFile();
  await world.backup();
  breakRewinds(world);
  const at = desk(world.sim, { state: world.state });
  const deciding = decide(world, at, 'abort');
  const error = await world.restore({ operator: at.operator }).catch((reason: unknown) => reason);
  await deciding;
  expect(error).toMatchObject({ code: 'DRIVE_FAILED' });
});

test('a restore asks nobody where another cartridge has it all', async () => {
  const world = await BackupWorld.make({ drives: 2 });
  writeFileSync(join(world.source, 'a'), randomBytes(5 * 2 ** 20));
  await world.backup({ copies: 2 });
  // The drive is asked three times more; the copy on the other cartridge serves meanwhile or then.
  breakRewinds(world, { cartridge: 'BKP001L8' });
  const at = desk(world.sim, { state: world.state });
  const { report } = await world.restore({ operator: at.operator });
  expect([report.failures, at.told]).toEqual([0, []]);
});

test('a backup: clean cleans the head of the drive and tries again', async () => {
  const world = await worldWithFile();
  await addCleaner(world.sim);
  failWrite(world);
  const at = desk(world.sim, { state: world.state });
  const deciding = decide(world, at, 'clean');
  const report = await world.backup({ operator: at.operator });
  await deciding;
  expect(report).toMatchObject({ state: 'finished', media: ['BKP001L8'] });
  expect(cleanings(world.sim)).toBe(1);
  const { cartridges } = await world.tools.library.status(go);
  expect(cartridges.find(({ kind }) => kind === 'cleaning')?.place).toMatch(/^slot/);
});

test('what was planned before the room ran out is stored', async () => {
  const world = await BackupWorld.make({ drives: 1, cartridges: 1, capacityBytes: 24 * 2 ** 20 });
  for (let number = 0; number < 10; number += 1)
    writeFileSync(join(world.source, `file ${number}`), randomBytes(3 * 2 ** 20));
  await expect(world.backup()).rejects.toMatchObject({ code: 'MEDIUM_FULL' });
  expect(new Media(world.catalog).find('BKP001L8')?.writtenBytes).toBeGreaterThan(12 * 2 ** 20);
});
