/** A restore ended by kill -9 or by a power cut: what has its name is right, and a second one brings the rest. A failure is a seed. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { buildPowerSwitch, type Loss, PowerSwitch } from '../sim/power/process.ts';
import { CrashWorld, chooseCut, MAIN, makeTree } from '../sim/power/world.ts';
import { differences } from '../sim/rich-tree.ts';
import { seedCount } from '../sim/seeds.ts';

const SEEDS = Array.from({ length: seedCount({ usual: 2, soak: 6 }) }, (_, seed) => seed);
const TEMPORARY = '.shelfs-restore-';

describe.each<Loss>(['process', 'power'])('a restore ended by loss of %s', (loss) => {
  let world: CrashWorld;
  let power: PowerSwitch;
  let removeLibrary: () => Promise<void>;
  let target: string;
  let calls: readonly string[];

  beforeAll(async () => {
    const { library, remove } = await buildPowerSwitch();
    removeLibrary = remove;
    world = await CrashWorld.make({ library, loss });
    makeTree(world.tree, seededRandom(1));
    // What a power cut leaves of a disk is rebuilt as files and directories.
    if (loss === 'power') rmSync(join(world.tree, 'symlink'));
    await world.ok('backup', '--single-threaded');
    target = join(world.directory, 'target');
    const own = join(world.directory, 'power-of-target');
    power = new PowerSwitch({ library, root: target, own }, loss);
    mkdirSync(target);
    const uncut = await restoreUntil(0);
    expect(uncut, uncut.stderr).toMatchObject({ status: 0 });
    calls = uncut.calls;
    expect(differences(world.tree, join(target, world.tree))).toBe('');
  });

  afterAll(async () => {
    world.remove();
    await removeLibrary();
  });

  function restoreUntil(cutAt: number) {
    return power.run([MAIN, '--state', world.state, 'restore', '/', '--to', target], cutAt);
  }

  /** How many files have their names; each must have all its bytes. */
  function expectRight(): number {
    const tree = join(target, world.tree);
    const found = readdirSync(target, { recursive: true, withFileTypes: true });
    const files = found.filter((entry) => entry.isFile() && !entry.name.startsWith(TEMPORARY));
    for (const { parentPath, name } of files) {
      const path = join(parentPath, name);
      const original = join(world.tree, path.slice(tree.length));
      expect(readFileSync(path).equals(readFileSync(original)), path).toBe(true);
    }
    return files.length;
  }

  test.each(SEEDS)('seed %i', async (seed) => {
    const random = seededRandom(seed);
    rmSync(target, { recursive: true });
    // Directories that are durable, so that a power cut does not simply take everything.
    for (const folder of readdirSync(world.tree, { withFileTypes: true }))
      if (folder.isDirectory())
        mkdirSync(join(target, world.tree, folder.name), { recursive: true });
    const at = chooseCut(calls, random);
    const ended = await restoreUntil(at);
    expect(ended.status, ended.stderr).toBeNull();
    await power.lose(random);
    const there = expectRight();
    const events = (await world.ok('restore', '/', '--to', target, '--json')).trim().split('\n');
    expect(JSON.parse(events.at(-1) ?? '').kept).toBeGreaterThanOrEqual(there);
    if (loss === 'process') expect(differences(world.tree, join(target, world.tree))).toBe('');
    else execFileSync('diff', ['-r', world.tree, join(target, world.tree)]);
  });
});
