/** Recovery of what no journal tells whole: archives of a groom, runs of which cartridges are missing, files in parts. */
import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import type { Catalog } from '../../src/catalog/catalog.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { archivesOf, spoilJournal } from '../sim/broken-journal.ts';
import { spoilCopies } from '../sim/broken-tape.ts';
import { groomMedia } from '../sim/groom-world.ts';
import { findings, type Recovered, recoverWorld, restorable } from '../sim/recover-world.ts';
import { differences, randomBytes } from '../sim/rich-tree.ts';
import { expectSameLines } from '../sim/same-lines.ts';

const FIRST = 'BKP001L8';

const warningsOf = ({ events }: Recovered) =>
  events.flatMap((event) => (event.event === 'warning' ? [event.message] : [])).join('\n');

type Snapshot = [seconds: number, isPartial: number, hold: string | null];
const snapshotsOf = (catalog: Catalog) =>
  catalog.prepare<Snapshot>('SELECT seconds, is_partial, hold FROM snapshots ORDER BY id').all();

describe('a groom whose journals are damaged, with no copy of the catalog left', () => {
  /** Three snapshots; what they stored has been moved off their cartridge, which is going to be written anew. */
  async function groomed(): Promise<BackupWorld> {
    const world = await BackupWorld.make({ cartridges: 3, config: '[archive]\nblock = "4KiB"\n' });
    mkdirSync(join(world.source, 'folder'));
    for (const day of [1, 2, 3]) {
      writeFileSync(join(world.source, 'changed'), `as of day ${day}`);
      writeFileSync(join(world.source, 'folder', `made on day ${day}`), `day ${day}`);
      if (day > 1) rmSync(join(world.source, 'folder', `made on day ${day - 1}`));
      await world.backup();
      await world.sim.clock.sleepMs(86_400_000, new AbortController().signal);
    }
    const { media } = await groomMedia(world, [FIRST]);
    expect(media).toMatchObject([{ barcode: FIRST, state: 'scratch' }]);
    return world;
  }

  test('its contents belong to the runs that other journals tell', async () => {
    const world = await groomed();
    const expected = restorable(world.catalog);
    spoilCopies(world.catalog, world.sim.directory);
    const [moved, ...more] = archivesOf(world, 'groom');
    if (!moved || more.length === 0) throw new Error('a groom of one archive');
    spoilJournal(world, moved);
    const recovered = await recoverWorld(world, { media: ['BKP002L8'] });
    expect(recovered.report.base).toBe(null);
    expect(findings(recovered.catalog)).toEqual([]);
    expectSameLines(restorable(recovered.catalog), expected);
    expect(warningsOf(recovered)).toMatch(/no journal; 6 members are known/);
  });

  test('what no journal tells of is in the oldest snapshot alone, which is on hold', async () => {
    const world = await groomed();
    writeFileSync(join(world.source, 'later'), 'stored after all');
    await world.backup();
    spoilCopies(world.catalog, world.sim.directory);
    for (const archive of archivesOf(world, 'groom')) spoilJournal(world, archive);
    const media = [...archivesOf(world, 'groom'), ...archivesOf(world, 'backup')];
    const recovered = await recoverWorld(world, {
      media: [...new Set(media.map(({ barcode }) => barcode))],
    });
    const { catalog } = recovered;
    expect(findings(catalog)).toEqual([]);
    const [strays, last, ...more] = snapshotsOf(catalog);
    expect(more).toEqual([]);
    expect(strays).toEqual([(last?.[0] ?? 0) - 1, 1, expect.stringMatching(/without a journal/)]);
    const names = (seconds: number | undefined) =>
      restorable(catalog).filter(
        (line) => line.startsWith(`${seconds} `) && line.endsWith('there'),
      );
    expect(names(last?.[0]).join()).toMatch(/later/);
    expect(names(last?.[0]).join()).not.toMatch(/changed|made on day/);
    for (const file of ['changed', 'made on day 1', 'made on day 2', 'made on day 3'])
      expect(names(strays?.[0]).join()).toMatch(file);
    expect(warningsOf(recovered)).toMatch(/files are known.*no run names them/);
    const older = new Date((strays?.[0] ?? 0) * 1000).toISOString();
    const { tree } = await world.restore({ catalog, at: older });
    expect(readFileSync(join(tree, 'folder', 'made on day 3'), 'latin1')).toBe('day 3');
  });

  test('where nothing else is known at all, the newest snapshot does not show it', async () => {
    const world = await groomed();
    spoilCopies(world.catalog, world.sim.directory);
    const archives = archivesOf(world, 'groom');
    for (const archive of archives) spoilJournal(world, archive);
    const media = [...new Set(archives.map(({ barcode }) => barcode))];
    const { catalog } = await recoverWorld(world, { media });
    expect(findings(catalog)).toEqual([]);
    const [strays, newest, ...more] = snapshotsOf(catalog);
    expect(more).toEqual([]);
    const at = (snapshot: Snapshot | undefined) =>
      restorable(catalog).filter((line) => line.startsWith(`${snapshot?.[0]} `)).length;
    expect(at(strays)).toBeGreaterThanOrEqual(4);
    expect(at(newest)).toBe(0);
    expect(newest?.[1]).toBe(1);
  });
});

describe('runs over several cartridges', () => {
  const CONFIG = '[archive]\nblock = "64KiB"\nsize = "4MB"\npart = "1MB"\n';

  test('of which the last one is given alone are partial', async () => {
    const world = await BackupWorld.make({
      ...{ cartridges: 5, capacityBytes: 16 * 2 ** 20, config: CONFIG },
    });
    const random = seededRandom(3);
    for (let index = 0; index < 40; index += 1)
      writeFileSync(join(world.source, `file ${index}`), randomBytes(random, 900_000));
    await world.backup();
    spoilCopies(world.catalog, world.sim.directory);
    const archives = archivesOf(world, 'backup');
    const last = archives.at(-1)?.barcode ?? '';
    expect(archives[0]?.barcode).not.toBe(last);
    const alone = await recoverWorld(world, { media: [last] });
    expect(alone.report.missing.length).toBeGreaterThan(0);
    expect(snapshotsOf(alone.catalog).map(([, isPartial]) => isPartial)).toEqual([1]);
    const all = await recoverWorld(world);
    expect(snapshotsOf(all.catalog).map(([, isPartial]) => isPartial)).toEqual([0]);
    expectSameLines(restorable(all.catalog), restorable(world.catalog));
  });

  test.each([
    ['the last', -1],
    ['the first', 0],
  ])(
    'files in parts are put together where the journal of %s archive is damaged',
    async (_, at) => {
      const world = await BackupWorld.make({ cartridges: 2, config: CONFIG });
      const random = seededRandom(4);
      writeFileSync(join(world.source, 'split'), randomBytes(random, 5_300_001));
      writeFileSync(join(world.source, 'with holes'), randomBytes(random, 1_500_000));
      truncateSync(join(world.source, 'with holes'), 6_000_000);
      writeFileSync(join(world.source, 'with holes'), randomBytes(random, 500_000), { flag: 'a' });
      await world.backup();
      spoilCopies(world.catalog, world.sim.directory);
      const archive = archivesOf(world, 'backup').at(at);
      if (!archive) throw new Error('no archive');
      spoilJournal(world, archive);
      const { catalog } = await recoverWorld(world);
      expect(findings(catalog)).toEqual([]);
      const { tree } = await world.restore({ catalog });
      expect(differences(world.source, tree)).toBe('');
    },
  );
});
