/** What a power cut leaves: the durable part of a tree, and by chance some of what had not been synced yet. */
import { strict as assert } from 'node:assert';
import { copyFile, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../../src/base/errors.ts';
import type { Random } from '../../../src/base/random.ts';

const PAGE_BYTES = 4096;

/**
 * Puts below `to` what a disk would hold of `root` after the cut, by the image that power.cc has kept. Both may be the
 * same; what is below `to` is lost.
 */
export async function cutPower(
  from: { readonly root: string; readonly image: string },
  to: string,
  random: Random,
): Promise<void> {
  const survivors = await readTree(from.root, from.image, random);
  await rm(to, { recursive: true, force: true });
  await restore(to, survivors);
}

/** Makes the image say that everything below `root` is durable as it is now. */
export async function keepAll(root: string, image: string): Promise<void> {
  await rm(image, { recursive: true, force: true });
  await mkdir(join(image, 'files'), { recursive: true });
  await mkdir(join(image, 'lists'), { recursive: true });
  await keepDirectory(root, image);
}

async function keepDirectory(directory: string, image: string): Promise<void> {
  const lines: string[] = [];
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    const facts = await stat(path);
    lines.push(`${facts.ino} ${facts.isDirectory() ? 'd' : 'f'} ${name}\n`);
    if (facts.isDirectory()) await keepDirectory(path, image);
    else await copyFile(path, join(image, 'files', String(facts.ino)));
  }
  const { ino } = await stat(directory);
  await writeFile(join(image, 'lists', String(ino)), lines.join(''));
}

type Tree = Map<string, Buffer | Tree>;

type Named = { readonly inode: number; readonly isDirectory: boolean };

async function readTree(directory: string, image: string, random: Random): Promise<Tree> {
  const tree: Tree = new Map();
  const { ino } = await stat(directory);
  const now = await currentNames(directory);
  const durable = await durableNames(join(image, 'lists', String(ino)));
  // A directory that was never synced itself may still have reached the disk, names one by one.
  const names = new Set([...now.keys(), ...(durable?.keys() ?? [])]);
  for (const name of [...names].sort()) {
    const wasSynced = durable?.get(name);
    const isNow = now.get(name);
    const isSame = wasSynced?.inode === isNow?.inode;
    const chosen = isSame || random.below(2) === 0 ? isNow : wasSynced;
    if (chosen === undefined) continue;
    const path = join(directory, name);
    const isHere = chosen === isNow;
    if (chosen.isDirectory) {
      assert(isHere, `${path}: nothing under test removes directories`);
      tree.set(name, await readTree(path, image, random));
      continue;
    }
    const synced = await readFile(join(image, 'files', String(chosen.inode))).catch(absent);
    // What another name stands for now has been written since, or its name was lost with all that was not synced.
    const current = isHere ? await readFile(path) : undefined;
    tree.set(name, mix(synced ?? Buffer.alloc(0), current, random));
  }
  return tree;
}

/** Synced pages, and by chance all, some or none of those written since; a page that was never written is zero. */
export function mix(synced: Buffer, current: Buffer | undefined, random: Random): Buffer {
  if (current === undefined || current.equals(synced)) return synced;
  const choice = random.below(3);
  if (choice === 0) return synced;
  if (choice === 1) return current;
  const lengthBytes = random.below(2) === 0 ? synced.length : current.length;
  const mixed = Buffer.alloc(lengthBytes);
  for (let at = 0; at < lengthBytes; at += PAGE_BYTES) {
    const source = random.below(2) === 0 ? synced : current;
    if (at < source.length) source.copy(mixed, at, at, Math.min(at + PAGE_BYTES, source.length));
  }
  return mixed;
}

async function currentNames(directory: string): Promise<Map<string, Named>> {
  const names = new Map<string, Named>();
  for (const name of await readdir(directory)) {
    const facts = await stat(join(directory, name));
    names.set(name, { inode: facts.ino, isDirectory: facts.isDirectory() });
  }
  return names;
}

async function durableNames(path: string): Promise<Map<string, Named> | undefined> {
  const text = await readFile(path, 'utf8').catch(absent);
  if (text === undefined) return undefined;
  const names = new Map<string, Named>();
  for (const line of text.split('\n').filter(Boolean)) {
    const [inode, type, ...rest] = line.split(' ');
    names.set(rest.join(' '), { inode: Number(inode), isDirectory: type === 'd' });
  }
  return names;
}

async function restore(directory: string, tree: Tree): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  for (const [name, what] of tree) {
    const path = join(directory, name);
    if (Buffer.isBuffer(what)) await writeFile(path, what, { mode: 0o600 });
    else await restore(path, what);
  }
}

function absent(error: unknown): undefined {
  if (errnoOf(error) === 'ENOENT') return undefined;
  throw error;
}
