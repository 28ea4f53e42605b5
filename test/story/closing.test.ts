/** What a cartridge carries when it closes: a copy of the catalog, and what the run was still to store. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { rawOf } from '../../src/base/raw.ts';
import { Jobs } from '../../src/catalog/job/jobs.ts';
import { CatalogCopies } from '../../src/catalog/shelf/catalog-copies.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import { ownProcess } from '../../src/catalog/writers.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { restoreByScript } from '../sim/by-script.ts';
import { checkArchives } from '../sim/check-archives.ts';
import { catalogIn, entriesOf, journalOf, ownMembers, streamsOn } from '../sim/media-streams.ts';
import { differences, makeRichTree, randomBytes } from '../sim/rich-tree.ts';

const CONFIG = `
[archive]
size = "4MB"
part = "1MB"
block = "64KiB"
`;

/** Files for several cartridges, some of them large, some with names that want escaping. */
function makeTree(source: string): void {
  const random = seededRandom(5);
  for (let index = 0; index < 40; index += 1) {
    const directory = join(source, `directory ${index}`);
    mkdirSync(directory);
    for (let file = 0; file < 10; file += 1)
      writeFileSync(join(directory, `file\t${file}`), randomBytes(random, 20_000 + file));
    writeFileSync(join(directory, 'large'), randomBytes(random, 800_000));
  }
  writeFileSync(join(source, 'split'), randomBytes(random, 5_000_001));
}

function pathsBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).map((name) =>
    join(directory, name),
  );
}

/** All that the media hold, by what stands on them alone. */
async function shelf(world: BackupWorld, barcodes: readonly string[]) {
  return Promise.all(
    barcodes.map(async (barcode) => {
      const streams = streamsOn(world.sim.directory, barcode);
      const journals = await Promise.all(streams.map(journalOf));
      const last = streams.at(-1) ?? Buffer.alloc(0);
      return { barcode, streams, journals, copy: await catalogIn(last) };
    }),
  );
}

describe.each([1, 2])('a run over several cartridges, %d at a time', (copies) => {
  test('each tells by itself what there was, and what was to follow', async () => {
    const world = await BackupWorld.make({
      cartridges: 8,
      capacityBytes: 16 * 2 ** 20,
      config: CONFIG,
    });
    makeTree(world.source);
    const report = await world.backup({ copies });
    expect(report).toMatchObject({ state: 'finished', warnings: [] });
    const media = await shelf(world, report.media);
    expect(media.length).toBeGreaterThanOrEqual(3 * copies);
    const all = new Set(pathsBelow(world.source).map(rawOf));

    const stored = new Set<string>();
    for (const [index, { journals, copy, streams }] of media.entries()) {
      const isLast = index >= media.length - copies;
      const entries = journals.map(entriesOf);
      for (const { change, path, hash, attributes } of entries.flat())
        if (change !== 'planned' && (hash || attributes.sizeBytes === 0)) stored.add(path);
      const planned = entries.flat().filter(({ change }) => change === 'planned');
      // The rest of the plan stands in the last journal alone, and is exactly what is not stored yet.
      expect(entries.slice(0, -1).flat()).not.toContainEqual(
        expect.objectContaining({ change: 'planned' }),
      );
      expect(planned.length === 0).toBe(isLast);
      if (copies === 1 || index % 2 === 1) {
        const inSource = [...all].filter((path) => !stored.has(path));
        expect(planned.map(({ path }) => path).toSorted()).toEqual(inSource.toSorted());
      }
      // The copy stands in the last archive, and knows of all before it.
      expect(copy?.pragma('quick_check', { simple: true })).toBe('ok');
      const known = copy?.prepare('SELECT count(*) FROM pending').pluck().get();
      expect(known).toBeGreaterThanOrEqual(all.size);
      const own = await ownMembers(streams.at(-1) ?? Buffer.alloc(0));
      expect([...own.keys()]).toEqual([
        'archive.json',
        'catalog.sqlite.zst',
        'catalog.txt',
        'journal',
        'digest',
      ]);
      const writing = copy
        ?.prepare("SELECT count(*) FROM archives WHERE state = 'writing'")
        .pluck()
        .get();
      expect(writing).toBe(1);
      expect(copy?.prepare('SELECT count(*) FROM writers').pluck().get()).toBe(0);
    }
    // Nothing was overrun, and the copies are no harm to the rest.
    for (const medium of new Media(world.catalog).list())
      expect(medium.writtenBytes).toBeLessThan(medium.capacityBytes * 0.95);
    expect(checkArchives(world.catalog, world.sim.directory)).toBeGreaterThan(3);
    expect(differences(world.source, (await world.restore()).tree)).toBe('');
  });
});

test('what is gone or moved is told by every cartridge that closes: bytes keep a name', async () => {
  const world = await BackupWorld.make({
    cartridges: 8,
    capacityBytes: 16 * 2 ** 20,
    config: CONFIG,
  });
  const at = (name: string) => join(world.source, name);
  writeFileSync(at('gone'), 'soon');
  writeFileSync(at('z before'), randomBytes(seededRandom(1), 300_000));
  await world.backup();
  await world.sim.clock.sleepMs(60_000, new AbortController().signal);
  rmSync(at('gone'));
  renameSync(at('z before'), at('z moved'));
  makeTree(world.source);
  const report = await world.backup();
  expect(report.media.length).toBeGreaterThanOrEqual(3);
  let isTold = false;
  for (const { journals, barcode } of await shelf(world, report.media)) {
    const told = (which: string) =>
      journals.flatMap(entriesOf).filter(({ change, path }) => change === which && path !== '/');
    expect(
      told('gone')
        .map(({ path }) => path)
        .toSorted(),
      barcode,
    ).toEqual([rawOf(at('gone')), rawOf(at('z before'))].toSorted());
    // Told once for good, by whichever archive has its line: no cartridge closes before without it.
    isTold ||= told('moved').length > 0;
    expect(isTold, barcode).toBe(true);
    for (const { from, hash, copies } of told('moved')) {
      expect([from, hash?.length, copies.length]).toEqual([rawOf(at('z before')), 32, 1]);
    }
  }
});

test('with all cartridges but the first closed one lost, restore.sh brings what it can name', async () => {
  const world = await BackupWorld.make({
    cartridges: 8,
    capacityBytes: 16 * 2 ** 20,
    config: CONFIG,
  });
  const at = (name: string) => join(world.source, name);
  writeFileSync(at('z before'), 'the bytes of something moved');
  await world.backup();
  await world.sim.clock.sleepMs(60_000, new AbortController().signal);
  renameSync(at('z before'), at('z moved'));
  makeTree(world.source);
  const [first, ...lost] = (await world.backup()).media;
  for (const barcode of lost) rmSync(join(world.sim.directory, `${barcode}.tap`));
  const target = await restoreByScript(world, first, [world.source]);
  expect(readFileSync(join(target, at('z moved')), 'utf8')).toBe('the bytes of something moved');
  expect(readdirSync(join(target, world.source)).length).toBeGreaterThan(10);
});

test('a copy is due when the journals since the last have grown to a tenth of it', async () => {
  const world = await BackupWorld.make();
  makeRichTree(world.source, seededRandom(1));
  const medium = () => new Media(world.catalog).list()[0]?.id ?? 0;
  const copies = () => new CatalogCopies(world.catalog).onMedium(medium());
  await world.backup();
  expect(copies()).toMatchObject([{ fileNumber: 1, isGood: true }]);
  await world.backup();
  expect(new Media(world.catalog).get(medium()).nextFile).toBe(2);
  writeFileSync(join(world.source, 'one more'), 'small');
  await world.backup();
  expect(copies()).toHaveLength(1);
  const databaseBytes = copies()[0]?.databaseBytes ?? 0;
  const many = Math.ceil(databaseBytes / 10 / 200);
  for (let index = 0; index < many; index += 1)
    writeFileSync(join(world.source, `number ${index}`), `${index}`);
  await world.backup();
  expect(copies()).toHaveLength(2);
  const [first, second] = copies();
  expect(second?.fileNumber).toBe(3);
  expect(second?.takenMs).toBeGreaterThanOrEqual(first?.takenMs ?? Number.NaN);

  // Where it says that it lies, there it lies; and it knows what was known then.
  const stream = streamsOn(world.sim.directory, 'BKP001L8')[2] ?? Buffer.alloc(0);
  const { position = 0, lengthBytes = 0 } = second ?? {};
  const members = await ownMembers(stream);
  expect(stream.subarray(position, position + lengthBytes)).toEqual(
    members.get('catalog.sqlite.zst'),
  );
  const copy = await catalogIn(stream);
  expect(
    copy?.prepare("SELECT count(*) FROM snapshots WHERE state = 'finished'").pluck().get(),
  ).toBe(2);
  const text = members.get('catalog.txt')?.toString() ?? '';
  expect(text).toMatch(
    /^shelfs-catalog\t1\t[0-9a-f-]{36}\t\d{4}-\d\d-\d\dT[\d:.]+Z\tshelfs test\n/,
  );
  expect(text).toContain(`\nsources\t1\ttree\t1\t${world.source}\t${world.source}\t{}\n`);
  expect(text).toMatch(/\nmedia\t1\t[0-9a-f-]{36}\tBKP001L8\ttape\t/);
  expect(text.split('\n').filter((line) => line.startsWith('archives\t'))).toHaveLength(3);
});

test('a copy on another medium counts for nothing: each is to suffice by itself', async () => {
  const world = await BackupWorld.make();
  writeFileSync(join(world.source, 'a'), 'a');
  await world.backup();
  const media = new Media(world.catalog);
  const [first, second] = media.list();
  media.setState(first?.id ?? 0, 'lost');
  writeFileSync(join(world.source, 'b'), 'b');
  await world.backup();
  expect(new CatalogCopies(world.catalog).onMedium(second?.id ?? 0)).toHaveLength(1);
  expect(new CatalogCopies(world.catalog).onMedium(first?.id ?? 0)).toMatchObject([
    { isGood: false },
  ]);
});

test('what a dead process has left is swept, what a living one works on is not', async () => {
  const world = await BackupWorld.make();
  const left = (process: string) => `catalog-copy.${process}.${crypto.randomUUID()}`;
  const [dead, living] = [left('boot:4194999:1'), left(ownProcess())];
  for (const name of [dead, living]) {
    mkdirSync(join(world.state, name));
    writeFileSync(join(world.state, name, 'catalog.sqlite'), 'half');
  }
  writeFileSync(join(world.source, 'a'), 'a');
  await world.backup();
  const names = readdirSync(world.state).filter((name) => name.startsWith('catalog-copy.'));
  expect(names).toEqual([living]);
});

test('where no copy can be made, the run says so and stores its files', async () => {
  const uuid = '11111111-2222-4333-8444-555555555555';
  const world = await BackupWorld.make();
  mkdirSync(join(world.state, `catalog-copy.${ownProcess()}.${uuid}`));
  Object.assign(world.tools, { random: { ...world.tools.random, uuid: () => uuid } });
  writeFileSync(join(world.source, 'a'), 'a');
  const report = await world.backup();
  expect(report.state).toBe('finished');
  expect(report.warnings).toEqual([
    expect.stringContaining('no copy of the catalog could be made'),
  ]);
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
});

test('a catalog that takes more than a tenth of a cartridge is not copied to it', async () => {
  const world = await BackupWorld.make({
    cartridges: 1,
    capacityBytes: 8 * 2 ** 20,
    config: CONFIG,
  });
  writeFileSync(join(world.source, 'a'), 'a');
  await world.backup();
  // What a job has said is part of the catalog too.
  const message = randomBytes(seededRandom(1), 900_000).toString('base64');
  new Jobs(world.catalog).log([{ jobNumber: 1, timeMs: 0, level: 'info', message }]);
  for (let index = 0; index < 600; index += 1) writeFileSync(join(world.source, `${index}`), '');
  const report = await world.backup();
  expect(report.state).toBe('finished');
  expect(report.warnings).toEqual([expect.stringContaining('no room on a medium for a copy')]);
  const [medium] = new Media(world.catalog).list();
  expect(new CatalogCopies(world.catalog).onMedium(medium?.id ?? 0)).toHaveLength(1);
  expect(differences(world.source, (await world.restore()).tree)).toBe('');
});
