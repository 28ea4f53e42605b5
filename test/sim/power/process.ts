/** Runs the built program as a process that ends at a chosen system call, as by SIGKILL or by a power cut. */
import { execFile, spawn } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { errnoOf } from '../../../src/base/errors.ts';
import type { Random } from '../../../src/base/random.ts';
import { cutPower, keepAll } from './image.ts';

const MAIN = join(import.meta.dirname, '..', '..', '..', 'dist', 'main.js');

export type Ended = {
  /** Null where the process was ended by the signal. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Calls that wrote, synced or renamed below the root; undefined where it was ended. */
  readonly calls: number | undefined;
};

/** The preloaded library, built once a test file. */
export async function buildPowerSwitch(directory: string): Promise<string> {
  const library = join(directory, 'power.so');
  const source = join(import.meta.dirname, 'power.cc');
  const flags = ['-std=c++17', '-O2', '-shared', '-fPIC', '-Wall', '-Wextra', '-Werror'];
  await promisify(execFile)('g++', [...flags, '-o', library, source, '-ldl']);
  return library;
}

export class PowerSwitch {
  readonly #library: string;
  readonly #root: string;
  readonly #image: string;

  /**
   * @param paths.library of `buildPowerSwitch`
   * @param paths.root the directory whose writes count
   * @param paths.image a directory of ours, for what is durable
   */
  constructor(paths: { library: string; root: string; image: string }) {
    this.#library = paths.library;
    this.#root = paths.root;
    this.#image = paths.image;
  }

  /** @param cutAt the call before which the process ends; 0: never */
  async run(argv: readonly string[], cutAt: number): Promise<Ended> {
    await rm(this.#image, { recursive: true, force: true });
    // What was there before has long reached the disk.
    await keepAll(this.#root, this.#image);
    const count = join(this.#image, 'count');
    const child = spawn(process.execPath, [MAIN, ...argv], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        LANG: 'C.UTF-8',
        LD_PRELOAD: this.#library,
        POWER_ROOT: this.#root,
        POWER_IMAGE: this.#image,
        POWER_COUNT: count,
        POWER_CUT_AT: String(cutAt),
      },
    });
    const [stdout, stderr, status] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      new Promise<number | null>((resolve, reject) => {
        child.on('error', reject);
        child.on('close', resolve);
      }),
    ]);
    const calls = await readFile(count, 'utf8').catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    });
    return { status, stdout, stderr, calls: calls === undefined ? undefined : Number(calls) };
  }

  /** What had not been synced when the last run ended is lost, or not, page by page. */
  cutPower(random: Random): Promise<void> {
    return cutPower(this.#root, this.#image, random);
  }
}

async function text(stream: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString();
}
