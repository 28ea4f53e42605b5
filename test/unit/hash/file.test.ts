import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { blake3 } from '@napi-rs/blake-hash';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { type Raw, rawBytes, rawOf } from '../../../src/base/raw.ts';
import { type ExpectedFile, FileHasher, type HashRequest } from '../../../src/hash/file.ts';
import { scratchDirectory } from '../../sim/scratch.ts';

const hasher = new FileHasher();

/** @param meddle what others do to the file once 64 MiB of it have been read */
function hash(request: HashRequest, meddle: () => void = () => undefined) {
  const steps = hasher.hash(request);
  let step = steps.next();
  if (!step.done) meddle();
  while (!step.done) step = steps.next();
  return step.value;
}

function seen(path: string | Buffer): ExpectedFile {
  const { size, ino, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
  const moment = (ns: bigint) => ({
    seconds: Number(ns / 1_000_000_000n),
    nanoseconds: Number(ns % 1_000_000_000n),
  });
  return {
    sizeBytes: Number(size),
    inode: Number(ino),
    mtime: moment(mtimeNs),
    ctime: moment(ctimeNs),
  };
}

async function makeFile(bytes: Buffer | string) {
  const path = join(await scratchDirectory(), 'file');
  writeFileSync(path, bytes);
  return { path, raw: rawOf(path) };
}

test.each([
  ['empty', 0],
  ['one byte', 1],
  ['a buffer', 2 ** 20],
  ['a buffer and a byte', 2 ** 20 + 1],
])('%s', async (_name, lengthBytes) => {
  const bytes = Buffer.alloc(lengthBytes, 0x5a);
  const { path, raw } = await makeFile(bytes);
  expect(hash({ path: raw, expected: seen(path) })).toEqual({
    hash: blake3(bytes),
    sizeBytes: lengthBytes,
    segments: undefined,
    changed: false,
  });
});

test('a name that is not UTF-8', async () => {
  const path = `${await scratchDirectory()}/\xff\xfe\n` as Raw;
  writeFileSync(rawBytes(path), 'x');
  expect(hash({ path })).toMatchObject({ hash: blake3('x'), changed: false });
});

test('times of any year compare exactly', async () => {
  const { path, raw } = await makeFile('x');
  for (const seconds of [-1.5, 0, 1.123456789, 1_700_000_000.987654, 4_000_000_000.001]) {
    utimesSync(path, seconds, seconds);
    expect(hash({ path: raw, expected: seen(path) })).toMatchObject({ changed: false });
  }
});

test('is read when the clock that stamps files has ticked, so that a change behind it has another time', async () => {
  const { path, raw } = await makeFile('before');
  const expected = seen(path);
  expect(hash({ path: raw, expected })).toMatchObject({ hash: blake3('before'), changed: false });
  expect(systemClock.nowMs() - statSync(path).ctimeMs).toBeGreaterThanOrEqual(19);
  writeFileSync(path, 'behind');
  expect(seen(path)).toMatchObject({ sizeBytes: expected.sizeBytes, inode: expected.inode });
  expect(hash({ path: raw, expected })).toMatchObject({ hash: blake3('behind'), changed: true });
});

test('what is no file, or not there, is a result, and nothing waits for it', async () => {
  const directory = await scratchDirectory();
  const at = (name: string) => rawOf(join(directory, name));
  mkdirSync(join(directory, 'directory'));
  symlinkSync('/etc/hostname', join(directory, 'symlink'));
  execFileSync('mkfifo', [join(directory, 'fifo')]);
  const server = createServer().listen(join(directory, 'socket'));
  onTestFinished(() => void server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  expect(hash({ path: at('nothing') })).toEqual({ errno: 'ENOENT' });
  expect(hash({ path: at('directory') })).toEqual({ errno: 'EISDIR' });
  expect(hash({ path: at('symlink') })).toEqual({ errno: 'ELOOP' });
  expect(hash({ path: at('fifo') })).toEqual({ errno: 'ENXIO' });
  expect(hash({ path: at('socket') })).toEqual({ errno: 'ENXIO' });
  expect(hash({ path: rawOf('/dev/zero') })).toEqual({ errno: 'ENXIO' });
});

test('files are closed again, whatever they were', async () => {
  const { raw } = await makeFile('x');
  const next = () => openSync('/dev/null', 'r');
  const before = next();
  for (const path of [raw, rawOf('/'), rawOf('/dev/zero'), rawOf('/nothing')]) hash({ path });
  const steps = hasher.hash({ path: raw });
  steps.return({ errno: 'EINTR' });
  expect(next()).toBe(before + 1);
});

test('a name with NUL is a bug of ours', () =>
  expect(() => hash({ path: '/tmp/a\0b' as Raw })).toThrow('null bytes'));

test('a file that is not the one the scan saw is read as it is now, and marked', async () => {
  const { path, raw } = await makeFile('before');
  const expected = seen(path);
  writeFileSync(path, 'behind');
  utimesSync(path, 5, 5);
  const ranges = [{ offset: 0, lengthBytes: 1 }];
  expect(hash({ path: raw, expected, ranges })).toMatchObject({
    hash: blake3('behind'),
    changed: true,
  });
  const other = `${path}.other`;
  writeFileSync(other, 'before');
  const now = seen(path);
  renameSync(other, path);
  utimesSync(path, 5, 5);
  expect(hash({ path: raw, expected: now })).toMatchObject({ changed: true });
});

test.each<[string, (as: ExpectedFile) => Partial<ExpectedFile>]>([
  ['size', ({ sizeBytes }) => ({ sizeBytes: sizeBytes + 1 })],
  ['inode', ({ inode }) => ({ inode: inode + 1 })],
  ['mtime', ({ mtime }) => ({ mtime: { ...mtime, seconds: mtime.seconds - 1 } })],
  ['ctime', ({ ctime }) => ({ ctime: { ...ctime, seconds: ctime.seconds - 1 } })],
])('another %s than the scan saw', async (_name, other) => {
  const { path, raw } = await makeFile('x');
  const expected = seen(path);
  expect(hash({ path: raw, expected })).toMatchObject({ changed: false });
  expect(hash({ path: raw, expected: { ...expected, ...other(expected) } })).toMatchObject({
    hash: blake3('x'),
    changed: true,
  });
});

test('a file that gives fewer bytes than it has is not taken for read', () => {
  // As sysfs does: 4096 by stat, a line by read.
  const path = '/sys/devices/system/cpu/online';
  const result = hash({ path: rawOf(path), expected: seen(path) });
  expect(result).toMatchObject({ changed: true, hash: blake3(readFileSync(path)) });
});

test('times put back do not hide that it was written to', async () => {
  const { path, raw } = await makeFile('before');
  utimesSync(path, 5, 5);
  const expected = seen(path);
  await new Promise((resolve) => setTimeout(resolve, 20));
  writeFileSync(path, 'behind');
  utimesSync(path, 5, 5);
  expect(hash({ path: raw, expected })).toMatchObject({ changed: true });
});

const LARGE_BYTES = 130 * 2 ** 20;

test.each<[string, (path: string) => void, object]>([
  ['grows', (path) => appendFileSync(path, 'more'), { changed: true, sizeBytes: LARGE_BYTES }],
  [
    'shrinks',
    (path) => truncateSync(path, LARGE_BYTES - 10),
    { changed: true, sizeBytes: LARGE_BYTES - 10 },
  ],
  [
    'is written to',
    (path) => writeSync(openSync(path, 'r+'), 'x', 0),
    { changed: true, sizeBytes: LARGE_BYTES },
  ],
  ['vanishes', (path) => unlinkSync(path), { changed: true, sizeBytes: LARGE_BYTES }],
  ['is left alone', () => undefined, { changed: false, sizeBytes: LARGE_BYTES }],
])('a file that %s while it is read', async (_name, meddle, expected) => {
  const { path, raw } = await makeFile(Buffer.alloc(LARGE_BYTES, 1));
  const result = hash({ path: raw, expected: seen(path) }, () => meddle(path));
  expect(result).toMatchObject(expected);
});

async function makeSparse(sizeBytes: number, ranges: [offset: number, text: string][]) {
  const { path, raw } = await makeFile('');
  const fd = openSync(path, 'r+');
  ftruncateSync(fd, sizeBytes);
  for (const [offset, text] of ranges) writeSync(fd, text, offset);
  const expected = seen(path);
  return {
    path,
    request: {
      path: raw,
      expected,
      ranges: ranges.map(([offset, text]) => ({ offset, lengthBytes: text.length })),
    },
  };
}

test.each<[string, number, [number, string][]]>([
  ['only a hole', 5_000_000, []],
  ['data at the start', 5_000_000, [[0, 'data']]],
  ['data at the end', 4_000_004, [[4_000_000, 'data']]],
  ['data in the middle of many segments', 300_000_000, [[150_000_001, 'data']]],
  ['data across a segment', 200_000_000, [[64 * 2 ** 20 - 2, 'data']]],
])('holes: %s', async (_name, sizeBytes, ranges) => {
  const { request } = await makeSparse(sizeBytes, ranges);
  const { path, expected } = request;
  const plain = hash({ path, expected });
  expect(hash(request)).toEqual(plain);
  expect(plain).toMatchObject({ changed: false, sizeBytes });
});

test('a sparse file cut short while it is read: what was read, marked', async () => {
  const { path, request } = await makeSparse(200_000_000, [
    [0, 'first'],
    [150_000_000, 'second'],
  ]);
  expect(hash(request, () => truncateSync(path, 100))).toMatchObject({ changed: true });
});

test('ranges that overlap are a bug of ours', async () => {
  const { request } = await makeSparse(1000, [
    [0, 'first'],
    [2, 'second'],
  ]);
  expect(() => hash(request)).toThrow('ranges ascend');
});

test('a sample is of the start and the end alone', async () => {
  const path = join(await scratchDirectory(), 'sampled');
  const bytes = Buffer.alloc(1000, 'abcdefg');
  writeFileSync(path, bytes);
  const sampleOf = (sampleBytes: number) => hash({ path: rawOf(path), sampleBytes });
  const ends = Buffer.concat([bytes.subarray(0, 100), bytes.subarray(900)]);
  expect(sampleOf(100)).toEqual({
    hash: blake3(ends),
    sizeBytes: 1000,
    segments: undefined,
    changed: false,
  });
  // Where the samples would meet, it is the whole.
  expect(sampleOf(500)).toMatchObject({ hash: blake3(bytes) });
});
