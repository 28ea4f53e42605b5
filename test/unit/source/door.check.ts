/** What a list of checks of native/fs is made of: a folder and the door, and no test runner. */
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type FsDoor, loadFsDoor } from '../../../src/source/door.ts';

export type World = {
  readonly addonPath: string;
  readonly door: FsDoor;
  readonly folder: string;
  /** An open descriptor of the folder. */
  readonly directory: number;
};

export type Check = {
  readonly name: string;
  readonly run: (world: World) => void | Promise<void>;
};

/** Runs one check in a folder that is removed afterwards. */
export async function runCheck({ run }: Check, addonPath: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'shelfs-fs-door-'));
  const directory = openSync(folder, 'r');
  try {
    await run({ addonPath, door: loadFsDoor(addonPath), folder, directory });
  } finally {
    closeSync(directory);
    rmSync(folder, { recursive: true });
  }
}

export const ENOENT = -2;
export const EBADF = -9;
export const EEXIST = -17;
export const EXDEV = -18;
export const ENOTDIR = -20;
export const EINVAL = -22;
export const ELOOP = -40;
export const EOPNOTSUPP = -95;
/** The name of a descriptor itself. */
export const SELF = Buffer.alloc(0);
export const S_IFIFO = 0o010000;

export function b(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}
