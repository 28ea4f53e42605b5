import { expect, test } from 'vitest';
import { rawOf } from '../../../../src/base/raw.ts';
import type { PackedResult } from '../../../../src/job/backup/fragment.ts';
import { unpackResult } from '../../../../src/job/backup/fragment-codec.ts';
import { NOTHING_TO_READ } from '../../../../src/source/door.ts';
import { packMembers } from './pack-members.ts';

const place = (path: string, source = '/home') => ({
  source: rawOf(source),
  followsLinks: source !== '/home',
  path: rawOf(path),
});
const stamp = (sizeBytes: number) => ({
  sizeBytes,
  mtime: { seconds: -5, nanoseconds: 999_999_999 },
  ctime: { seconds: 2 ** 33, nanoseconds: 1 },
  inode: Number.MAX_SAFE_INTEGER,
});
const numbers = (sizeBytes: number) => [
  sizeBytes,
  -5,
  999_999_999,
  2 ** 33,
  1,
  Number.MAX_SAFE_INTEGER,
];
const NO_STAMP = Array(6).fill(0);

test('a task travels in columns: with and without bytes to read, of several sources, names of any bytes', () => {
  const packed = packMembers([
    { place: place('a'), head: Buffer.from('head 1'), stamp: stamp(0) },
    { place: undefined, head: Buffer.from('directory'), stamp: undefined },
    { place: place('x/ü\n', '/srv'), head: Buffer.alloc(0), stamp: stamp(2 ** 20) },
    { place: undefined, head: Buffer.alloc(0), stamp: undefined },
    { place: place('b'), head: Buffer.from('h'), stamp: stamp(1) },
  ]);
  expect(packed.sources).toEqual([
    { source: '/home', followsLinks: false },
    { source: '/srv', followsLinks: true },
  ]);
  expect([...packed.sourceOf]).toEqual([0, NOTHING_TO_READ, 1, NOTHING_TO_READ, 0]);
  expect(packed.paths).toBe(`a\0\0${rawOf('x/ü\n')}\0\0b\0`);
  expect(Buffer.from(packed.heads).toString()).toBe('head 1directoryh');
  expect([...packed.headEnds]).toEqual([6, 15, 15, 15, 16]);
  expect([...packed.stamps]).toEqual([
    ...numbers(0),
    ...NO_STAMP,
    ...numbers(2 ** 20),
    ...NO_STAMP,
    ...numbers(1),
  ]);
  expect(packMembers([]).paths).toBe('');
});

test('a result comes out of its columns', () => {
  const hashes = new Uint8Array(5 * 32);
  hashes.fill(7, 0, 32);
  hashes.fill(9, 96, 128);
  const packed: PackedResult = {
    lengthBytes: 4_000_000,
    outcomes: Uint8Array.of(0, 1, 3, 2, 0),
    offsets: Uint32Array.of(0, 1024, 1024, 1024, 3_999_999),
    readBytes: Uint32Array.of(3, 0, 0, 2 ** 20, 0),
    hasHash: Uint8Array.of(1, 0, 0, 1, 0),
    hashes,
    errnos: [[2, 'EIO']],
  };
  const none = { hash: undefined, segments: undefined, errno: undefined };
  expect(unpackResult(packed)).toMatchObject({
    lengthBytes: 4_000_000,
    members: [
      { ...none, outcome: 'stored', offset: 0, hash: Buffer.alloc(32, 7), readBytes: 3 },
      { ...none, outcome: 'changed-before', offset: 1024, readBytes: 0 },
      { ...none, outcome: 'unreadable', offset: 1024, readBytes: 0, errno: 'EIO' },
      {
        ...none,
        outcome: 'changed-while-read',
        offset: 1024,
        hash: Buffer.alloc(32, 9),
        readBytes: 2 ** 20,
      },
      { ...none, outcome: 'stored', offset: 3_999_999, readBytes: 0 },
    ],
  });
});
