/** A random history of a small tree, one backup after the other: made, changed, moved, linked, exchanged and deleted. */
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../../src/base/random.ts';
import { BackupWorld } from './backup-world.ts';
import { randomBytes } from './rich-tree.ts';

export type HistoryOptions = {
  readonly random: Random;
  readonly backups: number;
  readonly cartridges?: number;
  readonly copies?: number;
  /** Between two backups: what else happens to a shelf. */
  readonly between?: (world: BackupWorld, day: number, random: Random) => Promise<void>;
};

/** Four blocks an archive's frame, small cartridges: so a history of a few megabytes goes over several. */
const CONFIG = '[archive]\nblock = "4KiB"\npart = "1MiB"\n';
const CAPACITY_BYTES = 8 * 2 ** 20;
const CHANGES_MAX = 12;
const HOUR_MS = 3_600_000;

/** A world after so many backups. */
export async function makeHistory(options: HistoryOptions): Promise<BackupWorld> {
  const { random, backups, cartridges = 6, copies = 1 } = options;
  const world = await BackupWorld.make({
    cartridges,
    capacityBytes: CAPACITY_BYTES,
    config: CONFIG,
  });
  for (let day = 0; day < backups; day += 1) {
    changeRandomly(world.source, random, day);
    // A run that stores nothing is told by the next one: the last is to be told too.
    if (day === backups - 1) writeFileSync(join(world.source, 'the last'), someBytes(random, 1000));
    await world.backup({ copies });
    await world.sim.clock.sleepMs(HOUR_MS, new AbortController().signal);
    await options.between?.(world, day, random);
  }
  return world;
}

/** A dozen changes at most. */
export function changeRandomly(root: string, random: Random, day: number): void {
  const count = day === 0 ? CHANGES_MAX : 1 + random.below(CHANGES_MAX);
  for (let index = 0; index < count; index += 1) {
    const name = `${day}-${index}${ODD[random.below(ODD.length)] ?? ''}`;
    CHANGES[day === 0 ? 0 : random.below(CHANGES.length)]?.({ root, random, name });
  }
}

/** Names that have tripped programs up. */
const ODD = ['', '', '', ' blank', '\ttab', 'ä', '\\0011', '-', '%s', '\nline'];

type Scene = { readonly root: string; readonly random: Random; readonly name: string };

const CHANGES: readonly ((scene: Scene) => void)[] = [
  ({ root, random, name }) =>
    writeFileSync(join(someDirectory(root, random), name), someBytes(random)),
  ({ root, random, name }) => {
    const directory = join(someDirectory(root, random), name);
    mkdirSync(directory);
    for (let index = 0; index < random.below(4); index += 1)
      writeFileSync(join(directory, `file ${index}`), someBytes(random));
  },
  (scene) => onFile(scene, (path) => writeFileSync(path, someBytes(scene.random))),
  (scene) => onFile(scene, (path) => rmSync(path)),
  (scene) =>
    onFile(scene, (path) =>
      renameSync(path, join(someDirectory(scene.root, scene.random), scene.name)),
    ),
  (scene) =>
    onFile(scene, (path) =>
      linkSync(path, join(someDirectory(scene.root, scene.random), scene.name)),
    ),
  (scene) =>
    onFile(scene, (path) =>
      writeFileSync(join(someDirectory(scene.root, scene.random), scene.name), readFileSync(path)),
    ),
  (scene) => onFile(scene, (path) => chmodSync(path, 0o600 + scene.random.below(64))),
  ({ root, random, name }) =>
    symlinkSync(`../${name}`, join(someDirectory(root, random), `${name}.link`)),
  (scene) =>
    onFile(scene, (path) => truncateSync(path, lstatSync(path).size + scene.random.below(200_000))),
  (scene) =>
    onFile(scene, (path) => {
      rmSync(path);
      mkdirSync(path);
    }),
  ({ root, random }) => {
    const directory = someDirectory(root, random);
    if (directory !== root && random.below(2) === 0) rmSync(directory, { recursive: true });
  },
  // Larger than what is left of many a cartridge, and than a part.
  ({ root, random, name }) =>
    writeFileSync(
      join(root, `${name} large`),
      randomBytes(random, 500_000 + random.below(1_500_000)),
    ),
];

function onFile({ root, random }: Scene, change: (path: string) => void): void {
  const files = walk(root).filter((path) => lstatSync(path).isFile());
  const path = files[random.below(Math.max(1, files.length))];
  if (path !== undefined && existsSync(path)) change(path);
}

function someDirectory(root: string, random: Random): string {
  const all = [root, ...walk(root).filter((path) => lstatSync(path).isDirectory())];
  return all[random.below(all.length)] ?? root;
}

function someBytes(random: Random, atLeast = 0): Buffer {
  if (atLeast > 0) return randomBytes(random, atLeast);
  const kind = random.below(10);
  if (kind === 0) return Buffer.alloc(0);
  // Small enough to meet again: duplicates by chance.
  if (kind < 3) return Buffer.from(`same ${random.below(5)}`);
  return randomBytes(random, 1 + random.below(kind < 8 ? 3000 : 150_000));
}

function walk(root: string): string[] {
  return readdirSync(root, { withFileTypes: true })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = join(root, entry.name);
      return entry.isDirectory() ? [path, ...walk(path)] : [path];
    });
}
