/**
 * A shelf on which somebody deceives: stickers, labels, older states and copies of cartridges come and go between commands that
 * back up, groom, expire, scrub, erase and label. Whatever the commands make of it, bytes that a snapshot needs and that lay
 * somewhere are still there after each; what is refused is refused in a sentence, with an exit status.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { buildLabel, type Label, parseLabel } from '../../src/archive/label.ts';
import { CodedError, FAILURES } from '../../src/base/errors.ts';
import { type Random, seededRandom } from '../../src/base/random.ts';
import { Alarms } from '../../src/catalog/job/alarms.ts';
import { Media, type Medium } from '../../src/catalog/shelf/media.ts';
import { eraseMedium } from '../../src/job/erase.ts';
import type { LabelTools } from '../../src/job/label.ts';
import { labelMedia } from '../../src/job/label-media.ts';
import { takeMediaBack } from '../../src/job/media-state.ts';
import { BackupWorld, HOST } from '../sim/backup-world.ts';
import { TapImage } from '../sim/check-archives.ts';
import { beginningWith, Deceiver } from '../sim/deceiver.ts';
import { expireWorld } from '../sim/expire-world.ts';
import { groomMedia } from '../sim/groom-world.ts';
import { randomBytes } from '../sim/rich-tree.ts';
import { scrubWorld } from '../sim/scrub-world.ts';
import { seedCount } from '../sim/seeds.ts';
import {
  archivesIn,
  archivesOn,
  type CountedCopy,
  liveContents,
  overwritten,
  type Shelf,
  shelfOf,
} from '../sim/tape-truth.ts';

const go = new AbortController().signal;
const SEEDS = Array.from({ length: seedCount({ usual: 1, soak: 20 }) }, (_, seed) => seed);
const STEPS = seedCount({ usual: 16, soak: 40 });
const HOUR_MS = 3_600_000;

async function makeWorld(): Promise<BackupWorld> {
  return BackupWorld.make({
    drives: 2,
    cartridges: 6,
    capacityBytes: 8 * 2 ** 20,
    config: '[archive]\nblock = "4KiB"\nsize = "1MB"\n',
  });
}

function change({ source }: BackupWorld, random: Random): void {
  for (let index = 0; index < 3; index += 1) {
    const path = join(source, `${random.below(12)}`);
    if (random.below(5) === 0) rmSync(path, { force: true });
    else writeFileSync(path, randomBytes(random, 1000 + random.below(200_000)));
  }
}

type Command = (world: BackupWorld, random: Random) => Promise<unknown>;

const COMMANDS: Readonly<Record<string, Command>> = {
  backup: (world, random) => world.backup({ copies: 1 + random.below(2) }),
  groom: (world, random) => groomMedia(world, [anyOf(world, random).barcode]),
  expire: (world) => expireWorld(world, 'keep-last = 3'),
  scrub: (world, random) => scrubWorld(world, { media: [anyOf(world, random).barcode] }),
  erase: (world, random) => {
    const medium = anyOf(world, random);
    return eraseMedium(toolsOf(world), { medium, confirm: medium.barcode, force: true }, go);
  },
  label: (world, random) => {
    const { barcode } = anyOf(world, random);
    const force = random.below(3) > 0;
    const request = { barcodes: [barcode], force, confirm: force ? barcode : undefined };
    return labelMedia(toolsOf(world), request, go);
  },
};
const NAMES = ['backup', 'backup', 'backup', 'groom', 'groom', 'expire', 'scrub', 'erase', 'label'];

function toolsOf({ tools }: BackupWorld): LabelTools {
  const { catalog, library, clock, random } = tools;
  const blockBytes = tools.archive.block;
  return {
    catalog,
    library,
    clock,
    random,
    host: HOST,
    program: 'shelfs',
    pool: 'main',
    blockBytes,
  };
}

/** Mostly one with a label: with others there is little to go wrong. */
function anyOf({ catalog }: BackupWorld, random: Random): Medium {
  const all = new Media(catalog).list();
  const labelled = all.filter(({ uuid }) => uuid !== undefined);
  const some = labelled.length > 0 && random.below(8) > 0 ? labelled : all;
  const one = some[random.below(some.length)];
  if (!one) throw new Error('there are no media');
  return one;
}

/** @returns how it ended, in a word or a sentence */
async function run(command: Command, world: BackupWorld, random: Random): Promise<string> {
  try {
    await command(world, random);
    return 'done';
  } catch (error) {
    // Anything else is a bug.
    if (!(error instanceof CodedError)) throw error;
    expect(FAILURES[error.code].exit, error.message).toBeGreaterThan(0);
    expect(error.message).toMatch(/^\S.{15,}$/s);
    expect(error.message).not.toMatch(/undefined|\[object|NaN/);
    return `${error.code} ${error.message}`;
  }
}

/** What a person does between two commands, having looked at what was said. */
function settle({ catalog }: BackupWorld, random: Random): void {
  const alarms = new Alarms(catalog);
  for (const { id } of alarms.open()) alarms.settle(id);
  const held = new Media(catalog).list().filter(({ state }) => state === 'hold');
  for (const { barcode } of held)
    if (random.below(3) === 0) takeMediaBack(catalog, [barcode], 'hold');
}

test.each(SEEDS)('seed %i', { timeout: 600_000 }, async (seed) => {
  const world = await makeWorld();
  const { catalog, sim } = world;
  const random = seededRandom(seed);
  const deceiver = new Deceiver(sim.directory, catalog, random);
  const told: string[] = [];
  const taken = new Set<string>();
  for (let step = 0; step < STEPS; step += 1) {
    await deceiver.emptyDrives();
    await deceiver.keepOne();
    const whole = shelfOf(sim.directory);
    if (step > 3 && random.below(2) === 0) told.push(`   ${await deceiver.deceive()}`);
    const before = shelfOf(sim.directory);
    for (const uuid of takenFrom(whole, before)) taken.add(uuid);
    settle(world, random);
    change(world, random);
    const live = liveContents(catalog);
    const name = step < 3 ? 'backup' : (NAMES[random.below(NAMES.length)] ?? 'backup');
    const command = COMMANDS[name];
    if (!command) throw new Error(name);
    told.push(`${step} ${name}: ${await run(command, world, random)}`);
    const after = shelfOf(sim.directory);
    const written = overwritten(before, after);
    if (written.length > 0) told.push(`   overwritten: ${written.join()}`);
    const still = new Set(liveContents(catalog).map(({ hash }) => hash));
    const [was, is] = [archivesIn(before), archivesIn(after)];
    const lost = live
      .filter(({ hash }) => still.has(hash))
      .filter(({ copies }) => copies.some(({ uuid }) => was.has(uuid)))
      .filter(({ copies }) => !copies.some(({ uuid }) => is.has(uuid)))
      // Somebody took away, behind our back, a copy that counted: then the other one was not the only one.
      .filter(
        ({ copies }) => !copies.some((copy) => isElsewhere(copy, written) && taken.has(copy.uuid)),
      );
    expect(lost, told.join('\n')).toEqual([]);
    await sim.clock.sleepMs(HOUR_MS, go);
  }
});

function isElsewhere({ countedOn }: CountedCopy, written: readonly string[]): boolean {
  return countedOn !== undefined && !written.includes(countedOn);
}

/** Archives that lie on fewer cartridges than before. */
function takenFrom(before: Shelf, after: Shelf): string[] {
  return [...before].flatMap(([name, bytes]) => {
    const left = archivesOn(after.get(name) ?? Buffer.alloc(0));
    return archivesOn(bytes).filter((uuid) => !left.includes(uuid));
  });
}

test.each([
  ['of a stranger', (label: Label) => buildLabel({ ...label, uuid: crypto.randomUUID() })],
  ['of zeros', () => Buffer.alloc(4096)],
])(
  'archives of ours behind a label %s, under another sticker: not labelled over',
  async (_, forge) => {
    const world = await makeWorld();
    const random = seededRandom(1);
    change(world, random);
    await world.backup();
    const [one, two] = ['BKP001L8', 'BKP002L8'].map((name) =>
      join(world.sim.directory, `${name}.tap`),
    );
    if (!one || !two) throw new Error('two cartridges');
    await new Deceiver(world.sim.directory, world.catalog, random).emptyDrives();
    const tape = readFileSync(one);
    writeFileSync(two, beginningWith(forge(parseLabel(new TapImage(tape).block(0))), tape));
    rmSync(one);
    rmSync(`${one}.index`, { force: true });
    const before = readFileSync(two);
    const request = { barcodes: ['BKP002L8'], force: true, confirm: 'BKP002L8' };
    await expect(labelMedia(toolsOf(world), request, go)).rejects.toMatchObject({
      code: 'MEDIUM_MISMATCH',
      message: expect.stringMatching(/holds archives of it: it is never labelled over/),
    });
    expect(readFileSync(two).equals(before)).toBe(true);
  },
);
