/**
 * What is asked of native/fs: each call once as meant, and with every wrong argument there is.
 *
 * A list without a test runner, so that it also runs under the sanitizers, where node alone is preloaded with them.
 */
import assert from 'node:assert/strict';
import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import {
  AT_FDCWD,
  AT_REMOVEDIR,
  type FsDoor,
  O_PATH,
  RENAME_NOREPLACE,
  RESOLVE_BENEATH,
  RESOLVE_NO_SYMLINKS,
  ROW_COLUMNS,
} from '../../../src/source/door.ts';
import {
  b,
  type Check,
  EBADF,
  EEXIST,
  EINVAL,
  ELOOP,
  ENOENT,
  EOPNOTSUPP,
  EXDEV,
  S_IFIFO,
  SELF,
} from './door.check.ts';
import { MANY_CHECKS } from './door-many.list.ts';

const checks: Check[] = [...MANY_CHECKS];
const check = (name: string, run: Check['run']) => checks.push({ name, run });

export const CHECKS: readonly Check[] = checks;

check('wrong arguments are answered with EINVAL or EBADF, never with a crash', ({ door }) => {
  const wrongs = [
    undefined,
    null,
    'text',
    -1,
    1.5,
    Number.NaN,
    2 ** 60,
    {},
    [],
    new Uint16Array(1),
    new DataView(new ArrayBuffer(1)),
    b('a\0b'),
    7n,
  ];
  for (const [name, call] of Object.entries(door)) {
    if (typeof call !== 'function') continue;
    for (const length of [0, 1, 2, 3, 4, 6]) {
      for (const wrong of wrongs) {
        const answer: unknown = Reflect.apply(call, door, Array(length).fill(wrong));
        assert(
          [EINVAL, EBADF].includes(Number(answer)),
          `${name}(${length} x ${String(wrong)}): ${String(answer)}`,
        );
      }
    }
  }
});

check('descriptors that are not open are EBADF', ({ door }) => {
  const row = new Float64Array(ROW_COLUMNS);
  const none = 1_000_000;
  for (const answer of [
    door.close(none),
    door.stat(none, b('x'), row),
    door.scan(none),
    door.dataRanges(none, 0, 1),
    door.readLink(none, b('x')),
    door.fileSystem(none),
    door.lock(none),
    door.syncFileSystem(none),
    door.makeDirectory(none, b('x'), 0),
    door.unlink(none, b('x'), 0),
  ]) {
    assert.equal(answer, EBADF);
  }
});

check(
  'a row has its columns, and says no more than asked where it is short',
  ({ door, folder, directory }) => {
    writeFileSync(join(folder, 'a'), 'hello');
    const row = new Float64Array(ROW_COLUMNS);
    assert.equal(door.stat(directory, b('a'), row), 0);
    const { ino, dev } = lstatSync(join(folder, 'a'));
    assert.deepEqual([row[3], row[9], row[10], row[11]], [5, dev, ino, 1]);
    assert.equal(door.stat(directory, b('none'), row), ENOENT);
    assert.equal(row[0], ENOENT);
    assert.equal(door.stat(directory, b('a'), new Float64Array(ROW_COLUMNS - 1)), EINVAL);
    assert.equal(Reflect.apply(door.stat, door, [directory, b('a'), new Float32Array(99)]), EINVAL);
  },
);

check('a directory is read whole, sorted by bytes, also a large one and an empty one', (world) => {
  const { door, folder, directory } = world;
  const empty = door.scan(directory);
  assert(typeof empty !== 'number');
  assert.deepEqual([empty.names, empty.rows.length], ['', 0]);
  const names = Array.from({ length: 5000 }, (_, index) => `${index}-${'n'.repeat(index % 200)}`);
  names.push('ä', '\xff', '-', 'a', 'ab', '.hidden', '...');
  for (const name of names) writeFileSync(Buffer.concat([b(`${folder}/`), b(name)]), '');
  const again = openSync(folder, 'r');
  const found = door.scan(again);
  assert(typeof found !== 'number');
  assert.deepEqual(found.names.split('\0').slice(0, -1), names.toSorted());
  assert.equal(found.rows.length, names.length * ROW_COLUMNS);
  const rest = door.scan(again);
  assert(typeof rest !== 'number');
  assert.equal(rest.names, '');
  closeSync(again);
});

check('open resolves as told', ({ door, folder, directory }) => {
  mkdirSync(join(folder, 'd'));
  writeFileSync(join(folder, 'd/a'), 'x');
  symlinkSync('d', join(folder, 'link'));
  const file = door.open(directory, b('link/a'), 0, 0, 0);
  assert(file >= 0);
  assert.equal(readFileSync(file, 'latin1'), 'x');
  assert.equal(door.close(file), 0);
  assert.equal(door.open(directory, b('link/a'), 0, 0, RESOLVE_NO_SYMLINKS), ELOOP);
  assert.equal(door.open(directory, b('../x'), 0, 0, RESOLVE_BENEATH), EXDEV);
  assert.equal(door.open(directory, b('/etc'), 0, 0, RESOLVE_BENEATH), EXDEV);
  assert.equal(door.open(directory, b('d'), 0, 0, 0x4000_0000), EINVAL);
  assert.equal(door.open(directory, b('x'.repeat(5000)), 0, 0, 0), -36);
});

check(
  'extended attributes: of a name, a link, an open file, and a place',
  ({ door, folder, directory }) => {
    writeFileSync(join(folder, 'a'), '');
    const place = door.open(directory, b('a'), O_PATH, 0, 0);
    const file = door.open(directory, b('a'), 2, 0, 0);
    const all = [b('user.x'), Buffer.alloc(3000, 1)] as const;
    assert.equal(door.setXattr(directory, b('a'), ...all), 0);
    for (const [where, name] of [
      [directory, b('a')],
      [place, SELF],
      [file, SELF],
      [AT_FDCWD, b(join(folder, 'a'))],
    ] as const) {
      assert.deepEqual(door.getXattrs(where, name), [...all]);
      assert.equal(door.removeXattr(where, name, b('user.x')), 0);
      assert.deepEqual(door.getXattrs(where, name), []);
      assert.equal(door.removeXattr(where, name, b('user.x')), -61);
      assert.equal(door.setXattr(where, name, ...all), 0);
    }
    symlinkSync('a', join(folder, 'link'));
    assert.deepEqual(door.getXattrs(directory, b('link')), []);
    assert.equal(door.setXattr(directory, b('link'), ...all), -1);
    assert.equal(door.getXattrs(directory, b('none')), ENOENT);
    assert.equal(door.setXattr(file, SELF, b('user.x'), Buffer.alloc(65_537)), -7);
    assert.equal(door.setXattr(file, SELF, b('user.empty'), Buffer.alloc(0)), 0);
    assert.equal(door.setXattr(file, SELF, b('bad.name'), Buffer.alloc(0)), EOPNOTSUPP);
    for (const one of [place, file]) assert.equal(door.close(one), 0);
  },
);

check('mode and times: of a name, an open file, and a place; links keep their mode', (world) => {
  const { door, folder, directory } = world;
  writeFileSync(join(folder, 'a'), '');
  symlinkSync('a', join(folder, 'link'));
  const row = new Float64Array(ROW_COLUMNS);
  const times = [0, 0, -5, 999_999_999] as const;
  for (const [path, flags] of [
    ['a', O_PATH],
    ['a', 0],
  ] as const) {
    const file = door.open(directory, b(path), flags, 0, 0);
    assert.equal(door.changeMode(file, SELF, 0o4711), 0);
    assert.equal(door.setTimes(file, SELF, ...times), 0);
    door.stat(file, SELF, row);
    assert.deepEqual([row[0], row[5], row[6]], [0o104711, -5, 999_999_999]);
    assert.equal(door.changeMode(directory, b(path), 0o600), 0);
    assert.equal(door.setTimes(directory, b(path), 0, 0, 7, 8), 0);
    door.stat(file, SELF, row);
    assert.deepEqual([row[0], row[5], row[6]], [0o100600, 7, 8]);
    assert.equal(door.close(file), 0);
  }
  assert.equal(door.changeMode(directory, b('link'), 0o600), EOPNOTSUPP);
  assert.equal(door.setTimes(directory, b('link'), ...times), 0);
  door.stat(directory, b('link'), row);
  assert.deepEqual([row[5], row[6]], [-5, 999_999_999]);
  door.stat(directory, b('a'), row);
  assert.equal(row[5], 7);
  const { uid, gid } = lstatSync(folder);
  assert.equal(door.changeOwner(directory, b('link'), uid, gid), 0);
  assert.equal(door.changeOwner(directory, SELF, uid, 0xffff_ffff), 0);
});

check('entries are made, linked, renamed and removed', ({ door, folder, directory }) => {
  const at = (name: string) => join(folder, name);
  assert.equal(door.makeDirectory(directory, b('d'), 0o711), 0);
  assert.equal(door.makeDirectory(directory, b('d'), 0o711), EEXIST);
  assert.equal(door.makeNode(directory, b('fifo'), S_IFIFO | 0o600, 0, 0), 0);
  assert.equal(lstatSync(at('fifo')).isFIFO(), true);
  assert.equal(door.makeSymlink(b('\xff'), directory, b('link')), 0);
  assert.deepEqual(door.readLink(directory, b('link')), b('\xff'));
  assert.equal(door.readLink(directory, b('d')), EINVAL);
  assert.equal(door.makeLink(directory, b('link'), directory, b('d/same')), 0);
  assert.deepEqual(readlinkSync(at('d/same'), 'buffer'), b('\xff'));
  writeFileSync(at('a'), 'a');
  writeFileSync(at('b'), 'b');
  assert.equal(door.rename(directory, b('a'), directory, b('b'), RENAME_NOREPLACE), EEXIST);
  assert.equal(door.rename(directory, b('a'), directory, b('c'), RENAME_NOREPLACE), 0);
  assert.equal(door.rename(directory, b('c'), directory, b('b'), 0), 0);
  assert.equal(readFileSync(at('b'), 'latin1'), 'a');
  assert.equal(door.unlink(directory, b('d'), 0), -21);
  assert.equal(door.unlink(directory, b('d'), AT_REMOVEDIR), -39);
  assert.equal(door.unlink(directory, b('b'), 0), 0);
  assert.equal(door.unlink(directory, b('b'), 0), ENOENT);
});

check(
  'a lock holds against another descriptor and ends with its own',
  ({ door, folder, directory }) => {
    writeFileSync(join(folder, 'a'), '');
    const one = door.open(directory, b('a'), 0, 0, 0);
    const two = door.open(directory, b('a'), 0, 0, 0);
    assert.equal(door.lock(one), 0);
    assert.equal(door.lock(one), 0);
    assert.equal(door.lock(two), -11);
    assert.equal(door.close(one), 0);
    assert.equal(door.lock(two), 0);
    assert.equal(door.close(two), 0);
  },
);

check('runs of data come in portions', ({ door, folder }) => {
  const file = openSync(join(folder, 'sparse'), 'w+');
  const block = Buffer.alloc(4096, 1);
  for (const at of [0, 2, 4]) {
    writeAt(file, block, at * 65_536);
  }
  assert.deepEqual([...ranges(door, file, 0, 2)], [0, 4096, 131_072, 4096]);
  assert.deepEqual([...ranges(door, file, 135_168, 9)], [262_144, 4096]);
  assert.deepEqual([...ranges(door, file, 2 ** 40, 9)], []);
  closeSync(file);
});

function writeAt(file: number, bytes: Buffer, offset: number): void {
  assert.equal(writeSync(file, bytes, 0, bytes.length, offset), bytes.length);
}

function ranges(door: FsDoor, file: number, from: number, max: number): Float64Array {
  const found = door.dataRanges(file, from, max);
  assert(typeof found !== 'number');
  return found;
}

check('owners have names and numbers', ({ door }) => {
  assert.deepEqual(door.userName(0), b('root'));
  assert.deepEqual(door.groupName(0), b('root'));
  assert.deepEqual([door.userId(b('root')), door.groupId(b('root'))], [0, 0]);
  assert.deepEqual(door.userName(4_000_000_000), SELF);
  assert.deepEqual(door.groupName(4_000_000_000), SELF);
  assert.deepEqual([door.userId(b('no such')), door.groupId(b('\xff'))], [ENOENT, ENOENT]);
});

check('a file system has room and syncs', ({ door, directory }) => {
  const found = door.fileSystem(directory);
  assert(typeof found !== 'number');
  assert.equal(found.length, 5);
  assert((found[1] ?? 0) >= (found[2] ?? 1));
  assert.equal(door.syncFileSystem(directory), 0);
});

check('workers use it at once, and end in the midst of it', async ({ addonPath, folder }) => {
  for (let index = 0; index < 300; index += 1) writeFileSync(join(folder, `f${index}`), '');
  const code = `
    const { workerData: { addonPath, folder }, parentPort } = require('node:worker_threads');
    const door = require(addonPath);
    parentPort.postMessage('loaded');
    for (let index = 0; ; index += 1) {
      const directory = door.open(-100, Buffer.from(folder), 0, 0, 0);
      if (door.scan(directory).rows.length !== 300 * 16) throw new Error('not all');
      door.getXattrs(directory, Buffer.from('f1'));
      door.close(directory);
    }`;
  const workers = Array.from(
    { length: 4 },
    () => new Worker(code, { eval: true, workerData: { addonPath, folder } }),
  );
  await Promise.all(
    workers.map(async (worker) => {
      await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
      await worker.terminate();
    }),
  );
});
