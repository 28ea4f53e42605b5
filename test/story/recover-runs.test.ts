/** Recovery of runs that go over several cartridges, that were cut, or whose cartridges ended before they said they would. */
import { mkdirSync, writeFileSync } from 'node:fs';
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
  test.each([
    ['that hold what they say', CAPACITY_BYTES],
    ['that end early', CAPACITY_BYTES + 2 ** 20],
  ])('%s', async (_, claimedBytes) => {
    const world = await BackupWorld.make({
      ...{ cartridges: 6, capacityBytes: CAPACITY_BYTES, claimedBytes, config: CONFIG },
    });
    makeTree(world.source);
    await world.backup();
    const expected = restorable(world.catalog);
    const torn = world.catalog.prepare('SELECT 1 FROM archives WHERE completed_by IS NOT NULL');
    expect(torn.all().length > 0).toBe(claimedBytes > CAPACITY_BYTES);
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
