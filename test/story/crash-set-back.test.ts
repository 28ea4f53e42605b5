/**
 * A state directory set back to an older day: what was written since is never written over, and the cartridges that hold
 * it are refused.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { checkArchives, expectUnchanged, type TapePrefix } from '../sim/check-archives.ts';
import { buildPowerSwitch } from '../sim/power/process.ts';
import { CrashWorld } from '../sim/power/world.ts';
import { randomBytes } from '../sim/rich-tree.ts';

let library: string;

beforeAll(async () => {
  const built = await buildPowerSwitch();
  library = built.library;
  return built.remove;
});

async function makeWorld(cartridges: number): Promise<CrashWorld> {
  const world = await CrashWorld.make({ library, loss: 'process', cartridges });
  onTestFinished(() => world.remove());
  write(world, 0, 100_000);
  return world;
}

/** Something new to be backed up. */
function write(world: CrashWorld, day: number, lengthBytes: number): void {
  writeFileSync(join(world.tree, `day ${day}`), randomBytes(seededRandom(day), lengthBytes));
}

/** The state directory as a copy of it would be kept: everything but the cartridges. */
function keepState(world: CrashWorld): void {
  const to = join(world.directory, 'kept');
  mkdirSync(to);
  for (const name of namesOf(world)) execFileSync('cp', ['-a', join(world.state, name), to]);
}

function setBack(world: CrashWorld): void {
  for (const name of namesOf(world)) rmSync(join(world.state, name), { recursive: true });
  execFileSync('cp', ['-a', `${join(world.directory, 'kept')}/.`, world.state]);
}

function namesOf(world: CrashWorld): readonly string[] {
  return readdirSync(world.state).filter((name) => name !== 'virtual');
}

/** All that lies on the cartridges, whatever the catalog knows. */
function tapesOf(world: CrashWorld): TapePrefix[] {
  return readdirSync(world.tapes)
    .filter((name) => name.endsWith('.tap'))
    .map((name) => ({
      barcode: name.slice(0, -'.tap'.length),
      bytes: readFileSync(join(world.tapes, name)),
    }));
}

/** Not a block more, either. */
function expectRefused(world: CrashWorld, before: readonly TapePrefix[]): void {
  const now = tapesOf(world);
  for (const { barcode, bytes } of before) {
    const found = now.find((tape) => tape.barcode === barcode)?.bytes;
    expect(found?.equals(bytes), `${barcode} is as it was`).toBe(true);
  }
}

/** One backup after the state was set back: it ends well on other cartridges, and all that can be had comes back. */
async function expectGoesElsewhere(world: CrashWorld, refused: readonly string[]): Promise<void> {
  const tapes = tapesOf(world);
  const { exit, stdout, stderr } = await world.say('backup', '--single-threaded');
  expect(exit, stderr).toBe(0);
  for (const barcode of refused) {
    expect(stderr).toMatch(new RegExp(`warning: ${barcode}: .*nothing was written`));
    expect(stdout).not.toContain(barcode);
  }
  expectRefused(world, tapes);
  await world.expectRestored(world.tree);
  world.withCatalog((catalog) => checkArchives(catalog, world.tapes));
  // The refused ones are not tried again.
  write(world, 9, 5000);
  const next = await world.say('backup', '--single-threaded');
  expect(next.stderr).not.toContain('warning');
  expect(next.exit).toBe(0);
  expectRefused(
    world,
    tapes.filter(({ barcode }) => refused.includes(barcode)),
  );
  await world.expectRestored(world.tree);
}

test('by two days: the cartridge written since is refused, another is taken', async () => {
  const world = await makeWorld(3);
  await world.ok('backup', '--single-threaded');
  keepState(world);
  for (const day of [2, 3]) {
    write(world, day, 150_000);
    await world.ok('backup', '--single-threaded');
  }
  setBack(world);
  await expectGoesElsewhere(world, ['VIR001L8']);
});

test('to before they were labelled: their labels are found, and they are refused', async () => {
  const world = await makeWorld(4);
  keepState(world);
  for (const day of [1, 2]) {
    write(world, day, 4_500_000);
    await world.ok('backup', '--single-threaded');
  }
  expect(tapesOf(world).length).toBe(2);
  setBack(world);
  await expectGoesElsewhere(world, ['VIR001L8', 'VIR002L8']);
});

test.each([
  ['labelled', true],
  ['not labelled', false],
])(
  'with no other cartridge, when the catalog has it as %s: a named failure',
  async (_, isLabelled) => {
    const world = await makeWorld(1);
    if (isLabelled) await world.ok('backup', '--single-threaded');
    keepState(world);
    write(world, 2, 150_000);
    await world.ok('backup', '--single-threaded');
    setBack(world);
    const tapes = tapesOf(world);
    for (let again = 0; again < 2; again += 1) {
      const { exit, stderr } = await world.say('backup', '--single-threaded');
      expect([21, 24]).toContain(exit);
      expect(stderr).toMatch(again === 0 ? /VIR001L8.*nothing was written/ : /shelfs: /);
      expectRefused(world, tapes);
    }
  },
);

/** The next run is killed before it makes `call` for the `count`-th time. */
async function kill(world: CrashWorld, call: string, count = 1): Promise<void> {
  world.keepAs('uncut');
  const { calls } = await world.runUntil(0, 'backup');
  world.backTo('uncut');
  const places = calls.flatMap((each, index) => (each === call ? [index + 1] : []));
  const cut = await world.runUntil(places[count - 1] ?? 0, 'backup');
  expect(cut.status).toBeNull();
  expect(cut.calls.filter((each) => each === call).length).toBe(count);
  expect(cut.calls.at(-1)).toBe(call);
}

test('to the moment in which an archive had been announced, and nothing of it written', async () => {
  const world = await makeWorld(2);
  await world.ok('backup', '--single-threaded');
  write(world, 1, 20_000);
  await kill(world, 'pwritev64 /state/virtual/VIR001L8.tap');
  keepState(world);
  // Just one archive: as much as the killed run may have left behind.
  await world.ok('backup', '--single-threaded');
  write(world, 2, 20_000);
  setBack(world);
  await expectGoesElsewhere(world, ['VIR001L8']);
});

test('to the moment in which its label had been planned, and nothing of it written', async () => {
  const world = await makeWorld(2);
  await kill(world, 'pwritev64 /state/virtual/VIR001L8.tap');
  keepState(world);
  await world.ok('backup', '--single-threaded');
  setBack(world);
  await expectGoesElsewhere(world, ['VIR001L8']);
});

test('and its cartridge is to be labelled anew: refused, although the catalog has nothing on it', async () => {
  const world = await makeWorld(1);
  await world.ok('media', 'label', 'VIR001L8');
  keepState(world);
  await world.ok('backup', '--single-threaded');
  setBack(world);
  const tapes = tapesOf(world);
  const { exit, stderr } = await world.say(
    ...['media', 'label', 'VIR001L8', '--force', '--confirm', 'VIR001L8'],
  );
  expect(exit).toBe(21);
  expect(stderr).toContain('nothing was written');
  expectRefused(world, tapes);
});

test('and only the catalog of the day before an unfinished run is known: its archives stay', async () => {
  const world = await makeWorld(2);
  await world.ok('backup', '--single-threaded');
  keepState(world);
  write(world, 1, 3_000_000);
  await kill(world, 'fdatasync /state/virtual/VIR001L8.tap', 3);
  setBack(world);
  const tapes = tapesOf(world);
  const { exit, stderr } = await world.say('backup', '--single-threaded');
  expect(exit, stderr).toBe(0);
  expectUnchanged(tapes, world.tapes);
  await world.expectRestored(world.tree);
});
