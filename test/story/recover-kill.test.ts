/** A recovery that is killed at any write, sync or rename goes on, and ends as one that was not; other states are left alone. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { buildPowerSwitch } from '../sim/power/process.ts';
import { CrashWorld } from '../sim/power/world.ts';
import { restorable } from '../sim/recover-world.ts';
import { randomBytes } from '../sim/rich-tree.ts';
import { expectSameLines } from '../sim/same-lines.ts';
import { seedCount } from '../sim/seeds.ts';

let library: string;

beforeAll(async () => {
  const built = await buildPowerSwitch();
  library = built.library;
  return built.remove;
});

/** Two backups; then the state is lost, but for the cartridges in it. */
async function makeWorld(): Promise<{ world: CrashWorld; expected: readonly string[] }> {
  const world = await CrashWorld.make({ library, loss: 'process', cartridges: 2 });
  onTestFinished(() => world.remove());
  // Where a second passes between a run's last archive and its snapshot, its time is told by the next archive only.
  for (let day = 1, isTold = false; day <= 2 || !isTold; day += 1) {
    writeFileSync(join(world.tree, `day ${day}`), randomBytes(seededRandom(day), 90_000));
    await world.ok('backup', '--single-threaded');
    world.withCatalog((catalog) => {
      isTold = catalog.prepare('SELECT 1 FROM snapshots WHERE journaled = 0').all().length === 0;
    });
  }
  let expected: readonly string[] = [];
  world.withCatalog((catalog) => {
    expected = restorable(catalog);
  });
  for (const name of readdirSync(world.state))
    if (name !== 'virtual') rmSync(join(world.state, name), { recursive: true });
  return { world, expected };
}

/** How many calls it takes depends on how fast the machine is: one that ended before its cut is cut nearer to its own end. */
async function expectCut(world: CrashWorld, at: number): Promise<void> {
  const { status, calls } = await world.runUntil(at, 'recover', world.tapes);
  if (status === null) return;
  expect(status).toBe(0);
  expect(calls.length).toBeLessThan(at);
  world.backTo('lost');
  await expectCut(world, calls.length - 1);
}

test('killed anywhere, begun again, it is the same', { timeout: 300_000 }, async () => {
  const { world, expected } = await makeWorld();
  world.keepAs('lost');
  const { calls } = await world.runUntil(0, 'recover', world.tapes);
  expect(calls.length).toBeGreaterThan(10);
  const cuts = seedCount({ usual: 5, soak: 200 });
  const random = seededRandom(1);
  for (let cut = 0; cut < cuts; cut += 1) {
    world.backTo('lost');
    // The last ones put the catalog and the config in their places.
    const at = cut < 2 ? calls.length - 1 - 3 * cut : 1 + random.below(calls.length);
    await expectCut(world, at);
    const { exit, stderr } = await world.say('recover', world.tapes);
    // With its config in its place it was done.
    if (exit === 2) expect(stderr).toContain('holds a shelfs state already');
    else expect(exit, stderr).toBe(0);
    world.withCatalog((catalog) => expectSameLines(restorable(catalog), expected));
  }
  await world.expectRestored(world.tree);
});

test('a state directory that holds anything else is left as it is', async () => {
  const { world } = await makeWorld();
  writeFileSync(join(world.state, 'notes'), 'mine');
  const names = readdirSync(world.state);
  const { exit, stderr } = await world.say('recover', world.tapes);
  expect(exit).toBe(2);
  expect(stderr).toContain('nothing was changed');
  expect(readdirSync(world.state)).toEqual(names);
  rmSync(join(world.state, 'notes'));
  const empty = join(world.directory, 'empty');
  mkdirSync(empty);
  const none = await world.say('recover', empty);
  expect(none.exit).toBe(2);
  expect(none.stderr).toContain('neither a device nor a directory of virtual cartridges');
  expect(readdirSync(world.state)).toEqual(['virtual']);
});
