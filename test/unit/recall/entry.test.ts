import { closeSync, fstatSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { SEGMENT_BYTES } from '../../../src/domain/content.ts';
import { Entry } from '../../../src/recall/entry.ts';
import { scratchDirectory } from '../../sim/scratch.ts';

const SIZE = 2 * SEGMENT_BYTES + 5;
const reader = { pid: 1, name: 'cp' };
const first = { offset: 0, lengthBytes: 10 };
const across = { offset: SEGMENT_BYTES - 1, lengthBytes: 2 };
const last = { offset: 2 * SEGMENT_BYTES, lengthBytes: 100 };

async function world() {
  const directory = await scratchDirectory();
  const open = (name: string) => {
    const path = join(directory, name);
    writeFileSync(path, '', { flag: 'a' });
    return openSync(path, 'r');
  };
  const content = {
    contentId: 1,
    hash: Buffer.alloc(32),
    sizeBytes: SIZE,
    segments: Buffer.alloc(96),
    ranges: undefined,
  };
  return { entry: new Entry(content), open };
}

const isOpen = (descriptor: number) => {
  try {
    return fstatSync(descriptor).isFile();
  } catch {
    return false;
  }
};

test('readers are woken when all parts of their range are proven, listeners when all are', async () => {
  const { entry, open } = await world();
  const woken: string[] = [];
  const signal = new AbortController().signal;
  entry.onStaged(() => woken.push('staged'));
  const wait = async (name: string, range: typeof first) => {
    await entry.wait(range, { reader, signal, onLeft: () => {} });
    woken.push(name);
  };
  const waits = [wait('first', first), wait('across', across), wait('last', last)];
  entry.adopt(open('a'), Buffer.from([0b001]));
  await waits[0];
  expect([woken, entry.file]).toEqual([['first'], undefined]);
  entry.adopt(open('a'), Buffer.from([0b011]));
  await waits[1];
  expect([entry.readable(across) !== undefined, entry.readable(last)]).toEqual([true, undefined]);
  entry.adopt(open('a'), undefined);
  await waits[2];
  expect(woken.toSorted()).toEqual(['across', 'first', 'last', 'staged']);
  expect(entry.readable(last)).toBe(entry.file);
  entry.close();
});

test('what is proven of one file is not of another; what was handed out stays open', async () => {
  const { entry, open } = await world();
  const old = open('a');
  entry.adopt(old, Buffer.from([0b111]));
  expect(entry.readable(last)).toBe(old);
  const other = open('b');
  entry.adopt(other, Buffer.from([0b001]));
  expect([entry.readable(first), entry.readable(last)]).toEqual([other, undefined]);
  expect([isOpen(old), isOpen(other)]).toEqual([true, true]);
  entry.close();
  expect([isOpen(old), isOpen(other)]).toEqual([false, false]);
});

test('who comes too late with a descriptor has it closed', async () => {
  const { entry, open } = await world();
  entry.adopt(open('a'), undefined);
  const second = open('a');
  entry.adopt(second, undefined);
  expect(isOpen(second)).toBe(false);
  entry.close();
  const third = open('a');
  entry.adopt(third, undefined);
  expect([isOpen(third), entry.file]).toEqual([false, undefined]);
  const fourth = open('a');
  closeSync(fourth);
});

test("who leaves is told to the others' keeper, and fails alone", async () => {
  const { entry } = await world();
  const stop = new AbortController();
  const left: boolean[] = [];
  const onLeft = () => left.push(entry.isWaitedFor);
  const leaving = entry.wait(first, { reader, signal: stop.signal, onLeft });
  const staying = entry.wait(first, {
    reader: { pid: 2, name: 'cp' },
    signal: new AbortController().signal,
    onLeft,
  });
  expect(entry.readers.map(({ pid }) => pid)).toEqual([1, 2]);
  stop.abort(new Error('killed'));
  await expect(leaving).rejects.toThrow('killed');
  expect([left, entry.readers.map(({ pid }) => pid)]).toEqual([[true], [2]]);
  entry.fail(new Error('lost'));
  await expect(staying).rejects.toThrow('lost');
  expect(entry.isWaitedFor).toBe(false);
});
