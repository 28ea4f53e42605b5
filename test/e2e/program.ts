/**
 * The built program as its users run it, each command a process of its own, over a state directory in memory; and mounts of it
 * on the real /dev/fuse. Whatever a test leaves behind goes away with `close`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
} from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';

export const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const MEMORY = '/dev/shm';

export type Said = { readonly exit: number; readonly stdout: string; readonly stderr: string };

export type RunOptions = {
  readonly cwd?: string;
  /** Instead of, or beside, those of this process. */
  readonly environment?: Readonly<Record<string, string>>;
};

export type Mounted = { readonly at: string; readonly pid: number };

export type ShelfOptions = {
  readonly cartridges?: number;
  /** As `init --capacity` takes it. */
  readonly capacity?: string;
  readonly drives?: number;
  /** Lines of the config. */
  readonly config?: string;
};

/** Where and as whom the program is run. */
export type Place = {
  /** Before each command. */
  readonly prefix: readonly string[];
  readonly mountTable: string;
  /** To whom what lies beside the state belongs. */
  readonly uid?: number;
};

const HERE: Place = { prefix: [], mountTable: '/proc/self/mountinfo' };

/** Of the drives of a virtual library, all together. */
export type DriveFigures = {
  readonly loads: number;
  readonly locates: number;
  readonly backhitches: number;
  readonly bytesRead: number;
  readonly modelSeconds: number;
};

/** Runs any program to its end; text is latin1, for names are bytes. */
export async function runProgram(argv: readonly string[], options: RunOptions = {}): Promise<Said> {
  const child = startProgram(argv, options);
  const said = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('latin1').on('data', (text: string) => {
    said.stdout += text;
  });
  child.stderr?.setEncoding('latin1').on('data', (text: string) => {
    said.stderr += text;
  });
  const [exit, signal] = await once(child, 'close');
  return { ...said, exit: exit ?? signalExit(signal) };
}

/** What it prints; fails where it does not end with 0. */
export async function okProgram(
  argv: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const said = await runProgram(argv, options);
  expect(said.exit, `${argv.join(' ')}\n${said.stderr}`).toBe(0);
  return said.stdout;
}

export function startProgram(
  [program = '', ...words]: readonly string[],
  { cwd, environment }: RunOptions = {},
): ChildProcess {
  return spawn(program, words, {
    ...(cwd !== undefined && { cwd }),
    env: { ...process.env, LC_ALL: 'C', TZ: 'UTC', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** As a shell tells it: 128 and the signal's number. */
function signalExit(signal: string): number {
  return 128 + ({ SIGINT: 2, SIGKILL: 9, SIGTERM: 15 }[signal] ?? 0);
}

/** One state directory with a virtual library, and beside it room for trees and mounts. */
export class Shelf {
  /** Above all of it. */
  readonly directory: string;
  readonly state: string;
  readonly #mounts: Mounted[] = [];
  readonly #place: Place;

  private constructor(directory: string, place: Place) {
    this.directory = directory;
    this.state = join(directory, 'state');
    this.#place = place;
  }

  static async make(options: ShelfOptions = {}, place: Place = HERE): Promise<Shelf> {
    const shelf = new Shelf(await mkdtemp(join(MEMORY, 'shelfs-e2e-')), place);
    if (place.uid !== undefined) chownSync(shelf.directory, place.uid, place.uid);
    await shelf.init(options);
    return shelf;
  }

  async init({ cartridges = 4, capacity = '100MB', drives = 1, config = '' }: ShelfOptions) {
    await this.ok(
      ...['init', '--virtual', String(cartridges), '--capacity', capacity],
      ...['--drives', String(drives), '--generation', 'LTO-8'],
    );
    // `model` adds up what a drive would take and waits for nothing.
    expect(readFileSync(this.configPath, 'utf8')).toContain('speed = "model"');
    appendFileSync(this.configPath, config);
  }

  get configPath(): string {
    return join(this.state, 'config.toml');
  }

  /** The same state once more: what is done to the one is not done to the other. Nothing may run. */
  async copy(): Promise<Shelf> {
    const other = new Shelf(await mkdtemp(join(MEMORY, 'shelfs-e2e-')), this.#place);
    cpSync(this.state, other.state, { recursive: true, preserveTimestamps: true });
    return other;
  }

  argv(...words: readonly string[]): string[] {
    return [...this.#place.prefix, process.execPath, MAIN, '--state', this.state, ...words];
  }

  say(...words: readonly string[]): Promise<Said> {
    return runProgram(this.argv(...words));
  }

  ok(...words: readonly string[]): Promise<string> {
    return okProgram(this.argv(...words));
  }

  // biome-ignore lint/suspicious/noExplicitAny: a document is what JSON.parse says it is
  async json(...words: readonly string[]): Promise<any> {
    return JSON.parse(await this.ok(...words, '--json'));
  }

  /** An empty directory beside the state. */
  folder(name: string): string {
    const path = join(this.directory, name);
    mkdirSync(path, { recursive: true });
    const { uid } = this.#place;
    if (uid !== undefined) chownSync(path, uid, uid);
    return path;
  }

  /** In the background, as people do it. */
  async mount(name: string, ...words: readonly string[]): Promise<Mounted> {
    const at = join(this.directory, name);
    // What is dead there already is the program's own business.
    if (!(await this.mounts()).includes(at)) this.folder(name);
    const { pid } = await this.json('mount', at, ...words);
    const mounted = { at, pid };
    this.#mounts.push(mounted);
    return mounted;
  }

  /** Politely; the process has ended when the command has. */
  async unmount({ at, pid }: Mounted): Promise<void> {
    await this.ok('umount', at);
    expect(isAlive(pid), 'umount waits for the process of the mount').toBe(false);
  }

  /** All drives together; those of a process that runs as of its last load. */
  async figures(): Promise<DriveFigures> {
    const { drives } = await this.json('library', 'status');
    const sum = { loads: 0, locates: 0, backhitches: 0, bytesRead: 0, modelSeconds: 0 };
    const names = ['loads', 'locates', 'backhitches', 'bytesRead', 'modelSeconds'] as const;
    for (const { statistics } of drives) for (const name of names) sum[name] += statistics[name];
    return sum;
  }

  /** What is mounted below, the last one first. */
  async mounts(): Promise<string[]> {
    const table = await readFile(this.#place.mountTable, 'latin1');
    const paths = table.split('\n').map((line) => line.split(' ')[4] ?? '');
    return paths.filter((path) => path.startsWith(`${this.directory}/`)).reverse();
  }

  /** How often each cartridge was loaded, as its own chip counts it; by barcode. */
  cartridgeLoads(): Readonly<Record<string, number>> {
    const directory = join(this.state, 'virtual');
    const chips = readdirSync(directory).filter((name) => /^[A-Z0-9]{8}\.json$/.test(name));
    return Object.fromEntries(
      chips.map((name) => {
        const { loads } = JSON.parse(readFileSync(join(directory, name), 'utf8'));
        return [name.slice(0, 8), loads];
      }),
    );
  }

  /** What the mount had to say. */
  get log(): string {
    const path = join(this.state, 'mount.log');
    return existsSync(path) ? readFileSync(path, 'latin1') : '';
  }

  /** Unmounts what is still mounted below, and removes everything. */
  async close(): Promise<void> {
    for (const at of await this.mounts()) await runProgram(['umount', '-l', at]);
    for (const { pid } of this.#mounts) {
      if (isAlive(pid)) process.kill(pid, 'SIGKILL');
      await ended(pid);
    }
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** Neither gone nor a zombie that nobody has waited for. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}

export async function ended(pid: number): Promise<void> {
  await until(() => !isAlive(pid), `process ${pid} ends`);
}

const UNTIL_MS = 30_000;
const LOOK_MS = 20;

/** Waits for what another process brings about; fails with what it was that did not come. */
export async function until(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let waitedMs = 0; waitedMs < UNTIL_MS; waitedMs += LOOK_MS) {
    if (await isSo()) return;
    await setTimeout(LOOK_MS);
  }
  expect.fail(`waited in vain: ${what}`);
}
