import { expect, test } from 'vitest';
import { rawOf } from '../../../../src/base/raw.ts';
import type { FragmentResult, SmallTask } from '../../../../src/job/backup/fragment.ts';
import {
  packResult,
  packTask,
  unpackResult,
  unpackTask,
} from '../../../../src/job/backup/fragment-codec.ts';

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

test('a task travels whole: with and without bytes to read, of several sources, names of any bytes', () => {
  const task: SmallTask = {
    kind: 'small',
    members: [
      { place: place('a'), head: Buffer.from('head 1'), stamp: stamp(0) },
      { place: undefined, head: Buffer.from('directory'), stamp: undefined },
      { place: place('x/ü\n', '/srv'), head: Buffer.alloc(0), stamp: stamp(2 ** 20) },
      { place: undefined, head: Buffer.alloc(0), stamp: undefined },
      { place: place('b'), head: Buffer.from('h'), stamp: stamp(1) },
    ],
  };
  const members = task.members.map((member) => ({ ...member, head: new Uint8Array(member.head) }));
  expect(unpackTask(packTask(task))).toEqual({ kind: 'small', members });
  expect(unpackTask(packTask({ kind: 'small', members: [] }))).toEqual({
    kind: 'small',
    members: [],
  });
});

test('a result travels whole', () => {
  const none = { hash: undefined, segments: undefined, errno: undefined };
  const result: FragmentResult = {
    lengthBytes: 4_000_000,
    members: [
      { ...none, outcome: 'stored', offset: 0, hash: new Uint8Array(32).fill(7), readBytes: 3 },
      { ...none, outcome: 'changed-before', offset: 1024, readBytes: 0 },
      { ...none, outcome: 'unreadable', offset: 1024, readBytes: 0, errno: 'EIO' },
      {
        ...none,
        outcome: 'changed-while-read',
        offset: 1024,
        hash: new Uint8Array(32).fill(9),
        readBytes: 2 ** 20,
      },
      { ...none, outcome: 'stored', offset: 3_999_999, readBytes: 0 },
    ],
  };
  expect(unpackResult(packResult(result))).toEqual(result);
});
