import { appendFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { blake3 } from '@napi-rs/blake-hash';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../../../src/base/clock.ts';
import { rawOf } from '../../../../src/base/raw.ts';
import { type RunTask, SLAB_BYTES, type Stamp } from '../../../../src/job/backup/fragment.ts';
import { Reader } from '../../../../src/job/backup/reader.ts';
import { SourceTree } from '../../../../src/source/tree.ts';
import { scratchDirectory } from '../../../sim/scratch.ts';
import { packMembers } from './pack-members.ts';

const HEAD = Buffer.alloc(512, 'h');

async function make(bytes: Buffer | string) {
  const source = await scratchDirectory();
  const path = join(source, 'file');
  writeFileSync(path, bytes);
  const reader = new Reader();
  onTestFinished(() => reader.close());
  const place = { source: rawOf(source), followsLinks: false, path: rawOf('file') };
  const slab = Buffer.alloc(SLAB_BYTES, 0xff);
  return { reader, place, slab, path, stamp: stampOf(source) };
}

function stampOf(source: string): Stamp {
  const tree = SourceTree.open(rawOf(source));
  const file = tree.openFile(rawOf('file'));
  const { sizeBytes, mtime, ctime, inode } = file.entry;
  tree.closeFile(file);
  tree.close();
  return { sizeBytes, mtime, ctime, inode };
}

test('a small file: head, bytes, zeros to the next 512, and the hash b3sum prints', async () => {
  const { reader, place, slab, stamp } = await make('hello');
  const task = { kind: 'small', packed: packMembers([{ place, head: HEAD, stamp }]) } as const;
  const { lengthBytes, members } = reader.fill(task, slab);
  expect(lengthBytes).toBe(1024);
  const expected = Buffer.concat([HEAD, Buffer.from('hello'), Buffer.alloc(507)]);
  expect(slab.subarray(0, 1024).equals(expected)).toBe(true);
  expect(members[0]).toMatchObject({ outcome: 'stored', offset: 0, readBytes: 5 });
  expect(Buffer.from(members[0]?.hash ?? []).equals(blake3(Buffer.from('hello')))).toBe(true);
});

test('a file changed since the scan is left out, and so is one that is gone', async () => {
  const { reader, place, slab, stamp, path } = await make('hello');
  const task = { kind: 'small', packed: packMembers([{ place, head: HEAD, stamp }]) } as const;
  appendFileSync(path, 'x');
  expect(reader.fill(task, slab)).toMatchObject({
    lengthBytes: 0,
    members: [{ outcome: 'changed-before' }],
  });
  rmSync(path);
  expect(reader.fill(task, slab)).toMatchObject({ members: [{ outcome: 'changed-before' }] });
});

test('a file just written is read when the clock that stamps files has ticked', async () => {
  const { reader, place, slab, stamp, path } = await make('hello');
  const { members } = reader.fill(
    { kind: 'small', packed: packMembers([{ place, head: HEAD, stamp }]) },
    slab,
  );
  expect(members[0]?.outcome).toBe('stored');
  expect(systemClock.nowMs() - statSync(path).ctimeMs).toBeGreaterThanOrEqual(19);
});

test('runs of a large file with a hole are hashed as a whole; a reader elsewhere begins anew', async () => {
  const bytes = Buffer.concat([
    Buffer.alloc(3000, 'a'),
    Buffer.alloc(5000),
    Buffer.alloc(2000, 'b'),
  ]);
  const { reader, place, slab, stamp } = await make(bytes);
  const run = (task: Partial<RunTask>) => reader.fill(runTask({ place, stamp, ...task }), slab);
  const first = {
    isFirst: true,
    head: HEAD,
    ranges: [{ offset: 0, lengthBytes: 3000 }],
    hashTo: 3000,
  };
  const last = {
    ranges: [{ offset: 8000, lengthBytes: 2000 }],
    hashFrom: 3000,
    hashTo: 10_000,
    paddingBytes: 120,
    isLast: true,
  };
  expect(run(first)).toMatchObject({ lengthBytes: 3512, members: [{ outcome: 'stored' }] });
  for (const again of [false, true]) {
    const { lengthBytes, members } = run(last);
    expect(lengthBytes).toBe(2120);
    expect(members[0]).toMatchObject({ outcome: 'stored', readBytes: again ? 5000 : 2000 });
    expect(Buffer.from(members[0]?.hash ?? []).equals(blake3(bytes))).toBe(true);
  }
});

test('a part goes on only behind the bytes that were stored before', async () => {
  const bytes = Buffer.concat([Buffer.alloc(3000, 'a'), Buffer.alloc(2000, 'b')]);
  const { place, slab, stamp } = await make(bytes);
  const part = (task: Partial<RunTask>) => {
    const reader = new Reader();
    onTestFinished(() => reader.close());
    return reader.fill(runTask({ place, stamp, isFirst: true, isMemberEnd: true, ...task }), slab);
  };
  const first = part({ ranges: [{ offset: 0, lengthBytes: 3000 }], hashTo: 3000 });
  const hash = Buffer.from(first.members[0]?.hash ?? []);
  expect(hash.equals(blake3(bytes.subarray(0, 3000)))).toBe(true);
  const ranges = [{ offset: 3000, lengthBytes: 2000 }];
  const rest = { ranges, hashFrom: 3000, hashTo: 5000, isLast: true } as const;
  expect(part({ ...rest, hashBefore: hash }).members).toMatchObject([{ outcome: 'stored' }]);
  expect(part({ ...rest, hashBefore: blake3(Buffer.from('else')) })).toMatchObject({
    lengthBytes: 0,
    members: [{ outcome: 'changed-before', readBytes: 0 }],
  });
});

function runTask(task: Pick<RunTask, 'place' | 'stamp'> & Partial<RunTask>): RunTask {
  return {
    kind: 'run',
    member: 1,
    isFirst: false,
    head: Buffer.alloc(0),
    ranges: [],
    hashFrom: 0,
    hashTo: 0,
    paddingBytes: 0,
    hashBefore: undefined,
    isMemberEnd: false,
    isLast: false,
    ...task,
  };
}
