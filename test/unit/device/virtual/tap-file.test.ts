import { readFileSync, writeFileSync } from 'node:fs';
import {
  appendFile,
  copyFile,
  readFile,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TapFile } from '../../../../src/device/virtual/tap-file.ts';
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
    expect(await readFile(`${path}.index`, 'latin1')).toBe('0 1 3\n12 1 4\n24 2 0\n');
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

  test.each([
    ['a leading line that does not begin at 0', '4 1 3\n', 0],
    ['noise', 'hello\n', 0],
    ['a run that leaves a gap', '0 1 3\n13 1 4\n', 1],
    ['a run of nothing', '0 1 3\n12 0 4\n24 2 0\n', 1],
    ['a record longer than any', '0 1 3\n12 1 16777216\n', 1],
    ['a line without its end', '0 1 3\n12 1 4', 1],
    ['zeros in the middle', '0 1 3\n12 \0\0\0\n24 2 0\n', 1],
    ['negative numbers', '0 1 3\n12 -1 4\n', 1],
    ['a cut and what was written behind it', '0 1 3\n12 1 4\n24 2 0\ncut 1\n12 1 4\n', 2],
    ['a cut beyond the end', '0 1 3\ncut 9\n', 1],
  ])('an index is read up to %s', async (_, index, blocks) => {
    const path = await newPath();
    const tape = await TapFile.open(path, { keepUnsynced: true });
    await tape.append(Buffer.from('abc'));
    await tape.append(Buffer.from('abcd'));
    await tape.appendFilemarks(2);
    await tape.close();
    await writeFile(`${path}.index`, index);
    const again = await TapFile.open(path, { keepUnsynced: false });
    expect(again.end.block).toBe(blocks);
    await again.append(Buffer.from('more'));
    await again.sync();
    await again.close();
    const third = await TapFile.open(path, { keepUnsynced: false });
    expect((await contents(third)).at(-1)?.toString()).toBe('more');
    expect(third.end.block).toBe(blocks + 1);
    await third.close();
  });
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
    await writeFile(`${path}.index`, `0 ${count} ${512 * 1024}\n${count * frame} 1 0\n`);
    const tape = await TapFile.open(path, { keepUnsynced: true });
    expect(tape.end).toMatchObject({ block: count + 1, file: 1 });
    expect(tape.recordAt(999_999)).toMatchObject({ offset: 999_999 * frame });
    expect(tape.filemark(0)).toBe(count);
    await tape.truncate(500_000);
    expect(tape.end.block).toBe(500_000);
    expect(await readFile(`${path}.index`, 'latin1')).toMatch(/\ncut 500000\n$/);
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
