import { readFile, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SimClock } from '../../../../src/base/clock.ts';
import { CodedError } from '../../../../src/base/errors.ts';
import {
  driveElement,
  emptyStatistics,
  type LibraryRecord,
  LibraryState,
  type LockFile,
} from '../../../../src/device/virtual/state.ts';
import { memoryLocks } from '../../../sim/locks.ts';
import { scratchDirectory } from '../../../sim/scratch.ts';

/** An attempt at a lock that is taken costs time on the real clock: files are written meanwhile. */
function slowLocks(): LockFile {
  const locks = memoryLocks();
  return (path) =>
    locks(path).catch(async (error) => {
      await setTimeout(1);
      throw error;
    });
}

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

async function make(lockFile = slowLocks()) {
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

/** One slot more. */
function withSlot(change: object): object[] {
  return [...RECORD.elements, { type: 'slot', address: 1025, ...change }];
}

function withDrive(change: object): object {
  return { drives: [{ ...RECORD.drives[0], ...change }, RECORD.drives[1]] };
}

test('a change that would damage it is not made', async () => {
  const { open, path } = await make();
  const before = await readFile(path, 'utf8');
  for (const change of [
    (record: LibraryRecord) => void Object.assign(record, { moves: -1 }),
    (record: LibraryRecord) => void record.elements.push({ type: 'slot', address: 1 }),
    (record: LibraryRecord) => void record.drives.pop(),
  ]) {
    await expect(open().update(change)).rejects.toMatchObject({ code: 'FAILED', facts: { path } });
    expect(await readFile(path, 'utf8')).toBe(before);
  }
});

test('changes of one process wait in order, and ask for the lock once each', async () => {
  let asked = 0;
  const locks = memoryLocks();
  const { open } = await make((path) => {
    asked += 1;
    return locks(path);
  });
  const state = open();
  const seen = await Promise.all(
    [0, 1, 2, 3].map(() => state.update((record) => (record.moves += 1))),
  );
  expect(seen).toEqual([1, 2, 3, 4]);
  expect(asked).toBe(4);
});

test('who waits for the lock asks ever less often', async () => {
  const askedAt: number[] = [];
  const locks = memoryLocks();
  const { open, clock } = await make(async (path) => {
    askedAt.push(clock.monotonicMs());
    if (askedAt.length < 9) throw new CodedError('DRIVE_BUSY', 'locked');
    return locks(path);
  });
  await open().update(() => undefined);
  expect(askedAt).toEqual([0, 5, 15, 35, 75, 155, 255, 355, 455]);
});

describe('trouble', () => {
  test('a library that may not be read is not missing', async () => {
    const { path } = await make();
    const beyond = new LibraryState(path, memoryLocks(), new SimClock());
    await expect(beyond.read()).rejects.toMatchObject({
      code: 'FAILED',
      message: expect.stringContaining('ENOTDIR'),
    });
  });

  test('a disk that is full is named, and the state as before', async () => {
    const { open, path } = await make();
    await symlink('/dev/full', `${path}.new`);
    const change = open().update((record) => (record.moves += 1));
    await expect(change).rejects.toMatchObject({
      code: 'FAILED',
      message: `${path} cannot be written (ENOSPC)`,
      facts: { path },
    });
    expect((await open().read()).moves).toBe(0);
  });

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
    ...Object.entries<object>({
      'a path for a cartridge': { elements: withSlot({ cartridge: '../A' }) },
      'a cartridge of no name': { elements: withSlot({ cartridge: '' }) },
      'a cartridge in two places': { elements: withSlot({ cartridge: 'A' }) },
      'two elements of one address': { elements: withSlot({ address: 1 }) },
      'a source that is no address': { elements: withSlot({ source: -1 }) },
      'a drive without a record': { drives: RECORD.drives.slice(1) },
      'a record without a drive': { drives: [...RECORD.drives, RECORD.drives[0]] },
      'a position before the beginning': withDrive({ threaded: { cartridge: 'A', position: -1 } }),
      'a position beyond counting': withDrive({ threaded: { cartridge: 'A', position: 2 ** 53 } }),
      'a path that is threaded': withDrive({ threaded: { cartridge: 'a/b', position: 0 } }),
      'a negative count': withDrive({ statistics: { ...emptyStatistics(), loads: -1 } }),
      'time that runs backwards': withDrive({
        statistics: { ...emptyStatistics(), modelSeconds: -1 },
      }),
      'negative moves': { moves: -1 },
      'half a move': { moves: 0.5 },
      'more elements than addresses': {
        elements: Array.from({ length: 65_537 }, (_, address) => ({ type: 'slot', address })),
      },
    }).map(([what, change]): [string, string] => [what, JSON.stringify({ ...RECORD, ...change })]),
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
