/** A run's rows that are not yet part of any snapshot: SQL shared by the run, its finish and its journal. */
import { strict as assert } from 'node:assert';
import type { Raw } from '../base/raw.ts';
import type { Catalog } from './catalog.ts';
import { CHANGES, type Change, changeOf } from './change.ts';
import { Directories, PLACE_OF_HOSTS } from './directories.ts';
import { type Inode, type InodeRow, Inodes, inodeColumns } from './inodes.ts';
import { isFileSql } from './mode.ts';
import { inPathOrder, paged } from './order.ts';

/** `p` is a row of pending, `i` its inode by LEFT JOIN. SCHEMA.md section 5 defines it. */
export const WAITING = `(coalesce(${isFileSql('i')}, 0) AND (i.content IS NULL
  OR (p.change = ${CHANGES.again} AND p.archive IS NULL)))`;

export type PendingEntry = {
  readonly directoryId: number;
  readonly name: Raw;
  readonly path: Raw;
  readonly change: Change;
  /** Undefined for what is gone. */
  readonly inode: Inode | undefined;
  /** It is a file whose content is not stored yet. */
  readonly isWaiting: boolean;
  /** Set by `Run.setHash`. */
  readonly hash: Buffer | undefined;
  /** A lower inode with the same hash is waiting too: this one takes its content and need not be read. */
  readonly isFollower: boolean;
  /** Another content has this size: it may be a duplicate. Known after `Run.countSizes`; of `unstored` ones never told. */
  readonly isCandidate: boolean;
  /** The archive whose journal carries the row. */
  readonly archiveId: number | undefined;
  /** The old path of what was moved. */
  readonly movedFrom: Raw | undefined;
};

export type PendingFilter =
  | 'all'
  | 'waiting' // needs content
  | 'ready' // content is stored, or it needs none
  | 'unstored'; // in no archive yet, as a member or in its journal, and not gone: what a plan is made of

const FILTERS: Record<PendingFilter, string> = {
  all: '1',
  waiting: WAITING,
  ready: `NOT ${WAITING}`,
  unstored: `p.archive IS NULL AND p.inode IS NOT NULL`,
};

type EntryRow = [
  ...inode: InodeRow,
  name: Raw,
  change: number,
  archive: number | null,
  movedFrom: Raw | null,
  isWaiting: number,
  isCandidate: number,
  hash: Buffer | null,
  isFollower: number,
];
const PAGE_ROWS = 500;

/** Other files of this run that wait have the size. */
const SIZE_IS_SHARED = 'EXISTS(SELECT 1 FROM temp.sizes s WHERE s.size = i.size AND s.count > 1)';
/** A content that is stored has it. */
const SIZE_IS_KNOWN =
  'EXISTS(SELECT 1 FROM contents c WHERE c.size = i.size AND c.hash IS NOT NULL)';

const HASH_COLUMNS = `h.hash, h.hash IS NOT NULL AND EXISTS(
  SELECT 1 FROM run_hashes l JOIN inodes n ON n.id = l.inode
  WHERE l.job = p.job AND l.hash = h.hash AND l.inode < h.inode AND n.content IS NULL)`;

/** Told of each row; what nobody asks for costs as much as the rest of it. */
type Asked = { readonly candidates: boolean };

/** A run's rows in order of path. Memory is bounded; rows may change while it is read. */
export class PendingRows {
  readonly #jobNumber: number;
  readonly #directories: Directories;
  readonly #inodes: Inodes;
  readonly #catalog: Catalog;
  readonly #hasHashes;

  constructor(catalog: Catalog, jobNumber: number) {
    this.#catalog = catalog;
    this.#hasHashes = catalog.prepare('SELECT 1 FROM run_hashes WHERE job = ? LIMIT 1');
    this.#jobNumber = jobNumber;
    this.#directories = new Directories(catalog);
    this.#inodes = new Inodes(catalog);
    this.#catalog
      .prepare('CREATE TEMP TABLE IF NOT EXISTS sizes(size INTEGER PRIMARY KEY, count INTEGER)')
      .run();
  }

  /**
   * Counts the sizes of waiting files, into a temporary table on disk; later rows know then who may be a duplicate.
   * Zero takes part in nothing: the empty content is known from the beginning.
   */
  countSizes(): void {
    this.#catalog.read(() => {
      this.#catalog.prepare('DELETE FROM temp.sizes').run();
      this.#catalog
        .prepare(
          `INSERT INTO temp.sizes SELECT i.size, count(*) FROM pending p CROSS JOIN inodes i ON i.id = p.inode
             WHERE p.job = ? AND ${WAITING} GROUP BY i.size`,
        )
        .run(this.#jobNumber);
    });
  }

  inOrder(filter: PendingFilter): Generator<PendingEntry> {
    return this.#inOrder(FILTERS[filter], { candidates: filter !== 'unstored' });
  }

  /** Waiting files that may be duplicates. @param sharedFromBytes smaller ones only where a stored content has the size */
  candidates(sharedFromBytes: number): Generator<PendingEntry> {
    assert(Number.isSafeInteger(sharedFromBytes));
    const isShared = `i.size >= ${sharedFromBytes} AND ${SIZE_IS_SHARED}`;
    const where = `${WAITING} AND (${isShared} OR ${SIZE_IS_KNOWN})`;
    return this.#inOrder(where, { candidates: true });
  }

  /** Those that an archive carries, stored in it or only named by its journal. */
  carriedBy(archiveId: number): Generator<PendingEntry> {
    assert(Number.isSafeInteger(archiveId));
    return this.#inOrder(`p.archive = ${archiveId}`, { candidates: false });
  }

  *#inOrder(where: string, asked: Asked): Generator<PendingEntry> {
    const marked = this.#markDirectories(where);
    try {
      yield* this.#walk(marked, this.#pages(where, asked));
    } finally {
      this.#catalog.prepare(`DROP TABLE temp.${marked}`).run();
    }
  }

  *#walk(marked: string, page: (dir: number, after: Raw) => EntryRow[]): Generator<PendingEntry> {
    const children = this.#catalog.prepare<[Raw, number]>(
      `SELECT name, dir FROM temp.${marked} WHERE parent = ? AND name > ? ORDER BY name LIMIT ${PAGE_ROWS}`,
    );
    const tree = {
      entries: (dir: number) =>
        mapped(
          paged((last: EntryRow | undefined) => page(dir, last?.[14] ?? ('' as Raw)), PAGE_ROWS),
          (row) => this.#entry(dir, row),
        ),
      directories: (dir: number) =>
        mapped(
          paged((last: [Raw, number] | undefined) => children.all(dir, last?.[0] ?? ''), PAGE_ROWS),
          ([name, id]) => ({ name, id }),
        ),
    };
    for (const { entry } of inPathOrder(tree, PLACE_OF_HOSTS)) yield entry;
  }

  /** Pages of a directory's rows; whether there are hashes is asked for each, for they may come meanwhile. */
  #pages(where: string, asked: Asked): (dir: number, after: Raw) => EntryRow[] {
    const job = this.#jobNumber;
    const plain = this.#catalog.prepare<EntryRow>(select(where, { ...asked, hashes: false }));
    const hashed = this.#catalog.prepare<EntryRow>(select(where, { ...asked, hashes: true }));
    return (dir, after) =>
      (this.#hasHashes.get(job) === undefined ? plain : hashed).all(job, dir, after);
  }

  #entry(directoryId: number, row: EntryRow): PendingEntry {
    const isGone = row[0] === null;
    const name = row[14];
    return {
      directoryId,
      name,
      path: this.#directories.entryPath(directoryId, name),
      change: changeOf(row[15]),
      archiveId: row[16] ?? undefined,
      movedFrom: row[17] ?? undefined,
      isWaiting: row[18] === 1,
      isCandidate: row[19] === 1 && row[18] === 1,
      hash: row[20] ?? undefined,
      isFollower: row[21] === 1,
      inode: isGone ? undefined : this.#inodes.fromRow(row),
    };
  }

  /** The directories with such rows and all above them, so that a small run need not look into every directory. */
  #markDirectories(where: string): string {
    // Several walks may be open at once: each has a table of its own.
    const used = this.#catalog
      .prepare<[string]>("SELECT name FROM temp.sqlite_schema WHERE name LIKE 'marked%'")
      .all()
      .flat();
    let number = 1;
    while (used.includes(`marked${number}`)) number += 1;
    const table = `marked${number}`;
    this.#catalog
      .prepare(
        `CREATE TEMP TABLE ${table}(parent INTEGER, name TEXT, dir INTEGER, PRIMARY KEY(parent, name)) WITHOUT ROWID`,
      )
      .run();
    this.#catalog
      .prepare(
        `INSERT INTO temp.${table}
         WITH RECURSIVE
           found(dir) AS (SELECT DISTINCT p.dir FROM pending p LEFT JOIN inodes i ON i.id = p.inode
             WHERE p.job = ? AND ${where}),
           above(dir) AS (SELECT dir FROM found WHERE dir <> ${PLACE_OF_HOSTS}
             UNION SELECT d.parent FROM above a JOIN directories d ON d.id = a.dir
               WHERE d.parent <> ${PLACE_OF_HOSTS})
         SELECT d.parent, d.name, d.id FROM above a JOIN directories d ON d.id = a.dir`,
      )
      .run(this.#jobNumber);
    return table;
  }
}

function select(where: string, asked: Asked & { readonly hashes: boolean }): string {
  const isCandidate = asked.candidates ? `${SIZE_IS_SHARED} OR ${SIZE_IS_KNOWN}` : '0';
  return `SELECT ${inodeColumns('i')}, p.name, p.change, p.archive, p.moved_from, ${WAITING},
      ${isCandidate}, ${asked.hashes ? HASH_COLUMNS : 'NULL, 0'}
    FROM pending p LEFT JOIN inodes i ON i.id = p.inode
      ${asked.hashes ? 'LEFT JOIN run_hashes h ON h.job = p.job AND h.inode = p.inode' : ''}
    WHERE p.job = ? AND p.dir = ? AND p.name > ? AND ${where} ORDER BY p.name LIMIT ${PAGE_ROWS}`;
}

function* mapped<From, To>(items: Iterable<From>, to: (item: From) => To): Generator<To> {
  for (const item of items) yield to(item);
}
