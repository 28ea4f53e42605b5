import { readFileSync, writeFileSync } from 'node:fs';
import {
  appendFile,
  copyFile,
  open,
  readdir,
  readFile,
  readlink,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { TapFile } from '../../../../src/device/virtual/tap-file.ts';
import { sealLine } from '../../../../src/device/virtual/tap-index.ts';
import { failNextBlockWrite } from '../../../sim/block-writes.ts';
import { scratchDirectory } from '../../../sim/scratch.ts';

/** Filemarks are null. */
type Records = readonly (Buffer | null)[];

/** Bytes nobody would mistake for others. */
function block(seed: number, lengthBytes: number): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  for (let at = 0; at < lengthBytes; at += 1) bytes[at] = 1 + ((seed * 37 + at * 11) % 255);
  return bytes;
}

async function contents(tape: TapFile): Promise<(Buffer | null)[]> {
  const records: (Buffer | null)[] = [];
  for (let at = 0; at < tape.end.block; at += 1) {
    const record = tape.recordAt(at);
    if (!record) throw new Error(`no record at ${at}`);
    if (record.lengthBytes === 0) {
      records.push(null);
    } else {
      const bytes = Buffer.alloc(record.lengthBytes);
      await tape.read(record, bytes);
      records.push(bytes);
    }
  }
  return records;
}

const directories = new Map<string, { directory: string; count: number }>();

/** A new name; one directory a test, for making one costs more than a tape. */
async function newPath(): Promise<string> {
  const { currentTestName = '' } = expect.getState();
  const known = directories.get(currentTestName) ?? {
    directory: await scratchDirectory(),
    count: 0,
  };
  directories.set(currentTestName, known);
  known.count += 1;
  return join(known.directory, `${known.count}.tap`);
}

describe('the format', () => {
  test('is SIMH’s: lengths around, even padding, four zero bytes for a mark', async () => {
    const path = await newPath();
    const tape = await TapFile.open(path, { keepUnsynced: true });
    await tape.append(Buffer.from('abc'));
    await tape.append(Buffer.from('abcd'));
    await tape.appendFilemarks(2);
    await tape.sync();
    await tape.close();
    expect((await readFile(path)).toString('hex')).toBe(
      [
        '03000000',
        '616263',
        '00',
        '03000000',
        '04000000',
        '61626364',
        '04000000',
        '00000000',
        '00000000',
      ].join(''),
    );
    expect(await readFile(`${path}.index`, 'latin1')).toBe(sealLine('0 1x3 1x4 2x0'));
  });

  test('blocks of every length come back, in part where the buffer is short', async () => {
    const tape = await TapFile.open(await newPath(), { keepUnsynced: true });
    const lengths = [1, 2, 3, 511, 512, 65_536, 65_537, 1_000_003];
    for (const length of lengths) await tape.append(block(length, length));
    expect(
      (await contents(tape)).map((bytes) => bytes?.equals(block(bytes.length, bytes.length))),
    ).toEqual(lengths.map(() => true));
    const record = tape.recordAt(4);
    const part = Buffer.alloc(600);
    if (record) await tape.read(record, part);
    expect(part.subarray(0, 512).equals(block(512, 512))).toBe(true);
    expect(part.subarray(512).every((byte) => byte === 0)).toBe(true);
    await tape.close();
  });

  test('a record that is not where it was written is unreadable, not other bytes', async () => {
    const path = await newPath();
    const tape = await TapFile.open(path, { keepUnsynced: true });
    await tape.append(block(1, 100));
    await tape.append(block(2, 100));
    await tape.sync();
    const bytes = await readFile(path);
    bytes.writeUInt32LE(99, 108);
    await writeFile(path, bytes);
    const record = tape.recordAt(1);
    if (!record) throw new Error('no record');
    await expect(tape.read(record, Buffer.alloc(100))).rejects.toMatchObject({
      code: 'MEDIUM_UNREADABLE',
      facts: { block: 1 },
    });
    await truncate(path, 150);
    await expect(tape.read(record, Buffer.alloc(100))).rejects.toMatchObject({
      code: 'MEDIUM_UNREADABLE',
    });
    await tape.close();
    await expect(TapFile.open(path, { keepUnsynced: true })).rejects.toMatchObject({
      code: 'MEDIUM_UNREADABLE',
      message: expect.stringContaining('shorter'),
    });
  });

  test('a full disk is named, and what was there stays', async () => {
    const path = await newPath();
    await symlink('/dev/full', path);
    const tape = await TapFile.open(path, { keepUnsynced: true });
    await expect(tape.append(block(1, 100))).rejects.toMatchObject({ code: 'MEDIUM_UNWRITABLE' });
    await expect(tape.append(Buffer.alloc(100))).rejects.toMatchObject({
      code: 'MEDIUM_UNWRITABLE',
    });
    await expect(tape.appendFilemarks(1)).rejects.toMatchObject({ code: 'MEDIUM_UNWRITABLE' });
    expect(tape.end.block).toBe(0);
    await tape.close();
  });

  const GOOD = sealLine('0 1x3');

  async function threeRecords(index: string): Promise<string> {
    const path = await newPath();
    const tape = await TapFile.open(path, { keepUnsynced: true });
    await tape.append(Buffer.from('abc'));
    await tape.append(Buffer.from('abcd'));
    await tape.appendFilemarks(2);
    await tape.close();
    await writeFile(`${path}.index`, index);
    return path;
  }

  test.each([
    ['nothing at all', '', 0],
    ['a line without its end', `${GOOD}${sealLine('12 1x4').slice(0, -1)}`, 1],
    ['a line without its check', `${GOOD}12 1x4`, 1],
    ['zeros in the middle', `${GOOD}12 \0\0\0${sealLine('12 1x4').slice(6)}`, 1],
    ['zeros to the end', `${GOOD}12 \0\0\0`, 1],
    [
      'a cut and what was written behind it',
      [GOOD, ...['12 1x4 2x0', 'cut 1', '12 1x4'].map(sealLine)].join(''),
      2,
    ],
  ])('an index may be torn at its end: %s', async (_, index, blocks) => {
    const path = await threeRecords(index);
    const data = await readFile(path);
    const again = await TapFile.open(path, { keepUnsynced: false });
    expect(again.end.block).toBe(blocks);
    await again.close();
    // Opening has touched nothing; the first write cuts off what is behind the end.
    expect(await readFile(path)).toEqual(data);
    expect(await readFile(`${path}.index`, 'latin1')).toBe(index);
    const writing = await TapFile.open(path, { keepUnsynced: false });
    await writing.append(Buffer.from('more'));
    expect((await stat(path)).size).toBe(writing.end.offset);
    await writing.sync();
    await writing.close();
    const third = await TapFile.open(path, { keepUnsynced: false });
    expect((await contents(third)).at(-1)?.toString()).toBe('more');
    expect(third.end.block).toBe(blocks + 1);
    await third.close();
  });

  test.each([
    ['a leading line that does not begin at 0', sealLine('4 1x3')],
    ['noise', 'hello\n'],
    ['a changed digit in the middle', `${GOOD.replace('x3', 'x5')}${sealLine('12 1x4')}`],
    ['a changed digit in the last line', `${GOOD}${sealLine('12 1x4').replace('x4', 'x2')}`],
    ['zeros before a whole line', `${GOOD.replace('1', '\0')}${sealLine('12 1x4')}`],
    ['a lost line', `${GOOD}${sealLine('24 2x0')}`],
    ['a run of nothing', `${GOOD}${sealLine('12 0x4')}`],
    ['a record longer than any', `${GOOD}${sealLine('12 1x16777216')}`],
    ['more records than a number can count', `${GOOD}${sealLine('12 9007199254740991x16')}`],
    ['a cut beyond the end', `${GOOD}${sealLine('cut 9')}`],
    ['lines without a check', '0 1 3\n12 1 4\n24 2 0\n'],
  ])('a damaged index is refused, and nothing touched: %s', async (_, index) => {
    const path = await threeRecords(index);
    const data = await readFile(path);
    for (const keepUnsynced of [true, false]) {
      await expect(TapFile.open(path, { keepUnsynced })).rejects.toMatchObject({
        code: 'MEDIUM_UNREADABLE',
        message: expect.stringContaining(`${path}.index is damaged`),
      });
    }
    expect(await readFile(path)).toEqual(data);
    expect(await readFile(`${path}.index`, 'latin1')).toBe(index);
  });
});

type Call = 'datasync' | 'truncate' | 'write' | 'readv' | 'readFile';

/** Lets file calls of one name fail, or answer, once: from the `skip`th on. */
async function failOnce(
  call: Call,
  {
    errno = 'EIO',
    skip = 0,
    times = 1,
    answer,
  }: {
    errno?: string;
    skip?: number;
    times?: number;
    answer?: object;
  } = {},
): Promise<void> {
  const handle = await open('/dev/null');
  const prototype = Object.getPrototypeOf(handle);
  await handle.close();
  const real = prototype[call];
  let count = 0;
  const spy = vi.spyOn(prototype, call).mockImplementation(function (this: unknown, ...args) {
    count += 1;
    if (count <= skip || count > skip + times) return real.apply(this, args);
    if (answer) return Promise.resolve(answer);
    return Promise.reject(Object.assign(new Error(`${errno}: planned`), { code: errno }));
  });
  onTestFinished(() => spy.mockRestore());
}

async function openFiles(directory: string): Promise<string[]> {
  const names = await readdir('/proc/self/fd');
  const targets = await Promise.all(
    names.map((name) => readlink(`/proc/self/fd/${name}`).catch(() => '')),
  );
  return targets.filter((target) => target.startsWith(directory));
}

describe('a disk that fails', () => {
  async function twoBlocks() {
    const path = await newPath();
    const tape = await TapFile.open(path, { keepUnsynced: true });
    await tape.append(block(1, 100));
    await tape.sync();
    await tape.append(block(2, 100));
    return { path, tape };
  }

  /** Everything that would write refuses, naming the path and the first cause; nothing is written by trying. */
  async function expectDead(tape: TapFile, path: string, errno: string): Promise<void> {
    const index = await readFile(`${path}.index`, 'latin1');
    const failure = {
      code: 'MEDIUM_UNWRITABLE',
      message: expect.stringMatching(new RegExp(`${path}.*${errno}`)),
      facts: { path },
    };
    for (let turn = 0; turn < 2; turn += 1) {
      await expect(tape.append(block(3, 10))).rejects.toMatchObject(failure);
      await expect(tape.append(Buffer.alloc(10))).rejects.toMatchObject(failure);
      await expect(tape.appendFilemarks(1)).rejects.toMatchObject(failure);
      await expect(tape.sync()).rejects.toMatchObject(failure);
      await expect(tape.truncate(0)).rejects.toMatchObject(failure);
    }
    expect(await readFile(`${path}.index`, 'latin1')).toBe(index);
  }

  test.each<[string, Call, Parameters<typeof failOnce>[1], string]>([
    ['data not synced', 'datasync', {}, 'EIO'],
    ['index not synced', 'datasync', { skip: 1 }, 'EIO'],
    ['index not written', 'write', { errno: 'ENOSPC' }, 'ENOSPC'],
    ['index written in part', 'write', { answer: { bytesWritten: 3 } }, 'ENOSPC'],
    ['nothing works any more', 'datasync', { times: 99 }, 'EIO'],
  ])('a failed sync is the last: %s', async (_, call, how, errno) => {
    const { path, tape } = await twoBlocks();
    await failOnce(call, how);
    await expect(tape.sync()).rejects.toMatchObject({ code: 'MEDIUM_UNWRITABLE' });
    await expectDead(tape, path, errno);
    // What was confirmed can be read.
    expect(tape.syncedBlock).toBe(1);
    expect(await contents(tape)).toEqual([block(1, 100)]);
    await tape.close();
    vi.restoreAllMocks();
    const again = await TapFile.open(path, { keepUnsynced: false });
    expect(await contents(again)).toEqual([block(1, 100)]);
    await again.append(block(4, 50));
    await again.sync();
    await again.close();
    expect(await readFile(`${path}.index`, 'latin1')).toBe(
      sealLine('0 1x100') + sealLine('108 1x50'),
    );
  });

  test('lost pages that look whole are not taken over by the next', async () => {
    const { path, tape } = await twoBlocks();
    await failOnce('datasync');
    await expect(tape.sync()).rejects.toThrow();
    const again = await TapFile.open(path, { keepUnsynced: true });
    expect(again.end.block).toBe(1);
    await again.close();
    await tape.close();
  });

  test.each<[string, Call, Parameters<typeof failOnce>[1]]>([
    ['the index', 'write', {}],
    ['half the index', 'write', { answer: { bytesWritten: 3 } }],
    ['the index on disk', 'datasync', {}],
    ['the data', 'truncate', {}],
  ])('a cut that fails at %s leaves the old tape', async (_, call, how) => {
    const { path, tape } = await twoBlocks();
    await tape.sync();
    await failOnce(call, how);
    await expect(tape.truncate(1)).rejects.toMatchObject({ code: 'MEDIUM_UNWRITABLE' });
    await expectDead(tape, path, 'E');
    expect(tape.syncedBlock).toBeLessThanOrEqual(tape.end.block);
    expect(await contents(tape)).toEqual([block(1, 100), block(2, 100)]);
    await tape.close();
    const again = await TapFile.open(path, { keepUnsynced: false });
    expect(await contents(again)).toEqual([block(1, 100), block(2, 100)]);
    await again.close();
  });

  test('a block that was written in part is cleaned up: zeros may follow', async () => {
    const { tape } = await twoBlocks();
    failNextBlockWrite({ bytesWritten: 50 });
    await expect(tape.append(block(3, 100))).rejects.toMatchObject({ code: 'MEDIUM_UNWRITABLE' });
    await tape.append(Buffer.alloc(100));
    expect(await contents(tape)).toEqual([block(1, 100), block(2, 100), Buffer.alloc(100)]);
    await tape.close();
  });

  test('a block in part that cannot be cleaned up is the last', async () => {
    const { path, tape } = await twoBlocks();
    failNextBlockWrite({ errno: 'ENOSPC' });
    await failOnce('truncate');
    await expect(tape.append(block(3, 100))).rejects.toMatchObject({ code: 'MEDIUM_UNWRITABLE' });
    await expectDead(tape, path, 'ENOSPC');
    await tape.close();
  });

  test('a block that the disk does not give back is named', async () => {
    const { path, tape } = await twoBlocks();
    await failOnce('readv');
    const record = tape.recordAt(0);
    if (!record) throw new Error('no record');
    await expect(tape.read(record, Buffer.alloc(100))).rejects.toMatchObject({
      code: 'MEDIUM_UNREADABLE',
      message: expect.stringContaining('EIO'),
      facts: { path, block: 0 },
    });
    await tape.close();
  });

  test('opening that fails leaves no file open', async () => {
    const { path, tape } = await twoBlocks();
    await tape.sync();
    await tape.close();
    await failOnce('readFile');
    await expect(TapFile.open(path, { keepUnsynced: true })).rejects.toMatchObject({
      code: 'FAILED',
      message: expect.stringMatching(/tap.*EIO/),
    });
    await writeFile(`${path}.index`, 'x\n');
    await expect(TapFile.open(path, { keepUnsynced: true })).rejects.toThrow('damaged');
    await writeFile(`${path}.index`, sealLine('0 9x100'));
    await expect(TapFile.open(path, { keepUnsynced: true })).rejects.toThrow('shorter');
    expect(await openFiles(path)).toEqual([]);
  });
});

describe('taking over what a killed process left', () => {
  test('filemarks by the thousand, at once', async () => {
    const path = await newPath();
    const tape = await TapFile.open(path, { keepUnsynced: true });
    await tape.append(block(1, 3_000_001));
    await tape.appendFilemarks(60_000);
    for (let count = 0; count < 5; count += 1) await tape.append(block(count, 700_001));
    const written = tape.end;
    await tape.close();
    const again = await TapFile.open(path, { keepUnsynced: true });
    expect(again.end).toEqual(written);
    expect(again.syncedBlock).toBe(0);
    await again.close();
  });

  test.each([4 * 2 ** 20, 2 ** 42])(
    'a hole of %i bytes at the end was not written',
    async (hole) => {
      const path = await newPath();
      const tape = await TapFile.open(path, { keepUnsynced: true });
      await tape.append(block(1, 101));
      const { end } = tape;
      await tape.close();
      await truncate(path, end.offset + hole);
      const startMs = performance.now();
      const again = await TapFile.open(path, { keepUnsynced: true });
      expect(performance.now() - startMs).toBeLessThan(1000);
      expect(again.end).toEqual(end);
      expect((await stat(path)).size).toBe(end.offset + hole);
      await again.append(Buffer.alloc(100));
      expect((await stat(path)).size).toBe(again.end.offset);
      await again.close();
    },
  );
});

describe('sparse', () => {
  test('a block of zeros is a hole, and reads back as zeros', async () => {
    const path = await newPath();
    const tape = await TapFile.open(path, { keepUnsynced: true });
    const lengthBytes = 4 * 2 ** 20;
    for (let count = 0; count < 16; count += 1) await tape.append(Buffer.alloc(lengthBytes));
    await tape.append(Buffer.alloc(65_537));
    await tape.sync();
    const { size, blocks } = await stat(path);
    expect(size).toBe(16 * (lengthBytes + 8) + 65_546);
    expect(blocks * 512).toBeLessThan(size / 20);
    const record = tape.recordAt(16);
    const bytes = Buffer.alloc(65_537, 1);
    if (record) await tape.read(record, bytes);
    expect(bytes.every((byte) => byte === 0)).toBe(true);
    await tape.close();
  });

  test('one byte that is not zero anywhere is kept', () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 200_000 }),
        fc.nat(199_999),
        async (lengthBytes, at) => {
          const tape = await TapFile.open(await newPath(), { keepUnsynced: true });
          const bytes = Buffer.alloc(lengthBytes);
          bytes[at % lengthBytes] = 7;
          await tape.append(bytes);
          expect((await contents(tape))[0]?.equals(bytes)).toBe(true);
          await tape.close();
        },
      ),
      { numRuns: 40 },
    ));

  test('zeros written where other bytes had been are zeros', async () => {
    const tape = await TapFile.open(await newPath(), { keepUnsynced: true });
    for (let count = 0; count < 5; count += 1) await tape.append(block(count, 10_000));
    await tape.sync();
    await tape.truncate(1);
    await tape.append(Buffer.alloc(30_000));
    expect((await contents(tape))[1]?.every((byte) => byte === 0)).toBe(true);
    await tape.close();
  });

  test('a million blocks are found without reading any', async () => {
    const path = await newPath();
    const count = 1_000_000;
    const frame = 512 * 1024 + 8;
    // No record is in the file: reading one would fail.
    await writeFile(path, '');
    await truncate(path, count * frame + 4);
    await writeFile(
      `${path}.index`,
      sealLine(`0 ${count}x${512 * 1024}`) + sealLine(`${count * frame} 1x0`),
    );
    const tape = await TapFile.open(path, { keepUnsynced: true });
    expect(tape.end).toMatchObject({ block: count + 1, file: 1 });
    expect(tape.recordAt(999_999)).toMatchObject({ offset: 999_999 * frame });
    expect(tape.filemark(0)).toBe(count);
    await tape.truncate(500_000);
    expect(tape.end.block).toBe(500_000);
    expect(await readFile(`${path}.index`, 'latin1')).toMatch(/\ncut 500000 [0-9a-f]{8}\n$/);
    await tape.close();
  });
});

type Step =
  | { kind: 'append'; lengthBytes: number; zero: boolean }
  | { kind: 'marks'; count: number }
  | { kind: 'sync' }
  | { kind: 'cut'; part: number };

const stepOf: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      lengthBytes: fc.integer({ min: 1, max: 90 }),
      zero: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('marks' as const),
      count: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('sync' as const) }) },
  // cut at a share of the tape; 0 is a new label
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('cut' as const),
      part: fc.constantFrom(0, 0, 0.3, 0.7, 1),
    }),
  },
);

/** The two files at one moment. */
type Image = { data: Buffer; index: Buffer };

function imageOf(path: string): Image {
  return { data: readFileSync(path), index: readFileSync(`${path}.index`) };
}

/** What is there, and what was confirmed. */
type Moment = {
  image: Image;
  records: Records;
  confirmed: Records;
  /** The data file when it was last told to be on disk. */
  durable: Buffer;
};

/** Before and after the last step: a crash may fall on either side or between. */
async function history(steps: readonly Step[]): Promise<[Moment, Moment]> {
  const path = await newPath();
  const tape = await TapFile.open(path, { keepUnsynced: true });
  let records: (Buffer | null)[] = [];
  let confirmed: Records = [];
  let durable = Buffer.alloc(0);
  const now = () => ({
    image: imageOf(path),
    records: [...records],
    confirmed,
    durable,
  });
  let before = now();
  for (const [number, step] of steps.entries()) {
    if (number === steps.length - 1) before = now();
    if (step.kind === 'append') {
      const bytes = step.zero ? Buffer.alloc(step.lengthBytes) : block(number, step.lengthBytes);
      await tape.append(bytes);
      records.push(bytes);
    } else if (step.kind === 'marks') {
      await tape.appendFilemarks(step.count);
      records.push(...new Array<null>(step.count).fill(null));
    } else if (step.kind === 'sync') {
      await tape.sync();
      confirmed = [...records];
      durable = readFileSync(path);
    } else {
      const at = Math.floor(records.length * step.part);
      await tape.truncate(at);
      records = records.slice(0, at);
      confirmed = confirmed.slice(0, at);
    }
  }
  const after = now();
  await tape.close();
  return [before, after];
}

async function reopen(image: Image, keepUnsynced: boolean) {
  const path = await newPath();
  writeFileSync(path, image.data);
  writeFileSync(`${path}.index`, image.index);
  const tape = await TapFile.open(path, { keepUnsynced });
  return { tape, path };
}

function isPrefix(part: Records, whole: Records): boolean {
  return (
    part.length <= whole.length &&
    part.every((record, at) => {
      const other = whole[at];
      return record === null ? other === null : other instanceof Buffer && record.equals(other);
    })
  );
}

/** Whatever was found is whole, and can be written on: the next open finds that too. */
async function expectUsable(tape: TapFile, path: string, found: Records): Promise<void> {
  await tape.append(Buffer.from('after the crash'));
  await tape.appendFilemarks(1);
  await tape.sync();
  await tape.close();
  const again = await TapFile.open(path, { keepUnsynced: false });
  expect(await contents(again)).toEqual([...found, Buffer.from('after the crash'), null]);
  await again.close();
}

describe('crashes', () => {
  test('killed between two steps: everything written is there', () =>
    fc.assert(
      fc.asyncProperty(fc.array(stepOf, { maxLength: 15 }), async (steps) => {
        const [, last] = await history(steps);
        const { tape, path } = await reopen(last.image, true);
        const found = await contents(tape);
        expect(found).toEqual(last.records);
        await expectUsable(tape, path, found);
      }),
      { numRuns: 200 },
    ));

  test('killed in a step: the confirmed is there, and a prefix of what came later', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(stepOf, { minLength: 1, maxLength: 15 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        async (steps, share) => {
          const [before, after] = await history(steps);
          const step = steps.at(-1);
          // Within a step: a part of the bytes the step adds, the data first where it syncs, the index first where it cuts.
          const cut = (a: Buffer, b: Buffer) =>
            b.subarray(0, a.length + Math.floor((b.length - a.length) * share));
          const grows = after.image.data.length >= before.image.data.length;
          const image =
            step?.kind === 'cut'
              ? { data: before.image.data, index: cut(before.image.index, after.image.index) }
              : {
                  data: grows ? cut(before.image.data, after.image.data) : after.image.data,
                  index: cut(before.image.index, after.image.index),
                };
          const { tape, path } = await reopen(image, true);
          const found = await contents(tape);
          // A cut that was under way has happened, or has not.
          const whole = step?.kind === 'cut' ? before.records : after.records;
          const least = step?.kind === 'cut' ? after.confirmed : before.confirmed;
          expect(isPrefix(found, whole)).toBe(true);
          expect(isPrefix(least, found)).toBe(true);
          await expectUsable(tape, path, found);
        },
      ),
      { numRuns: 200 },
    ));

  const torn = fc.record({
    /** How much of what the disk was not told to keep is there. */
    share: fc.double({ min: 0, max: 1, noNaN: true }),
    /** And which of its sectors are still what they were before: zeros. */
    zeros: fc.array(fc.nat(40), { maxLength: 12 }),
    noise: fc.boolean(),
  });
  type Torn = { share: number; zeros: readonly number[]; noise: boolean };

  /** The data file after a power cut: confirmed bytes hold, each 16 bytes of the rest came or did not. */
  function tear(
    durable: Buffer,
    holdsBytes: number,
    written: Buffer,
    { share, zeros, noise }: Torn,
  ): Buffer {
    const length = holdsBytes + Math.floor((written.length - holdsBytes) * share);
    const data = Buffer.from(written.subarray(0, length));
    for (const sector of zeros) {
      const start = holdsBytes + sector * 16;
      // What did not come is what was there before: zeros, or the bytes of the tape that was cut.
      for (let at = start; at < Math.min(start + 16, length); at += 1)
        data[at] = noise ? (durable[at] ?? 0) : 0;
    }
    return data;
  }

  const bytesOf = (records: Records) =>
    records.reduce((sum, record) => {
      const length = record?.length ?? 0;
      return sum + (length === 0 ? 4 : 8 + length + (length % 2));
    }, 0);

  test('power cut between two steps: exactly the confirmed is there', () =>
    fc.assert(
      fc.asyncProperty(fc.array(stepOf, { maxLength: 15 }), torn, async (steps, how) => {
        const [, last] = await history(steps);
        const holds = bytesOf(last.confirmed);
        const data = tear(last.durable, holds, last.image.data, how);
        const { tape, path } = await reopen({ data, index: last.image.index }, false);
        const found = await contents(tape);
        expect(found).toEqual(last.confirmed);
        await expectUsable(tape, path, found);
      }),
      { numRuns: 250 },
    ));

  test('power cut while the index is written: old or new, never a mixture', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(stepOf, { maxLength: 14 }),
        fc.constantFrom<Step>(
          { kind: 'sync' },
          { kind: 'cut', part: 0 },
          { kind: 'cut', part: 0.5 },
        ),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.array(fc.nat(30), { maxLength: 3 }),
        torn,
        async (steps, step, share, holes, how) => {
          const [before, after] = await history([...steps, step]);
          const kept = before.image.index.length;
          const added = after.image.index.length - kept;
          const index = Buffer.from(after.image.index.subarray(0, kept + Math.ceil(added * share)));
          // a line torn in its middle: some bytes of it never came
          for (const hole of holes) if (kept + hole < index.length) index[kept + hole] = 0;
          const data =
            step.kind === 'sync'
              ? after.image.data // on disk before the index is touched
              : tear(before.durable, bytesOf(before.confirmed), before.image.data, how);
          const { tape, path } = await reopen({ data, index }, false);
          const found = await contents(tape);
          if (step.kind === 'sync') {
            expect(isPrefix(before.confirmed, found)).toBe(true);
            expect(isPrefix(found, after.confirmed)).toBe(true);
          } else {
            const isOld =
              found.length === before.confirmed.length && isPrefix(found, before.confirmed);
            const isNew =
              found.length === after.confirmed.length && isPrefix(found, after.confirmed);
            expect(isOld || isNew).toBe(true);
          }
          await expectUsable(tape, path, found);
        },
      ),
      { numRuns: 250 },
    ));

  test('power cut in the middle of an overwrite at block 0: the new, shorter tape', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(stepOf, { maxLength: 8 }),
        fc.array(stepOf, { maxLength: 6 }),
        torn,
        async (old, fresh, how) => {
          const steps: Step[] = [...old, { kind: 'sync' }, { kind: 'cut', part: 0 }, ...fresh];
          const [, last] = await history(steps);
          // None of the old blocks may come back behind, or in the place of, the new ones.
          const data = tear(last.durable, bytesOf(last.confirmed), last.image.data, how);
          const stale = Buffer.concat([data, last.durable.subarray(data.length)]);
          const { tape, path } = await reopen({ data: stale, index: last.image.index }, false);
          const found = await contents(tape);
          expect(found).toEqual(last.confirmed);
          await expectUsable(tape, path, found);
        },
      ),
      { numRuns: 250 },
    ));

  test('a killed process leaves nothing that zeros could grow over', async () => {
    const path = await newPath();
    const tape = await TapFile.open(path, { keepUnsynced: true });
    await tape.append(block(1, 100));
    await tape.sync();
    await tape.close();
    // half a record behind the end
    await appendFile(path, Buffer.concat([Buffer.from([200, 0, 0, 0]), block(2, 120)]));
    const again = await TapFile.open(path, { keepUnsynced: true });
    await again.append(Buffer.alloc(200));
    expect(await contents(again)).toEqual([block(1, 100), Buffer.alloc(200)]);
    await again.close();
  });

  test('a record whose lengths differ is no record', async () => {
    const path = await newPath();
    const tape = await TapFile.open(path, { keepUnsynced: true });
    await tape.append(block(1, 100));
    await tape.sync();
    await tape.close();
    await appendFile(path, Buffer.from('040000006162636405000000', 'hex'));
    const again = await TapFile.open(path, { keepUnsynced: true });
    expect(await contents(again)).toEqual([block(1, 100)]);
    await again.close();
  });

  test('two copies of one tape are two tapes', async () => {
    const path = await newPath();
    const tape = await TapFile.open(path, { keepUnsynced: true });
    await tape.append(block(1, 10));
    await tape.sync();
    const copy = join(await scratchDirectory(), 'B.tap');
    await copyFile(path, copy);
    await copyFile(`${path}.index`, `${copy}.index`);
    await tape.append(block(2, 10));
    await tape.sync();
    await tape.close();
    const other = await TapFile.open(copy, { keepUnsynced: true });
    expect(await contents(other)).toEqual([block(1, 10)]);
    await other.close();
  });
});
