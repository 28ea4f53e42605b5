import { join } from 'node:path';
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { expect, test } from 'vitest';
import { formatEntry, proofOf } from '../../../../src/archive/journal.ts';
import type { Raw } from '../../../../src/base/raw.ts';
import { JournalSpool } from '../../../../src/job/backup/journal-spool.ts';
import { scratchDirectory } from '../../../sim/scratch.ts';

const entryOf = (path: Raw) => ({
  change: 'new' as const,
  path,
  attributes: {
    type: 'file' as const,
    mode: 0o644,
    uid: 1000,
    gid: 1000,
    user: 'me' as Raw,
    group: 'us' as Raw,
    sizeBytes: 0,
    mtime: { seconds: 1_700_000_000, nanoseconds: 1 },
    ctime: { seconds: 1_700_000_000, nanoseconds: 2 },
    xattrs: [],
  },
  copies: [],
});

/** Each proof is of all before it, and the last line is one. */
function withoutProofs(text: string): string {
  const lines = text.split(/(?<=\n)/);
  expect(proofOf(lines.at(-1)?.trimEnd() ?? '')).toBeDefined();
  const hasher = new Blake3Hasher();
  const others = lines.filter((line) => {
    const proof = proofOf(line.slice(0, -1));
    if (proof) expect(hasher.digestBuffer().equals(proof)).toBe(true);
    hasher.update(Buffer.from(line, 'latin1'));
    return proof === undefined;
  });
  return others.join('');
}

test('lines come back in their order, however many', async () => {
  const spool = new JournalSpool(await scratchDirectory(), 'journal');
  const lines = Array.from(
    { length: 20_000 },
    (_, index) => `line ${index} ${'x'.repeat(index % 90)}\n`,
  );
  for (const line of lines) spool.add(line);
  const read = Array.from(spool.read(), (bytes) => Buffer.from(bytes));
  const text = Buffer.concat(read).toString('latin1');
  expect(withoutProofs(text)).toBe(lines.join(''));
  expect(spool.lengthBytes).toBe(text.length);
  spool.close();
});

test('lines and entries, also those longer than what is kept back', async () => {
  const spool = new JournalSpool(await scratchDirectory(), 'journal');
  const expected: string[] = [];
  for (let index = 0; index < 3000; index += 1) {
    const isLong = index % 700 === 699;
    const entry = entryOf(`/file ${index}${isLong ? '\\'.repeat(300 * 1024) : ''}` as Raw);
    spool.addEntry(entry);
    expected.push(formatEntry(entry));
    if (index % 10 !== 0) continue;
    const line = `line ${'x'.repeat(isLong ? 300 * 1024 : index)}\n`;
    spool.add(line);
    expected.push(line);
  }
  const { lengthBytes } = spool;
  const read = Array.from(spool.read(), (bytes) => Buffer.from(bytes));
  const text = Buffer.concat(read).toString('latin1');
  expect(withoutProofs(text)).toBe(expected.join(''));
  expect([lengthBytes, spool.lengthBytes]).toEqual([text.length, text.length]);
  spool.close();
});

test('what the disk refuses has a name', async () => {
  const nowhere = join(await scratchDirectory(), 'nowhere');
  expect(() => new JournalSpool(nowhere, 'journal')).toThrow(
    expect.objectContaining({ code: 'FAILED', message: expect.stringContaining('ENOENT') }),
  );
});
