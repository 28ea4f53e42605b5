/** While a run is being written, and when it was left unfinished, everybody sees the last finished snapshot, whole. */
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { rawOf } from '../../src/base/raw.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import { Tree } from '../../src/catalog/tree/tree.ts';
import { listPath, statPath, versionsOf } from '../../src/job/browse.ts';
import { listSnapshots } from '../../src/job/snapshots.ts';
import { BackupWorld, HOST } from '../sim/backup-world.ts';
import { changeTree, makeTree } from '../sim/power/world.ts';
import { differences } from '../sim/rich-tree.ts';
import { scratchDirectory } from '../sim/scratch.ts';

const CONFIG = `
[archive]
size = "1MB"
part = "700KB"
block = "64KiB"
`;

/** A world with one snapshot, a tree that has changed since, and a connection as another process has it. */
async function makeUnfinished() {
  const world = await BackupWorld.make({
    cartridges: 4,
    capacityBytes: 8 * 2 ** 20,
    config: CONFIG,
  });
  makeTree(world.source, seededRandom(1));
  await world.backup();
  const catalog = Catalog.open(join(world.state, 'catalog.sqlite'), {
    mode: 'write',
    clock: world.sim.clock,
  });
  onTestFinished(() => catalog.close());
  const before = await world.restore({ catalog });
  expect(differences(world.source, before.tree)).toBe('');
  changeTree(world.source, seededRandom(2));
  return { world, catalog, first: before.tree };
}

/** Of the tree's paths so many are looked at closely. */
const PATHS_SHOWN = 10;

/** All that `snapshots`, `ls`, `stat` and `versions` go by: which paths there are, and everything of some of them. */
function shown(catalog: Catalog, source: string) {
  const where = (path: ReturnType<typeof rawOf>) => ({ hostName: HOST, path, at: undefined });
  const { snapshot, entry } = listPath(catalog, where(rawOf(source)));
  const tree = new Tree(catalog);
  const host = tree.directories.ensureHost(HOST);
  const paths = [...tree.walk(host.id, rawOf(source), snapshot.id)].map(({ path }) => path);
  const step = Math.ceil(paths.length / PATHS_SHOWN);
  const some = paths.filter((path, index) => index % step === 0 || path.endsWith('/large'));
  return {
    snapshots: listSnapshots(catalog, { general: undefined, sources: {}, pools: {} }),
    root: entry,
    paths,
    some: some.map((path) => ({
      path,
      listed: listPath(catalog, where(path)),
      stat: statPath(catalog, where(path)),
      versions: versionsOf(catalog, where(path)),
    })),
  };
}

test('between two archives, and between two cartridges, with a restore', async () => {
  const { world, catalog, first } = await makeUnfinished();
  const before = shown(catalog, world.source);
  expect(before.paths.length).toBeGreaterThan(300);
  const seen = { archives: 0, changes: 0, restores: 0 };
  const report = await world.backup({
    listen: ({ event }) => {
      if (event !== 'archive') return;
      seen.archives += 1;
      expect(shown(catalog, world.source)).toEqual(before);
    },
    beforeLabel: async () => {
      seen.changes += 1;
      const stored = "SELECT count(*) FROM archives WHERE job = 2 AND state = 'good'";
      expect(catalog.prepare<[number]>(stored).get()?.[0]).toBeGreaterThan(0);
      const { tree, report } = await world.restore({ catalog });
      expect(report.failed).toEqual([]);
      expect(differences(first, tree)).toBe('');
      seen.restores += 1;
      expect(shown(catalog, world.source)).toEqual(before);
    },
  });
  expect(report).toMatchObject({ state: 'finished', warnings: [] });
  expect(seen).toEqual({ archives: expect.any(Number), changes: 1, restores: 1 });
  expect(seen.archives).toBeGreaterThan(2);
  const after = shown(catalog, world.source);
  expect(after.snapshots).toHaveLength(2);
  expect(differences(world.source, (await world.restore({ catalog })).tree)).toBe('');
});

test('interrupted, until the next run has finished', async () => {
  const { world, catalog, first } = await makeUnfinished();
  const before = shown(catalog, world.source);
  const stop = new AbortController();
  const listen = ({ event }: { event: string }) => {
    if (event === 'archive') stop.abort();
  };
  await expect(world.backup({ listen, signal: stop.signal })).rejects.toThrow();
  expect(shown(catalog, world.source)).toEqual(before);
  expect(differences(first, (await world.restore({ catalog })).tree)).toBe('');
  const to = await scratchDirectory();
  expect(await world.backup()).toMatchObject({ state: 'finished', job: 2 });
  expect(differences(world.source, (await world.restore({ catalog, to })).tree)).toBe('');
  expect(differences(first, (await world.restore({ catalog, at: '1' })).tree)).toBe('');
});
