/** What may happen to a rich tree between two backups: each thing that needs no bytes on tape, and each that does. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

/** Bytes that neither repeat nor compress, others each time. */
export function makeBytes(path: string, lengthBytes: number): void {
  execFileSync('sh', ['-c', 'head -c "$1" /dev/urandom >"$2"', 'sh', String(lengthBytes), path]);
}

/** @param source a tree of `makeRichTree` with a file `huge.bin` that is stored in parts */
export function changeTree(source: string): void {
  const at = (...names: string[]) => join(source, ...names);
  // Moves, and something new at an old place.
  renameSync(at('documents', 'copy of large.bin'), at('moved.bin'));
  makeBytes(at('documents', 'copy of large.bin'), 100_000);
  renameSync(at('documents', 'deep'), at('deep, elsewhere'));
  // Further names and duplicates of what is on tape already.
  linkSync(at('documents', 'same 1'), at('a late hard link'));
  linkSync(at('huge.bin'), at('deep, elsewhere', 'huge hard link'));
  copyFileSync(at('huge.bin'), at('a duplicate of huge.bin'));
  copyFileSync(at('documents', 'a.txt'), at('dup\twith\ttabs \\0101 and\nline'));
  // Content; the file has an attribute and a second name, its duplicate has neither.
  writeFileSync(at('documents', 'a.txt'), 'changed');
  // Attributes alone.
  chmodSync(at('documents', 'empty'), 0o751);
  if (process.getuid?.() === 0) chownSync(at('zz hard link to large'), 4711, 4712);
  execFileSync('setfattr', ['-n', 'user.later', '-v', 'on a split file', at('huge.bin')]);
  execFileSync('setfacl', ['-m', 'u:4711:rwx', at('documents')]);
  // Types.
  rmSync(at('link'));
  symlinkSync('documents/changed target', at('link'));
  rmSync(at('dangling'));
  mkdirSync(at('dangling'));
  writeFileSync(at('dangling', 'was a link'), 'w');
  rmSync(at('nothing in here'), { recursive: true });
  writeFileSync(at('nothing in here'), 'was a directory');
  rmSync(at('pipe'));
  makeBytes(at('late hole'), 30_000);
  execFileSync('truncate', ['-s', '7000000', at('late hole')]);
  makeBytes(at('new.bin'), 5_000_001);
}

/** Blocks on disk of the files that have holes, by name. */
export function allocatedBlocks(source: string): Record<string, string> {
  execFileSync('sync', ['-f', source]);
  const names = ['sparse.img', 'all hole', 'hole at the end', 'late hole'];
  return Object.fromEntries(
    names.map((name) => {
      const blocks = execFileSync('stat', ['-c', '%b', join(source, name)], { encoding: 'utf8' });
      return [name, blocks.trim()];
    }),
  );
}
