/** From an archive into the catalog: contents, extents, and which rows the archive carries. */
import { strict as assert } from 'node:assert';
import type { Raw } from '../base/raw.ts';
import type { Content, Extent } from '../domain/content.ts';
import type { DataRange } from '../domain/entry.ts';
import { Bulk } from './bulk.ts';
import type { Catalog } from './catalog.ts';
import { CHANGES } from './change.ts';
import { Contents, encodeRanges } from './contents.ts';
import { WAITING } from './pending.ts';

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
  /** Of a sparse content: its data ranges as a whole. With `content` only. */
  readonly ranges?: readonly DataRange[] | undefined;
};

/** Sorted portions meet the index on (size, hash) from left to right, which halves its cost. */
const PORTION = 1024;

export class Store {
  readonly #catalog: Catalog;
  readonly #job: number;
  readonly #contents: Contents;
  readonly #insertContent;
  readonly #insertExtent;
  readonly #completeContent;
  readonly #setContent;
  readonly #clearContent;
  readonly #rows: Bulk;
  /** Neither in segments nor with holes: nearly all. */
  readonly #plain: Bulk;
  readonly #staged: Bulk;
  readonly #merge;
  readonly #mark;
  readonly #clearRows;
  readonly #hasPartials;
  #stagedRows = 0;
  readonly #findPartial;
  readonly #addPartial;
  readonly #followers;
  readonly #hasHashes;

  constructor(catalog: Catalog, jobNumber: number) {
    this.#catalog = catalog;
    this.#job = jobNumber;
    this.#contents = new Contents(catalog);
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
    this.#clearContent = catalog.prepare('UPDATE inodes SET content = NULL WHERE id = ?');
    catalog.prepare('CREATE TEMP TABLE IF NOT EXISTS stored_rows(dir INTEGER, name TEXT)').run();
    this.#rows = new Bulk(catalog, 'INSERT INTO temp.stored_rows', '(?, ?)');
    this.#clearRows = catalog.prepare('DELETE FROM temp.stored_rows');
    this.#mark = catalog.prepare(
      `UPDATE pending SET archive = ? FROM temp.stored_rows r
       WHERE pending.job = ? AND pending.dir = r.dir AND pending.name = r.name`,
    );
    catalog
      .prepare(
        `CREATE TEMP TABLE IF NOT EXISTS stored(row INTEGER PRIMARY KEY, dir INTEGER, name TEXT, inode INTEGER, size INTEGER, hash BLOB,
           segments BLOB, holes BLOB, position INTEGER, stored INTEGER, form INTEGER, content INTEGER)`,
      )
      .run();
    const into = 'INSERT INTO temp.stored';
    this.#plain = new Bulk(catalog, into, '(?, ?, ?, ?, ?, ?, NULL, NULL, ?, NULL, 0, NULL)');
    this.#staged = new Bulk(catalog, into, '(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)');
    this.#merge = mergeStatements(catalog);
    catalog.onRollback(() => {
      this.#stagedRows = 0;
    });
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

  add(archiveId: number, stored: Iterable<StoredEntry>): void {
    this.#catalog.writeEach(portions(stored, PORTION), (portion) => {
      const hasHashes = this.#hasHashes.get(this.#job) !== undefined;
      const hasPartials = this.#hasPartials.get(this.#job) !== undefined;
      const sorted = portion.toSorted(bySizeAndHash);
      for (const [index, entry] of sorted.entries()) {
        if (
          !hasHashes &&
          isPlain(entry, sorted[index - 1]) &&
          !(hasPartials && this.#isPartial(entry))
        )
          this.#stage(entry);
        else {
          this.#rows.add(entry.directoryId, entry.name);
          this.#addOne(archiveId, entry, hasHashes);
        }
      }
      this.#mergeStaged(archiveId);
      this.#markRows(archiveId);
    });
  }

  /** See `Run.takeForJournal`. */
  takeForJournal(archiveId: number): void {
    for (const job of this.#jobsWithRows())
      this.#eachPage(job, (dir, after, last) => {
        this.#catalog
          .prepare(
            `UPDATE pending AS p SET archive = @archiveId WHERE job = @job AND (dir, name) > (@dir, @after)
               AND (dir, name) <= (@lastDir, @lastName) AND archive IS NULL AND NOT EXISTS(
                 SELECT 1 FROM inodes i WHERE i.id = p.inode AND ${WAITING})`,
          )
          .run({ archiveId, job, dir, after, lastDir: last[0], lastName: last[1] });
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
        `SELECT job FROM snapshots s WHERE state = 'finished' AND job <> ? AND EXISTS(
           SELECT 1 FROM pending p WHERE p.job = s.job) ORDER BY id`,
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
    const next = this.#catalog.prepare<[number, Raw]>(
      `SELECT dir, name FROM (SELECT dir, name FROM pending WHERE job = ? AND (dir, name) > (?, ?)
         ORDER BY dir, name LIMIT 4096) ORDER BY dir DESC, name DESC LIMIT 1`,
    );
    let at: [number, Raw] = [-1, '' as Raw];
    this.#catalog.writeSteps(() => {
      const last = next.get(job, ...at);
      if (!last) return false;
      step(...at, last);
      at = last;
      return true;
    });
  }

  #isPartial({ inodeId }: StoredEntry): boolean {
    return this.#findPartial.get(this.#job, inodeId) !== undefined;
  }

  /** By far most files: one content, new or not, in one extent. They are merged table by table, not row by row. */
  #stage({ directoryId, name, inodeId, content, extents, ranges }: StoredEntry): void {
    const extent = extents?.[0];
    assert(content && extent);
    const { storedBytes, lengthBytes, archiveOffset } = extent;
    const { sizeBytes, hash } = content;
    const columns = [this.#stagedRows, directoryId, name, inodeId, sizeBytes, hash] as const;
    const isPlainExtent = storedBytes === lengthBytes && extent.form === 'plain';
    if (isPlainExtent && !content.segments && !ranges) this.#plain.add(...columns, archiveOffset);
    else
      this.#staged.add(
        ...columns,
        content.segments ?? null,
        ranges ? encodeRanges(ranges) : null,
        archiveOffset,
        storedBytes === lengthBytes ? null : storedBytes,
        extent.form === 'sparse' ? 1 : 0,
      );
    this.#stagedRows += 1;
  }

  #mergeStaged(archiveId: number): void {
    this.#plain.flush();
    this.#staged.flush();
    if (this.#stagedRows === 0) return;
    const base = this.#catalog.nextIds('contents', this.#stagedRows);
    this.#merge.number.run(base);
    this.#merge.contents.run(base);
    this.#merge.extents.run(archiveId);
    this.#merge.inodes.run();
    this.#merge.rows.run(archiveId, this.#job);
    this.#merge.clear.run();
    this.#stagedRows = 0;
  }

  #markRows(archiveId: number): void {
    this.#rows.flush();
    this.#mark.run(archiveId, this.#job);
    this.#clearRows.run();
  }

  #addOne(archiveId: number, entry: StoredEntry, hasHashes: boolean): void {
    const { content, extents = [], inodeId } = entry;
    if (!content && extents.length === 0) return;
    const partial = this.#findPartial.get(this.#job, inodeId)?.[0];
    const id = content
      ? this.#complete(content, entry.ranges, partial)
      : (partial ?? this.#beginPartial(inodeId));
    const size = content?.sizeBytes;
    for (const extent of extents) this.#addExtent(id, archiveId, extent, size);
    if (!content) return;
    this.#setContent.run(id, inodeId);
    if (!hasHashes) return;
    for (const [follower] of this.#followers.all(this.#job, content.hash))
      if (follower !== inodeId) this.#setContent.run(id, follower);
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
      return partial;
    }
    const id = this.#catalog.nextId('contents');
    this.#insertContent.run(id, sizeBytes, hash, segments, holes);
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

function mergeStatements(catalog: Catalog) {
  return {
    // What is known keeps its number, which is smaller than all new ones.
    number: catalog.prepare(
      `UPDATE temp.stored SET content = coalesce((SELECT c.id FROM contents c WHERE c.size = stored.size
         AND substr(c.hash, 1, 8) = substr(stored.hash, 1, 8) AND c.hash IS NOT NULL AND c.hash = stored.hash), ? + row)`,
    ),
    contents: catalog.prepare(
      `INSERT INTO contents SELECT content, size, hash, segments, holes FROM temp.stored
       WHERE content >= ? ORDER BY row`,
    ),
    extents: catalog.prepare(
      `INSERT OR REPLACE INTO extents SELECT content, 0, ?, position, NULL, stored, form FROM temp.stored ORDER BY row`,
    ),
    inodes: catalog.prepare(
      `UPDATE inodes SET content = s.content FROM temp.stored s
       WHERE inodes.id = s.inode AND inodes.content IS NULL`,
    ),
    rows: catalog.prepare(
      `UPDATE pending SET archive = ? FROM temp.stored r
       WHERE pending.job = ? AND pending.dir = r.dir AND pending.name = r.name`,
    ),
    clear: catalog.prepare('DELETE FROM temp.stored'),
  };
}

/** Whole, in one piece, and not the same content as the one before in sorted order. */
function isPlain({ content, extents }: StoredEntry, before: StoredEntry | undefined): boolean {
  const [extent] = extents ?? [];
  return (
    content !== undefined &&
    extents?.length === 1 &&
    extent?.contentOffset === 0 &&
    extent.lengthBytes === content.sizeBytes &&
    !(before?.content && bySizeAndHash({ content }, { content: before.content }) === 0)
  );
}

/** What has no content comes first. */
function bySizeAndHash(a: Pick<StoredEntry, 'content'>, b: Pick<StoredEntry, 'content'>): number {
  if (!a.content || !b.content) return Number(Boolean(a.content)) - Number(Boolean(b.content));
  return a.content.sizeBytes - b.content.sizeBytes || a.content.hash.compare(b.content.hash);
}

/** Lists of at most `size` items. */
export function* portions<Item>(items: Iterable<Item>, size: number): Generator<Item[]> {
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
