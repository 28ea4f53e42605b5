/** FORMAT.md is the law: its examples are decoded here, and what it names is what the code has. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CAPABILITIES } from '../../../src/archive/capability.ts';
import { parseDigest } from '../../../src/archive/digest.ts';
import { CHANGES, formatEntry } from '../../../src/archive/journal.ts';
import { parseLine } from '../../../src/archive/journal-parse.ts';
import { SparseMapReader } from '../../../src/archive/sparse.ts';

const text = readFileSync(new URL('../../../src/archive/FORMAT.md', import.meta.url), 'latin1');
const vector = (name: string) => {
  const found = new RegExp(`\`\`\`vector ${name}\n([^]*?)\`\`\``).exec(text)?.[1];
  if (found === undefined) throw new Error(`no vector ${name}`);
  return found;
};

test('a digest', () => {
  const digest = parseDigest(Buffer.from(vector('digest'), 'hex').toString('latin1'));
  expect(digest.lengthBytes).toBe(4096);
  expect(digest.journal).toEqual({ offset: 3072, lengthBytes: 543 });
  expect(digest.sha256?.toString('hex')).toMatch(/^e3b0c44298fc1c14/);
  expect(digest.blake3.toString('hex')).toMatch(/^af1349b9f5f9a1a6/);
});

test('a sparse map', () => {
  const block = Buffer.alloc(512);
  Buffer.from(vector('sparse'), 'hex').copy(block);
  const reader = new SparseMapReader();
  expect(reader.push(block)).toBe(true);
  expect(reader.ranges(1_048_576)).toEqual([{ offset: 4096, lengthBytes: 512 }]);
});

test('entries of a journal, read and written again', () => {
  const lines = vector('entry').trimEnd().split('\n');
  expect(lines).toHaveLength(4);
  const entries = lines.map((line) => parseLine(line, 1));
  for (const [index, entry] of entries.entries()) {
    if (entry?.kind !== 'entry') throw new Error('no entry');
    expect(formatEntry(entry)).toBe(`${lines[index]}\n`);
  }
  expect(entries[0]).toMatchObject({
    path: '/home/me/tab\there',
    inode: { device: 2049, inode: 131, links: 1 },
    attributes: {
      user: 'me',
      group: '',
      xattrs: [{ name: 'user.note', value: Buffer.from('hi') }],
    },
    copies: [
      [{ medium: 'ABC001L9', file: 1, block: 4, skipBytes: 2560, storedBytes: 5 }],
      [{ medium: 'ABC002L9', file: 7, block: 910 }],
    ],
  });
  expect(entries[1]).toMatchObject({ attributes: { mtime: { seconds: -1, nanoseconds: 5e8 } } });
  expect(entries[2]).toMatchObject({ attributes: { target: '../a;b' } });
  expect(entries[3]).toMatchObject({
    copies: [[{ form: 'sparse', storedBytes: 1_049_088, lengthBytes: 68_719_476_736 }]],
    group: 41,
  });
});

test('names in the law are the names in the code', () => {
  for (const change of CHANGES) expect(text).toContain(`\`${change}\``);
  for (const name of CAPABILITIES) expect(text).toContain(`\`${name}\``);
});
