/** What is asked of the calls of native/fs that do something to many entries; part of the list in door.list.ts. */
import assert from 'node:assert/strict';
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { constants as osConstants } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import {
  AT_FDCWD,
  CHANGED_WHILE_READ,
  FRAME_BYTES,
  type FsDoor,
  NO_FILE,
  NO_FRAME,
  NOTHING_TO_READ,
  OTHER_THAN_SEEN,
  READ,
  RESOLVE_BENEATH,
  RESOLVE_NO_SYMLINKS,
  ROW_COLUMNS,
} from '../../../src/source/door.ts';
import {
  b,
  type Check,
  EBADF,
  EINVAL,
  ELOOP,
  ENOENT,
  ENOTDIR,
  S_IFIFO,
  SELF,
} from './door.check.ts';

const checks: Check[] = [];
const check = (name: string, run: Check['run']) => checks.push({ name, run });

export const MANY_CHECKS: readonly Check[] = checks;

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
    frames: [],
    frameOf: new Uint8Array(names.length).fill(NO_FRAME),
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
  const framed = (change: object) => ({
    frames: [{ bytes: new Uint8Array(FRAME_BYTES), prefix: '', records: '', ...change }],
    frameOf: Uint8Array.of(NO_FRAME, 0),
  });
  const sized = (size: number) => ({ stamps: sound.stamps.with(6, size) });
  assert.equal(read({}), 2048);
  assert.equal(read({}, resultsOf(2), slab.subarray(0, 2048)), 2048);
  const withFrame = { ...framed({}), headEnds: Uint32Array.of(512, 512) };
  assert.equal(read(withFrame), 1024 + FRAME_BYTES + 512);
  assert.equal(read(withFrame, resultsOf(2), slab.subarray(0, 1024 + FRAME_BYTES + 511)), EINVAL);
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
    { frameOf: undefined },
    { frameOf: Uint8Array.of(NO_FRAME) },
    { frameOf: Uint8Array.of(NO_FRAME, 0) },
    { frames: undefined },
    { frames: [{}] },
    framed({ bytes: new Uint8Array(FRAME_BYTES - 1) }),
    framed({ prefix: 'p'.repeat(512) }),
    framed({ records: 'r'.repeat(512) }),
    framed({ records: 1 }),
    { ...framed({}), sourceOf: Uint8Array.of(0, NOTHING_TO_READ) },
    ...[0.5, Number.NaN, Number.POSITIVE_INFINITY, -(2 ** 53)].map((seconds) => ({
      ...framed({}),
      stamps: sound.stamps.with(7, seconds),
    })),
    ...[-1, 1e9, 0.5, Number.NaN].map((nanoseconds) => ({
      ...framed({}),
      stamps: sound.stamps.with(10, nanoseconds),
    })),
  ]) {
    assert.equal(read(change), EINVAL, JSON.stringify(change));
  }
  for (const results of [resultsOf(1), resultsOf(3)]) assert.equal(read({}, results), EINVAL);
  assert.equal(read({}, resultsOf(2), slab.subarray(0, 2047)), EINVAL);
  assert.equal(read({}, { ...resultsOf(2), answers: new Int32Array(0) }), EINVAL);
  const nothing = batchOf(door, directory, [], []);
  assert.equal(door.readFiles(nothing, Buffer.alloc(0), resultsOf(0)), 0);
});

check('lines of a journal: all that fit each other and the room, else none', ({ door }) => {
  const sound = {
    forms: [{ kind: 'k\t', owner: 'o\t' }],
    formOf: new Uint8Array(2),
    numbers: Float64Array.from([5, -1, 5e8, 0, 1, 2, 3, 1, 1030, ...new Array(9).fill(0)]),
    hashes: Buffer.alloc(64, 0xa1),
    paths: '/a\0/\xff\0',
    copies: [
      { name: 'm:1:', startBlock: 7 },
      { name: 'n:2:', startBlock: 0 },
    ],
    blockBytes: 512,
  };
  const room = Buffer.alloc(4096, 0xff);
  const hash = 'a1'.repeat(32);
  const expected = [
    `k\t5\t-0.500000000\t0.000000001\to\t${hash}\tm:1:9+6/5@0,n:2:2+6/5@0\tinode=2,3,1\t/a\n`,
    `k\t0\t0.000000000\t0.000000000\to\t${hash}\tm:1:7+0/0@0,n:2:0+0/0@0\tinode=0,0,0\t/\xff\n`,
  ].join('');
  assert.equal(door.writeLines(sound, room), expected.length);
  assert.equal(room.toString('latin1', 0, expected.length), expected);
  assert(room.subarray(expected.length).every((byte) => byte === 0xff));
  for (const length of [0, 100, expected.length - 1])
    assert.equal(door.writeLines(sound, room.subarray(0, length)), -osConstants.errno.ENOBUFS);
  for (const change of [
    { forms: [] },
    { forms: [{ kind: 'k' }] },
    { formOf: Uint8Array.of(0, 1) },
    { formOf: Uint8Array.of(0) },
    { numbers: sound.numbers.subarray(1) },
    ...[0, 5, 8].map((at) => ({ numbers: sound.numbers.with(at, -1) })),
    ...[1, 2, 6, 7].map((at) => ({ numbers: sound.numbers.with(at, 0.5) })),
    ...[3, 4].map((at) => ({ numbers: sound.numbers.with(at, Number.NaN) })),
    { numbers: sound.numbers.with(4, 1e9) },
    { hashes: Buffer.alloc(63) },
    { paths: '/a\0' },
    { paths: '/a\0/b' },
    { paths: '/a\0/b\0/c\0' },
    { copies: [{ name: 'm' }] },
    { copies: undefined },
    { blockBytes: 0 },
  ])
    assert.equal(door.writeLines({ ...sound, ...change } as typeof sound, room), EINVAL);
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

check('a directory exchanged for a link all the time leads no file out', async (world) => {
  const { door, folder } = world;
  mkdirSync(join(folder, 'source/d'), { recursive: true });
  mkdirSync(join(folder, 'outside'));
  const inner = openSync(join(folder, 'source'), 'r');
  const outside = openSync(join(folder, 'outside'), 'r');
  const names = Array.from({ length: 50 }, (_, index) => `f${index}`);
  for (const name of names) {
    writeFileSync(join(folder, 'source/d', name), 'inside');
    writeFileSync(join(folder, 'outside', name), 'secret');
  }
  const code = `
    const { workerData, parentPort } = require('node:worker_threads');
    const { renameSync, symlinkSync, unlinkSync } = require('node:fs');
    const at = (name) => workerData + '/source/' + name;
    parentPort.postMessage('begun');
    for (;;) {
      renameSync(at('d'), at('real'));
      symlinkSync('../outside', at('d'));
      unlinkSync(at('d'));
      renameSync(at('real'), at('d'));
    }`;
  const heads = names.map(() => Buffer.alloc(0));
  // What is looked for is the secret itself: only the way there must keep it from being found.
  const secret = batchOf(door, outside, names, heads);
  const batch = {
    ...secret,
    sources: Int32Array.of(inner, constants.O_NOFOLLOW, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS),
    paths: names.map((name) => `d/${name}\0`).join(''),
  };
  const worker = new Worker(code, { eval: true, workerData: folder });
  await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  const seen = new Set<number>();
  const slab = Buffer.alloc(50 * 512);
  const isSeen = () => seen.has(OTHER_THAN_SEEN) && seen.has(ELOOP);
  for (let tries = 0; tries < 200 || (tries < 20_000 && !isSeen()); tries += 1) {
    const results = resultsOf(names.length);
    assert.equal(door.readFiles(batch, slab, results), 0);
    for (const answer of results.answers) seen.add(answer);
  }
  await worker.terminate();
  assert(isSeen(), [...seen].join());
  for (const answer of seen) assert([OTHER_THAN_SEEN, ENOENT, ELOOP, ENOTDIR].includes(answer));
  for (const one of [inner, outside]) closeSync(one);
});
