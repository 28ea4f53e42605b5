/** A tape that ends before the plan expected it: what stands whole on it counts, and is not written again. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findDigest } from '../../src/archive/digest.ts';
import { seededRandom } from '../../src/base/random.ts';
import { rawOf } from '../../src/base/raw.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import type { Fault } from '../../src/device/virtual/faults.ts';
import type { BackupEvent } from '../../src/job/backup/report.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { restoreByScript } from '../sim/by-script.ts';
import { checkArchives } from '../sim/check-archives.ts';
import { catalogIn, entriesOf, journalOf, streamsOn } from '../sim/media-streams.ts';
import { differences, makeRichTree, randomBytes } from '../sim/rich-tree.ts';

const MIB = 2 ** 20;
const FILE_BYTES = 14_000_000;
const FILES = 4;
const EMPTY = Buffer.alloc(0);

type Options = { drives?: number; short?: readonly string[]; warningBytes?: number };

/**
 * Some small files, then large ones of which one cartridge's chip says that all fit, while its drive warns in the third of
 * them. Blocks on their way when it warns still find room.
 */
async function makeWorld({ drives, short = ['BKP001L8'], warningBytes = 60 * MIB }: Options = {}) {
  const world = await BackupWorld.make({
    cartridges: 5,
    capacityBytes: 100 * MIB,
    config: '[archive]\nsize = "90MB"\npart = "20MB"\nblock = "64KiB"\n',
    ...(drives !== undefined && { drives }),
  });
  for (const barcode of short) {
    const path = join(world.sim.directory, `${barcode}.json`);
    const record: object = JSON.parse(readFileSync(path, 'utf8'));
    writeFileSync(path, JSON.stringify({ ...record, earlyWarningBytes: warningBytes }));
  }
  mkdirSync(join(world.source, 'a'));
  makeRichTree(join(world.source, 'a'), seededRandom(1));
  for (let file = 0; file < FILES; file += 1)
    writeFileSync(join(world.source, `large ${file}`), randomBytes(seededRandom(file), FILE_BYTES));
  return world;
}

/** Of each large file, the media with good copies of it. */
function placesOf(world: BackupWorld): string[] {
  return world.catalog
    .prepare<[string]>(
      `SELECT group_concat(barcode, ' ') FROM (SELECT DISTINCT e.content, m.barcode FROM extents e
         JOIN archives a ON a.id = e.archive JOIN archive_copies k ON k.archive = a.id JOIN media m ON m.id = k.medium
         JOIN contents c ON c.id = e.content
         WHERE c.size = ${FILE_BYTES} AND a.state = 'good' AND k.state = 'good' ORDER BY e.content, m.barcode)
       GROUP BY content ORDER BY content`,
    )
    .all()
    .flat();
}

function statesOf(world: BackupWorld): string[] {
  return world.catalog
    .prepare<[string]>(
      "SELECT state || iif(completed_by IS NULL, '', ' completed') FROM archives ORDER BY id",
    )
    .all()
    .flat();
}

function setState(world: BackupWorld, barcode: string, state: 'lost' | 'filling'): void {
  const media = new Media(world.catalog);
  media.setState(media.find(barcode)?.id ?? 0, state);
}

async function expectRestored(world: BackupWorld): Promise<void> {
  checkArchives(world.catalog, world.sim.directory);
  const { tree, report } = await world.restore();
  expect(report.failed).toEqual([]);
  expect(differences(world.source, tree)).toBe('');
}

describe('early warning inside a file', () => {
  test.each([0, 2])('costs that file alone, %i workers', async (workers) => {
    const world = await makeWorld();
    const events: BackupEvent[] = [];
    const report = await world.backup({ workers, events });
    expect(report).toMatchObject({
      state: 'finished',
      unreadable: [],
      media: ['BKP001L8', 'BKP002L8'],
    });
    expect(report.warnings).toEqual([expect.stringMatching(/^BKP001L8: the end of the tape came/)]);
    // What is torn, what completes it, the rest of the plan, the copy of the catalog; then the rest itself.
    expect(statesOf(world)).toEqual(['good completed', 'good', 'good', 'good', 'good']);
    expect(placesOf(world)).toEqual(['BKP001L8', 'BKP001L8', 'BKP002L8', 'BKP002L8']);
    expect(report.bytes.written).toBeLessThan((FILES + 1) * FILE_BYTES);
    const archives = events.flatMap((event) => (event.event === 'archive' ? [event.entries] : []));
    expect(archives.map((entries) => entries > 0)).toEqual([true, false, false, true]);
    expect(new Media(world.catalog).find('BKP001L8')?.state).toBe('full');
    await expectRestored(world);
    const again = await world.backup({ workers });
    expect(again).toMatchObject({ snapshot: null, media: [], bytes: { hashed: 0, written: 0 } });
  });

  test('is no hindrance to those who restore by hand', async () => {
    const world = await makeWorld();
    const { media } = await world.backup();
    const target = await restoreByScript(world, media.at(-1));
    expect(differences(world.source, join(target, world.source))).toBe('');
  });

  test('is read back by --verify like the rest', async () => {
    const world = await makeWorld();
    const report = await world.backup({ verify: true });
    expect(report).toMatchObject({ state: 'finished', warnings: [expect.anything()] });
    const bad = "SELECT count(*) FROM archive_copies WHERE state <> 'good' OR verified_ms IS NULL";
    expect(world.catalog.prepare(bad).get()).toEqual([0]);
  });

  test('on one of two cartridges tears both, and either brings everything back', async () => {
    const world = await makeWorld();
    const report = await world.backup({ copies: 2 });
    expect(report).toMatchObject({
      state: 'finished',
      media: ['BKP001L8', 'BKP002L8', 'BKP003L8'],
    });
    const [both, other] = ['BKP001L8 BKP002L8', 'BKP002L8 BKP003L8'];
    expect(placesOf(world)).toEqual([both, both, other, other]);
    await expectRestored(world);
    for (const lost of ['BKP001L8', 'BKP002L8', 'BKP003L8']) {
      setState(world, lost, 'lost');
      await expectRestored(world);
      setState(world, lost, 'filling');
    }
  });

  test('with one drive costs no copy: what is torn is read from the sources once more', async () => {
    const world = await makeWorld({ drives: 1 });
    const reports = await world.backupCopies(2);
    expect(reports.map(({ state }) => state)).toEqual(['finished', 'finished']);
    for (const media of placesOf(world)) expect(media.split(' ').length).toBeGreaterThanOrEqual(2);
    for (const lost of ['BKP001L8', 'BKP002L8', 'BKP003L8']) {
      setState(world, lost, 'lost');
      await expectRestored(world);
      setState(world, lost, 'filling');
    }
  });

  test('with one drive, what of it is no longer in the sources has one copy, and the run says so', async () => {
    const world = await makeWorld({ drives: 1 });
    const said: BackupEvent[] = [];
    const listen = (event: BackupEvent) => {
      if (event.event === 'end') rmSync(join(world.source, 'large 0'), { force: true });
      said.push(event);
    };
    await world.backupCopies(2, { listen });
    expect(
      placesOf(world)
        .map((media) => media.split(' ').length)
        .sort()[0],
    ).toBe(1);
    const warnings = said.flatMap((event) => (event.event === 'warning' ? [event.message] : []));
    expect(warnings.at(-1)).toMatch(/has fewer copies than asked for.*groom/);
  });

  test('in the first file of an archive is a cartridge that is full, and nothing else', async () => {
    const world = await makeWorld({ warningBytes: 97 * MIB });
    const report = await world.backup();
    expect(report).toMatchObject({ state: 'finished', media: ['BKP001L8', 'BKP002L8'] });
    await expectRestored(world);
  });
});

describe('a cartridge whose drive warned early carries what one does that was filled as planned', () => {
  /** Of what stands on one: of each archive its journal's entries, and the copy of the catalog in the last. */
  async function carried(world: BackupWorld, barcode: string) {
    const streams = streamsOn(world.sim.directory, barcode);
    const whole = streams.filter((stream) => findDigest(stream, stream.length));
    const journals = await Promise.all(whole.map(journalOf));
    return { entries: journals.map(entriesOf), copy: await catalogIn(streams.at(-1) ?? EMPTY) };
  }

  test.each([1, 2])('the rest of the plan and the catalog, of %i copies', async (copies) => {
    const world = await makeWorld({ short: ['BKP001L8', 'BKP002L8'] });
    const { media } = await world.backup({ copies });
    const { entries, copy } = await carried(world, 'BKP001L8');
    const planned = entries.flat().filter(({ change }) => change === 'planned');
    const stored = entries.flat().filter(({ hash }) => hash);
    expect(planned.map(({ path }) => path).toSorted()).toEqual(
      [2, 3].map((file) => rawOf(join(world.source, `large ${file}`))),
    );
    expect(stored.length).toBeGreaterThan(2);
    expect(copy?.pragma('quick_check', { simple: true })).toBe('ok');
    const known = copy?.prepare("SELECT count(*) FROM archives WHERE state = 'good'");
    expect(known?.pluck().get()).toBe(3);
    if (copies === 2) expect((await carried(world, 'BKP002L8')).entries).toEqual(entries);
    // With everything else lost, the script of its label brings what it has.
    for (const barcode of media.slice(copies)) rmSync(join(world.sim.directory, `${barcode}.tap`));
    const target = await restoreByScript(world, 'BKP001L8', [join(world.source, 'a')]);
    expect(differences(join(world.source, 'a'), join(target, world.source, 'a'))).toBe('');
  });

  test('where the warning comes in the first file of an archive', async () => {
    const world = await makeWorld({ short: [] });
    await world.backup();
    const path = join(world.sim.directory, 'BKP001L8.json');
    const record: object = JSON.parse(readFileSync(path, 'utf8'));
    writeFileSync(path, JSON.stringify({ ...record, earlyWarningBytes: 40 * MIB }));
    writeFileSync(join(world.source, 'later'), randomBytes(seededRandom(9), FILE_BYTES));
    await world.backup();
    const { entries, copy } = await carried(world, 'BKP001L8');
    expect(entries.flat().filter(({ change }) => change === 'planned')).toMatchObject([
      { path: rawOf(join(world.source, 'later')) },
    ]);
    expect(copy?.pragma('quick_check', { simple: true })).toBe('ok');
    await expectRestored(world);
  });

  test.each([
    ['the list of the rest', 3],
    ['the copy of the catalog', 4],
  ])('%s cannot be written: nothing else is lost by that', async (_, marks) => {
    const world = await makeWorld();
    failBehindTear(world, { on: 'write', effect: BAD }, marks);
    const report = await world.backup();
    expect(report).toMatchObject({ state: 'finished', media: ['BKP001L8', 'BKP002L8'] });
    expect(report.warnings).toContainEqual(expect.stringContaining('less than it should carry'));
    expect(placesOf(world)).toEqual(['BKP001L8', 'BKP001L8', 'BKP002L8', 'BKP002L8']);
    expect(new Media(world.catalog).find('BKP001L8')?.state).toBe('full');
    await expectRestored(world);
    expect(await world.backup()).toMatchObject({ media: [] });
  });
});

/**
 * Plans the fault when the cartridge gets so many filemarks: the first is its label's, the second ends the torn archive, each
 * further one an archive behind it.
 */
function failBehindTear(
  world: BackupWorld,
  fault: Pick<Fault, 'on' | 'effect' | 'atCount'>,
  atMark = 2,
): void {
  const { faults } = world.sim;
  const due = faults.due.bind(faults);
  let marks = 0;
  faults.due = (context) => {
    const { on, cartridge } = context;
    const effect = due(context);
    if (on === 'filemark' && cartridge === 'BKP001L8') marks += 1;
    if (on === 'filemark' && cartridge === 'BKP001L8' && marks === atMark)
      faults.add({ note: 'behind the tear', cartridge, ...fault });
    return effect;
  };
}

const BAD = { kind: 'sense', key: 0x3, code: 0x0c00 } as const;

describe('where the archive that completes it cannot be written', () => {
  test.each([
    ['its first block', { on: 'write', effect: BAD }],
    ['its filemark', { on: 'filemark', effect: { ...BAD, deferred: true } }],
    ['its place', { on: 'position', atCount: 2, effect: { kind: 'reset', swallowed: true } }],
  ] as const)('%s: nothing of both counts, and all is written to others', async (_, fault) => {
    const world = await makeWorld();
    failBehindTear(world, fault);
    const report = await world.backup();
    expect(report.state).toBe('finished');
    expect(statesOf(world).slice(0, 2)).toEqual(['torn', 'torn']);
    expect(placesOf(world).join()).not.toContain('BKP001L8');
    await expectRestored(world);
    expect(await world.backup()).toMatchObject({ media: [] });
  });

  test('on one of two cartridges, the other counts', async () => {
    const world = await makeWorld();
    failBehindTear(world, { on: 'write', effect: BAD });
    const report = await world.backup({ copies: 2 });
    expect(report.state).toBe('finished');
    expect(placesOf(world).slice(0, 2)).toEqual(['BKP002L8', 'BKP002L8']);
    await expectRestored(world);
    // The next run makes the copies that are missing.
    await world.backup({ copies: 2 });
    setState(world, 'BKP002L8', 'lost');
    await expectRestored(world);
  });
});
