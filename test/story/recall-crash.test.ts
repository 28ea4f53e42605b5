/** A recall ended by kill -9 or by a power cut: nothing wrong is ever read from the stage afterwards. A failure is a seed. */
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { RunDb } from '../../src/catalog/run-db/run-db.ts';
import { buildPowerSwitch, type Loss } from '../sim/power/process.ts';
import { CrashWorld, chooseCut, makeTree } from '../sim/power/world.ts';
import { seedCount } from '../sim/seeds.ts';

const SEEDS = Array.from({ length: seedCount({ usual: 2, soak: 100 }) }, (_, seed) => seed);

describe.each<Loss>(['process', 'power'])('a recall ended by loss of %s', (loss) => {
  let world: CrashWorld;
  let removeLibrary: () => Promise<void>;
  let calls: readonly string[];

  beforeAll(async () => {
    const { library, remove } = await buildPowerSwitch();
    removeLibrary = remove;
    world = await CrashWorld.make({ library, loss });
    makeTree(world.tree, seededRandom(1));
    await world.ok('backup', '--single-threaded');
    world.keepAs('before');
    const uncut = await world.runUntil(0, 'recall', world.tree);
    expect(uncut, uncut.stderr).toMatchObject({ status: 0 });
    calls = uncut.calls;
    for (const kind of [/\/stage\/[0-9a-f]{64}$/, /run\.db/])
      expect(
        calls.some((call) => kind.test(call)),
        String(kind),
      ).toBe(true);
  });

  afterAll(async () => {
    world.remove();
    await removeLibrary();
  });

  /** What `recall` leaves in the stage is what was backed up, whoever has put it there. */
  function expectRight(): number {
    const right = new Set(
      readdirSync(world.tree, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map(({ parentPath, name }) => readFileSync(join(parentPath, name)).toString('base64')),
    );
    const stage = join(world.state, 'stage');
    const db = RunDb.open(join(world.state, 'run.db'));
    const rows = db.prepare<[Buffer, string]>('SELECT hash, state FROM stage').all();
    db.close();
    for (const [hash, state] of rows) {
      expect(state).toBe('complete');
      const bytes = readFileSync(join(stage, hash.toString('hex')));
      expect(right.has(bytes.toString('base64'))).toBe(true);
    }
    expect(readdirSync(stage)).toHaveLength(rows.length);
    return rows.length;
  }

  test.each(SEEDS)('seed %i', async (seed) => {
    const random = seededRandom(seed);
    world.backTo('before');
    const said: string[] = [];
    try {
      const at = chooseCut(calls, random);
      const ended = await world.runUntil(at, 'recall', world.tree);
      said.push(`cut at ${at}, ${ended.calls.at(-1)}: ${ended.stderr}`);
      if (ended.status === null) await world.power.lose(random);
      // What one reader is given, before anything else has looked at the stage.
      const again = await world.runUntil(0, 'recall', world.tree);
      said.push(again.stderr);
      expect(again).toMatchObject({ status: 0 });
      expect(expectRight()).toBeGreaterThan(100);
    } catch (error) {
      throw new Error(`seed ${seed}: ${said.join('\n')}`, { cause: error });
    }
  });
});

test('a file of the stage that somebody has changed, or a power cut has, is fetched again', async () => {
  const { library, remove } = await buildPowerSwitch();
  const world = await CrashWorld.make({ library, loss: 'process' });
  try {
    writeFileSync(join(world.tree, 'one'), 'what it should be');
    await world.ok('backup', '--single-threaded');
    await world.ok('recall', world.tree);
    const stage = join(world.state, 'stage');
    const [name = ''] = readdirSync(stage);
    const path = join(stage, name);
    const { mtime, atime } = statSync(path);
    rmSync(path);
    writeFileSync(path, 'what it should BE');
    const { utimesSync } = await import('node:fs');
    utimesSync(path, atime, mtime);
    const said = await world.ok('recall', world.tree, '--json');
    expect(said).toContain('"recalled":1');
    expect(readFileSync(path, 'utf8')).toBe('what it should be');
  } finally {
    world.remove();
    await remove();
  }
});
