/** What a power cut leaves: the durable part of a tree, and by chance some of what had not been synced yet. */
import { copyFile, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../../src/base/errors.ts';
import type { Random } from '../../../src/base/random.ts';

const PAGE_BYTES = 4096;

/** Makes `root` what a disk would hold after the cut, by the image that power.cc has kept. */
export async function cutPower(root: string, image: string, random: Random): Promise<void> {
  const survivors = await readTree(root, image, random);
  await rm(root, { recursive: true, force: true });
  await restore(root, survivors);
}

/** Makes the image say that everything below `root` is durable as it is now. */
export async function keepAll(root: string, image: string): Promise<void> {
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

async function readTree(directory: string, image: string, random: Random): Promise<Tree> {
  const tree: Tree = new Map();
  const { ino } = await stat(directory);
  const now = await currentNames(directory);
  const durable = await durableNames(join(image, 'lists', String(ino)));
  // A directory that was never synced itself may still have reached the disk, names one by one.
  const names = new Set([...now.keys(), ...(durable?.keys() ?? [])]);
  for (const name of names) {
    const wasSynced = durable?.get(name);
    const isNow = now.get(name);
    const chosen = wasSynced === isNow ? isNow : random.below(2) === 0 ? wasSynced : isNow;
    if (chosen === undefined) continue;
    const path = join(directory, name);
    const isHere = chosen === isNow;
    if (isHere && (await stat(path)).isDirectory()) {
      tree.set(name, await readTree(path, image, random));
      continue;
    }
    const synced = await readFile(join(image, 'files', String(chosen))).catch(absent);
    const current = isHere ? await readFile(path) : undefined;
    if (synced === undefined && current === undefined) tree.set(name, Buffer.alloc(0));
    else tree.set(name, mix(synced ?? Buffer.alloc(0), current, random));
  }
  return tree;
}

/** Synced pages, and by chance all, some or none of those written since. */
function mix(synced: Buffer, current: Buffer | undefined, random: Random): Buffer {
  if (current === undefined || current.equals(synced)) return synced;
  const choice = random.below(3);
  if (choice === 0) return synced;
  if (choice === 1) return current;
  const lengthBytes = random.below(2) === 0 ? synced.length : current.length;
  const mixed = Buffer.alloc(lengthBytes);
  for (let at = 0; at < lengthBytes; at += PAGE_BYTES) {
    const source = random.below(2) === 0 ? synced : current;
    source.copy(mixed, at, at, Math.min(at + PAGE_BYTES, lengthBytes, source.length));
  }
  return mixed;
}

async function currentNames(directory: string): Promise<Map<string, number>> {
  const names = new Map<string, number>();
  for (const name of await readdir(directory)) {
    const facts = await stat(join(directory, name));
    names.set(name, facts.ino);
  }
  return names;
}

async function durableNames(path: string): Promise<Map<string, number> | undefined> {
  const text = await readFile(path, 'utf8').catch(absent);
  if (text === undefined) return undefined;
  const names = new Map<string, number>();
  for (const line of text.split('\n').filter(Boolean)) {
    const [inode, , ...rest] = line.split(' ');
    names.set(rest.join(' '), Number(inode));
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
