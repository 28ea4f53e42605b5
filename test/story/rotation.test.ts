/** Cartridges carried to a vault and back, by the command line, week after week. */
import { appendFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { SimClock } from '../../src/base/clock.ts';
import { CommandLine } from '../sim/command-line.ts';

const go = new AbortController().signal;
const WEEK_MS = 7 * 86_400_000;

test('a set a week; the oldest comes back, but never what nothing else there holds', async () => {
  const clock = new SimClock();
  const line = await CommandLine.make(clock);
  expect(await line.ok('media', 'due')).toMatch(
    /no rotation is configured[\s\S]*\[rotation\.main\]/,
  );
  appendFileSync(
    join(line.state, 'config.toml'),
    '\n[rotation.main]\nvault = "Bank"\nevery = "7d"\nsets = 2\n',
  );
  const tree = join(line.directory, 'tree');
  mkdirSync(tree);
  await line.ok('source', 'add', tree);
  const names = (media: { barcode: string }[]) => media.map(({ barcode }) => barcode);
  /** The cartridges that a week's backup wrote are brought to the vault. */
  const week = async (name: string, bytes: Buffer) => {
    writeFileSync(join(tree, name), bytes);
    await line.ok('backup');
    const [plan] = (await line.json('media', 'due')).due;
    for (const barcode of names(plan.goes)) {
      await line.ok('media', 'move', barcode, '--location', 'Bank');
      // What is away is not written: another one is taken next week.
      await line.ok('media', 'hold', barcode);
    }
    await clock.sleepMs(WEEK_MS, go);
    return { goes: names(plan.goes), comes: names(plan.comes), stays: names(plan.stays), plan };
  };
  const first = await week('one', Buffer.alloc(1e6, 1));
  expect(first).toMatchObject({
    goes: ['VIR001L8'],
    comes: [],
    plan: { isDue: true, setsThere: 0 },
  });
  expect(await week('two', Buffer.alloc(1e6, 2))).toMatchObject({ goes: ['VIR002L8'], comes: [] });
  // Two sets stay: the first would come back now, but holds `one` alone.
  const third = await week('three', Buffer.alloc(1e6, 3));
  expect(third).toMatchObject({ goes: ['VIR003L8'], comes: [], stays: ['VIR001L8'] });
  expect(await line.ok('media', 'due')).toMatch(/stays +VIR001L8 +\(holds what nothing else/);
  // Nothing on it is needed any more: as the sweep leaves it.
  line.withCatalog((catalog) =>
    catalog.write(() =>
      catalog
        .prepare(
          `DELETE FROM extents WHERE archive IN (SELECT archive FROM archive_copies
             WHERE medium = (SELECT id FROM media WHERE barcode = 'VIR001L8'))`,
        )
        .run(),
    ),
  );
  const [after] = (await line.json('media', 'due')).due;
  expect(after).toMatchObject({ setsThere: 3, isDue: true });
  expect(names(after.comes)).toEqual(['VIR001L8']);
  expect(await line.ok('media', 'due')).toMatch(/pool main to Bank: due now; 3 sets of 2 there/);
  rmSync(tree, { recursive: true });
});

test('a rule for a pool that nobody knows, and rules that make no sense', async () => {
  const line = await CommandLine.make();
  const config = join(line.state, 'config.toml');
  appendFileSync(config, '\n[rotation.films]\nvault = "Bank"\nevery = "7d"\nsets = 2\n');
  const unknown = await line.fails('media', 'due');
  expect(unknown).toEqual({ exit: 2, stderr: expect.stringMatching(/no pool of this name/) });
  appendFileSync(config, '\n[rotation.main]\nvault = "Bank"\nevery = "1min"\nsets = 0\n');
  expect((await line.fails('media', 'due')).stderr).toMatch(/rotation\.main/);
});
