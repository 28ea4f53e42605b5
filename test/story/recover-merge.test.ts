/** A catalog set back to an older day learns from the cartridges what was written since, and keeps what it alone knows. */
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import { CATALOG_FILE } from '../../src/config.ts';
import type { RecoverEvent } from '../../src/job/recover/report.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { expireWorld } from '../sim/expire-world.ts';
import { groomMedia } from '../sim/groom-world.ts';
import { changeRandomly, makeHistory } from '../sim/history.ts';
import { findings, openRecovered, recoverWorld, restorable } from '../sim/recover-world.ts';
import { differences } from '../sim/rich-tree.ts';
import { expectSameLines } from '../sim/same-lines.ts';
import { scratchDirectory } from '../sim/scratch.ts';
import { seedCount } from '../sim/seeds.ts';

const CONFIG = '[archive]\nblock = "4KiB"\n';

/** The state as a copy of it would be kept now. @returns its directory */
async function keepState(world: BackupWorld): Promise<string> {
  const state = join(await scratchDirectory(), 'set-back');
  mkdirSync(state);
  world.catalog.prepare('VACUUM INTO ?').run(join(state, CATALOG_FILE));
  return state;
}

const merged = (world: BackupWorld, state: string) => recoverWorld(world, { state, into: 'merge' });

const warningsOf = (events: readonly RecoverEvent[]) =>
  events.flatMap((event) => (event.event === 'warning' ? [event.message] : []));

const countOf = (catalog: Catalog, what: string) =>
  catalog.prepare<[number]>(`SELECT count(*) FROM ${what}`).get()?.[0] ?? 0;

const seeds = Array.from({ length: seedCount({ usual: 1, soak: 50 }) }, (_, index) => index + 2);

test.each(seeds)('set back in a random history, seed %i', { timeout: 300_000 }, async (seed) => {
  const backups = 9;
  const setBackOn = seed % backups;
  let state = '';
  const world = await makeHistory({
    random: seededRandom(seed),
    backups,
    between: async (now, day, random) => {
      if (day > setBackOn && day < backups - 1) {
        const [full] = new Media(now.catalog).list().filter((medium) => medium.state === 'full');
        if (full && random.below(3) === 0) await groomMedia(now, [full.barcode]).catch(isNoRoom);
        if (random.below(3) === 0) await expireWorld(now, 'keep-last = 3');
      }
      if (day === setBackOn) state = await keepState(now);
    },
  });
  const expected = restorable(world.catalog);
  for (let again = 0; again < 2; again += 1) {
    const { catalog, report, events } = await merged(world, state);
    expect(warningsOf(events).join()).toBe('');
    expect(findings(catalog)).toEqual([]);
    expectSameLines(restorable(catalog), expected);
    expect(readdirSync(state)).toContain(report.kept?.slice(state.length + 1));
    catalog.close();
  }
});

function isNoRoom(error: unknown): void {
  expect(error).toMatchObject({ code: 'MEDIUM_FULL' });
}

async function makeDays(
  days: number,
  each: (world: BackupWorld, day: number) => Promise<void>,
  cartridges = 2,
): Promise<BackupWorld> {
  const world = await BackupWorld.make({ cartridges, config: CONFIG });
  for (let day = 0; day < days; day += 1) {
    changeRandomly(world.source, seededRandom(day), day);
    writeFileSync(join(world.source, `day ${day}`), `written on day ${day}`);
    await world.backup();
    await world.sim.clock.sleepMs(60_000, new AbortController().signal);
    await each(world, day);
  }
  return world;
}

describe('a state set back by two backups', () => {
  test('merged: the next backup goes on behind the end of the data', async () => {
    let state = '';
    const world = await makeDays(3, async (now, day) => {
      if (day === 0) state = await keepState(now);
    });
    const before = new Media(world.catalog).find('BKP001L8');
    const { catalog, report } = await merged(world, state);
    expect(report.journals).toBe(2);
    expectSameLines(restorable(catalog), restorable(world.catalog));
    expect(new Media(catalog).find('BKP001L8')).toMatchObject({
      state: 'filling',
      nextFile: before?.nextFile,
      nextBlock: before?.nextBlock,
    });
    writeFileSync(join(world.source, 'one more'), 'after the merge');
    const next = await world.withCatalog(catalog, state).backup();
    expect(next.media).toEqual(['BKP001L8']);
    expect(new Media(catalog).find('BKP001L8')?.nextFile).toBe((before?.nextFile ?? 0) + 1);
    const restored = await world.restore({ catalog });
    expect(differences(world.source, restored.tree)).toBe('');
  });

  test('what only it knows stays', async () => {
    let state = '';
    const world = await makeDays(2, async (now, day) => {
      if (day === 0) state = await keepState(now);
    });
    const catalog = openRecovered(world, state);
    new Media(catalog).move(new Media(catalog).find('BKP002L8')?.id ?? 0, 'Bank');
    catalog.prepare("INSERT INTO rules(kind, value, position) VALUES('preset', 'caches', 1)").run();
    catalog.close();
    const after = await merged(world, state);
    expect(new Media(after.catalog).find('BKP002L8')?.location).toBe('Bank');
    expect(countOf(after.catalog, 'rules')).toBe(1);
    expect(countOf(after.catalog, 'sources')).toBe(1);
    expectSameLines(restorable(after.catalog), restorable(world.catalog));
  });

  test('and written to since: both histories are there, in order of time', async () => {
    let state = '';
    const world = await makeDays(
      3,
      async (now, day) => {
        if (day === 0) state = await keepState(now);
      },
      3,
    );
    const catalog = openRecovered(world, state);
    const other = world.withCatalog(catalog, state);
    writeFileSync(join(world.source, 'another history'), 'of its own');
    const next = await other.backup();
    expect(next.media).toEqual(['BKP002L8']);
    catalog.close();
    const after = await merged(world, state);
    expect(findings(after.catalog)).toEqual([]);
    expect(countOf(after.catalog, "snapshots WHERE state = 'finished'")).toBe(4);
    const lines = restorable(after.catalog);
    for (const line of restorable(world.catalog)) expect(lines).toContain(line);
    const restored = await world.restore({ catalog: after.catalog });
    expect(differences(world.source, restored.tree)).toBe('');
  });

  test('while somebody writes the catalog nothing is changed', async () => {
    let state = '';
    const world = await makeDays(2, async (now, day) => {
      if (day === 0) state = await keepState(now);
    });
    const path = join(state, CATALOG_FILE);
    const writer = Catalog.open(path, { mode: 'write', clock: world.sim.clock });
    const before = restorable(writer);
    const failed = recoverWorld(world, {
      state,
      into: 'merge',
      listen: ({ event }) => {
        if (event === 'kept') new Media(writer).ensurePool('films');
      },
    });
    await expect(failed).rejects.toMatchObject({ code: 'CATALOG_BUSY' });
    expectSameLines(restorable(writer), before);
    expect(countOf(writer, "pools WHERE name = 'films'")).toBe(1);
    writer.close();
  });

  test('an older likeness of a cartridge takes nothing away', async () => {
    let state = '';
    const names = ['BKP001L8.tap', 'BKP001L8.tap.index'];
    const older = await scratchDirectory();
    const world = await makeDays(2, async (now, day) => {
      const { directory } = now.sim;
      if (day === 0)
        for (const name of names) copyFileSync(join(directory, name), join(older, name));
      else state = await keepState(now);
    });
    for (const name of names) copyFileSync(join(older, name), join(world.sim.directory, name));
    const { catalog, report } = await merged(world, state);
    expect(report.warnings).toBe(1);
    expectSameLines(restorable(catalog), restorable(world.catalog));
  });
});
