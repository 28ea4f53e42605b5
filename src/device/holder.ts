/**
 * Who holds a device or a lock file: the process to name when an open is refused.
 *
 * The kernel's list of locks is readable by everybody, but knows only who locked. Who merely opened is found among the
 * open files of all processes, which root sees all of and others only their own.
 */
import { readdir, readFile, readlink, realpath, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { errnoOf } from '../base/errors.ts';

export type Holder = {
  readonly pid: number;
  /** Its program, for an interpreter with the script: `bareos-sd`, `node main.js`; empty where it is hidden. */
  readonly command: string;
};

/** Major and minor number in one, as Linux's stat(2) packs them (sys/sysmacros.h, gnu_dev_makedev). */
export function deviceNumbers(packed: bigint): { major: number; minor: number } {
  const major = ((packed >> 8n) & 0xfffn) | ((packed >> 32n) & ~0xfffn);
  const minor = (packed & 0xffn) | ((packed >> 12n) & ~0xffn);
  return { major: Number(major), minor: Number(BigInt.asUintN(32, minor)) };
}

/** The processes with a flock(2) on one inode, from the text of /proc/locks (proc(5)); those that wait are left out. */
export function lockers(locks: string, inode: { dev: bigint; ino: bigint }): number[] {
  const { major, minor } = deviceNumbers(inode.dev);
  const pids: number[] = [];
  for (const line of locks.split('\n')) {
    const fields = /^\d+: FLOCK\s+\S+\s+\S+\s+(\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) /.exec(line);
    if (fields === null) continue;
    const [, pid = '', lockMajor = '', lockMinor = '', ino = ''] = fields;
    const same =
      Number.parseInt(lockMajor, 16) === major && Number.parseInt(lockMinor, 16) === minor;
    // Locks of processes in another pid namespace are listed with pid 0.
    if (same && BigInt(ino) === inode.ino && pid !== '0') pids.push(Number(pid));
  }
  return pids;
}

/**
 * The process that holds `path`, undefined where none is found or it may not be seen. This process counts only when it
 * is the only one. Never rejects: it serves a message.
 */
export async function findHolder(path: string, procPath = '/proc'): Promise<Holder | undefined> {
  try {
    const found = await stat(path, { bigint: true });
    const locks = await readFile(`${procPath}/locks`, 'latin1').catch(() => '');
    for (const pid of ownLast(lockers(locks, found))) {
      // A lock outlives the process that took it when a child has the file open still.
      if (isAlive(pid)) return { pid, command: await commandOf(pid, procPath) };
    }
    const isDevice = found.isCharacterDevice() || found.isBlockDevice();
    return await findOpener(await realpath(path), isDevice ? found.rdev : undefined, procPath);
  } catch {
    return undefined;
  }
}

async function findOpener(
  path: string,
  rdev: bigint | undefined,
  procPath: string,
): Promise<Holder | undefined> {
  const pids = (await readdir(procPath)).filter((name) => /^\d+$/.test(name)).map(Number);
  for (const pid of ownLast(pids)) {
    const folder = `${procPath}/${pid}/fd`;
    const files = await readdir(folder).catch(() => []);
    for (const file of files) {
      const target = await readlink(`${folder}/${file}`).catch(() => '');
      // Only what lies in /dev is asked for its number: a stat of any other file may hang on a dead server.
      const isHeld =
        target === path ||
        (rdev !== undefined &&
          target.startsWith('/dev/') &&
          (await rdevOf(`${folder}/${file}`)) === rdev);
      if (isHeld) return { pid, command: await commandOf(pid, procPath) };
    }
  }
  return undefined;
}

async function rdevOf(path: string): Promise<bigint | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found?.isCharacterDevice() || found?.isBlockDevice() ? found.rdev : undefined;
}

async function commandOf(pid: number, procPath: string): Promise<string> {
  const line = await readFile(`${procPath}/${pid}/cmdline`, 'utf8').catch(() => '');
  const [program = '', argument = ''] = line.split('\0');
  const name = basename(program);
  const isScript = /^(node|nodejs|python[\d.]*|perl|ruby|bash|sh)$/.test(name);
  return isScript && /^[^-]/.test(argument) ? `${name} ${basename(argument)}` : name;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) !== 'ESRCH';
  }
}

function ownLast(pids: readonly number[]): number[] {
  return pids.toSorted((a, b) => Number(a === process.pid) - Number(b === process.pid));
}
