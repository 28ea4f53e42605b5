/** What the checks of native/fuse share: a mount of a check's own, and other processes that look at it. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { systemClock } from '../../../src/base/clock.ts';
import { rawOf } from '../../../src/base/raw.ts';
import { type FuseDoor, loadFuseDoor } from '../../../src/mount/door.ts';
import { mountFuse } from '../../../src/mount/native.ts';
import type { FusePort } from '../../../src/mount/port.ts';
import type { Tree } from './native.tree.ts';

export type World = {
  readonly addonPath: string;
  readonly door: FuseDoor;
  /** A folder of this check's own. */
  readonly folder: string;
};

export type Check = { readonly name: string; readonly run: (world: World) => Promise<void> };

/** Runs one check in a folder that is removed afterwards; a mount that was left there is a failure. */
export async function runCheck({ run }: Check, addonPath: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'shelfs-fuse-'));
  await run({ addonPath, door: loadFuseDoor(addonPath), folder });
  assert.deepEqual(mountsIn(folder), []);
  rmSync(folder, { recursive: true });
}

/** Lines of the kernel's list that name a path. */
export function mountsIn(folder: string): string[] {
  const table = readFileSync('/proc/self/mountinfo', 'latin1');
  return table.split('\n').filter((line) => line.includes(folder));
}

export type MountedTree = { readonly path: string; readonly port: FusePort; readonly tree: Tree };

export async function mountTree(world: World, tree: Tree): Promise<MountedTree> {
  const path = join(world.folder, 'mnt');
  // A dead mount is there, and does not seem to be.
  if (!mountsIn(path)[0]) mkdirSync(path, { recursive: true });
  const { door } = world;
  const options = { mountpoint: rawOf(path), allowOther: false, clock: systemClock, door };
  const port = await mountFuse({ ...options, listener: tree });
  tree.port = port;
  return { path, port, tree };
}

/** Mounts a tree, and unmounts it when it was looked at. */
export async function mounted(
  world: World,
  tree: Tree,
  look: (mount: MountedTree) => Promise<void>,
): Promise<void> {
  const mount = await mountTree(world, tree);
  try {
    await look(mount);
  } finally {
    await mount.port.unmount();
  }
  assert.equal(tree.ends, 1);
}

/** Of a program that does not load the door: the sanitizers would cost each `cat` more than it does. */
const { LD_PRELOAD: _, ...PLAIN } = process.env;

/** What a program prints, a character a byte. It must end well. */
export async function run(program: string, ...words: string[]): Promise<string> {
  const options = { encoding: 'latin1', timeout: 30_000, env: PLAIN } as const;
  const { stdout, stderr } = await promisify(execFile)(program, words, options);
  assert.equal(stderr, '');
  return stdout;
}

export type Started = {
  readonly child: ChildProcess;
  /** `0`, `1`, `SIGKILL`, and all that was said. */
  readonly end: Promise<{ readonly status: string; readonly out: string; readonly errors: string }>;
};

/** A program that is not waited for. */
export function start(program: string, ...words: string[]): Started {
  const env = program === process.execPath ? process.env : PLAIN;
  const child = spawn(program, words, { stdio: ['pipe', 'pipe', 'pipe'], env });
  const closed = once(child, 'close');
  const end = Promise.all([closed, text(child.stdout), text(child.stderr)]).then(
    ([[code, signal], out, errors]) => ({ status: String(signal ?? code), out, errors }),
  );
  return { child, end };
}

/** Reads a file with a handler for SIGINT that breaks the read off; says `read N` or the name of an errno. */
export function startPython(path: string, how = ''): Started {
  const script = `
import errno, os, signal, sys
class Told(Exception): pass
def told(*_): raise Told()
signal.signal(signal.SIGINT, told)
try:
    fd = os.open(sys.argv[1], os.O_RDONLY ${how})
    total = 0
    while True:
        got = len(os.read(fd, 65536))
        total += got
        if got == 0: break
    print('read', total)
except Told:
    print('interrupted')
except OSError as error:
    print(errno.errorcode[error.errno])
`;
  return start('python3', '-c', script, path);
}

/** A process of its own that serves; waits until it says it has mounted. */
export async function startServer(
  world: Pick<World, 'addonPath'>,
  path: string,
  ...words: string[]
) {
  if (!mountsIn(path)[0]) mkdirSync(path, { recursive: true });
  const program = fileURLToPath(new URL('native.child.ts', import.meta.url));
  const { child, end } = start(process.execPath, program, world.addonPath, path, ...words);
  assert(child.stdout);
  const lines: string[] = [];
  const watchers: (() => void)[] = [];
  createInterface(child.stdout).on('line', (line) => {
    lines.push(line);
    for (const look of watchers) look();
  });
  const said = async (count: number, word: string) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = () => {
      if (lines.filter((line) => line === word).length >= count) resolve();
    };
    watchers.push(look);
    look();
    await Promise.race([promise, end]);
  };
  await said(1, 'mounted');
  assert.equal(lines[0], 'mounted', child.exitCode === null ? '' : (await end).errors);
  return { child, end, said };
}
