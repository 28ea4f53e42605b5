/**
 * What is asked of native/fs: each call once as meant, and with every wrong argument there is.
 *
 * A list without a test runner, so that it also runs under the sanitizers, where node alone is preloaded with them.
 */
import assert from 'node:assert/strict';
import {
  closeSync,
  constants,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import {
  AT_FDCWD,
  AT_REMOVEDIR,
  CHANGED_WHILE_READ,
  type FsDoor,
  loadFsDoor,
  NO_FILE,
  NOTHING_TO_READ,
  O_PATH,
  OTHER_THAN_SEEN,
  READ,
  RENAME_NOREPLACE,
  RESOLVE_BENEATH,
  RESOLVE_NO_SYMLINKS,
  ROW_COLUMNS,
} from '../../../src/source/door.ts';

export type World = {
  readonly addonPath: string;
  readonly door: FsDoor;
  readonly folder: string;
  /** An open descriptor of the folder. */
  readonly directory: number;
};

type Check = { readonly name: string; readonly run: (world: World) => void | Promise<void> };

const checks: Check[] = [];
const check = (name: string, run: Check['run']) => checks.push({ name, run });

export const CHECKS: readonly Check[] = checks;

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

const ENOENT = -2;
const EBADF = -9;
const EEXIST = -17;
const EXDEV = -18;
const EINVAL = -22;
const ELOOP = -40;
const EOPNOTSUPP = -95;
const SELF = Buffer.alloc(0);
const b = (text: string) => Buffer.from(text, 'latin1');
const S_IFIFO = 0o010000;

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

check(
  'extended attributes of many entries: how many each has, names and values in turn',
  (world) => {
    const { door, folder, directory } = world;
    for (const name of ['a', 'b', 'c']) writeFileSync(join(folder, name), '');
    symlinkSync('a', join(folder, 'link'));
    assert.equal(door.setXattr(directory, b('b'), b('user.x'), b('value')), 0);
    assert.equal(door.setXattr(directory, b('b'), b('user.y'), SELF), 0);
    assert.equal(door.setXattr(directory, b('c'), b('user.\xff'), b('\0')), 0);
    const reply = door.xattrsOf(directory, 'a\0b\0none\0link\0c\0');
    assert(typeof reply !== 'number');
    assert.deepEqual([...reply.answers], [0, 2, ENOENT, 0, 1]);
    const [first, second, third] = [
      ['user.x', 'value'],
      ['user.y', ''],
      ['user.\xff', '\0'],
    ];
    // The kernel's order of the two of one file is its own.
    const orders = [
      [first, second, third],
      [second, first, third],
    ].map((order) => order.flat().map((text = '') => b(text)));
    const isOne = orders.some(
      (order) =>
        reply.bytes.equals(Buffer.concat(order)) &&
        order.every(({ length }, index) => length === reply.lengths[index]),
    );
    assert(isOne, reply.bytes.toString('latin1'));
    assert.equal(reply.lengths.length, 6);
    for (const one of ['', 'a\0']) {
      const none = door.xattrsOf(directory, one);
      assert(typeof none !== 'number');
      assert.deepEqual([none.answers.length, none.lengths.length], [one.length / 2, 0]);
    }
    assert.equal(door.xattrsOf(directory, 'a'), EINVAL);
    assert.equal(door.xattrsOf(AT_FDCWD, 'a\0'), EINVAL);
  },
);

check('a long reply ends early, and goes on where it ended', ({ door, folder, directory }) => {
  const names = Array.from({ length: 2500 }, (_, index) => `${index}`);
  for (const name of names) {
    writeFileSync(join(folder, name), '');
    assert.equal(door.setXattr(directory, b(name), b('user.x'), Buffer.alloc(3000, name)), 0);
  }
  let calls = 0;
  for (let at = 0; at < names.length; calls += 1) {
    const reply = door.xattrsOf(
      directory,
      names
        .slice(at)
        .map((name) => `${name}\0`)
        .join(''),
    );
    assert(typeof reply !== 'number');
    assert(reply.answers.every((answer) => answer === 1));
    assert.equal(reply.bytes.length, reply.answers.length * 3006);
    assert(reply.bytes.length < 2 ** 23);
    assert(reply.bytes.subarray(6, 3006).equals(Buffer.alloc(3000, names[at])));
    at += reply.answers.length;
  }
  assert.equal(calls, 2);
});

check('targets of many links', ({ door, folder, directory }) => {
  const long = 'l'.repeat(4095);
  writeFileSync(join(folder, 'file'), '');
  for (const [name, target] of [
    ['a', '\xff\n'],
    ['b', long],
  ] as const) {
    assert.equal(door.makeSymlink(b(target), directory, b(name)), 0);
  }
  const reply = door.readLinks(directory, 'a\0none\0file\0b\0');
  assert(typeof reply !== 'number');
  assert.deepEqual([...reply.answers], [0, ENOENT, EINVAL, 0]);
  assert.equal(reply.targets, `\xff\n\0\0\0${long}\0`);
  assert.equal(door.readLinks(directory, 'a'), EINVAL);
});

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

/** Numbers of a batch's only source, and what stat says of its files, as `readFiles` takes them. */
function batchOf(door: FsDoor, root: number, names: readonly string[], heads: readonly Buffer[]) {
  const stamps = names.flatMap((name) => {
    const row = new Float64Array(ROW_COLUMNS);
    assert.equal(door.stat(root, b(name), row), 0);
    return [3, 5, 6, 7, 8, 10].map((column) => row[column] ?? 0);
  });
  let end = 0;
  return {
    sources: Int32Array.of(root, constants.O_NONBLOCK | constants.O_NOFOLLOW, RESOLVE_BENEATH),
    sourceOf: new Uint8Array(names.length),
    paths: names.map((name) => `${name}\0`).join(''),
    heads: Buffer.concat(heads),
    headEnds: Uint32Array.from(heads, ({ length }) => {
      end += length;
      return end;
    }),
    stamps: Float64Array.from(stamps),
  };
}

function resultsOf(count: number) {
  return {
    answers: new Int32Array(count).fill(99),
    offsets: new Uint32Array(count).fill(99),
    readBytes: new Uint32Array(count).fill(99),
  };
}

check('many files are read into memory that threads share, and not a byte beyond', (world) => {
  const { door, folder, directory } = world;
  mkdirSync(join(folder, 'd'));
  writeFileSync(join(folder, 'd/a'), 'hello');
  writeFileSync(join(folder, 'd/b'), Buffer.alloc(1024, 'b'));
  writeFileSync(join(folder, '\xe9'), '');
  const heads = [Buffer.alloc(512, 'h'), Buffer.alloc(0), Buffer.alloc(7, 'i')];
  const batch = batchOf(
    door,
    directory,
    ['d/a', 'd/b', Buffer.from('\xe9').toString('latin1')],
    heads,
  );
  const shared = new SharedArrayBuffer(4096);
  const slab = Buffer.from(shared, 100, 2560);
  const all = Buffer.from(shared).fill(0xff);
  const results = resultsOf(3);
  assert.equal(door.readFiles(batch, slab, results), 2560);
  assert.deepEqual([...results.answers], [READ, READ, READ]);
  assert.deepEqual([...results.offsets], [0, 1024, 2048]);
  assert.deepEqual([...results.readBytes], [5, 1024, 0]);
  const expected = Buffer.alloc(2560);
  expected.fill('h', 0, 512).write('hello', 512);
  expected.fill('b', 1024, 2048).fill('i', 2048, 2055);
  assert(slab.equals(expected));
  assert(all.subarray(0, 100).every((byte) => byte === 0xff));
  assert(all.subarray(2660).every((byte) => byte === 0xff));
  assert.equal(door.readFiles(batch, slab.subarray(1), resultsOf(3)), EINVAL);
  assert(all.subarray(0, 100).every((byte) => byte === 0xff));
});

check('files that are not as seen, not there or no files take no room', (world) => {
  const { door, folder, directory } = world;
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  for (const name of names) writeFileSync(join(folder, name), name.repeat(600));
  const batch = batchOf(
    door,
    directory,
    names,
    names.map(() => Buffer.alloc(512, 'h')),
  );
  writeFileSync(join(folder, 'a'), 'other');
  for (const name of ['b', 'c', 'd']) unlinkSync(join(folder, name));
  assert.equal(door.makeNode(directory, b('c'), S_IFIFO | 0o600, 0, 0), 0);
  symlinkSync('e', join(folder, 'd'));
  const results = resultsOf(6);
  assert.equal(door.readFiles(batch, Buffer.alloc(6 * 1536), results), 3 * 1024);
  const { answers, offsets, readBytes } = results;
  assert.deepEqual([...answers], [OTHER_THAN_SEEN, ENOENT, NO_FILE, ELOOP, READ, READ]);
  assert.deepEqual([...offsets], [0, 0, 0, 0, 0, 1536]);
  assert.deepEqual([...readBytes], [0, 0, 0, 0, 600, 600]);
});

check('a batch whose columns do not fit each other is refused', ({ door, folder, directory }) => {
  for (const name of ['a', 'b']) writeFileSync(join(folder, name), name);
  const sound = batchOf(door, directory, ['a', 'b'], [Buffer.alloc(512), Buffer.alloc(512)]);
  const slab = Buffer.alloc(4096);
  const read = (change: object, results = resultsOf(2), into = slab) =>
    door.readFiles({ ...sound, ...change }, into, results);
  const sized = (size: number) => ({ stamps: sound.stamps.with(6, size) });
  assert.equal(read({}), 2048);
  assert.equal(read({}, resultsOf(2), slab.subarray(0, 2048)), 2048);
  for (const change of [
    { sources: new Int32Array(0) },
    { sources: new Int32Array(4) },
    { sourceOf: Uint8Array.of(0, 1) },
    { sourceOf: Uint8Array.of(0) },
    { sourceOf: [0, 0] },
    { paths: 'a\0' },
    { paths: 'a\0b' },
    { paths: 'a\0b\0c\0' },
    { paths: b('a\0b\0') },
    { headEnds: Uint32Array.of(512, 511) },
    { headEnds: Uint32Array.of(512, 1025) },
    { stamps: new Float64Array(11) },
    { stamps: new Float32Array(12) },
    sized(-1),
    sized(0.5),
    sized(Number.NaN),
    sized(Number.POSITIVE_INFINITY),
    sized(2 ** 53),
    sized(4096),
    { heads: undefined },
  ]) {
    assert.equal(read(change), EINVAL, JSON.stringify(change));
  }
  for (const results of [resultsOf(1), resultsOf(3)]) assert.equal(read({}, results), EINVAL);
  assert.equal(read({}, resultsOf(2), slab.subarray(0, 2047)), EINVAL);
  assert.equal(read({}, { ...resultsOf(2), answers: new Int32Array(0) }), EINVAL);
  const nothing = batchOf(door, directory, [], []);
  assert.equal(door.readFiles(nothing, Buffer.alloc(0), resultsOf(0)), 0);
});

check('a source that is not open is its files’ errno; others are read', (world) => {
  const { door, folder, directory } = world;
  for (const name of ['a', 'b', 'c', 'd']) writeFileSync(join(folder, name), name);
  const heads = Array.from({ length: 4 }, () => Buffer.alloc(0));
  const batch = batchOf(door, directory, ['a', 'b', 'c', 'd'], heads);
  const sources = Int32Array.of(...batch.sources, -13, 0, 0, 1_000_000, 0, 0);
  const sourceOf = Uint8Array.of(0, 1, 2, NOTHING_TO_READ);
  const results = resultsOf(4);
  assert.equal(door.readFiles({ ...batch, sources, sourceOf }, Buffer.alloc(4096), results), 512);
  assert.deepEqual([...results.answers], [READ, -13, EBADF, READ]);
  assert.deepEqual([...results.readBytes], [1, 0, 0, 0]);
});

check('a file shorter than it seemed is filled up with zeros', ({ door }) => {
  // Of 4096 bytes by stat, whatever they hold: one line of text.
  const sys = openSync('/sys/kernel', 'r');
  const batch = batchOf(door, sys, ['fscaps'], [Buffer.alloc(512, 'h')]);
  const results = resultsOf(1);
  const slab = Buffer.alloc(8192, 0xff);
  assert.equal(door.readFiles(batch, slab, results), 512 + 4096);
  assert.deepEqual([...results.answers], [CHANGED_WHILE_READ]);
  const [readBytes = 0] = results.readBytes;
  const text = readFileSync('/sys/kernel/fscaps');
  assert.equal(readBytes, text.length);
  const expected = Buffer.concat([Buffer.alloc(512, 'h'), text, Buffer.alloc(4096 - text.length)]);
  assert(slab.subarray(0, 4608).equals(expected));
  closeSync(sys);
});

check('a file that changes while it is read is told from one that does not', async (world) => {
  const { door, folder, directory } = world;
  const path = join(folder, 'a');
  writeFileSync(path, Buffer.alloc(2 ** 20, 'a'));
  const code = `
    const { workerData, parentPort } = require('node:worker_threads');
    const { openSync, futimesSync } = require('node:fs');
    const file = openSync(workerData, 'r+');
    parentPort.postMessage('begun');
    for (let index = 0; ; index += 1) {
      futimesSync(file, index, index);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }`;
  const worker = new Worker(code, { eval: true, workerData: path });
  await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  const seen = new Set<number | undefined>();
  const isSeen = () => seen.has(READ) && seen.has(CHANGED_WHILE_READ);
  const slab = Buffer.from(new SharedArrayBuffer(2 ** 20));
  // A read takes a tenth of the time between two changes.
  for (let tries = 0; tries < 20_000 && !isSeen(); tries += 1) {
    const results = resultsOf(1);
    const batch = batchOf(door, directory, ['a'], [Buffer.alloc(0)]);
    door.readFiles(batch, slab, results);
    seen.add(results.answers[0]);
  }
  await worker.terminate();
  assert(isSeen(), [...seen].join());
});

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
