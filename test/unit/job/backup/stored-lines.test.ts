/** Lines that are written many in one call: the same bytes as one by one, in the order they came. */
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { formatEntry } from '../../../../src/archive/journal.ts';
import { escapeMedium } from '../../../../src/archive/journal-field.ts';
import { blockOf } from '../../../../src/archive/place.ts';
import { type Raw, rawOf } from '../../../../src/base/raw.ts';
import { JournalSpool } from '../../../../src/job/backup/journal-spool.ts';
import { type StoredLine, StoredLines } from '../../../../src/job/backup/stored-lines.ts';
import { loadFsDoor } from '../../../../src/source/door.ts';
import { scratchDirectory } from '../../../sim/scratch.ts';

const BLOCK_BYTES = 512 * 1024;
const COPIES = [
  { medium: rawOf('ABC001L9'), file: 1, startBlock: 0 },
  { medium: rawOf('a:b,c'), file: 1_000_000, startBlock: 2 ** 40 },
];
const WHERE = {
  copies: COPIES.map(({ medium, file, startBlock }) => ({
    name: `${escapeMedium(medium)}:${file}:`,
    startBlock,
  })),
  blockBytes: BLOCK_BYTES,
};

const seconds = fc.oneof(
  fc.integer(),
  fc.constantFrom(0, -1, Number.MAX_SAFE_INTEGER, -(2 ** 53 - 1)),
);
const moment = fc.record({ seconds, nanoseconds: fc.nat(999_999_999) });
const safe = fc.maxSafeNat();
const path = fc
  .array(fc.constantFrom(...'ab/ \xe4\xff;,=:~-'), { maxLength: 300 })
  .map((letters) => `/${letters.join('')}` as Raw);
const oddPath = fc.constantFrom('/', '/a\tb', '/\\', '/\x7f', '/\n').map((text) => text as Raw);
const attributes = fc.record({
  type: fc.oneof(
    { weight: 9, arbitrary: fc.constant('file' as const) },
    fc.constant('fifo' as const),
  ),
  mode: fc.constantFrom(0, 0o644, 0o7777),
  uid: fc.constantFrom(0, 2 ** 32 - 1),
  gid: fc.constantFrom(0, 1000),
  user: fc.constantFrom(rawOf('root'), rawOf(''), rawOf('a:b')),
  group: fc.constantFrom(rawOf('group'), rawOf('ü\n')),
  sizeBytes: safe,
  mtime: moment,
  ctime: moment,
  xattrs: fc.constantFrom([], [], [], [{ name: rawOf('user.x'), value: Buffer.from('x') }]),
});
const line: fc.Arbitrary<StoredLine> = fc.record({
  change: fc.constantFrom('new', 'changed'),
  path: fc.oneof({ weight: 9, arbitrary: path }, oddPath),
  attributes,
  inode: fc.record({
    device: fc.oneof(safe, fc.constant(2 ** 60)),
    inode: safe,
    links: fc.constantFrom(1, 1, 1, 2),
  }),
  hash: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes)),
  archiveOffset: safe,
});

function entryOf({ change, path, attributes, inode, hash, archiveOffset }: StoredLine) {
  const { sizeBytes } = attributes;
  const copies = COPIES.map(({ medium, file, startBlock }) => {
    const at = blockOf({ startBlock, blockBytes: BLOCK_BYTES }, archiveOffset);
    const bytes = { storedBytes: sizeBytes, contentOffset: 0, lengthBytes: sizeBytes };
    return [{ medium, file, ...at, ...bytes, form: 'plain' as const }];
  });
  const known = change === 'new' ? ('new' as const) : ('changed' as const);
  return { change: known, path, attributes, hash, copies, inode };
}

test('a line is what is written for one entry; others are left to be written so', () => {
  const room = Buffer.alloc(64 * 1024);
  let compared = 0;
  fc.assert(
    fc.property(fc.array(line, { maxLength: 20 }), (all) => {
      const lines = new StoredLines(loadFsDoor(), WHERE, room.length);
      const taken = all.filter((one) => {
        const answer = lines.add(one);
        expect(answer).not.toBe('full');
        return answer === 'added';
      });
      compared += taken.length;
      const bytes = lines.writeInto(room);
      const expected = taken.map((one) => formatEntry(entryOf(one))).join('');
      expect(room.toString('latin1', 0, bytes)).toBe(expected);
    }),
    { numRuns: 100 },
  );
  expect(compared).toBeGreaterThan(30);
});

test('in a spool they keep their place among others, and are written before it is read', async () => {
  const spool = new JournalSpool(await scratchDirectory(), 'journal');
  onTestFinished(() => spool.close());
  spool.begin(WHERE);
  const one = (number: number, path = `/d/${'x'.repeat(number % 7)}${number}`): StoredLine => ({
    change: 'new',
    path: rawOf(path),
    attributes: {
      ...{ type: 'file', mode: number % 300, uid: 0, gid: 0, user: rawOf('u'), group: rawOf('g') },
      ...{ sizeBytes: number, mtime: { seconds: number, nanoseconds: 0 }, xattrs: [] },
      ctime: { seconds: 0, nanoseconds: number },
    },
    inode: { device: 1, inode: number, links: 1 },
    hash: Buffer.alloc(32, number % 256),
    archiveOffset: number * 1000,
  });
  const expected: string[] = [];
  for (let number = 0; number < 3000; number += 1) {
    const stored = one(number, number % 100 === 99 ? `/tab\t${'y'.repeat(60_000)}` : undefined);
    expected.push(formatEntry(entryOf(stored)));
    if (!spool.addStored(stored)) spool.addEntry(entryOf(stored));
    if (number % 500 === 0) {
      spool.add(`line ${number}\n`);
      expected.push(`line ${number}\n`);
    }
  }
  const { lengthBytes } = spool;
  const text = Buffer.concat(Array.from(spool.read(), (part) => Buffer.from(part))).toString(
    'latin1',
  );
  expect(text.length).toBe(lengthBytes);
  expect(text.replaceAll(/^proof\t.*\n/gm, '')).toBe(expected.join(''));
});

test('what may not fit is not written, and has room when that is empty', () => {
  const door = loadFsDoor();
  const lines = new StoredLines(door, { copies: [], blockBytes: 1 }, 1024);
  const time = { seconds: 0, nanoseconds: 0 };
  const plain: StoredLine = {
    change: 'new',
    path: rawOf('/a'),
    attributes: {
      ...{ type: 'file', mode: 0, uid: 0, gid: 0, user: rawOf('u'), group: rawOf('g') },
      ...{ sizeBytes: 1, mtime: time, ctime: time, xattrs: [] },
    },
    inode: { device: 1, inode: 1, links: 1 },
    hash: Buffer.alloc(32),
    archiveOffset: 0,
  };
  expect(lines.add({ ...plain, path: rawOf(`/${'p'.repeat(1024)}`) })).toBe('odd');
  let count = 0;
  while (lines.add(plain) === 'added') count += 1;
  expect(count).toBeGreaterThan(1);
  expect(lines.writeInto(Buffer.alloc(count * 100))).toBeUndefined();
  expect(lines.writeInto(Buffer.alloc(1024))).toBeGreaterThan(count * 100);
  lines.clear();
  expect([lines.count, lines.add(plain)]).toEqual([0, 'added']);
});
