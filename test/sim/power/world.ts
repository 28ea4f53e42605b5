/**
 * A state directory, a virtual library of small cartridges and a tree that has been backed up once and changed since: the
 * stage for a second backup that is cut somewhere.
 */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import type { Random } from '../../../src/base/random.ts';
import { Catalog } from '../../../src/catalog/catalog.ts';
import { run } from '../../../src/cli/run.ts';
import { differences, randomBytes } from '../rich-tree.ts';
import { type Ended, type Loss, PowerSwitch } from './process.ts';

/** The built program: what is cut is what people run. */
export const MAIN = join(import.meta.dirname, '..', '..', '..', 'dist', 'main.js');

const CONFIG = `
[archive]
size = "1MB"
part = "700KB"
block = "64KiB"
[backup]
memory = "64MiB"
`;

export type Said = { readonly exit: number; readonly stdout: string; readonly stderr: string };

export class CrashWorld {
  readonly directory: string;
  /** All that a power cut touches. */
  readonly root: string;
  readonly state: string;
  readonly tapes: string;
  readonly tree: string;
  readonly power: PowerSwitch;

  private constructor(directory: string, paths: { library: string; loss: Loss }) {
    this.directory = directory;
    this.root = join(directory, 'root');
    this.state = join(this.root, 'state');
    this.tapes = join(this.state, 'virtual');
    this.tree = join(directory, 'tree');
    const { library, loss } = paths;
    this.power = new PowerSwitch({ library, root: this.root, own: join(directory, 'power') }, loss);
  }

  /** With an empty catalog, cartridges of 8 MiB by default, two drives, and the tree as a source. */
  static async make(options: {
    readonly library: string;
    readonly loss: Loss;
    readonly cartridges?: number;
    readonly capacity?: string;
    /** The lines below [library]. */
    readonly config?: string;
  }): Promise<CrashWorld> {
    const { cartridges = 6, capacity = '8MiB', config = CONFIG } = options;
    const directory = mkdtempSync(join(hasMemory() ? '/dev/shm' : tmpdir(), 'shelfs-crash-'));
    const world = new CrashWorld(directory, options);
    mkdirSync(world.root);
    mkdirSync(world.tree);
    const shape = `--virtual ${cartridges} --drives 2 --capacity ${capacity} --generation LTO-8`;
    await world.ok('init', ...shape.split(' '));
    appendFileSync(join(world.state, 'config.toml'), config);
    await world.ok('source', 'add', world.tree, '--name', 'tree');
    return world;
  }

  remove(): void {
    rmSync(this.directory, { recursive: true });
  }

  /** In this process. */
  async say(...argv: readonly string[]): Promise<Said> {
    const said = { stdout: '', stderr: '' };
    const stream = (name: 'stdout' | 'stderr') => ({
      write: (text: string) => {
        said[name] += text;
      },
    });
    const exit = await run(argv, {
      environment: { SHELFS_STATE: this.state },
      isRoot: false,
      streams: { stdout: stream('stdout'), stderr: stream('stderr') },
      signal: new AbortController().signal,
      version: '1.2.3',
    });
    return { ...said, exit };
  }

  async ok(...argv: readonly string[]): Promise<string> {
    const { exit, stdout, stderr } = await this.say(...argv);
    expect(exit, `${argv.join(' ')}: ${stderr}`).toBe(0);
    return stdout;
  }

  /** A command as a process of its own that ends before call `cutAt`; 0: never. */
  runUntil(cutAt: number, ...argv: readonly string[]): Promise<Ended> {
    return this.power.run([MAIN, '--state', this.state, ...argv], cutAt);
  }

  /** What people are shown of the newest snapshot: how each of these commands ends, and its document. */
  async look(): Promise<readonly string[]> {
    const paths = ['', 'added', 'folder 3', 'large'];
    const commands = [
      ['snapshots'],
      ...paths.flatMap((path) => ['ls', 'stat', 'versions'].map((verb) => [verb, path])),
    ];
    const looks: string[] = [];
    for (const [verb = '', ...below] of commands) {
      const { exit, stdout } = await this.say(
        ...[verb, ...below.map((path) => join(this.tree, path)), '--json'],
      );
      looks.push(`${verb} ${below}: ${exit} ${stdout}`);
    }
    return looks;
  }

  /** What `restore / ...` brings back differs from `expected` by nothing. */
  async expectRestored(expected: string, ...options: readonly string[]): Promise<void> {
    const to = mkdtempSync(join(this.directory, 'restored-'));
    await this.ok('restore', '/', '--to', to, ...options);
    expect(differences(expected, join(to, this.tree))).toBe('');
    rmSync(to, { recursive: true });
  }

  /** Puts all that a power cut touches away, or back as it was put away. */
  keepAs(name: string): void {
    copy(this.root, join(this.directory, name));
  }

  backTo(name: string): void {
    rmSync(this.root, { recursive: true });
    copy(join(this.directory, name), this.root);
  }

  /** The tree as it is now, to be compared with later. */
  keepTree(name: string): string {
    const path = join(this.directory, name);
    copy(this.tree, path);
    return path;
  }

  withCatalog<T>(work: (catalog: Catalog) => T): T {
    return withCatalog(join(this.state, 'catalog.sqlite'), work);
  }
}

export function withCatalog<T>(path: string, work: (catalog: Catalog) => T): T {
  const catalog = Catalog.open(path, { mode: 'read', clock: systemClock });
  try {
    return work(catalog);
  } finally {
    catalog.close();
  }
}

function copy(from: string, to: string): void {
  execFileSync('cp', ['-a', from, to]);
}

function hasMemory(): boolean {
  return statSync('/dev/shm', { throwIfNoEntry: false }) !== undefined;
}

/** Some 300 files, and one that needs several archives, as parts. */
export function makeTree(tree: string, random: Random): void {
  for (let folder = 0; folder < 10; folder += 1) {
    mkdirSync(join(tree, `folder ${folder}`));
    for (let file = 0; file < 30; file += 1) {
      const lengthBytes = [0, 10, 500, 4000, 12_000][random.below(5)] ?? 0;
      writeFileSync(
        join(tree, `folder ${folder}`, `file ${file}`),
        randomBytes(random, lengthBytes),
      );
    }
  }
  writeFileSync(join(tree, 'large'), randomBytes(random, 2_600_001));
  linkSync(join(tree, 'folder 1', 'file 3'), join(tree, 'linked'));
  symlinkSync('large', join(tree, 'symlink'));
  writeFileSync(join(tree, Buffer.from('not \\xff utf-8', 'latin1').toString('latin1')), 'x');
}

/** Changed, new, gone, moved, duplicate; another large one. */
export function changeTree(tree: string, random: Random): void {
  const at = (folder: number, file: number) => join(tree, `folder ${folder}`, `file ${file}`);
  for (let file = 0; file < 30; file += 2) writeFileSync(at(2, file), randomBytes(random, 3000));
  rmSync(join(tree, 'folder 3'), { recursive: true });
  renameSync(join(tree, 'folder 4'), join(tree, 'folder 4 moved'));
  cpSync(at(5, 1), join(tree, 'duplicate'));
  writeFileSync(join(tree, 'large'), randomBytes(random, 4_300_007));
  rmSync(join(tree, 'linked'));
  writeFileSync(join(tree, 'linked'), 'a file of its own now');
  mkdirSync(join(tree, 'added'));
  for (let file = 0; file < 40; file += 1)
    writeFileSync(join(tree, 'added', `file ${file}`), randomBytes(random, 1 + random.below(9000)));
}

/** A call to be cut at: half the seeds take any, the others one of each kind, so that rare moments are hit too. */
export function chooseCut(calls: readonly string[], random: Random): number {
  if (random.below(2) === 0) return 1 + random.below(calls.length);
  const kinds = new Map<string, number[]>();
  for (const [index, call] of calls.entries()) {
    const kind = call.replace(/[0-9a-f-]{36}/, 'UUID');
    kinds.set(kind, [...(kinds.get(kind) ?? []), index + 1]);
  }
  const all = [...kinds.values()];
  const numbers = all[random.below(all.length)] ?? [];
  return numbers[random.below(numbers.length)] ?? 1;
}
