/** From an archive into the catalog: contents, extents, and which rows the archive carries. */
import { strict as assert } from 'node:assert';
import type { Raw } from '../../base/raw.ts';
import type { Content, Extent } from '../../domain/content.ts';
import type { Catalog } from '../catalog.ts';
import { Contents } from '../content/contents.ts';
import { ContentKeys } from '../content/keys.ts';
import { encodeRanges } from '../content/ranges.ts';
import { CHANGES } from '../pending/change.ts';
import { addMark, markOf } from '../pending/partials.ts';
import { endOfPage, JOBS_WITH_ROWS, WAITING } from '../pending/rows.ts';
import { Packed } from '../row/packed.ts';
import { RowMarks } from './row-marks.ts';
import { type RowPortion, type StoredEntry, StoredRows } from './stored-rows.ts';

/** Entries between two looks at the clock. */
const PORTION = 4096;
/** Rows of a run between two transactions, when all of them are looked at. */
const PAGE_ROWS = 16_384;
/** Shorter runs of ids are set one by one. */
const RANGE_MIN = 3;

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
  readonly #marks: RowMarks;
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
    this.#marks = new RowMarks(catalog, jobNumber);
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
  add(archiveId: number, stored: StoredRows | Iterable<StoredEntry>): void {
    this.#catalog.writeEach(rowPortions(stored), ({ rows, from, to }) => {
      const hasPartials = this.#hasPartials.get(this.#job) !== undefined;
      const whole: number[] = [];
      for (let index = from; index < to; index += 1) {
        const entry = hasPartials ? rows.entryOf(index) : rows.entry(index);
        if (!entry || (isWhole(entry) && !(hasPartials && this.#isPartial(entry))))
          whole.push(index);
        else this.#addOne(archiveId, entry);
      }
      this.#addWhole(archiveId, rows, Uint32Array.from(whole));
      this.#marks.set(archiveId, { rows, from, to });
    });
    if (this.#keys.isFull) this.#keys.flush();
  }

  /** See `ArchivesOfRun.takeForJournal`. */
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

  /** By far most files: one content, new or not, in one extent. @param whole those of the rows, which ascend */
  #addWhole(archiveId: number, rows: StoredRows, whole: Uint32Array): void {
    if (whole.length === 0) return;
    const ids = this.#contentsOf(rows, whole);
    for (let at = 0; at < whole.length; at += 1) {
      const index = whole[at] ?? 0;
      const extent = rows.entry(index)?.extents?.[0];
      if (extent && (extent.storedBytes !== extent.lengthBytes || extent.form !== 'plain')) {
        this.#addExtent(ids[at] ?? 0, archiveId, extent, rows.sizeBytes(index));
        continue;
      }
      const { numbers } = this.#plainExtents;
      const next = this.#plainExtents.next();
      numbers[next] = ids[at] ?? 0;
      numbers[next + 1] = archiveId;
      numbers[next + 2] = extent?.archiveOffset ?? rows.archiveOffset(index);
    }
    this.#plainExtents.flush();
    this.#fillInodes(rows, whole, ids);
    if (this.#hasHashes.get(this.#job) === undefined) return;
    for (let at = 0; at < whole.length; at += 1) {
      const index = whole[at] ?? 0;
      this.#fillFollowers(rows.hash(index), rows.inodeId(index), ids[at] ?? 0);
    }
  }

  /** The content's row of each, made where there is none. New ones ascend as the entries do. */
  #contentsOf(rows: StoredRows, whole: Uint32Array): Float64Array {
    const contents = rows.contents(whole);
    const found = this.#keys.findAll(contents);
    const ids = new Float64Array(whole.length);
    const isAllKnown = found.size === whole.length;
    const base = isAllKnown ? 0 : this.#catalog.nextIds('contents', whole.length);
    if (!isAllKnown) this.#keys.beginRange(base, base + whole.length - 1);
    /** Rows of the contents added by now. */
    const added = new Uint32Array(whole.length);
    let count = 0;
    let index = 0;
    const isSame = (id: number) => {
      const at = id - base;
      return at >= 0 && at < count && rows.isSameHash(added[at] ?? 0, index);
    };
    for (let at = 0; at < whole.length; at += 1) {
      index = whole[at] ?? 0;
      const id = base + count;
      const key = { sizeBytes: rows.sizeBytes(index), key: rows.key(index) };
      const known = found.get(at)?.[0] ?? this.#keys.addKey(id, key, isSame);
      ids[at] = known ?? id;
      if (known !== undefined) continue;
      added[count] = index;
      count += 1;
      this.#addContent(id, rows, index);
    }
    this.#plainContents.flush();
    return ids;
  }

  #addContent(id: number, rows: StoredRows, index: number): void {
    const sizeBytes = rows.sizeBytes(index);
    const entry = rows.entry(index);
    const { segments } = entry?.content ?? {};
    if (segments || entry?.ranges) {
      const holes = entry?.ranges ? encodeRanges(entry.ranges) : null;
      this.#insertContent.run(id, sizeBytes, rows.hash(index), segments ?? null, holes);
      return;
    }
    const next = this.#plainContents.next();
    this.#plainContents.numbers[next] = id;
    this.#plainContents.numbers[next + 1] = sizeBytes;
    rows.putHash(index, this.#plainContents);
  }

  /** Inodes and contents were numbered in the same order, so most lie in ranges. */
  #fillInodes(rows: StoredRows, whole: Uint32Array, ids: Float64Array): void {
    const inodeAt = (at: number) => rows.inodeId(whole[at] ?? 0);
    for (let first = 0; first < whole.length; ) {
      const inodeId = inodeAt(first);
      const id = ids[first] ?? 0;
      let end = first + 1;
      while (
        end < whole.length &&
        inodeAt(end) === inodeId + end - first &&
        ids[end] === id + end - first
      )
        end += 1;
      if (end - first >= RANGE_MIN)
        this.#setContents.run(id - inodeId, inodeId, inodeId + end - first - 1);
      else for (let at = first; at < end; at += 1) this.#setContent.run(ids[at] ?? 0, inodeAt(at));
      first = end;
    }
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
function isWhole({ content, extents }: StoredEntry): boolean {
  const extent = extents?.[0];
  return (
    content !== undefined &&
    extents?.length === 1 &&
    extent?.contentOffset === 0 &&
    extent.lengthBytes === content.sizeBytes
  );
}

function* rowPortions(stored: StoredRows | Iterable<StoredEntry>): Generator<RowPortion> {
  if (stored instanceof StoredRows) {
    for (let from = 0; from < stored.count; from += PORTION)
      yield { rows: stored, from, to: Math.min(stored.count, from + PORTION) };
    return;
  }
  for (const portion of portions(stored, PORTION))
    yield { rows: StoredRows.of(portion), from: 0, to: portion.length };
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
