/** What a plan keeps free for a cartridge's end is never less than what comes: random trees, stored as a run stores them. */
import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatEntry } from '../../../../src/archive/journal.ts';
import type { Raw } from '../../../../src/base/raw.ts';
import { CatalogCopy, databaseBytes } from '../../../../src/catalog/file/copy.ts';
import { Jobs } from '../../../../src/catalog/job/jobs.ts';
import type { PendingEntry } from '../../../../src/catalog/pending/rows.ts';
import type { Run } from '../../../../src/catalog/run/run.ts';
import { SEGMENT_BYTES, segmentCount } from '../../../../src/domain/content.ts';
import type { DataRange, Xattr } from '../../../../src/domain/entry.ts';
import {
  catalogCopyMax,
  closingReserve,
  untoldMax,
} from '../../../../src/job/backup/closing-reserve.ts';
import { planItem } from '../../../../src/job/backup/items.ts';
import type { OutgoingEntry } from '../../../../src/job/backup/outgoing-entry.ts';
import { addUntold } from '../../../../src/job/backup/run-journal.ts';
import {
  attributes,
  beginArchive,
  commit,
  content,
  DIRECTORY,
  source,
  type World,
  world,
} from '../../catalog/scratch.ts';

const byte = fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code));
const text = (maxLength: number) =>
  fc
    .array(
      byte.filter((character) => character !== '/'),
      { minLength: 1, maxLength },
    )
    .map((all) => all.join('') as Raw);
const name = fc.oneof(text(8), text(250)).filter((found) => found !== '.' && found !== '..');
const xattr = fc.record({
  name: text(60).map((found) => `user.${found}` as Raw),
  value: fc.uint8Array({ maxLength: 3000 }).map((bytes) => Buffer.from(bytes)),
});
const entry = fc.record({
  name,
  kind: fc.constantFrom('file', 'file', 'file', 'symlink', 'gone', 'sparse', 'large'),
  target: text(400),
  user: fc.constantFrom('me', 'a:user', ''),
  xattrs: fc.oneof(fc.constant([]), fc.constant([]), fc.array(xattr, { maxLength: 3 })),
});
const tree = fc.array(fc.record({ directory: name, entries: fc.array(entry, { maxLength: 30 }) }), {
  minLength: 1,
  maxLength: 6,
});

type Tree = typeof tree extends fc.Arbitrary<infer T> ? T : never;
type Given = Tree[number]['entries'][number];

const LARGE_BYTES = 70 * SEGMENT_BYTES;
const RANGES: readonly DataRange[] = Array.from({ length: 300 }, (_, index) => ({
  offset: index * 1_000_000,
  lengthBytes: 4096,
}));

/** As a scan finds it: nothing is stored yet. */
function addTree(run: Run, hostId: number, given: Tree): Map<string, Given> {
  const found = new Map<string, Given>();
  let inode = 10;
  for (const { directory, entries } of given) {
    const path = `/${directory}` as Raw;
    const place = run.place(path, hostId);
    run.add([{ ...place, change: 'new', attributes: DIRECTORY, sourceInode: source(inode, 2) }]);
    const directoryId = run.directory(path, hostId);
    for (const one of entries) {
      inode += 1;
      found.set(`${path}/${one.name}`, one);
      if (one.kind === 'gone') {
        run.gone(directoryId, one.name);
        continue;
      }
      const isLink = one.kind === 'symlink';
      const sizeBytes = isLink ? 0 : one.kind === 'file' ? 1000 + inode : LARGE_BYTES;
      const kind = isLink ? ({ type: 'symlink', target: one.target } as const) : {};
      const xattrs = uniqueNames(one.xattrs);
      run.add([
        {
          directoryId,
          name: one.name,
          change: 'new',
          attributes: attributes({ sizeBytes, user: one.user as Raw, xattrs, ...kind }),
          sourceInode: source(inode),
        },
      ]);
    }
  }
  return found;
}

function uniqueNames(xattrs: readonly Xattr[]): Xattr[] {
  return [...new Map(xattrs.map((one) => [one.name, one])).values()].toSorted((a, b) =>
    a.name < b.name ? -1 : 1,
  );
}

function outgoing(row: PendingEntry, given: Given | undefined): OutgoingEntry | undefined {
  const { inode } = row;
  if (!inode) return undefined;
  const form = inode.type === 'file' ? 'data' : 'head';
  const place = { source: '/' as Raw, followsLinks: false, path: row.path.slice(1) as Raw };
  const ranges = given?.kind === 'sparse' ? RANGES : undefined;
  return { row, inode, form, host: undefined, place, ranges, isFinal: false };
}

/** All of it, and finished: the catalog is as large as the run makes it. */
function storeTree({ media }: World, run: Run, entries: readonly OutgoingEntry[]): void {
  const archiveId = beginArchive(run, media.slice(0, 1));
  const stored = entries.map(({ row, inode, ranges }, index) => {
    const key = { directoryId: row.directoryId, name: row.name, inodeId: inode.inodeId };
    if (inode.type !== 'file') return key;
    const { sizeBytes } = inode;
    const segments =
      sizeBytes > SEGMENT_BYTES ? randomHashes(segmentCount(sizeBytes), index) : undefined;
    const extent = {
      contentOffset: 0,
      lengthBytes: sizeBytes,
      archiveOffset: 1e12 + index,
      storedBytes: sizeBytes - 1,
      form: 'sparse' as const,
    };
    const bytes = { ...content(`content ${index}`, sizeBytes), segments };
    return { ...key, content: bytes, extents: [extent], ranges };
  });
  run.archives.store(archiveId, stored);
  run.archives.takeForJournal(archiveId);
  commit(run, archiveId, media.slice(0, 1));
  run.finish({ state: 'finished', timeMs: 5000 });
}

function randomHashes(count: number, salt: number): Buffer {
  return Buffer.concat(
    Array.from({ length: count }, (_, index) => content(`${salt} ${index}`).hash),
  );
}

/** Lines as the closing journal has them; its entries told one by one. */
function untoldLines(at: World, run: Run): number[] {
  const job = new Jobs(at.catalog).get(run.jobNumber);
  if (!job) throw new Error('no job');
  const lines: number[] = [];
  addUntold(
    {
      archiveId: 0,
      addLine: () => {},
      addEntry: (line) => void lines.push(formatEntry(line).length),
    },
    { catalog: at.catalog, run, job },
  );
  return lines;
}

async function makeCopy({ path }: World): Promise<CatalogCopy> {
  const head = ['11111111-2222-4333-8444-555555555555', '2026-01-01T00:00:00.000Z', 'test'];
  const directory = dirname(path);
  const copy = await CatalogCopy.make({ catalogPath: path, directory, name: 'property', head });
  copy.close();
  return copy;
}

const total = (numbers: readonly number[]) => numbers.reduce((sum, one) => sum + one, 0);

test.each([
  ['short names', 1500, 'file', 3],
  ['long names', 500, 'file', 250],
  ['sparse files', 200, 'sparse', 10],
  ['large files', 200, 'large', 10],
] as const)(
  '%s grow the catalog by less than is reserved for each',
  async (_, files, kind, digits) => {
    const at = world();
    const run = at.begin();
    const one = { kind, target: 'x' as Raw, user: '', xattrs: [] } as const;
    const entries = Array.from({ length: files }, (_, index) => ({
      ...one,
      name: index.toString(36).padStart(digits, '0') as Raw,
    }));
    const found = addTree(run, at.hostId, [{ directory: 'd' as Raw, entries }]);
    const rows = [...run.entries('unstored')];
    const stored = rows.flatMap((row) => outgoing(row, found.get(row.path)) ?? []);
    const before = databaseBytes(at.catalog);
    const { perRunJournalByte } = closingReserve(at.catalog, {
      jobNumber: run.jobNumber,
      copies: 1,
      freshRoomBytes: 1e13,
      fixedBytes: 0,
    });
    storeTree(at, run, stored);
    const copy = await makeCopy(at);
    const planned = total(stored.map((entry) => planItem(entry, 1).journalBytesMax));
    const grown = copy.databaseBytes - before;
    expect(grown).toBeGreaterThan(files * 50);
    expect(grown).toBeLessThan(planned * perRunJournalByte);
  },
);

test('the copy and the list of what is left are never larger than what was reserved', async () => {
  await fc.assert(
    fc.asyncProperty(tree, fc.constantFrom(1, 2), async (given, copies) => {
      const at = world();
      const run = at.begin();
      const found = addTree(run, at.hostId, given);
      const rows = [...run.entries('unstored')];
      const entries = rows.flatMap((row) => outgoing(row, found.get(row.path)) ?? []);
      const items = entries.map((one) => planItem(one, copies));

      const { jobNumber } = run;
      const all = untoldMax(at.catalog, { jobNumber, copies });
      expect(total(untoldLines(at, run))).toBeLessThanOrEqual(all);
      // With each item that is placed the reserve shrinks; it never shrinks below what is left.
      const archiveId = beginArchive(run, at.media.slice(0, 1));
      let reserved = all;
      for (const [index, { row, inode }] of entries.entries()) {
        reserved -= items[index]?.untoldBytesMax ?? 0;
        if (index % 7 !== 0 && index !== entries.length - 1) continue;
        const done = entries.slice(0, index + 1);
        run.archives.store(
          archiveId,
          done.map((one) => ({ ...one.row, inodeId: one.inode.inodeId })),
        );
        expect(row.inode).toBe(inode);
        expect(total(untoldLines(at, run))).toBeLessThanOrEqual(reserved);
      }
      run.archives.tear(archiveId);

      const options = { jobNumber, copies, freshRoomBytes: 1e13, fixedBytes: 0 };
      const { fixedBytes, perRunJournalByte } = closingReserve(at.catalog, options);
      expect(fixedBytes).toBe(catalogCopyMax(at.catalog));
      const planned = total(items.map(({ journalBytesMax }) => journalBytesMax));
      storeTree(at, run, entries);
      const copy = await makeCopy(at);
      // Even if nothing of it could be compressed.
      const [, textFile] = copy.files;
      expect(copy.databaseBytes + textFile.lengthBytes).toBeLessThanOrEqual(
        fixedBytes + perRunJournalByte * planned,
      );
      expect(copy.lengthBytes).toBeLessThanOrEqual(fixedBytes + perRunJournalByte * planned);
      at.catalog.close();
      rmSync(at.path);
    }),
    { numRuns: 10 },
  );
}, 60_000);
