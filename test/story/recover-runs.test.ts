/** Recovery of runs that go over several cartridges, that were cut, or whose cartridges ended before they said they would. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import type { Catalog } from '../../src/catalog/catalog.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { spoilCopies } from '../sim/broken-tape.ts';
import { findings, recoverWorld, restorable } from '../sim/recover-world.ts';
import { differences, randomBytes } from '../sim/rich-tree.ts';
import { expectSameLines } from '../sim/same-lines.ts';

const CONFIG = '[archive]\nblock = "64KiB"\nsize = "4MB"\npart = "1MB"\n';
const CAPACITY_BYTES = 16 * 2 ** 20;

/** 40 MB: three cartridges. */
function makeTree(source: string): void {
  const random = seededRandom(3);
  for (let index = 0; index < 38; index += 1) {
    const directory = join(source, `directory ${index}`);
    mkdirSync(directory);
    for (let file = 0; file < 5; file += 1)
      writeFileSync(join(directory, `file\t${file}`), randomBytes(random, 40_000 + file));
    writeFileSync(join(directory, 'large'), randomBytes(random, 700_000));
  }
  writeFileSync(join(source, 'split'), randomBytes(random, 3_000_001));
}

/** The drive warns of the end of this one while files are written. */
function warnEarly(world: BackupWorld, barcode: string, earlyWarningBytes: number): void {
  const path = join(world.sim.directory, `${barcode}.json`);
  const record: object = JSON.parse(readFileSync(path, 'utf8'));
  writeFileSync(path, JSON.stringify({ ...record, earlyWarningBytes }));
}

/** Paths of the newest snapshot, without what is known of their bytes. */
function livePaths(catalog: Catalog): string[] {
  const newest = catalog.prepare<[number]>('SELECT max(seconds) FROM snapshots').get()?.[0];
  return restorable(catalog)
    .filter((line) => line.startsWith(`${newest} `))
    .map((line) => /"(?:[^"\\]|\\.)*"/.exec(line)?.[0] ?? '');
}

const usedMedia = ({ catalog }: BackupWorld) =>
  catalog
    .prepare<[string]>('SELECT barcode FROM media WHERE next_file > 1 ORDER BY barcode')
    .all()
    .flat();

describe('a run over several cartridges', () => {
  test('each of them knows all paths, all of them everything', async () => {
    const world = await BackupWorld.make({
      ...{ cartridges: 6, capacityBytes: CAPACITY_BYTES, config: CONFIG },
    });
    makeTree(world.source);
    await world.backup();
    const expected = restorable(world.catalog);
    const all = await recoverWorld(world);
    expect(findings(all.catalog)).toEqual([]);
    expectSameLines(restorable(all.catalog), expected);
    const media = usedMedia(world);
    expect(media.length).toBeGreaterThan(2);
    for (const barcode of media) {
      const { catalog } = await recoverWorld(world, { media: [barcode] });
      expect(findings(catalog)).toEqual([]);
      expectSameLines(livePaths(catalog), livePaths(world.catalog));
    }
    spoilCopies(world.catalog, world.sim.directory);
    const journals = await recoverWorld(world);
    expect(findings(journals.catalog)).toEqual([]);
    expectSameLines(restorable(journals.catalog), expected);
    const restored = await world.restore({ catalog: journals.catalog });
    expect(differences(world.source, restored.tree)).toBe('');
  });
});

test('an archive that the end of its tape tore counts through the one that completes it', async () => {
  const world = await BackupWorld.make({
    cartridges: 3,
    capacityBytes: 100 * 2 ** 20,
    config: '[archive]\nsize = "90MB"\npart = "20MB"\nblock = "64KiB"\n',
  });
  for (let file = 0; file < 5; file += 1)
    writeFileSync(join(world.source, `large ${file}`), Buffer.alloc(14_000_000, `${file}`));
  warnEarly(world, 'BKP001L8', 60 * 2 ** 20);
  await world.backup();
  const torn = world.catalog.prepare('SELECT 1 FROM archives WHERE completed_by IS NOT NULL');
  expect(torn.all()).toHaveLength(1);
  const expected = restorable(world.catalog);
  const first = await recoverWorld(world);
  expectSameLines(restorable(first.catalog), expected);
  spoilCopies(world.catalog, world.sim.directory);
  const { catalog } = await recoverWorld(world);
  expect(findings(catalog)).toEqual([]);
  expectSameLines(restorable(catalog), expected);
  const restored = await world.restore({ catalog });
  expect(differences(world.source, restored.tree)).toBe('');
});

test('a run that was cut: what it had stored is a partial snapshot, and the next backup stores the rest', async () => {
  const world = await BackupWorld.make({
    ...{ cartridges: 6, capacityBytes: CAPACITY_BYTES, config: CONFIG },
  });
  makeTree(world.source);
  const stop = new AbortController();
  let archives = 0;
  const cut = world.backup({
    signal: stop.signal,
    listen: ({ event }) => {
      if (event === 'archive') archives += 1;
      if (archives === 4) stop.abort();
    },
  });
  await expect(cut).rejects.toThrow();
  const { catalog, state } = await recoverWorld(world);
  expect(findings(catalog)).toEqual([]);
  const lines = restorable(catalog);
  expect(lines.filter((line) => / 1$/.test(line) && line.startsWith('snapshot'))).toHaveLength(1);
  expect(lines.filter((line) => line.endsWith(' there')).length).toBeGreaterThan(10);
  const next = await world.withCatalog(catalog, state).backup();
  expect(next.state).toBe('finished');
  expect(next.bytes.written).toBeGreaterThan(5_000_000);
  const restored = await world.restore({ catalog });
  expect(differences(world.source, restored.tree)).toBe('');
});

test('a number of an archive that failed is not missed, whatever cartridge lacks', async () => {
  const world = await BackupWorld.make({ cartridges: 3, config: '[archive]\nblock = "4KiB"\n' });
  writeFileSync(join(world.source, 'first'), 'of the first run');
  await world.backup();
  writeFileSync(join(world.source, 'second'), 'of the second run');
  // Of the second run's first archive nothing reaches the tape; the cartridge is bad, another one takes it.
  world.sim.faults.add({
    note: 'the medium fails',
    on: 'write',
    effect: { kind: 'sense', key: 0x3, code: 0x0c00, deferred: false },
  });
  await world.backup();
  const archives = world.catalog
    .prepare<[number, string, string]>(
      `SELECT a.sequence, a.state, m.barcode FROM archives a JOIN archive_copies k ON k.archive = a.id
         JOIN media m ON m.id = k.medium WHERE a.job = (SELECT max(job) FROM archives) ORDER BY a.id`,
    )
    .all();
  expect(archives).toEqual([
    [1, 'torn', 'BKP001L8'],
    [2, 'good', 'BKP002L8'],
  ]);
  spoilCopies(world.catalog, world.sim.directory);
  const { catalog, report } = await recoverWorld(world, { media: ['BKP002L8'] });
  expect(report.missing).toContain('BKP001L8');
  const partial = 'SELECT is_partial FROM snapshots ORDER BY id DESC LIMIT 1';
  expect(catalog.prepare(partial).get()).toEqual([0]);
});
