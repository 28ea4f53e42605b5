/** From an archive into the catalog: contents, extents, and which rows the archive carries. */
import { strict as assert } from 'node:assert';
import type { Raw } from '../base/raw.ts';
import type { Content, Extent } from '../domain/content.ts';
import type { DataRange } from '../domain/entry.ts';
import type { Catalog } from './catalog.ts';
import { CHANGES } from './change.ts';
import { ContentKeys } from './content-keys.ts';
import { Contents, encodeRanges } from './contents.ts';
import { Packed } from './packed.ts';
import { addMark, markOf } from './partials.ts';
import { endOfPage, JOBS_WITH_ROWS, WAITING } from './pending.ts';

/** One row of the run that an archive holds, as a member or only in its journal. */
export type StoredEntry = {
  readonly directoryId: number;
  readonly name: Raw;
  readonly inodeId: number;
  /**
   * The bytes of the file, complete with this archive. Left out for what has no bytes, for further names of an inode, and
   * while parts of a split file are missing.
   */
  readonly content?: Content | undefined;
  /** The parts of the content that lie in this archive. */
  readonly extents?: readonly Extent[] | undefined;
  /** BLAKE3 of the content up to the end of these parts, while others are missing. */
  readonly hashSoFar?: Buffer | undefined;
  /** Of a sparse content: its data ranges as a whole. With `content` only. */
  readonly ranges?: readonly DataRange[] | undefined;
};

/** Entries between two looks at the clock. */
const PORTION = 4096;
/** Rows of a run between two transactions, when all of them are looked at. */
const PAGE_ROWS = 16_384;
/** Shorter runs of ids are set one by one. */
const RANGE_MIN = 3;

type Whole = StoredEntry & { readonly content: Content };

export class Store {
  readonly #catalog: Catalog;
  readonly #job: number;
  readonly #contents: Contents;
  readonly #keys: ContentKeys;
  readonly #insertContent;
  readonly #insertExtent;
  readonly #completeContent;
  readonly #setContent;
  readonly #setContents;
  readonly #clearContent;
  /** Neither in segments nor with holes: nearly all. */
  readonly #plainContents: Packed;
  readonly #plainExtents: Packed;
  readonly #mark;
  readonly #countRange;
  readonly #markRange;
  readonly #hasPartials;
  readonly #findPartial;
  readonly #addPartial;
  readonly #followers;
  readonly #hasHashes;

  constructor(catalog: Catalog, jobNumber: number) {
    this.#catalog = catalog;
    this.#job = jobNumber;
    this.#contents = new Contents(catalog);
    this.#keys = catalog.part(ContentKeys);
    this.#insertContent = catalog.prepare('INSERT INTO contents VALUES(?, ?, ?, ?, ?)');
    this.#insertExtent = catalog.prepare(
      'INSERT OR REPLACE INTO extents VALUES(?, ?, ?, ?, ?, ?, ?)',
    );
    this.#completeContent = catalog.prepare(
      'UPDATE contents SET hash = ?, segments = ?, holes = ? WHERE id = ?',
    );
    // The inode of an unchanged file keeps its content: it is the same, or the file is another by now.
    this.#setContent = catalog.prepare(
      'UPDATE inodes SET content = ? WHERE id = ? AND content IS NULL',
    );
    this.#setContents = catalog.prepare(
      'UPDATE inodes SET content = id + ? WHERE id BETWEEN ? AND ? AND content IS NULL',
    );
    this.#clearContent = catalog.prepare('UPDATE inodes SET content = NULL WHERE id = ?');
    this.#plainContents = new Packed(catalog, {
      sql: 'INSERT INTO contents SELECT n0, n1, b0, NULL, NULL',
      numbers: 2,
      hashes: 1,
    });
    this.#plainExtents = new Packed(catalog, {
      sql: 'INSERT OR REPLACE INTO extents SELECT n0, 0, n1, n2, NULL, NULL, 0',
      numbers: 3,
    });
    this.#mark = catalog.prepare(
      'UPDATE pending SET archive = ? WHERE job = ? AND dir = ? AND name = ?',
    );
    const range = 'job = ? AND dir = ? AND name BETWEEN ? AND ? AND inode BETWEEN ? AND ?';
    this.#countRange = catalog.prepare<[number]>(`SELECT count(*) FROM pending WHERE ${range}`);
    this.#markRange = catalog.prepare(`UPDATE pending SET archive = ? WHERE ${range}`);
    this.#findPartial = catalog.prepare<[number]>(
      'SELECT content FROM run_partials WHERE job = ? AND inode = ?',
    );
    this.#hasPartials = catalog.prepare('SELECT 1 FROM run_partials WHERE job = ? LIMIT 1');
    this.#addPartial = catalog.prepare('INSERT INTO run_partials VALUES(?, ?, ?)');
    this.#followers = catalog.prepare<[number]>(
      'SELECT inode FROM run_hashes WHERE job = ? AND hash = ?',
    );
    this.#hasHashes = catalog.prepare('SELECT 1 FROM run_hashes WHERE job = ? LIMIT 1');
  }

  /** In the order in which the archive holds them: what follows each other costs a fifth. */
  add(archiveId: number, stored: Iterable<StoredEntry>): void {
    this.#catalog.writeEach(portions(stored, PORTION), (portion) => {
      const hasPartials = this.#hasPartials.get(this.#job) !== undefined;
      const whole: Whole[] = [];
      for (const entry of portion)
        if (isWhole(entry) && !(hasPartials && this.#isPartial(entry))) whole.push(entry);
        else this.#addOne(archiveId, entry);
      this.#addWhole(archiveId, whole);
      this.#markRows(archiveId, portion);
    });
    if (this.#keys.isFull) this.#keys.flush();
  }

  /** See `Run.takeForJournal`. */
  takeForJournal(archiveId: number): void {
    const take = this.#catalog.prepare(
      `UPDATE pending AS p SET archive = @archiveId WHERE job = @job AND (dir, name) > (@dir, @after)
         AND (dir, name) <= (@lastDir, @lastName) AND archive IS NULL AND NOT EXISTS(
           SELECT 1 FROM inodes i WHERE i.id = p.inode AND ${WAITING})`,
    );
    for (const job of this.#jobsWithRows())
      this.#eachPage(job, (dir, after, last) => {
        take.run({ archiveId, job, dir, after, lastDir: last[0], lastName: last[1] });
      });
  }

  /** Rows of a torn archive are in no archive, and contents that only it held are no contents. */
  untie(archiveId: number): void {
    for (const job of this.#jobsWithRows())
      this.#eachPage(job, (dir, after, last) => {
        const bound = { archiveId, job, dir, after, lastDir: last[0], lastName: last[1] };
        const range = `p.job = @job AND (p.dir, p.name) > (@dir, @after)
          AND (p.dir, p.name) <= (@lastDir, @lastName)`;
        if (job === this.#job) this.#untieContents(range, bound);
        this.#catalog
          .prepare(`UPDATE pending AS p SET archive = NULL WHERE ${range} AND archive = @archiveId`)
          .run(bound);
      });
  }

  /** Finished runs whose rows no good journal carries yet, and this one. */
  #jobsWithRows(): number[] {
    const finished = this.#catalog
      .prepare<[number]>(
        `SELECT job FROM snapshots WHERE state = 'finished' AND job <> ? AND job IN ${JOBS_WITH_ROWS} ORDER BY id`,
      )
      .all(this.#job);
    return [...finished.flat(), this.#job];
  }

  #untieContents(range: string, bound: Record<string, number | string>): void {
    const rows = this.#catalog
      .prepare<[number, number]>(
        `SELECT i.id, i.content FROM pending p CROSS JOIN inodes i ON i.id = p.inode
         WHERE ${range} AND p.change <> ${CHANGES.again} AND i.content IS NOT NULL
           AND EXISTS(SELECT 1 FROM extents e WHERE e.content = i.content AND e.archive = @archiveId)`,
      )
      .all(bound);
    for (const [inode, content] of rows)
      if (this.#contents.goodCopies(content) === 0) this.#clearContent.run(inode);
  }

  #eachPage(job: number, step: (dir: number, name: Raw, last: [number, Raw]) => void): void {
    let at: [number, Raw] = [-1, '' as Raw];
    this.#catalog.writeSteps(() => {
      const last = endOfPage(this.#catalog, { job, after: at, rows: PAGE_ROWS });
      if (!last) return false;
      step(...at, last);
      at = last;
      return true;
    });
  }

  #isPartial({ inodeId }: StoredEntry): boolean {
    return this.#findPartial.get(this.#job, inodeId) !== undefined;
  }

  /** By far most files: one content, new or not, in one extent. */
  #addWhole(archiveId: number, whole: readonly Whole[]): void {
    if (whole.length === 0) return;
    const ids = this.#contentsOf(whole);
    for (let index = 0; index < whole.length; index += 1) {
      const entry = whole[index];
      const id = ids[index];
      const extent = entry?.extents?.[0];
      assert(entry && id !== undefined && extent);
      if (extent.storedBytes === extent.lengthBytes && extent.form === 'plain')
        this.#plainExtents.add([id, archiveId, extent.archiveOffset]);
      else this.#addExtent(id, archiveId, extent, entry.content.sizeBytes);
    }
    this.#plainExtents.flush();
    this.#fillInodes(whole, ids);
    if (this.#hasHashes.get(this.#job) === undefined) return;
    for (const [index, { content, inodeId }] of whole.entries())
      this.#fillFollowers(content.hash, inodeId, ids[index] ?? 0);
  }

  /** The content's row of each, made where there is none. New ones ascend as the entries do. */
  #contentsOf(whole: readonly Whole[]): number[] {
    const found = this.#keys.findEach(whole.map(({ content }) => content));
    if (found.every(([id]) => id !== undefined)) return found.map(([id]) => id ?? 0);
    const base = this.#catalog.nextIds('contents', whole.length);
    this.#keys.beginRange(base, base + whole.length - 1);
    const added: Content[] = [];
    const ids = whole.map(({ content, ranges }, index) => {
      const id = base + added.length;
      const known =
        found[index]?.[0] ??
        this.#keys.add(id, content, (other) => added[other - base]?.hash.equals(content.hash));
      if (known !== undefined) return known;
      added.push(content);
      const { sizeBytes, hash, segments } = content;
      if (!segments && !ranges) this.#plainContents.add([id, sizeBytes], undefined, hash);
      else {
        const holes = ranges ? encodeRanges(ranges) : null;
        this.#insertContent.run(id, sizeBytes, hash, segments ?? null, holes);
      }
      return id;
    });
    this.#plainContents.flush();
    return ids;
  }

  /** Inodes and contents were numbered in the same order, so most lie in ranges. */
  #fillInodes(whole: readonly Whole[], ids: readonly number[]): void {
    for (let first = 0; first < whole.length; ) {
      const inodeId = whole[first]?.inodeId ?? 0;
      const id = ids[first] ?? 0;
      let end = first + 1;
      while (whole[end]?.inodeId === inodeId + end - first && ids[end] === id + end - first)
        end += 1;
      if (end - first >= RANGE_MIN)
        this.#setContents.run(id - inodeId, inodeId, inodeId + end - first - 1);
      else
        for (let index = first; index < end; index += 1)
          this.#setContent.run(ids[index] ?? 0, whole[index]?.inodeId ?? 0);
      first = end;
    }
  }

  #markRows(archiveId: number, entries: readonly StoredEntry[]): void {
    for (let at = 0; at < entries.length; ) {
      const end = endOfRange(entries, at);
      if (end - at < RANGE_MIN || !this.#markTogether(archiveId, entries, { at, end }))
        for (const { directoryId, name } of entries.slice(at, end))
          this.#mark.run(archiveId, this.#job, directoryId, name);
      at = end;
    }
  }

  /** Not where another row lies between them: a further name of one of their inodes. */
  #markTogether(
    archiveId: number,
    entries: readonly StoredEntry[],
    { at, end }: { at: number; end: number },
  ): boolean {
    const [first, last] = [entries[at], entries[end - 1]];
    assert(first && last);
    const names = [first.directoryId, first.name, last.name];
    const range = [this.#job, ...names, first.inodeId, last.inodeId];
    if (this.#countRange.get(range)?.[0] !== end - at) return false;
    this.#markRange.run([archiveId, ...range]);
    return true;
  }

  #fillFollowers(hash: Buffer, leader: number, contentId: number): void {
    for (const [follower] of this.#followers.all(this.#job, hash))
      if (follower !== leader) this.#setContent.run(contentId, follower);
  }

  #addOne(archiveId: number, entry: StoredEntry): void {
    const { content, extents = [], inodeId } = entry;
    if (!content && extents.length === 0) return;
    const partial = this.#findPartial.get(this.#job, inodeId)?.[0];
    const id = content
      ? this.#complete(content, entry.ranges, partial)
      : (partial ?? this.#beginPartial(inodeId));
    const size = content?.sizeBytes;
    for (const extent of extents) this.#addExtent(id, archiveId, extent, size);
    if (!content) {
      const last = extents.at(-1);
      if (last && entry.hashSoFar) addMark(this.#catalog, id, markOf(last, entry.hashSoFar));
      return;
    }
    this.#setContent.run(id, inodeId);
    this.#fillFollowers(content.hash, inodeId, id);
  }

  /** The row of a complete content: one that is known, the one its parts began, or a new one. */
  #complete(content: Content, ranges: StoredEntry['ranges'], partial: number | undefined): number {
    const { sizeBytes, hash } = content;
    const known = this.#contents.find(sizeBytes, hash);
    if (known !== undefined) {
      if (partial !== undefined && partial !== known) this.#adopt(partial, known);
      return known;
    }
    const segments = content.segments ?? null;
    const holes = ranges ? encodeRanges(ranges) : null;
    if (partial !== undefined) {
      this.#completeContent.run(hash, segments, holes, partial);
      this.#keys.addAtOnce(partial, content);
      return partial;
    }
    const id = this.#catalog.nextId('contents');
    this.#insertContent.run(id, sizeBytes, hash, segments, holes);
    this.#keys.addAtOnce(id, content);
    return id;
  }

  #beginPartial(inodeId: number): number {
    const id = this.#catalog.nextId('contents');
    const size = this.#catalog
      .prepare<[number]>('SELECT size FROM inodes WHERE id = ?')
      .get(inodeId)?.[0];
    assert(size !== undefined, `no inode ${inodeId}`);
    this.#insertContent.run(id, size, null, null, null);
    this.#addPartial.run(this.#job, inodeId, id);
    return id;
  }

  /** Another run has meanwhile stored the same bytes: the parts become a further copy of them. */
  #adopt(partial: number, known: number): void {
    this.#catalog
      .prepare('UPDATE OR IGNORE extents SET content = ? WHERE content = ?')
      .run(known, partial);
    this.#catalog.prepare('DELETE FROM extents WHERE content = ?').run(partial);
    this.#catalog.prepare('DELETE FROM contents WHERE id = ?').run(partial);
    this.#catalog.prepare('DELETE FROM run_partials WHERE content = ?').run(partial);
  }

  #addExtent(content: number, archive: number, extent: Extent, size: number | undefined): void {
    const { contentOffset, lengthBytes, storedBytes } = extent;
    const isToEnd = size !== undefined && contentOffset + lengthBytes === size;
    this.#insertExtent.run(
      content,
      contentOffset,
      archive,
      extent.archiveOffset,
      isToEnd ? null : lengthBytes,
      storedBytes === lengthBytes ? null : storedBytes,
      extent.form === 'sparse' ? 1 : 0,
    );
  }
}

/** One content in one piece. */
function isWhole(entry: StoredEntry): entry is Whole {
  const { content, extents } = entry;
  const extent = extents?.[0];
  return (
    content !== undefined &&
    extents?.length === 1 &&
    extent?.contentOffset === 0 &&
    extent.lengthBytes === content.sizeBytes
  );
}

/** The end of what has names in order and inodes in a row, in one directory. */
function endOfRange(entries: readonly StoredEntry[], first: number): number {
  const from = entries[first];
  assert(from);
  let { name } = from;
  for (let end = first + 1; ; end += 1) {
    const next = entries[end];
    const isNext =
      next?.directoryId === from.directoryId &&
      next.inodeId === from.inodeId + end - first &&
      next.name > name;
    if (!next || !isNext) return end;
    name = next.name;
  }
}

/** Lists of at most `size` items. */
export function* portions<Item>(items: Iterable<Item>, size: number): Generator<readonly Item[]> {
  if (Array.isArray(items)) {
    for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size);
    return;
  }
  let portion: Item[] = [];
  for (const item of items) {
    portion.push(item);
    if (portion.length === size) {
      yield portion;
      portion = [];
    }
  }
  if (portion.length > 0) yield portion;
}
