/** Facts about the machine: what `doctor` looks at. Questions only, nothing is changed. */
import { constants, readFileSync, readlinkSync } from 'node:fs';
import { access, readdir, readFile } from 'node:fs/promises';
import { hostname, release, type } from 'node:os';
import { delimiter, join } from 'node:path';
import { errnoOf } from './errors.ts';
import { type Raw, toRaw } from './raw.ts';

export interface Machine {
  readonly nodeVersion: string;
  /** Undefined where the file is missing or may not be read. */
  readText(path: string): Promise<string | undefined>;
  /** Sorted; empty where the directory is missing. */
  list(path: string): Promise<string[]>;
  exists(path: string): Promise<boolean>;
  /** Reading and writing are both allowed. */
  canUse(path: string): Promise<boolean>;
  /** The full path of a program, looked for in PATH and the system's own directories. */
  findProgram(name: string): Promise<string | undefined>;
}

/** Who a job says it ran on. */
export type Host = {
  /** The name under which the catalog keeps this machine's files; never empty, without a slash. */
  readonly name: string;
  /** `Linux 6.18.0` */
  readonly system: string;
};

export function systemHost(): Host {
  const name = hostname().replace(/[/\0]/g, '-');
  return { name: name || 'localhost', system: `${type()} ${release()}` };
}

/** The bytes of it; what Node says is what of them is UTF-8. */
export function workingDirectory(): Raw {
  return toRaw(readlinkSync('/proc/self/cwd', { encoding: 'buffer' }));
}

/** Administrators' programs are not in every user's PATH. */
const SYSTEM_DIRECTORIES = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'];

export const systemMachine: Machine = {
  nodeVersion: process.versions.node,
  readText: (path) => readFile(path, 'utf8').catch(() => undefined),
  list: async (path) => (await readdir(path).catch(() => [])).sort(),
  exists: (path) => may(path, constants.F_OK),
  canUse: (path) => may(path, constants.R_OK | constants.W_OK),
  async findProgram(name) {
    const directories = [...(process.env.PATH ?? '').split(delimiter), ...SYSTEM_DIRECTORIES];
    for (const directory of directories.filter(Boolean)) {
      const path = join(directory, name);
      if (await may(path, constants.X_OK)) return path;
    }
    return undefined;
  },
};

async function may(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}

/** What a process calls itself, 15 characters at most; undefined where it is gone. */
export function processName(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd();
  } catch (error) {
    // Gone, or there is no descriptor left to look: a name is good to have, no more.
    if (errnoOf(error) === undefined) throw error;
    return undefined;
  }
}

/** Whether the processor has instructions for SHA-256: without, a core makes 0.2 GB/s of it, with them 1.8 (measured). */
export function hasSha256Instructions(): boolean {
  const flags = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'latin1'))?.[1];
  return / (sha_ni|sha2)( |$)/.test(flags ?? '');
}
