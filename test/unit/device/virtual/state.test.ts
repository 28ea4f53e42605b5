import { readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SimClock } from '../../../../src/base/clock.ts';
import { CodedError } from '../../../../src/base/errors.ts';
import {
  driveElement,
  emptyStatistics,
  type LibraryRecord,
  LibraryState,
} from '../../../../src/device/virtual/state.ts';
import { memoryLocks } from '../../../sim/locks.ts';
import { scratchDirectory } from '../../../sim/scratch.ts';

const RECORD: LibraryRecord = {
  revision: 1,
  serial: 'SV1',
  generation: 'LTO-9',
  elements: [
    { type: 'picker', address: 1 },
    { type: 'drive', address: 256 },
    { type: 'slot', address: 1024, cartridge: 'A', barcode: 'A' },
    { type: 'drive', address: 257 },
  ],
  drives: [0, 1].map((index) => ({
    serial: `SV1D${index}`,
    unloaded: false,
    prevented: false,
    statistics: emptyStatistics(),
  })),
  moves: 0,
  moveSeconds: 0,
};

async function make(lockFile = memoryLocks()) {
  const directory = await scratchDirectory();
  await LibraryState.create(directory, RECORD);
  const clock = new SimClock();
  const open = () => new LibraryState(directory, lockFile, clock);
  return { directory, path: join(directory, 'library.json'), clock, open };
}

test('what was made is read', async () => {
  const { open } = await make();
  expect(await open().read()).toEqual(RECORD);
});

test('a change is there for both who share it', async () => {
  const { open } = await make();
  const [a, b] = [open(), open()];
  await b.read();
  expect(await a.update((record) => (record.moves += 1))).toBe(1);
  expect((await b.read()).moves).toBe(1);
  expect((await a.read()).moves).toBe(1);
});

test('nothing is changed when the change throws, and the lock is free again', async () => {
  const { open, path } = await make();
  const before = await readFile(path, 'utf8');
  const state = open();
  const change = state.update((record) => {
    record.moves = 99;
    throw new Error('no');
  });
  await expect(change).rejects.toThrow('no');
  expect(await readFile(path, 'utf8')).toBe(before);
  expect((await state.read()).moves).toBe(0);
  await state.update((record) => (record.moves += 1));
});

test('changes of two at once are none of them lost, and no two happen at the same time', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(1), fc.nat(3)), { minLength: 1, maxLength: 12 }),
      async (changes) => {
        const { open } = await make();
        const states = [open(), open()];
        let inside = 0;
        await Promise.all(
          changes.map(([which, turns]) =>
            states[which]?.update(async (record) => {
              expect(inside).toBe(0);
              inside += 1;
              for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
              record.moves += 1;
              inside -= 1;
            }),
          ),
        );
        expect((await open().read()).moves).toBe(changes.length);
      },
    ),
    { numRuns: 40 },
  ));

test('a change that leaves inode, size and time as they were is not overwritten', async () => {
  const { open, path } = await make();
  const state = open();
  await utimes(path, 1000, 1000);
  await state.read();
  // what another process does within one tick of the disk's clock, its new file on the old inode
  const text = await readFile(path, 'utf8');
  await writeFile(path, text.replace('"moves": 0', '"moves": 7'));
  await utimes(path, 1000, 1000);
  await state.update((record) => (record.moveSeconds += 1));
  expect(await open().read()).toMatchObject({ moves: 7, moveSeconds: 1 });
});

describe('trouble', () => {
  test('no library', async () => {
    const state = new LibraryState(await scratchDirectory(), memoryLocks(), new SimClock());
    await expect(state.read()).rejects.toMatchObject({ code: 'STATE_MISSING' });
  });

  test.each([
    ['no JSON', 'x'],
    ['another revision', JSON.stringify({ ...RECORD, revision: 2 })],
    [
      'an element of no type',
      JSON.stringify({ ...RECORD, elements: [{ type: 'shelf', address: 1 }] }),
    ],
    [
      'an address beyond 16 bits',
      JSON.stringify({ ...RECORD, elements: [{ type: 'slot', address: 65536 }] }),
    ],
  ])('damaged: %s', async (_, text) => {
    const { open, path } = await make();
    await writeFile(path, text);
    await expect(open().read()).rejects.toMatchObject({ code: 'FAILED', facts: { path } });
    await expect(open().update(() => undefined)).rejects.toMatchObject({ code: 'FAILED' });
    expect(await readFile(path, 'utf8')).toBe(text);
  });

  test('a lock held for a minute is given up, by name', async () => {
    const busy = async () => {
      throw new CodedError('DRIVE_BUSY', 'locked');
    };
    const { open, clock } = await make(busy);
    await expect(open().update(() => undefined)).rejects.toMatchObject({ code: 'LIBRARY_BUSY' });
    expect(clock.monotonicMs()).toBeGreaterThan(60_000);
    expect(clock.monotonicMs()).toBeLessThan(61_000);
  });

  test('a lock that cannot be taken at all is not waited for', async () => {
    const { open, clock } = await make(async () => {
      throw new CodedError('DEVICE_FORBIDDEN', 'no');
    });
    await expect(open().update(() => undefined)).rejects.toMatchObject({
      code: 'DEVICE_FORBIDDEN',
    });
    expect(clock.monotonicMs()).toBe(0);
  });
});

test('drives are counted in their own order', () => {
  expect(driveElement(RECORD.elements, 1).address).toBe(257);
  expect(() => driveElement(RECORD.elements, 2)).toThrow();
});
