/** A tree with one of everything that is easily lost: odd names, links, holes, attributes, special files. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../../src/base/random.ts';

/** Bytes that neither repeat nor compress; the same for the same chance. */
export function randomBytes(random: Random, lengthBytes: number): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  for (let at = 0; at + 6 <= lengthBytes; at += 6)
    bytes.writeUIntLE(random.below(2 ** 48 - 1), at, 6);
  return bytes;
}

/** Makes it below an existing directory. Owners and device nodes only as root. */
export function makeRichTree(root: string, random: Random): void {
  const at = (...names: string[]) => join(root, ...names);
  const raw = (name: Buffer) => Buffer.concat([Buffer.from(`${root}/`), name]);
  mkdirSync(at('documents', 'deep', 'er'), { recursive: true });
  writeFileSync(at('documents', 'a.txt'), 'hello\n');
  writeFileSync(at('documents', 'empty'), '');
  writeFileSync(at('documents', 'large.bin'), randomBytes(random, 9_000_001));
  writeFileSync(at('documents', 'copy of large.bin'), randomBytes(random, 700_000));
  writeFileSync(at('documents', 'same 1'), 'the same bytes in two files');
  writeFileSync(at('documents', 'deep', 'same 2'), 'the same bytes in two files');
  writeFileSync(raw(Buffer.from('not utf-8 \xff\xfe', 'latin1')), 'x');
  writeFileSync(at('new\nline \x1b[31m and ünïcode \u{1f4fc}'), 'y');
  writeFileSync(at(`${'long'.repeat(60)}.txt`), 'a name longer than a tar header has room for');
  writeFileSync(at('documents', 'deep', 'er', '-starts with a dash'), 'z');
  linkSync(at('documents', 'a.txt'), at('documents', 'deep', 'hard link'));
  linkSync(at('documents', 'large.bin'), at('zz hard link to large'));
  symlinkSync('documents/a.txt', at('link'));
  symlinkSync('/nowhere/at all', at('dangling'));
  symlinkSync('..', at('documents', 'loop'));
  mkdirSync(at('nothing in here'));
  makeSparse(at('sparse.img'), 40 * 2 ** 20, [
    [0, 5000],
    [10 * 2 ** 20 + 17, 70_000],
  ]);
  makeSparse(at('all hole'), 3 * 2 ** 20, []);
  makeSparse(at('hole at the end'), 5 * 2 ** 20, [[0, 100_000]]);
  execFileSync('mkfifo', [at('pipe')]);
  chmodSync(at('documents', 'deep', 'same 2'), 0o600);
  chmodSync(at('documents', 'deep'), 0o2750);
  execFileSync('setfattr', ['-n', 'user.note', '-v', 'a=b;c,d', at('documents', 'a.txt')]);
  execFileSync('setfacl', ['-m', 'u:12345:rw,g:54321:r', at('documents', 'empty')]);
  execFileSync('setfacl', ['-d', '-m', 'u:12345:rx', at('documents', 'deep', 'er')]);
  if (process.getuid?.() === 0) {
    chownSync(at('link'), 0, 0);
    chownSync(at('documents', 'copy of large.bin'), 12_345, 54_321);
    execFileSync('mknod', [at('device'), 'c', '1', '3']);
  }
  utimesSync(at('documents', 'a.txt'), 1_000_000_000.25, 981_173_106.123_456);
  utimesSync(at('documents', 'empty'), -5, -1.5);
  lutimesSync(at('link'), 1e9, 1e9);
  utimesSync(at('nothing in here'), 1e9, 1e9);
}

/** @param runs offset and length of what is written */
export function makeSparse(
  path: string,
  sizeBytes: number,
  runs: readonly (readonly [number, number])[],
) {
  const file = openSync(path, 'w');
  for (const [offset, lengthBytes] of runs)
    writeSync(file, Buffer.alloc(lengthBytes, 'd'), 0, lengthBytes, offset);
  closeSync(file);
  execFileSync('truncate', ['-s', String(sizeBytes), path]);
}

/** What rsync would still have to do: nothing where the trees are equal in bytes, names, links and attributes. */
export function differences(from: string, to: string): string {
  return execFileSync(
    'rsync',
    [
      '-aHAX',
      '--specials',
      '--devices',
      '--dry-run',
      '--checksum',
      '--delete',
      '--itemize-changes',
      `${from}/`,
      `${to}/`,
    ],
    { encoding: 'latin1', maxBuffer: 2 ** 28 },
  );
}
