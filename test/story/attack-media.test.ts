/** Drives and cartridges that fail while a backup writes: what counts is there, and what is there comes back. */
import { linkSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CodedError } from '../../src/base/errors.ts';
import { seededRandom } from '../../src/base/random.ts';
import { Jobs } from '../../src/catalog/job/jobs.ts';
import { unjournaled } from '../../src/catalog/run/journal.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import type { BackupEvent } from '../../src/job/backup/report.ts';
import { BackupWorld, type BackupWorldOptions } from '../sim/backup-world.ts';
import { checkArchives, expectUnchanged, knownPrefixes } from '../sim/check-archives.ts';
import { randomFault } from '../sim/random-faults.ts';
import { differences, randomBytes } from '../sim/rich-tree.ts';
import { seedCount } from '../sim/seeds.ts';

const RUNS_MAX = 12;
/** A failure is a seed; more of them take minutes. */
const SEEDS = seedCount({ usual: 1, soak: 10 });
const PART = '[archive]\npart = "2MB"\nsize = "3MB"\n';

function fill(world: BackupWorld, seed: number): void {
  const random = seededRandom(seed);
  const at = (...names: string[]) => join(world.source, ...names);
  mkdirSync(at('d'), { recursive: true });
  for (let index = 0; index < 6; index += 1)
    writeFileSync(at(`small ${index}`), randomBytes(random, 1000 + index));
  const twin = randomBytes(random, 1_500_000);
  writeFileSync(at('twin 1'), twin);
  writeFileSync(at('d', 'twin 2'), twin);
  linkSync(at('twin 1'), at('d', 'linked'));
  writeFileSync(at('big'), randomBytes(random, 5_000_000));
  writeFileSync(at('d', 'last'), randomBytes(random, 2_500_000));
}

/** Backs up until a run has gone through. Only named failures may end one before. */
async function backupPatiently(world: BackupWorld, copies: number): Promise<CodedError[]> {
  const failures: CodedError[] = [];
  for (let run = 0; run < RUNS_MAX; run += 1) {
    try {
      const report = await world.backup({ copies });
      expect(report.files.unreadable).toBe(0);
      return failures;
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      failures.push(error);
    }
  }
  throw new Error(`no run went through: ${failures.map(({ code }) => code).join()}`);
}

async function expectWhole(world: BackupWorld): Promise<void> {
  checkArchives(world.catalog, world.sim.directory);
  const { tree, report } = await world.restore();
  expect(report.failed).toEqual([]);
  expect(differences(world.source, tree)).toBe('');
}

async function makeWorld(options: BackupWorldOptions = {}): Promise<BackupWorld> {
  const world = await BackupWorld.make({ cartridges: 6, capacityBytes: 60 * 2 ** 20, ...options });
  fill(world, 1);
  return world;
}

describe.each([1, 2])('with %i copies', (copies) => {
  const seeds = Array.from({ length: SEEDS }, (_, seed) => seed);
  test.each(seeds)('seed %i: three faults while a backup writes', async (seed) => {
    const world = await makeWorld({ config: PART, cartridges: 12 });
    const random = seededRandom(seed);
    for (let index = 0; index < 3; index += 1)
      world.sim.faults.add(randomFault(random, random.below(copies)));
    await backupPatiently(world, copies);
    for (let more = 2; world.sim.faults.unfired().length > 0 && more < 40; more += 1) {
      writeFileSync(join(world.source, `more ${more}`), randomBytes(random, 3_000_000 + more));
      await backupPatiently(world, copies);
    }
    await expectWhole(world);
  });
});

describe('the end of a tape that comes too early', () => {
  const full = { kind: 'sense', key: 0xd, code: 0x0000, endOfMedium: true } as const;
  test.each([1, 2, 3, 10, 17, 18, 19])('at write %i', async (atCount) => {
    const world = await makeWorld();
    world.sim.faults.add({ note: 'full', on: 'write', atCount, effect: full });
    await backupPatiently(world, 1);
    await expectWhole(world);
  });
  test.each([1, 2])('at filemark %i', async (atCount) => {
    const world = await makeWorld();
    world.sim.faults.add({ note: 'full', on: 'filemark', atCount, effect: full });
    await backupPatiently(world, 1);
    await expectWhole(world);
  });
  test.each([1, 2])(
    'with %i copies, on cartridges that hold a quarter of what was thought',
    async (copies) => {
      const world = await BackupWorld.make({ cartridges: 8, capacityBytes: 10 * 2 ** 20 });
      fill(world, 1);
      for (const { barcode } of new Media(world.catalog).list())
        await world.tools.label(barcode, 'main', new AbortController().signal);
      world.catalog.prepare('UPDATE media SET capacity_bytes = 40 * 1048576').run();
      const failures = await backupPatiently(world, copies);
      expect(failures).toEqual([]);
      await expectWhole(world);
    },
  );
});

describe('the end of a run', () => {
  test('that no medium takes does not fail the run, and the next archive tells of it', async () => {
    const world = await makeWorld({ cartridges: 1 });
    const filemark = { kind: 'sense', key: 3, code: 0x0c00 } as const;
    world.sim.faults.add({ note: 'end', on: 'filemark', atCount: 3, effect: filemark });
    // It vanishes, so the run's end stands alone in a last archive.
    const report = await world.backup({ events: removing(join(world.source, 'small 0')) });
    expect(report.warnings.join()).toMatch(/stands on no medium/);
    expect(unjournaled(world.catalog)).toHaveLength(1);
    const media = new Media(world.catalog);
    for (const { id } of media.list()) media.setState(id, 'filling');
    writeFileSync(join(world.source, 'more'), randomBytes(seededRandom(8), 5000));
    await world.backup();
    expect(unjournaled(world.catalog)).toEqual([]);
    await expectWhole(world);
  });

  test('of runs that wrote nothing is told once', async () => {
    const world = await makeWorld();
    await world.backup();
    rmSync(join(world.source, 'small 0'));
    expect(await world.backup()).toMatchObject({ media: [] });
    expect(unjournaled(world.catalog)).toHaveLength(1);
    writeFileSync(join(world.source, 'more'), randomBytes(seededRandom(8), 5000));
    await world.backup();
    expect(unjournaled(world.catalog)).toEqual([]);
  });
});

test('archives that the clock ends hold everything in the end', async () => {
  const world = await makeWorld({ config: '[archive]\nminutes = 0.0001\n', cartridges: 2 });
  expect(await world.backup()).toMatchObject({ state: 'finished', warnings: [] });
  expect(unjournaled(world.catalog)).toEqual([]);
  await expectWhole(world);
});

test('storing again what a lost cartridge held never touches what older snapshots show', async () => {
  const world = await makeWorld({ cartridges: 2 });
  await world.backup();
  const before = await world.restore();
  const media = new Media(world.catalog);
  const id = media.find('BKP001L8')?.id ?? -1;
  media.setState(id, 'lost');
  const bad = { kind: 'sense', key: 3, code: 0x0c00 } as const;
  world.sim.faults.add({ note: 'bad', on: 'filemark', atCount: 2, effect: bad });
  await expect(world.backup()).rejects.toMatchObject({ code: 'MEDIUM_UNWRITABLE' });
  media.setState(id, 'filling');
  const job = new Jobs(world.catalog).unfinished('backup')[0];
  new Jobs(world.catalog).setState(job?.number ?? -1, 'cancelled');
  expect(await world.backup()).toMatchObject({ snapshot: null });
  const { tree, report } = await world.restore();
  expect(report.failed).toEqual([]);
  expect(differences(before.tree, tree)).toBe('');
});

describe('a cartridge that is not the one its sticker says', () => {
  test.each([
    ['a blank one', 'BKP003L8'],
    ['one of ours', 'BKP004L8'],
  ])('but %s is not written, and what it holds stays', async (_, stranger) => {
    const world = await makeWorld({ drives: 1, cartridges: 4 });
    await world.tools.label('BKP004L8', 'main', new AbortController().signal);
    await world.backup();
    await world.tools.label('BKP002L8', 'main', new AbortController().signal);
    const changer = await world.sim.openChanger();
    const elements = await changer.elements(new AbortController().signal);
    const address = (wanted: string) =>
      elements.find(({ type, barcode }) => type === wanted || barcode === wanted)?.address ?? -1;
    const [drive, elsewhere] = [address('drive'), address(stranger)];
    // BKP002 goes back to its slot, BKP001 into the drive; then somebody exchanges it for another.
    const swap = { kind: 'swap', elements: [drive, elsewhere] } as const;
    world.sim.faults.add({ note: 'swap', on: 'move', atCount: 2, effect: swap });
    const before = knownPrefixes(world.catalog, world.sim.directory);
    writeFileSync(join(world.source, 'more'), randomBytes(seededRandom(8), 5000));
    await backupPatiently(world, 1);
    expectUnchanged(before, world.sim.directory);
    await expectWhole(world);
  });
});

/** Events of a run, one of whose files is removed as soon as a cartridge is loaded. */
function removing(path: string): BackupEvent[] {
  const events: BackupEvent[] = [];
  events.push = (...added) => {
    if (added.some(({ event }) => event === 'medium')) rmSync(path, { force: true });
    return Array.prototype.push.apply(events, added);
  };
  return events;
}
