import { describe, expect, onTestFinished, test } from 'vitest';
import { parseSense, type Sense } from '../../../../src/device/sense.ts';
import { type Answer, check } from '../../../../src/device/virtual/answer.ts';
import {
  type CartridgeRecord,
  VirtualCartridge,
} from '../../../../src/device/virtual/cartridge.ts';
import { Deck } from '../../../../src/device/virtual/deck.ts';
import { scratchDirectory } from '../../../sim/scratch.ts';

const MIB = 2 ** 20;
const FREE = { appendOnly: false, programmableEarlyWarningMb: 0 };
const GUARDED = { appendOnly: true, programmableEarlyWarningMb: 0 };

async function make(change: Partial<CartridgeRecord> = {}, position = 0): Promise<Deck> {
  const directory = await scratchDirectory();
  await VirtualCartridge.create(directory, 'A', {
    revision: 1,
    serial: 'S',
    generation: 'LTO-8',
    kind: 'data',
    capacityBytes: 24 * MIB,
    writeProtected: false,
    loads: 0,
    bytesWritten: 0,
    bytesRead: 0,
    changeReference: 0,
    attributes: {},
    ...change,
  });
  const cartridge = await VirtualCartridge.open(directory, 'A', 'boot');
  onTestFinished(() => cartridge.drop());
  return new Deck(cartridge, position);
}

/** `10 10 | 10 10 | 10 10 |`: blocks 0 1, mark 2, blocks 3 4, mark 5, blocks 6 7, mark 8. */
async function threeFiles(change: Partial<CartridgeRecord> = {}): Promise<Deck> {
  const deck = await make(change);
  for (let file = 0; file < 3; file += 1) {
    for (let count = 0; count < 2; count += 1) await deck.write(Buffer.alloc(10, 1), FREE);
    await deck.writeFilemarks(1, false, FREE);
  }
  return deck;
}

function said(answer: Answer): Sense | undefined {
  return answer.sense && parseSense(answer.sense);
}

const DONE = undefined;
const END = { key: 8, asc: 0, ascq: 5 };

describe('moving (SSC-4)', () => {
  test.each([
    [0, 1, 3, 1, DONE],
    [0, 2, 6, 2, DONE],
    [0, 3, 9, 3, DONE],
    [2, 1, 3, 1, DONE],
    [0, 4, 9, 3, { ...END, information: 1 }],
    [7, 9, 9, 3, { ...END, information: 8 }],
    [9, -1, 8, 2, DONE],
    [9, -3, 2, 0, DONE],
    [8, -1, 5, 1, DONE],
    [5, -2, 0, 0, { key: 0, ascq: 4, endOfMedium: true, information: 1 }],
    [0, -1, 0, 0, { key: 0, ascq: 4, endOfMedium: true, information: 1 }],
    [4, 0, 4, 1, DONE],
  ])(
    'from block %i over %i marks to block %i, file %i',
    async (from, count, block, file, sense) => {
      const deck = await threeFiles();
      await deck.locate(from);
      const answer = said(await deck.spaceFilemarks(count));
      if (sense) expect(answer).toMatchObject(sense);
      else expect(answer).toBeUndefined();
      expect(deck.reported).toEqual({ block, file });
    },
  );

  test.each([
    [0, 2, 2, DONE],
    [0, 3, 3, { key: 0, ascq: 1, filemark: true, information: 1 }],
    [6, 9, 9, { key: 0, ascq: 1, filemark: true, information: 7 }],
    [9, 1, 9, { ...END, information: 1 }],
    [5, -2, 3, DONE],
    [4, -2, 2, { key: 0, ascq: 1, filemark: true, information: 1 }],
    [1, -5, 0, { key: 0, ascq: 4, endOfMedium: true, information: 4 }],
    [3, 0, 3, DONE],
  ])('from block %i over %i blocks to block %i', async (from, count, block, sense) => {
    const deck = await threeFiles();
    await deck.locate(from);
    const answer = said(await deck.spaceBlocks(count));
    if (sense) expect(answer).toMatchObject(sense);
    else expect(answer).toBeUndefined();
    expect(deck.position).toBe(block);
  });

  test.each([
    [9, 9, DONE],
    [10, 9, END],
    [Number.POSITIVE_INFINITY, 9, END],
  ])('locate %d ends at %i', async (to, block, sense) => {
    const deck = await threeFiles();
    const answer = said(await deck.locate(to));
    if (sense) expect(answer).toMatchObject(sense);
    else expect(answer).toBeUndefined();
    expect(deck.position).toBe(block);
  });

  test.each([
    [0, 0, DONE],
    [1, 3, DONE],
    [3, 9, DONE],
    [4, 9, END],
  ])('locate file %i', async (file, block, sense) => {
    const deck = await threeFiles();
    const answer = said(await deck.locateFile(file));
    if (sense) expect(answer).toMatchObject(sense);
    else expect(answer).toBeUndefined();
    expect(deck.position).toBe(block);
  });

  test('a position beyond the end, from a process before, is the end', async () => {
    expect((await make({}, 99)).position).toBe(0);
  });
});

describe('reading', () => {
  test.each([
    [10, false, DONE, 10],
    [30, false, { incorrectLength: true, information: 20 }, 10],
    [30, true, DONE, 10],
    [4, false, { incorrectLength: true, information: -6 }, 4],
    [4, true, DONE, 4],
  ])('%i bytes of 10, suppressed %s', async (wanted, suppress, sense, placed) => {
    const deck = await threeFiles();
    await deck.locate(0);
    const answer = await deck.read(Buffer.alloc(wanted), suppress);
    expect(answer.placedBytes).toBe(placed);
    if (sense) expect(said(answer)).toMatchObject(sense);
    else expect(answer.sense).toBeUndefined();
    expect(deck.position).toBe(1);
  });

  test('a mark and the end place nothing', async () => {
    const deck = await threeFiles();
    await deck.locate(8);
    const mark = await deck.read(Buffer.alloc(10), false);
    expect(said(mark)).toMatchObject({ filemark: true, information: 10 });
    expect(mark.placedBytes).toBe(0);
    expect(said(await deck.read(Buffer.alloc(10), false))).toMatchObject({
      ...END,
      information: 10,
    });
    expect(deck.position).toBe(9);
  });
});

describe('the end of the tape', () => {
  test('early warning 2 MiB before it, then nothing that does not fit; a mark always fits', async () => {
    const deck = await make({ capacityBytes: 8 * MIB });
    for (let count = 0; count < 6; count += 1)
      expect((await deck.write(Buffer.alloc(MIB), FREE)).sense).toBeUndefined();
    expect(deck.isPastEarlyWarning).toBe(false);
    expect(said(await deck.write(Buffer.alloc(1), FREE))).toMatchObject({
      key: 0,
      ascq: 2,
      endOfMedium: true,
    });
    expect(deck.isPastEarlyWarning).toBe(true);
    await deck.write(Buffer.alloc(2 * MIB - 2), FREE);
    expect(deck.remainingBytes).toBe(1);
    const refused = said(await deck.write(Buffer.alloc(2), FREE));
    expect(refused).toMatchObject({ key: 0xd, endOfMedium: true, information: 2 });
    expect(deck.position).toBe(8);
    expect(said(await deck.writeFilemarks(1, false, FREE))).toMatchObject({
      key: 0,
      endOfMedium: true,
    });
    expect(said(await deck.writeFilemarks(0, false, FREE))).toBeUndefined();
    expect(deck.position).toBe(9);
  });

  test('the last 2 % of a large one', async () => {
    const deck = await make({ capacityBytes: 1000 * MIB });
    for (let count = 0; count < 980; count += 10) await deck.write(Buffer.alloc(10 * MIB), FREE);
    expect(deck.isPastEarlyWarning).toBe(false);
    await deck.write(Buffer.alloc(1), FREE);
    expect(deck.isPastEarlyWarning).toBe(true);
  });

  test('the programmable warning comes once, and again after the tape was moved', async () => {
    const deck = await make({ capacityBytes: 8 * MIB });
    const guard = { appendOnly: false, programmableEarlyWarningMb: 3 };
    await deck.write(Buffer.alloc(3 * MIB), guard);
    expect(said(await deck.write(Buffer.alloc(MIB), guard))).toMatchObject({
      key: 0,
      ascq: 7,
      endOfMedium: true,
    });
    expect(said(await deck.write(Buffer.alloc(1), guard))).toBeUndefined();
    await deck.locate(0);
    await deck.toEndOfData();
    expect(said(await deck.write(Buffer.alloc(1), guard))).toMatchObject({ ascq: 7 });
    expect(said(await deck.write(Buffer.alloc(2 * MIB), guard))).toMatchObject({ ascq: 2 });
  });
});

describe('protection', () => {
  const refusal = (code: number) => ({ key: 7, asc: code >> 8, ascq: code & 0xff });

  test('write-protected: nothing, not even a mark or an erase', async () => {
    const deck = await make({ writeProtected: true });
    expect(said(await deck.write(Buffer.alloc(1), FREE))).toMatchObject(refusal(0x2700));
    expect(said(await deck.writeFilemarks(1, false, FREE))).toMatchObject(refusal(0x2700));
    expect(said(await deck.erase(FREE))).toMatchObject(refusal(0x2700));
    expect(deck.cartridge.tape.end.block).toBe(0);
    expect(deck.cartridge.record.changeReference).toBe(0);
  });

  test('without a guard a write ends the data where it was made', async () => {
    const deck = await threeFiles();
    await deck.locate(4);
    await deck.write(Buffer.alloc(5), FREE);
    expect(deck.cartridge.tape.end).toMatchObject({ block: 5, file: 1, bytes: 35 });
    await deck.locate(2);
    await deck.erase(FREE);
    expect(deck.cartridge.tape.end.block).toBe(2);
  });

  test('append-only: permission is for one place, one write, and gone when the tape moves', async () => {
    const deck = await threeFiles();
    await deck.locate(4);
    expect(said(await deck.write(Buffer.alloc(1), GUARDED))).toMatchObject(refusal(0x300c));
    expect(deck.allowOverwrite(5)).toBe(false);
    expect(deck.allowOverwrite(4)).toBe(true);
    await deck.locate(5);
    await deck.locate(4);
    expect(said(await deck.write(Buffer.alloc(1), GUARDED))).toMatchObject(refusal(0x300c));
    deck.allowOverwrite(4);
    deck.forbidOverwrite();
    expect(said(await deck.write(Buffer.alloc(1), GUARDED))).toMatchObject(refusal(0x300c));
    deck.allowOverwrite(4);
    expect(said(await deck.write(Buffer.alloc(1), GUARDED))).toBeUndefined();
    expect(said(await deck.write(Buffer.alloc(1), GUARDED))).toBeUndefined(); // end of data now
    expect(deck.cartridge.tape.end.block).toBe(6);
  });

  test('write-once: behind the last data, before the last marks, and nowhere else, whatever is allowed', async () => {
    const deck = await threeFiles({ kind: 'worm' });
    for (const block of [0, 2, 3, 5, 8]) {
      await deck.locate(block);
      deck.allowOverwrite(block);
      expect(said(await deck.write(Buffer.alloc(1), FREE))).toMatchObject(refusal(0x300c));
    }
    await deck.toEndOfData();
    await deck.writeFilemarks(1, false, FREE);
    // between the two marks at the end: the second may be written over
    await deck.locate(9);
    expect(said(await deck.write(Buffer.alloc(1), FREE))).toBeUndefined();
    expect(deck.cartridge.tape.end.block).toBe(10);
  });
});

describe('confirming', () => {
  test('a block is confirmed by a synchronous mark, a flush, or the tape moving', async () => {
    const deck = await make();
    const { tape } = deck.cartridge;
    const write = () => deck.write(Buffer.alloc(10, 1), FREE);
    await write();
    await deck.writeFilemarks(1, true, FREE);
    expect(tape.syncedBlock).toBe(0);
    await deck.writeFilemarks(0, false, FREE);
    expect(tape.syncedBlock).toBe(2);
    await write();
    await deck.writeFilemarks(1, false, FREE);
    expect(tape.syncedBlock).toBe(4);
    await write();
    await deck.locate(0);
    expect(tape.syncedBlock).toBe(5);
  });

  test('the change reference is on the chip before the first block', async () => {
    const deck = await make();
    await deck.write(Buffer.alloc(10), FREE);
    await deck.write(Buffer.alloc(10), FREE);
    expect(deck.cartridge.record.changeReference).toBe(1);
    await deck.locate(0);
    await deck.read(Buffer.alloc(10), false);
    expect(deck.cartridge.record.changeReference).toBe(1);
  });

  test('what is lost in the buffer counts as written until it is found out', async () => {
    const deck = await make();
    const late = check({ key: 3, code: 0x0c00, deferred: true });
    await deck.write(Buffer.alloc(10), FREE);
    deck.failWritesLate(late, 5);
    await deck.write(Buffer.alloc(10), FREE);
    await deck.writeFilemarks(2, true, FREE);
    expect(deck.reported).toEqual({ block: 4, file: 2 });
    expect(deck.position).toBe(1);
    expect(deck.takeLateError(false)).toBeUndefined();
    expect(deck.takeLateError(true)).toBe(late);
    expect(deck.takeLateError(true)).toBeUndefined();
    expect(deck.reported).toEqual({ block: 1, file: 0 });
    expect(said(await deck.writeFilemarks(1, false, FREE))).toBeUndefined();
  });
});
