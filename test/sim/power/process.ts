/** Runs a program as a process that ends at a chosen system call, as by SIGKILL or by a power cut. */
import { execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { errnoOf } from '../../../src/base/errors.ts';
import type { Random } from '../../../src/base/random.ts';
import { cutPower, keepAll } from './image.ts';

export type Ended = {
  /** Null where the process was ended by the signal. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Each call that wrote, synced or named something below the root, in order: its name and the path below the root. */
  readonly calls: readonly string[];
};

/** What is lost when the process ends: nothing but the process, or all that the disk was not asked to keep. */
export type Loss = 'process' | 'power';

/** The preloaded library, built once a test file. */
export async function buildPowerSwitch(): Promise<{ library: string; remove(): Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'shelfs-power-'));
  const library = join(directory, 'power.so');
  const source = join(import.meta.dirname, 'power.cc');
  const flags = ['-std=c++17', '-O2', '-shared', '-fPIC', '-Wall', '-Wextra', '-Werror'];
  await promisify(execFile)('g++', [...flags, '-o', library, source, '-ldl']);
  return { library, remove: () => rm(directory, { recursive: true }) };
}

export class PowerSwitch {
  readonly #library: string;
  readonly #root: string;
  readonly #own: string;
  readonly #loss: Loss;
  /** Power cuts so far: each gives the machine a new boot id. */
  #cuts = 0;

  /**
   * @param paths.library of `buildPowerSwitch`
   * @param paths.root the directory whose writes count; no path below it that is written has a link in it
   * @param paths.own a directory of ours, for what is durable and for the trace
   */
  constructor(paths: { library: string; root: string; own: string }, loss: Loss) {
    this.#library = paths.library;
    this.#root = paths.root;
    this.#own = paths.own;
    this.#loss = loss;
  }

  /**
   * What was there before has long reached the disk.
   * @param argv of this runtime: a program and its arguments
   * @param cutAt the call before which the process ends; 0: never
   */
  async run(argv: readonly string[], cutAt = 0): Promise<Ended> {
    const isPower = this.#loss === 'power';
    const image = join(this.#own, 'image');
    const trace = join(this.#own, 'trace');
    const boot = join(this.#own, 'boot-id');
    await mkdir(this.#own, { recursive: true });
    await rm(trace, { force: true });
    await writeFile(boot, `00000000-0000-4000-8000-${String(this.#cuts).padStart(12, '0')}\n`);
    if (isPower && cutAt > 0) await keepAll(this.#root, image);
    const child = spawn(process.execPath, argv, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        LANG: 'C.UTF-8',
        LD_PRELOAD: this.#library,
        POWER_ROOT: this.#root,
        POWER_TRACE: trace,
        POWER_BOOT: boot,
        POWER_CUT_AT: String(cutAt),
        ...(isPower && cutAt > 0 && { POWER_IMAGE: image }),
      },
    });
    const [stdout, stderr, status] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      new Promise<number | null>((resolve, reject) => {
        child.on('error', reject);
        child.on('close', (code, signal) => {
          if (signal !== null && signal !== 'SIGKILL') reject(new Error(`ended by ${signal}`));
          else resolve(code);
        });
      }),
    ]);
    return { status, stdout, stderr, calls: readTrace(await readFile(trace, 'utf8').catch(none)) };
  }

  /**
   * After a run that was cut: what had not been synced is lost, or not, page by page, name by name.
   * @param to where the outcome is put; default: the root itself
   */
  async lose(random: Random, to = this.#root): Promise<void> {
    if (this.#loss === 'process') return;
    this.#cuts += 1;
    await cutPower({ root: this.#root, image: join(this.#own, 'image') }, to, random);
  }
}

/** Lines of several threads may stand out of order; each has its number. */
function readTrace(trace: string): string[] {
  const calls: (string | undefined)[] = [];
  for (const line of trace.split('\n').filter(Boolean)) {
    const [number, ...rest] = line.split(' ');
    calls[Number(number) - 1] = rest.join(' ');
  }
  return Array.from(calls, (call) => call ?? 'cut before it was noted');
}

async function text(stream: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString();
}

function none(error: unknown): string {
  if (errnoOf(error) === 'ENOENT') return '';
  throw error;
}
