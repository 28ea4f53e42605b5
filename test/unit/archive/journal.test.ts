import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  CHANGES,
  EntryEncoder,
  formatCatalogCopy,
  formatEnd,
  formatEntry,
  formatExpired,
  formatMedia,
  formatRun,
  formatSegments,
  formatStart,
  type JournalEntry,
  type JournalLine,
} from '../../../src/archive/journal.ts';
import { escapeField, unescapeField } from '../../../src/archive/journal-field.ts';
import { journalLines, parseJournal, parseLine } from '../../../src/archive/journal-parse.ts';
import { blockOf, type Place } from '../../../src/archive/place.ts';
import { CodedError } from '../../../src/base/errors.ts';
import type { Raw } from '../../../src/base/raw.ts';
import { fileAttributes, otherAttributes, rawName, rawPath } from './arbitrary.ts';

const UUID = '6f1c2a34-0b1d-4c5e-8f90-a1b2c3d4e5f6';
const START = formatStart({
  archive: UUID,
  host: 'nas' as Raw,
  created: '2026-11-20T09:00:00Z',
});

const place: fc.Arbitrary<Place> = fc
  .record({
    medium: fc.oneof(fc.constant('ABC001L9' as Raw), rawName(12)),
    file: fc.nat(9999),
    block: fc.nat(4e9),
    skipBytes: fc.nat(524_287),
    storedBytes: fc.nat(2 ** 40),
    contentOffset: fc.nat(2 ** 45),
    form: fc.constantFrom('plain' as const, 'sparse' as const),
    lengthBytes: fc.nat(2 ** 45),
  })
  .map((one) => (one.form === 'plain' ? { ...one, lengthBytes: one.storedBytes } : one));

const maybe = <T>(key: string, value: fc.Arbitrary<T>) =>
  fc.option(value).map((one) => (one === null ? {} : { [key]: one }));

const entry: fc.Arbitrary<JournalEntry> = fc
  .tuple(
    fc.record({
      kind: fc.constant('entry' as const),
      change: fc.constantFrom(...CHANGES),
      path: fc.oneof(fc.constant('/' as Raw), rawPath),
      attributes: fc.oneof(fileAttributes, otherAttributes),
      copies: fc.array(fc.array(place, { minLength: 1, maxLength: 3 }), { maxLength: 3 }),
    }),
    maybe(
      'hash',
      fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes)),
    ),
    maybe('inode', fc.record({ device: fc.nat(), inode: fc.nat(), links: fc.nat() })),
    maybe('group', fc.nat()),
    maybe('from', rawPath),
    maybe('host', rawName()),
    maybe('isChangedWhileRead', fc.constant(true)),
  )
  .map(([base, ...more]) => Object.assign({}, base, ...more));

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

async function read(bytes: Buffer, chunkBytes = 1000): Promise<JournalLine[]> {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += chunkBytes)
    chunks.push(bytes.subarray(at, at + chunkBytes));
  return collect(parseJournal(journalLines(chunks)));
}

describe('what is written is read back', () => {
  test('entries, whatever the chunks', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(entry, { maxLength: 5 }),
        fc.integer({ min: 1, max: 500 }),
        async (entries, chunkBytes) => {
          const text = START + entries.map(formatEntry).join('');
          expect((await read(Buffer.from(text, 'latin1'), chunkBytes)).slice(1)).toEqual(entries);
        },
      ),
      { numRuns: 500 },
    ));

  test('lines in one buffer are each what it is alone, and what may not fit leaves what was there', () =>
    fc.assert(
      fc.property(
        fc.array(entry, { minLength: 1, maxLength: 8 }),
        fc.nat(500),
        (entries, slack) => {
          const text = entries.map(formatEntry).join('');
          const target = Buffer.alloc(text.length + slack);
          const encoder = new EntryEncoder();
          let at = 0;
          for (const one of entries) {
            const end = encoder.encodeInto(target, at, one);
            if (end === undefined) break;
            at = end;
          }
          expect(target.toString('latin1', 0, at)).toBe(text.slice(0, at));
          // 400 bytes are more than an entry's bound is above its line, but for places and their media.
          const last = entries.at(-1);
          if (slack > 400 && last?.copies.length === 0) expect(at).toBe(text.length);
        },
      ),
      { numRuns: 500 },
    ));

  test('the lines around them', async () => {
    const run = {
      job: 7,
      uuid: UUID,
      host: 'nas' as Raw,
      started: '2026-11-20T09:00:00Z',
      program: 'shelfs 0.1.0',
    };
    const end = {
      job: 7,
      uuid: UUID,
      state: 'finished' as const,
      snapshot: '2026-11-20T09:00:01Z',
      counts: { gone: 0, new: 3 },
    };
    const copy = { position: 1536, lengthBytes: 70_000, taken: '2026-11-20T09:00:02.250Z' };
    const expired = { what: 'medium' as const, uuid: UUID, name: 'AB\t001L9' as Raw };
    const segments = Buffer.alloc(32 * 1001, 5);
    const text = [
      START,
      formatRun(run),
      ...formatSegments(Buffer.alloc(32, 1), segments),
      ...formatMedia(['ABC001L9' as Raw, 'a:b' as Raw]),
      formatCatalogCopy(copy),
      formatExpired(expired),
      formatEnd(end),
      formatEnd({ ...end, state: 'partial', snapshot: undefined, counts: {} }),
    ].join('');
    const lines = await read(Buffer.from(text, 'latin1'));
    expect(lines.map(({ kind }) => kind)).toEqual([
      'journal',
      'run',
      'segments',
      'segments',
      'media',
      'catalog',
      'expired',
      'end',
      'end',
    ]);
    expect(lines[1]).toEqual({ kind: 'run', ...run });
    expect(lines[2]).toMatchObject({ first: 0, segments: segments.subarray(0, 32_000) });
    expect(lines[3]).toMatchObject({ first: 1000, segments: segments.subarray(32_000) });
    expect(lines[4]).toEqual({ kind: 'media', media: ['ABC001L9', 'a:b'] });
    expect(lines[5]).toEqual({ kind: 'catalog', ...copy });
    expect(lines[6]).toEqual({ kind: 'expired', ...expired });
    expect(lines[7]).toEqual({ kind: 'end', ...end });
  });

  test('names of lines not known are passed over', async () => {
    expect(await read(Buffer.from(`${START}weather\tfine\n`))).toHaveLength(1);
    expect(await read(Buffer.from(`${START}toString\t1\n`))).toHaveLength(1);
    expect(await read(Buffer.from(`${START}__proto__\t1\n`))).toHaveLength(1);
  });
});

describe('what is refused', () => {
  const line = formatEntry({
    change: 'new',
    path: '/a' as Raw,
    attributes: {
      type: 'file',
      mode: 0o644,
      uid: 0,
      gid: 0,
      user: '' as Raw,
      group: '' as Raw,
      sizeBytes: 1,
      mtime: { seconds: 0, nanoseconds: 0 },
      ctime: { seconds: 0, nanoseconds: 0 },
      xattrs: [],
    },
    hash: Buffer.alloc(32),
    copies: [
      [
        {
          medium: 'ABC001L9' as Raw,
          file: 1,
          block: 2,
          skipBytes: 3,
          storedBytes: 1,
          contentOffset: 0,
          lengthBytes: 1,
          form: 'plain',
        },
      ],
    ],
    group: 4,
  }).slice(0, -1);

  test('the line itself is good', () => expect(parseLine(line, 1)).toMatchObject({ path: '/a' }));

  test.each<[string, (good: string) => string]>([
    ['a type', (good) => good.replace(/^f/, 'x')],
    ['a change', (good) => good.replace('new', 'newer')],
    ['a size', (good) => good.replace('\t1\t', '\t-1\t')],
    ['a size above 2^53', (good) => good.replace('\t1\t', '\t9007199254740993\t')],
    ['a time', (good) => good.replace('0.000000000', '0x0')],
    ['a mode', (good) => good.replace('0644', '0999')],
    ['ids', (good) => good.replace('0:0', '0')],
    ['an owner', (good) => good.replace('-:-', '-:-:-')],
    ['a hash', (good) => good.replace('00'.repeat(32), '00'.repeat(31))],
    ['a place', (good) => good.replace('+3', '')],
    ['a place without its medium', (good) => good.replace('ABC001L9', '')],
    ['a length of what is not sparse', (good) => good.replace('@0', '@0^5')],
    ['an extra', (good) => good.replace('group=4', 'group')],
    ['a group', (good) => good.replace('group=4', 'group=x')],
    ['a path that is not absolute', (good) => good.replace('/a', 'a')],
    ['a path that climbs', (good) => good.replace(/\/a$/, '/a/../../b')],
    ['a path that climbs at its end', (good) => good.replace(/\/a$/, '/a/..')],
    ['a path with a dot', (good) => good.replace(/\/a$/, '/./a')],
    ['a path with an empty name', (good) => good.replace(/\/a$/, '//a')],
    ['a path with a slash at its end', (good) => good.replace(/\/a$/, '/a/')],
    ['a NUL', (good) => good.replace(/\/a$/, '/a\\0000')],
    ['an escape', (good) => good.replace(/\/a$/, '/a\\x41')],
    ['a field too few', (good) => good.replace('\tgroup=4', '')],
    ['a field too many', (good) => `${good}\tmore`],
    ['an empty field', (good) => good.replace('-:-', '')],
  ])('%s', (_, spoil) => {
    const bad = spoil(line);
    expect(bad).not.toBe(line);
    expect(() => parseLine(bad, 5)).toThrow(CodedError);
  });

  test('a journal without its first line, cut, or with a line without end', async () => {
    const invalid = { code: 'ARCHIVE_INVALID' };
    await expect(read(Buffer.from(`${line}\n`))).rejects.toMatchObject(invalid);
    await expect(read(Buffer.from(START + START))).rejects.toMatchObject(invalid);
    await expect(read(Buffer.from(START.slice(0, -1)))).rejects.toMatchObject(invalid);
    await expect(read(Buffer.from(START.replace('\t1\t', '\t2\t')))).rejects.toMatchObject(invalid);
    let given = 0;
    function* endless() {
      for (;;) {
        given += 2 ** 20;
        yield Buffer.alloc(2 ** 20, 0x61);
      }
    }
    await expect(collect(journalLines(endless()))).rejects.toMatchObject(invalid);
    expect(given).toBeLessThanOrEqual(17 * 2 ** 20);
  });

  test('anything: a line or a CodedError', () =>
    fc.assert(
      fc.property(
        entry,
        fc.nat(400),
        fc.string({ unit: 'binary-ascii', maxLength: 3 }),
        (one, at, put) => {
          const good = formatEntry(one).slice(0, -1);
          const cut = at % good.length;
          try {
            parseLine(good.slice(0, cut) + put + good.slice(cut + put.length), 1);
          } catch (error) {
            expect(error).toBeInstanceOf(CodedError);
          }
        },
      ),
      { numRuns: 2000 },
    ));
});

describe('fields', () => {
  test.each([
    ['', '-'],
    ['-', '\\0055'],
    ['--', '--'],
    ['a\tb\n', 'a\\0011b\\0012'],
    ['\\', '\\0134'],
    ['\x7f\xff', '\\0177\xff'],
  ])('%j is written %j', (raw, text) => {
    expect(escapeField(raw)).toBe(text);
    expect(unescapeField(text)).toBe(raw);
  });

  test('printf %b of sh reads them', () => {
    const raw = String.fromCharCode(...Array.from({ length: 255 }, (_, index) => index + 1));
    const field = Buffer.from(escapeField(raw), 'latin1');
    const script = 'IFS= read -r field; printf %b "$field"';
    const out = execFileSync('sh', ['-c', script], {
      input: Buffer.concat([field, Buffer.from('\n')]),
      env: { LC_ALL: 'C', PATH: '/usr/bin:/bin' },
    });
    expect(out).toEqual(Buffer.from(raw, 'latin1'));
  });

  test('a place in a stream is a block and bytes in it', () => {
    const archive = { startBlock: 100, blockBytes: 524_288 };
    expect(blockOf(archive, 524_287)).toEqual({ block: 100, skipBytes: 524_287 });
    expect(blockOf(archive, 524_288)).toEqual({ block: 101, skipBytes: 0 });
  });
});
