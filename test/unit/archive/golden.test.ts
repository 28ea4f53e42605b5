/** Media of revision 1 as they lie on shelves: what was written once is read for ever. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { findDigest } from '../../../src/archive/digest.ts';
import type { JournalLine } from '../../../src/archive/journal.ts';
import { journalLines, parseJournal } from '../../../src/archive/journal-parse.ts';
import { parseLabel } from '../../../src/archive/label.ts';
import { parseOpening } from '../../../src/archive/opening.ts';
import { readMembers } from '../../../src/archive/reader.ts';
import { HOLES, makeGolden, WHOLE } from './golden.ts';
import { blake3 } from './media.ts';
import { sourceOf } from './stream.ts';

const GOLDEN = join(import.meta.dirname, '../../fixtures/archive/revision-1');
const scratch = mkdtempSync(join(tmpdir(), 'shelfs-golden-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const tapeFile = (barcode: string, file: number) =>
  readFileSync(join(GOLDEN, barcode, String(file)));
const ARCHIVES = [
  ['AAA001L9', 1],
  ['AAA002L9', 1],
  ['AAA001L9', 3],
] as const;

async function journalOf(barcode: string, file: number): Promise<JournalLine[]> {
  const stream = tapeFile(barcode, file);
  const journal = findDigest(stream.subarray(-8192), stream.length)?.journal;
  if (journal === undefined) throw new Error('no digest');
  const text = stream.subarray(journal.offset, journal.offset + journal.lengthBytes);
  const lines: JournalLine[] = [];
  for await (const line of parseJournal(journalLines([text]))) lines.push(line);
  return lines;
}

test.each(['AAA001L9', 'AAA002L9'])('the label of %s', (barcode) =>
  expect(parseLabel(tapeFile(barcode, 0))).toMatchObject({
    barcode,
    blockBytes: 4096,
    pool: 'main',
  }),
);

describe.each(ARCHIVES)('archive %s:%d', (barcode, file) => {
  test('its digest is of what is there', () => {
    const stream = tapeFile(barcode, file);
    const digest = findDigest(stream.subarray(-8192), stream.length);
    const hashed = stream.subarray(0, digest?.lengthBytes);
    expect(digest?.blake3).toEqual(blake3(hashed));
    expect(digest?.sha256).toEqual(createHash('sha256').update(hashed).digest());
    expect(digest?.uuid).toBe(parseOpening(stream.subarray(0, 8192)).uuid);
  });

  test('every place its journal names holds the bytes of the hash', async () => {
    let proven = 0;
    for (const line of await journalOf(barcode, file)) {
      if (line.kind !== 'entry' || line.hash === undefined) continue;
      for (const copy of line.copies) {
        const bytes = Buffer.alloc(line.attributes.sizeBytes);
        for (const place of copy) {
          const blockBytes = 4096;
          const start = parseOpening(tapeFile(place.medium, place.file)).copies[0]?.block ?? 0;
          const at = (place.block - start) * blockBytes + place.skipBytes;
          const stored = tapeFile(place.medium, place.file).subarray(at, at + place.storedBytes);
          if (place.form === 'plain') stored.copy(bytes, place.contentOffset);
          else stored.subarray(512).copy(bytes, 65_536);
        }
        expect(blake3(bytes)).toEqual(line.hash);
        proven += 1;
      }
    }
    expect(proven).toBeGreaterThan(0);
  });
});

test('members and lines of the first archive', async () => {
  const names: string[] = [];
  for await (const member of readMembers(sourceOf(tapeFile('AAA001L9', 1)))) {
    names.push(member.path);
    if (member.path === 'home/me/holes')
      expect(member).toMatchObject({
        lengthBytes: HOLES.length,
        ranges: [{ offset: 65_536, lengthBytes: 512 }],
      });
    if (member.path.includes('part-0001'))
      expect(member.part).toEqual({ number: 1, count: 2, offset: 0, totalBytes: WHOLE.length });
  }
  expect(names).toEqual([
    '.shelfs/archives/00000000-0000-4000-8000-000000000001/archive.json',
    'home/',
    'home/me/',
    'home/me/plain',
    'home/me/empty',
    "home/me/odd\t\n\\ '\xe4\x7f",
    `home/me/${'long/'.repeat(30)}name`,
    'home/me/before-1970',
    'home/me/holes',
    'home/me/link',
    'home/me/pipe',
    '.shelfs/tree/.shelfs/ours',
    '.shelfs/hosts/web/theirs',
    'home/me/big.shelfs-part-0001-of-0002',
    '.shelfs/archives/00000000-0000-4000-8000-000000000001/journal',
    '.shelfs/archives/00000000-0000-4000-8000-000000000001/digest',
  ]);
  const lines = await journalOf('AAA001L9', 1);
  expect(
    lines.find((line) => line.kind === 'entry' && line.path === '/home/me/plain'),
  ).toMatchObject({
    group: 12,
    inode: { device: 2049, inode: 131, links: 2 },
    attributes: { xattrs: [{ name: 'user.a%=;', value: Buffer.from([0, 10, 255]) }] },
  });
  expect(lines.find((line) => line.kind === 'entry' && line.path === '/theirs')).toMatchObject({
    host: 'web',
  });
});

test('the torn archive has no digest, is complained about, and is completed by the next', async () => {
  const stream = tapeFile('AAA001L9', 2);
  expect(findDigest(stream.subarray(-8192), stream.length)).toBeUndefined();
  const whole: string[] = [];
  const read = async () => {
    for await (const member of readMembers(sourceOf(stream))) {
      for await (const chunk of member.data()) expect(chunk.length).toBeGreaterThan(0);
      whole.push(member.path);
    }
  };
  await expect(read()).rejects.toMatchObject({ code: 'ARCHIVE_TORN' });
  expect(whole.at(-1)).toBe('home/me/before-tear');
  const { uuid } = parseOpening(stream);
  expect(parseOpening(tapeFile('AAA001L9', 3)).completes).toMatchObject({ uuid, file: 2 });
});

test('the script on its label restores it', () => {
  spawnSync('tar', ['-xf', join(GOLDEN, 'AAA001L9/0'), '-C', scratch, 'restore.sh']);
  const target = join(scratch, 'target');
  const { status, stderr } = spawnSync(
    'sh',
    [join(scratch, 'restore.sh'), '-d', GOLDEN, '-t', target],
    { encoding: 'latin1' },
  );
  expect(status, stderr).toBe(0);
  const read = (name: string) => readFileSync(join(target, 'home/me', name));
  expect(read('big').equals(WHOLE)).toBe(true);
  expect(read('holes').equals(HOLES)).toBe(true);
  for (const name of ['renamed', 'twin', 'linked']) expect(read(name).toString()).toBe('plain');
  expect(read('before-tear').toString()).toBe('whole');
  expect(existsSync(join(target, 'home/me/plain'))).toBe(false);
});

test('today’s code still writes the same archives', () => {
  const made = join(scratch, 'made');
  makeGolden(made);
  for (const [barcode, file] of [...ARCHIVES, ['AAA001L9', 2] as const])
    expect(readFileSync(join(made, barcode, String(file))).equals(tapeFile(barcode, file))).toBe(
      true,
    );
});
