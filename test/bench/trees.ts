/** The trees that are backed up: the same for the same sizes, of bytes that no program can make smaller. */
import { strict as assert } from 'node:assert';
import { closeSync, mkdirSync, openSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { seededRandom } from '../../src/base/random.ts';

export type Tree = { readonly path: string; readonly files: number; readonly bytes: number };

/** statfs(2), linux/magic.h */
const TMPFS_MAGIC = 0x01021994;
const POOL_BYTES = 8 * 2 ** 20;
const FILES_A_DIRECTORY = 100;
const KIB = 2 ** 10;

/** A disk would be measured instead of the programs. */
export function expectTmpfs(directory: string, neededBytes: number): void {
  const { type, bavail, bsize } = statfsSync(directory);
  assert.equal(type, TMPFS_MAGIC, `${directory} is no tmpfs; --directory names another`);
  const freeBytes = bavail * bsize;
  assert(
    freeBytes > neededBytes,
    `${directory} has ${freeBytes} bytes free, ${neededBytes} are needed; take smaller sizes`,
  );
}

export function largeFiles(path: string, { files, bytes }: { files: number; bytes: number }): Tree {
  mkdirSync(path);
  const pool = poolOf(1);
  for (let index = 0; index < files; index += 1) {
    const file = openSync(join(path, `film-${String(index).padStart(4, '0')}.mkv`), 'w');
    for (let at = 0; at < bytes; at += pool.length) {
      // No piece of 8 MiB is like another, so that nobody finds the same bytes twice.
      pool.writeUInt32LE(index, 0);
      pool.writeDoubleLE(at, 8);
      scramble(pool, index * 8191 + at / pool.length);
      writeSync(file, pool, 0, Math.min(pool.length, bytes - at));
    }
    closeSync(file);
  }
  return { path, files, bytes: files * bytes };
}

/** Of 1 to `kibMax` KiB, each size as often as the others; 100 in a directory. */
export function smallFiles(
  path: string,
  { files, kibMax }: { files: number; kibMax: number },
): Tree {
  mkdirSync(path);
  const pool = poolOf(2);
  let bytes = 0;
  for (let index = 0; index < files; index += 1) {
    const directory = join(
      path,
      `d${String(Math.floor(index / FILES_A_DIRECTORY)).padStart(6, '0')}`,
    );
    if (index % FILES_A_DIRECTORY === 0) mkdirSync(directory);
    const lengthBytes = KIB + ((index * 7919) % (kibMax * KIB - KIB + 1));
    const start = (index * 104_729) % (POOL_BYTES - kibMax * KIB);
    pool.writeUInt32LE(index, start);
    const file = openSync(join(directory, `picture-${String(index).padStart(7, '0')}.jpg`), 'w');
    writeSync(file, pool, start, lengthBytes);
    closeSync(file);
    bytes += lengthBytes;
  }
  return { path, files, bytes };
}

/** For a rescan: of a few bytes each, all different. */
export function tinyFiles(path: string, files: number): Tree {
  mkdirSync(path);
  let bytes = 0;
  for (let index = 0; index < files; index += 1) {
    const directory = join(
      path,
      `d${String(Math.floor(index / FILES_A_DIRECTORY)).padStart(6, '0')}`,
    );
    if (index % FILES_A_DIRECTORY === 0) mkdirSync(directory);
    const file = openSync(join(directory, `note-${String(index).padStart(8, '0')}.txt`), 'w');
    bytes += writeSync(file, `note ${index}\n`);
    closeSync(file);
  }
  return { path, files, bytes };
}

function poolOf(seed: number): Buffer {
  const random = seededRandom(seed);
  const pool = Buffer.alloc(POOL_BYTES);
  for (let at = 0; at < POOL_BYTES; at += 4) pool.writeUInt32LE(random.below(2 ** 32), at);
  return pool;
}

/** Adds a number to every word: as random as before, and other bytes. */
function scramble(pool: Buffer, step: number): void {
  const words = new Uint32Array(pool.buffer, pool.byteOffset, pool.length / 4);
  const add = Math.imul(step + 1, 2_654_435_761);
  for (let index = 0; index < words.length; index += 1)
    words[index] = ((words[index] ?? 0) + add) >>> 0;
}
