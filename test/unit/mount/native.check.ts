/** What the checks of native/fuse share: a mount of a check's own, and other processes that look at it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

/** Runs one check in a folder that is removed afterwards. */
export async function runCheck({ run }: Check, addonPath: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'shelfs-fuse-'));
  try {
    await run({ addonPath, door: loadFuseDoor(addonPath), folder });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export type MountedTree = { readonly path: string; readonly port: FusePort; readonly tree: Tree };

/** Mounts a tree, and unmounts it when it was looked at. */
export async function mounted(
  world: World,
  tree: Tree,
  look: (mount: MountedTree) => Promise<void>,
): Promise<void> {
  const path = join(world.folder, 'mnt');
  mkdirSync(path, { recursive: true });
  const { door } = world;
  const options = {
    mountpoint: rawOf(path),
    allowOther: false,
    clock: systemClock,
    listener: tree,
  };
  const port = await mountFuse({ ...options, door });
  tree.port = port;
  try {
    await look({ path, port, tree });
  } finally {
    await port.unmount();
  }
}

/** What a program prints, a character a byte. It must end well. */
export async function run(program: string, ...words: string[]): Promise<string> {
  const options = { encoding: 'latin1', timeout: 30_000 } as const;
  const { stdout, stderr } = await promisify(execFile)(program, words, options);
  assert.equal(stderr, '');
  return stdout;
}
