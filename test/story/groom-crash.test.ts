/** A groom that is killed, at any commit of the catalog and at any filemark: nothing is lost, and the next one completes it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { CodedError } from '../../src/base/errors.ts';
import { seededRandom } from '../../src/base/random.ts';
import { Jobs } from '../../src/catalog/job/jobs.ts';
import { Drive } from '../../src/device/drive.ts';
import type { GroomEvent } from '../../src/job/groom/report.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { checkArchives } from '../sim/check-archives.ts';
import { flipBlock, groomMedia, mediumOf } from '../sim/groom-world.ts';
import { differences, randomBytes } from '../sim/rich-tree.ts';
import { seedCount } from '../sim/seeds.ts';

const ONE = 'BKP001L8';

class Killed extends Error {}

/** Ends what a process does at its n-th step: whatever it still tries, nothing more reaches catalog or tape. */
class Kill {
  steps = 0;
  readonly #at: number;
  #isDead = false;
  #depth = 0;

  /** @param at counted from 1; 0: never */
  constructor(world: BackupWorld, at: number) {
    this.#at = at;
    const { catalog } = world;
    const write = catalog.write.bind(catalog);
    catalog.write = (work) => {
      if (this.#isDead) throw new Killed();
      this.#depth += 1;
      try {
        return write(() => {
          const result = work();
          // Before the commit, at every second step.
          if (this.#depth === 1 && this.steps % 2 === 0) this.#step();
          return result;
        });
      } finally {
        this.#depth -= 1;
        if (this.#depth === 0 && this.steps % 2 === 1) this.#step();
      }
    };
    this.#spyOnDrives();
  }

  #spyOnDrives(): void {
    const { write, writeFilemarks } = Drive.prototype;
    const check = () => {
      if (this.#isDead) throw new Killed();
    };
    const step = () => this.#step();
    vi.spyOn(Drive.prototype, 'write').mockImplementation(async function (this: Drive, ...given) {
      check();
      return write.apply(this, given);
    });
    vi.spyOn(Drive.prototype, 'writeFilemarks').mockImplementation(async function (
      this: Drive,
      ...given
    ) {
      check();
      step();
      const warning = await writeFilemarks.apply(this, given);
      step();
      return warning;
    });
  }

  #step(): void {
    this.steps += 1;
    if (this.steps !== this.#at) return;
    this.#isDead = true;
    throw new Killed();
  }

  /** Another process. */
  static over(world: BackupWorld): void {
    vi.restoreAllMocks();
    Reflect.deleteProperty(world.catalog, 'write');
  }
}

async function makeWorld(): Promise<BackupWorld> {
  const world = await BackupWorld.make({
    drives: 1,
    cartridges: 4,
    capacityBytes: 24 * 2 ** 20,
    config: '[archive]\nblock = "64KiB"\nsize = "400kB"\n',
  });
  const random = seededRandom(7);
  for (let index = 0; index < 12; index += 1)
    writeFileSync(join(world.source, `file ${index}`), randomBytes(random, 60_000 + index * 7001));
  await world.backup();
  return world;
}

const options = { spoolBytes: 700_000 };

afterEach(() => vi.restoreAllMocks());

/** How many steps a groom has that nobody kills. */
async function countSteps(): Promise<number> {
  const world = await makeWorld();
  const kill = new Kill(world, 0);
  expect(await groomMedia(world, [ONE], options)).toMatchObject({ media: [{ state: 'scratch' }] });
  Kill.over(world);
  return kill.steps;
}

describe('killed at a step', () => {
  const points = seedCount({ usual: 3, soak: 1000 });

  test('of all its commits and filemarks', { timeout: 3_600_000 }, async () => {
    const steps = await countSteps();
    expect(steps).toBeGreaterThan(40);
    const stride = Math.max(1, steps / points);
    for (let at = 1; at <= steps; at += stride) {
      const step = Math.floor(at);
      const world = await makeWorld();
      new Kill(world, step);
      await expect(groomMedia(world, [ONE], options), `step ${step}`).rejects.toThrow(Killed);
      Kill.over(world);
      const { state } = mediumOf(world, ONE);
      // Given up by its last step alone; everything is there in any case.
      checkArchives(world.catalog, world.sim.directory);
      expect(differences(world.source, (await world.restore()).tree), `step ${step}`).toBe('');
      if (state !== 'scratch') {
        const report = await groomMedia(world, [ONE], options);
        expect(report, `step ${step}`).toMatchObject({ lost: [], media: [{ state: 'scratch' }] });
      }
      expect(differences(world.source, (await world.restore()).tree), `step ${step}`).toBe('');
      checkArchives(world.catalog, world.sim.directory);
      expect(twice(world), `step ${step}`).toBe(0);
    }
  });
});

/** Contents that are in more archives than one now: what an archive held that counted is never written again. */
function twice({ catalog }: BackupWorld): number {
  const row = catalog
    .prepare<[number]>(
      `SELECT count(*) FROM (SELECT e.content FROM extents e CROSS JOIN archive_copies k ON k.archive = e.archive
         CROSS JOIN archives a ON a.id = e.archive WHERE k.state = 'good' AND a.state = 'good'
         GROUP BY e.content HAVING count(*) > 1)`,
    )
    .get();
  return row?.[0] ?? 0;
}

test('what a killed groom wrote and nobody read back does not read: the cartridge is not given up for it', async () => {
  const world = await makeWorld();
  let archives = 0;
  const listen = (event: GroomEvent) => {
    if (event.event === 'archive') archives += 1;
    if (archives === 2) new Kill(world, 1);
  };
  await expect(groomMedia(world, [ONE], { ...options, listen })).rejects.toThrow(Killed);
  Kill.over(world);
  // Bytes of the first archive that counts already change where they lie.
  const [block = 0] =
    world.catalog
      .prepare<[number]>(
        "SELECT k.start_block FROM archive_copies k JOIN archives a ON a.id = k.archive JOIN jobs j ON j.number = a.job WHERE j.verb = 'groom' AND k.state = 'good' ORDER BY 1 LIMIT 1",
      )
      .get() ?? [];
  flipBlock(world, 'BKP002L8', block + 1);
  const report = await groomMedia(world, [ONE], options);
  expect(report.media).toMatchObject([{ state: 'kept' }]);
  expect(mediumOf(world, 'BKP002L8').state).toBe('suspect');
  // The next one moves what was wrong, and gives it up then.
  expect(await groomMedia(world, [ONE], options)).toMatchObject({ media: [{ state: 'scratch' }] });
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
});

test('stopped by its user between two archives, it has lost nothing, and the next one goes on', async () => {
  const world = await makeWorld();
  const stop = new AbortController();
  const listen = (event: GroomEvent) => {
    const failure = new CodedError('INTERRUPTED', 'interrupted');
    if (event.event === 'archive') stop.abort(failure);
  };
  const stopped = groomMedia(world, [ONE], { ...options, listen, signal: stop.signal });
  await expect(stopped).rejects.toMatchObject({ code: 'INTERRUPTED' });
  expect(new Jobs(world.catalog).list(1)).toMatchObject([{ verb: 'groom', state: 'cancelled' }]);
  const report = await groomMedia(world, [ONE], options);
  expect(report.media).toMatchObject([{ state: 'scratch' }]);
  expect(report.media[0]?.contents).toBeLessThan(12);
  expect(twice(world)).toBe(0);
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
});

test('a drive that cannot write a cartridge: another is taken, and what was begun counts for nothing', async () => {
  const world = await makeWorld();
  const sense = { kind: 'sense', key: 0x3, code: 0x0c00, deferred: false } as const;
  world.sim.faults.add({
    note: 'a write',
    on: 'write',
    cartridge: 'BKP002L8',
    afterBytes: 900_000,
    effect: sense,
  });
  const report = await groomMedia(world, [ONE], options);
  expect(report.media).toMatchObject([{ state: 'scratch' }]);
  expect(mediumOf(world, 'BKP002L8').state).toBe('suspect');
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
  checkArchives(world.catalog, world.sim.directory);
});

test('a backup begins beside it: both end well, and a cartridge is given up when it is over', async () => {
  const world = await BackupWorld.make({ drives: 2 });
  const random = seededRandom(7);
  const write = (from: number) => {
    for (let index = from; index < from + 6; index += 1)
      writeFileSync(join(world.source, `file ${index}`), randomBytes(random, 90_000));
  };
  write(0);
  await world.backup();
  write(6);
  let beside: Promise<unknown> | undefined;
  const listen = (event: GroomEvent) => {
    if (event.event === 'progress') beside ??= world.backup();
  };
  const report = await groomMedia(world, [ONE], { listen });
  await beside;
  if (report.media[0]?.state === 'kept')
    expect(await groomMedia(world, [ONE])).toMatchObject({ media: [{ state: 'scratch' }] });
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
  checkArchives(world.catalog, world.sim.directory);
});
