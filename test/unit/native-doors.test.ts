/** Each native door and the program that loads it say the same revision, and nobody forgets to raise it. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { loadPacked } from '../../src/catalog/native.ts';
import { loadScsiDoor } from '../../src/device/native.ts';
import { loadFuseDoor } from '../../src/mount/door.ts';
import { loadFsDoor } from '../../src/source/door.ts';
import { scratchDirectory } from '../sim/scratch.ts';

const ROOT = join(import.meta.dirname, '../..');

/**
 * The sources of each door without comments and blanks, at its revision. Where this differs: does a call take, answer or do
 * something else now? Then raise both kRevision and the loader's number. Note the new digest in either case.
 */
const DOORS = {
  fs: { loader: 'src/source/door.ts', revision: 1, sources: '2ccf201e122f' },

  fuse: { loader: 'src/mount/door.ts', revision: 2, sources: 'd0fe9cdedb6d' },

  scsi: { loader: 'src/device/native.ts', revision: 1, sources: '0fd9081e497d' },

  sqlite: { loader: 'src/catalog/native.ts', revision: 1, sources: '45d4b7009052' },
} as const;

test.each(Object.entries(DOORS))(
  'native/%s has the revision that its loader wants',
  (name, door) => {
    const folder = join(ROOT, 'native', name, 'src');
    const files = readdirSync(folder).sort();
    const code = files.map((file) => codeOf(readFileSync(join(folder, file), 'utf8'))).join('\n');
    expect(/kRevision = (\d+)/.exec(code)?.[1]).toBe(String(door.revision));
    const loader = readFileSync(join(ROOT, door.loader), 'utf8');
    expect(/revision: (\d+) \}/.exec(loader)?.[1]).toBe(String(door.revision));
    expect(createHash('sha256').update(code).digest('hex').slice(0, 12)).toBe(door.sources);
  },
);

/** Without comments, blank lines and indentation. */
function codeOf(text: string): string {
  return text.replaceAll(/\/\*.*?\*\/|\/\/[^\n]*/gs, '').replaceAll(/\s+/g, ' ');
}

test.each([
  [
    'of an older revision',
    '{ revision: 0 }',
    /is of revision 0, this program needs revision \d+; run npm run build/,
  ],
  [
    'from before revisions',
    '{}',
    /is older than revisions, this program needs revision \d+; run npm run build/,
  ],
] as const)('a door %s is refused', async (_, exported, sentence) => {
  const file = join(await scratchDirectory(), 'door.cjs');
  writeFileSync(file, `module.exports = ${exported};`);
  for (const load of [loadFsDoor, loadFuseDoor, loadScsiDoor])
    expect(() => load(file)).toThrow(
      expect.objectContaining({ code: 'FAILED', message: expect.stringMatching(sentence) }),
    );
});

test('the extension of SQLite says its revision', () => {
  const db = new Database(':memory:');
  loadPacked(db);
  expect(db.prepare('SELECT shelfs_revision()').pluck().get()).toBe(DOORS.sqlite.revision);
  db.close();
});
