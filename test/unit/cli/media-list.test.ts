/** What `media list` shows, what it leaves out, and media that a person sets aside. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Catalog } from '../../../src/catalog/catalog.ts';
import { Jobs } from '../../../src/catalog/job/jobs.ts';
import { fillOfMedia, sumDeadBytes } from '../../../src/catalog/shelf/capacity.ts';
import { ASCII, BLOCKS, bar } from '../../../src/cli/media-list.ts';
import { forecast } from '../../../src/job/media-list.ts';
import { CommandLine } from '../../sim/command-line.ts';
import { begin, content, storeAll } from '../catalog/scratch.ts';

const DAY_MS = 86_400_000;
const ONE = 'VIR001L8';

/** A tree of twelve files of 1 MB, backed up. */
async function withTree() {
  const line = await CommandLine.make();
  const tree = join(line.directory, 'tree');
  mkdirSync(tree);
  for (let number = 0; number < 12; number += 1)
    writeFileSync(join(tree, `${number}`), Buffer.alloc(1e6, number));
  await line.ok('source', 'add', tree);
  await line.ok('backup');
  return { line, tree };
}

describe('bars', () => {
  test.each([
    [0, 0, '....................'],
    [100, 0, '####################'],
    [0, 100, '===================='],
    [50, 25, '##########=====.....'],
    [1, 1, '#=..................'],
    [99, 1, '###################='],
    [1, 99, '#==================='],
  ])('%i live, %i stale of 100', (liveBytes, staleBytes, shown) => {
    expect(bar({ liveBytes, staleBytes, capacityBytes: 100 }, ASCII)).toBe(shown);
  });

  test('block elements where the terminal has them', () => {
    const sizes = { liveBytes: 50, staleBytes: 25, capacityBytes: 100 };
    expect(bar(sizes, BLOCKS)).toBe(`${'█'.repeat(10)}${'▒'.repeat(5)}${'░'.repeat(5)}`);
  });
});

test('what a backup stored is live; what is deleted from the catalog is stale, and worth grooming', async () => {
  const { line } = await withTree();
  const { media } = await line.json('media', 'list');
  const [first] = media;
  expect(first).toMatchObject({ barcode: ONE, archives: 1, groomFreesBytes: null });
  // Label, journal, digest and padding to whole blocks are no data of anybody's.
  expect(first.liveBytes).toBeGreaterThan(12e6);
  expect(first.liveBytes).toBeLessThanOrEqual(first.writtenBytes);
  expect(first.liveBytes + first.staleBytes + first.freeBytes).toBe(first.capacityBytes);
  line.withCatalog((catalog) => {
    const before = fillOfMedia(catalog).get(1)?.liveBytes ?? 0;
    catalog.write(() => {
      catalog
        .prepare('DELETE FROM extents WHERE content IN (SELECT content FROM extents LIMIT 9)')
        .run();
      catalog.prepare("UPDATE media SET state = 'full' WHERE id = 1").run();
    });
    const after = fillOfMedia(catalog).get(1)?.liveBytes ?? 0;
    expect(before - after).toBe(9 * (1536 + Math.ceil(1e6 / 512) * 512));
    sumDeadBytes(catalog);
    const summed = fillOfMedia(catalog).get(1)?.liveBytes ?? 0;
    // Members without bytes, and padding, are no extents: summed, they are dead.
    expect(after - summed).toBeGreaterThanOrEqual(0);
    expect(summed).toBe(3 * (1536 + Math.ceil(1e6 / 512) * 512));
  });
  const [groomed] = (await line.json('media', 'list')).media;
  expect(groomed.groomFreesBytes).toBe(groomed.staleBytes);
  expect(groomed.staleBytes).toBeGreaterThan(9e6);
  expect(await line.ok('media', 'list')).toMatch(
    /^VIR001L8 +full +main +LTO-8 +99\.6 MB +#=+\.+ +3 % +groom: frees 9\.\d\d MB$/m,
  );
});

test('filters, totals of pools, and nothing but text without --json', async () => {
  const line = await CommandLine.make();
  line.withCatalog((catalog) =>
    catalog.write(() =>
      catalog
        .prepare("UPDATE media SET state = 'filling', next_file = 2 WHERE barcode = ?")
        .run(ONE),
    ),
  );
  await line.ok('media', 'add', 'FLM001L9', 'FLM002L9', '--pool', 'films', '--location', 'Bank');
  const listed = async (...argv: string[]) =>
    (await line.json('media', 'list', ...argv)).media.map(({ barcode = '' }) => barcode);
  expect(await listed('--pool', 'films')).toEqual(['FLM001L9', 'FLM002L9']);
  expect(await listed('--location', 'Bank', '--in-state', 'unlabelled')).toHaveLength(2);
  expect(await listed('--in-state', 'filling')).toEqual([ONE]);
  expect(await listed('--kind', 'disk')).toEqual([]);
  await line.ok('media', 'retire', 'FLM002L9');
  expect(await listed('--free', '--pool', 'films')).toEqual(['FLM001L9']);
  expect((await line.fails('media', 'list', '--in-state', 'empty')).exit).toBe(2);
  const { pools } = await line.json('media', 'list');
  expect(pools).toMatchObject([
    { pool: 'films', media: 1, scratch: 1, capacityBytes: 18e12, roomBytes: 17.1e12 },
    { pool: 'main', media: 4, scratch: 3, forecast: null },
  ]);
  const text = await line.ok('media', 'list');
  expect(text).toMatch(/^main +4 +3 +400 MB/m);

  expect(text).toMatch(/^pool main: 3 scratch cartridges, room for .*too few backups/m);
  expect(await line.ok('media', 'list', '--kind', 's3')).toMatch(/no such media/);
});

/** A run of a backup, as the catalog tells of it, so many days ago. */
function wrote(catalog: Catalog, run: { bytes: number; daysAgo: number }): void {
  const facts = { verb: 'backup', host: 'here', os: 'test', pid: 1, parameters: {} };
  const job = new Jobs(catalog).add({ ...facts, uuid: `${run.daysAgo}` });
  const writtenMs = Math.floor(catalog.clock.nowMs() - run.daysAgo * DAY_MS);
  catalog.write(() => {
    const archive = catalog
      .prepare<[number]>(
        `INSERT INTO archives(uuid, job, sequence, state, block_bytes, length_bytes, created_ms)
         VALUES(?, ?, 1, 'good', 524288, ?, 0) RETURNING id`,
      )
      .get(`${run.daysAgo}`, job, run.bytes)?.[0];
    catalog
      .prepare("INSERT INTO archive_copies VALUES(?, 1, ?, 2, 'good', ?, NULL)")
      .run(archive ?? 0, job, writtenMs);
    catalog
      .prepare('UPDATE media SET written_bytes = written_bytes + ? WHERE id = 1')
      .run(run.bytes);
  });
}

test('when the scratch cartridges run out, from what the backups wrote', async () => {
  const line = await CommandLine.make();
  line.withCatalog((catalog) => {
    // What was longer ago than a quarter, and the first of all, is not what a day brings.
    for (const [bytes, daysAgo] of [
      [50e6, 200],
      [20e6, 100],
      [6e6, 4],
      [2e6, 2],
    ] as const)
      wrote(catalog, { bytes, daysAgo });
  });
  const [{ forecast: told, roomBytes }] = (await line.json('media', 'list')).pools;
  expect(told).toMatchObject({ runs: 2, bytesADay: 2e6 });
  const days = (Date.parse(told.runsOut) - line.clock.nowMs()) / DAY_MS;
  expect(days).toBeCloseTo(roomBytes / 2e6, 3);
  expect(await line.ok('media', 'list')).toMatch(
    /at 2\.00 MB a day \(2 backups since \d{4}-\d\d-\d\d\) that lasts until \d{4}-\d\d-\d\d$/m,
  );
});

test('a forecast needs a day and two runs', () => {
  const known = { poolId: 1, bytes: 1e9, sinceMs: 0, runs: 2 };
  const at = { roomBytes: 5e9, nowMs: 2 * DAY_MS };
  expect(forecast(known, at)).toMatchObject({ bytesADay: 5e8, runsOutMs: 12 * DAY_MS });
  expect(forecast({ ...known, runs: 1 }, at)).toBeUndefined();
  expect(forecast(known, { ...at, nowMs: DAY_MS / 2 })).toBeUndefined();
  expect(forecast({ ...known, bytes: 0 }, at)?.runsOutMs).toBeUndefined();
});

describe('set aside', () => {
  const stateOf = async (line: CommandLine, barcode: string) =>
    (await line.json('media', 'show', barcode)).state;

  test('on hold nothing is written, erased or labelled; released it is what it was', async () => {
    const { line, tree } = await withTree();
    expect(await line.ok('media', 'hold', ONE, 'VIR002')).toMatch(/^VIR001L8 +hold/m);
    await line.ok('media', 'hold', ONE);
    writeFileSync(join(tree, 'more'), 'more');
    const before = await line.json('media', 'show', ONE);
    await line.ok('backup');
    expect(await line.json('media', 'show', ONE)).toEqual(before);
    expect((await line.fails('media', 'erase', ONE, '--confirm', ONE)).stderr).toMatch(/is hold/);
    const force = ['--force', '--confirm', 'VIR002L8'];
    expect((await line.fails('media', 'label', 'VIR002', ...force)).stderr).toMatch(/is hold/);
    // Its copies count: nothing of the first backup was stored anew.
    const [third] = (await line.json('media', 'list', '--in-state', 'filling')).media;
    expect(third).toMatchObject({ barcode: 'VIR003L8' });
    expect(third.writtenBytes).toBeLessThan(5e6);
    await line.ok('media', 'release', ONE, 'VIR002L8');
    expect(await stateOf(line, ONE)).toBe('filling');
    expect(await stateOf(line, 'VIR002L8')).toBe('unlabelled');
    const again = await line.fails('media', 'release', ONE);
    expect(again).toEqual({ exit: 2, stderr: expect.stringMatching(/is filling, not on hold/) });
  });

  test('lost copies do not count; found, on hold as before', async () => {
    const { line } = await withTree();
    await line.ok('media', 'hold', ONE);
    await line.ok('media', 'lost', ONE);
    expect((await line.fails('media', 'hold', ONE)).stderr).toMatch(/is lost: nothing is written/);
    expect((await line.fails('media', 'release', ONE)).exit).toBe(2);
    await line.ok('backup');
    const [second] = (await line.json('media', 'list', '--in-state', 'filling')).media;
    expect(second.liveBytes).toBeGreaterThan(12e6);
    await line.ok('media', 'found', ONE);
    expect(await stateOf(line, ONE)).toBe('hold');
    await line.ok('media', 'release', ONE);
    expect(await stateOf(line, ONE)).toBe('filling');
  });

  test('all or none', async () => {
    const line = await CommandLine.make();
    expect((await line.fails('media', 'hold', ONE, 'NOSUCH')).exit).toBe(2);
    expect(await stateOf(line, ONE)).toBe('unlabelled');
  });

  test('one that a catalog of before has put on hold becomes what it holds', async () => {
    const line = await CommandLine.make();
    line.withCatalog((catalog) =>
      catalog.write(() =>
        catalog
          .prepare("UPDATE media SET state = 'hold', uuid = id, label = '{}', next_file = id")
          .run(),
      ),
    );
    await line.ok('media', 'release', ONE, 'VIR002L8');
    expect(await stateOf(line, ONE)).toBe('scratch');
    expect(await stateOf(line, 'VIR002L8')).toBe('filling');
  });
});

test('places, and which of them are off site', async () => {
  const line = await CommandLine.make();
  expect(await line.ok('media', 'location')).toMatch(/no places/);
  await line.ok('media', 'move', ONE, '--location', 'Bank, box 2');
  expect((await line.json('media', 'location', 'Bank, box 2', '--offsite')).locations).toEqual([
    { name: 'Bank, box 2', isOffsite: true, media: 1 },
  ]);
  expect(await line.ok('media', 'location')).toMatch(/^Bank, box 2 +off site +1$/m);
  await line.ok('media', 'location', 'Bank, box 2', '--onsite');
  expect((await line.json('media', 'location')).locations[0].isOffsite).toBe(false);
  for (const argv of [['Cellar'], ['Bank, box 2', '--offsite', '--onsite'], ['--offsite']])
    expect((await line.fails('media', 'location', ...argv)).exit).toBe(2);
});

test('a hundred thousand archives are listed at once', async () => {
  const line = await CommandLine.make();
  const took = line.withCatalog((catalog) => {
    const run = begin(catalog);
    storeAll(run, [1], () => content('x'));
    catalog.write(() => {
      const insert = catalog.prepare(
        `INSERT INTO archives(uuid, sequence, state, block_bytes, length_bytes, created_ms) VALUES(?, 1, 'good', 4096, 1000, 0) RETURNING id`,
      );
      const copy = catalog.prepare(
        "INSERT INTO archive_copies VALUES(?, 2, 1, 2, 'good', 0, NULL)",
      );
      for (let number = 0; number < 100_000; number += 1)
        copy.run(Number(insert.get(`${number}`)?.[0]));
    });
    const startMs = process.cpuUsage().user;
    expect(fillOfMedia(catalog).get(2)?.archives).toBe(100_000);
    return (process.cpuUsage().user - startMs) / 1000;
  });
  expect(took).toBeLessThan(1000);
});
