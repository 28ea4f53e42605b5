/** More copies than drives: whole archives once more, whatever has become of the sources meanwhile. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import type { BackupEvent } from '../../src/job/backup/report.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { checkArchives } from '../sim/check-archives.ts';
import { streamsOn } from '../sim/media-streams.ts';
import { differences, makeRichTree, randomBytes } from '../sim/rich-tree.ts';

const SMALL = `
[archive]
size = "2MB"
part = "1MB"
block = "64KiB"
[groom]
spool = "4MB"
`;

function makeTree(source: string, seed: number): void {
  makeRichTree(source, seededRandom(seed));
  for (let file = 0; file < 6; file += 1)
    writeFileSync(join(source, `f${file}`), randomBytes(seededRandom(seed + file), 1_500_000));
}

async function expectRestoredWithout(world: BackupWorld, lost: string, tree = world.source) {
  const media = new Media(world.catalog);
  const { id = 0, state = 'filling' } = media.find(lost) ?? {};
  media.setState(id, 'lost');
  const restored = await world.restore();
  expect(restored.report.failed).toEqual([]);
  expect(differences(tree, restored.tree)).toBe('');
  media.setState(id, state);
}

function expectSame(world: BackupWorld, one: string, other: string): void {
  const [streams, others] = [one, other].map((name) => streamsOn(world.sim.directory, name));
  expect(others?.length).toBe(streams?.length);
  expect(streams?.every((stream, file) => others?.[file]?.equals(stream))).toBe(true);
}

const loadsOf = async (world: BackupWorld) =>
  (await world.sim.library.statistics()).reduce((sum, { loads }) => sum + loads, 0);

test.each([1, 2])(
  'with one of %i drives the second copy is the same archives, byte for byte',
  async (drives) => {
    const world = await BackupWorld.make({ drives, ownDrives: 1 });
    makeTree(world.source, 5);
    const before = readFileSync(join(world.source, 'f0'));
    const events: BackupEvent[] = [];
    const listen = (event: BackupEvent) => {
      events.push(event);
      // What was stored is copied, whatever has become of it since.
      if (event.event === 'archive') writeFileSync(join(world.source, 'f0'), 'changed');
    };
    const reports = await world.backupCopies(2, { listen });
    expect(reports).toMatchObject([
      { media: ['BKP001L8', 'BKP002L8'], state: 'finished', warnings: [] },
    ]);
    expectSame(world, 'BKP001L8', 'BKP002L8');
    expect(events.map(({ event }) => event)).toContain('copy');
    expect(events.at(-1)).toMatchObject({ event: 'end', media: ['BKP001L8', 'BKP002L8'] });
    // Each is loaded once, and the first is still there when it is read.
    expect(await loadsOf(world)).toBe(2);
    checkArchives(world.catalog, world.sim.directory);
    const { tree } = await world.restore();
    expect(readFileSync(join(tree, 'f0')).equals(before)).toBe(true);

    // The next run adds to both.
    writeFileSync(join(world.source, 'one more'), 'one more');
    const [next] = await world.backupCopies(2);
    expect(next?.media.toSorted()).toEqual(['BKP001L8', 'BKP002L8']);
    await expectRestoredWithout(world, 'BKP001L8');
    await expectRestoredWithout(world, 'BKP002L8');
    expect(await world.backupCopies(2)).toMatchObject([{ media: [], snapshot: null }]);
  },
);

test('what the spool does not take is read from the sources again, what has changed there is copied', async () => {
  const world = await BackupWorld.make({ drives: 1, config: SMALL });
  makeTree(world.source, 5);
  const before = readFileSync(join(world.source, 'f3'));
  let isChanged = false;
  const listen = ({ event }: BackupEvent) => {
    if (event !== 'end' || isChanged) return;
    isChanged = true;
    writeFileSync(join(world.source, 'f3'), 'changed between the copies');
  };
  const reports = await world.backupCopies(2, { listen });
  expect(reports.length).toBe(2);
  expect(reports.flatMap(({ warnings }) => warnings)).toEqual([]);
  const [first] = reports;
  for (const lost of ['BKP001L8', 'BKP002L8']) {
    await expectRestoredWithout(world, lost);
    const media = new Media(world.catalog);
    const { id = 0, state = 'filling' } = media.find(lost) ?? {};
    media.setState(id, 'lost');
    const old = await world.restore({ at: first?.snapshot ?? '' });
    expect(old.report.failed).toEqual([]);
    expect(readFileSync(join(old.tree, 'f3')).equals(before)).toBe(true);
    media.setState(id, state);
  }
  expect(await world.backupCopies(2)).toMatchObject([{ media: [] }]);
});

test('stopped between the copies, the run goes on with them', async () => {
  const world = await BackupWorld.make({ drives: 1, config: SMALL.replace('4MB', '40MB') });
  makeTree(world.source, 5);
  const stop = new AbortController();
  const listen = ({ event }: BackupEvent) => {
    if (event === 'copy') stop.abort(new Error('stopped'));
  };
  await expect(world.backupCopies(2, { listen, signal: stop.signal })).rejects.toThrow('stopped');
  const reports = await world.backupCopies(2);
  expect(reports).toMatchObject([{ job: 1, state: 'finished', warnings: [] }]);
  expectSame(world, 'BKP001L8', 'BKP002L8');
  await expectRestoredWithout(world, 'BKP001L8');
});

test('where no other cartridge is to be had, the first copy has its snapshot all the same', async () => {
  const world = await BackupWorld.make({ drives: 1, cartridges: 1 });
  makeTree(world.source, 5);
  await expect(world.backupCopies(2)).rejects.toMatchObject({ code: 'MEDIUM_FULL' });
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
});

test('three copies in two drives', async () => {
  const world = await BackupWorld.make({ drives: 2 });
  makeTree(world.source, 5);
  const reports = await world.backupCopies(3);
  expect(reports).toMatchObject([{ media: ['BKP001L8', 'BKP002L8', 'BKP003L8'], warnings: [] }]);
  expectSame(world, 'BKP001L8', 'BKP002L8');
  expectSame(world, 'BKP001L8', 'BKP003L8');
});
