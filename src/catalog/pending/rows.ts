/** A run's rows that are not yet part of any snapshot: SQL shared by the run, its finish and its journal. */
import { strict as assert } from 'node:assert';
import { type Raw, rawOf } from '../../base/raw.ts';
import type { Catalog } from '../catalog.ts';
import { Ahead } from '../row/ahead.ts';
import { PAGE_ROWS, Page } from '../row/page.ts';
import { Directories, type Host, PLACE_OF_HOSTS } from '../tree/directories.ts';
import { type Inode, Inodes, inodeColumns } from '../tree/inodes.ts';
import { isFile, isFileSql } from '../tree/mode.ts';
import { CHANGES, type Change, changeOf } from './change.ts';
import { type EntryRow, isUsual, PendingSpan } from './span.ts';

/** `p` is a row of pending, `i` its inode by LEFT JOIN. SCHEMA.md section 5 defines it. */
export const WAITING = `(coalesce(${isFileSql('i')}, 0) AND (i.content IS NULL
  OR (p.change = ${CHANGES.again} AND p.archive IS NULL)))`;

export type PendingEntry = {
  readonly directoryId: number;
  readonly name: Raw;
  /** On its host. */
  readonly path: Raw;
  readonly hostId: number;
  readonly change: Change;
  /** Undefined for what is gone. */
  readonly inode: Inode | undefined;
  /** It is a file whose content is not stored yet. */
  readonly isWaiting: boolean;
  /** Set by `Candidates.setHash`. */
  readonly hash: Buffer | undefined;
  /** A lower inode with the same hash is waiting too: this one takes its content and need not be read. */
  readonly isFollower: boolean;
  /** Another content has this size: it may be a duplicate. Known after `Candidates.bySize`; of `unstored` ones never told. */
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
  | 'unjournaled' // ready, and no archive's journal carries it: what the journal that ends a run has to tell
  | 'unstored' // in no archive yet, as a member or in its journal, and not gone: what a plan is made of
  | 'untold'; // the same with what is gone: what the journal that closes a cartridge has to tell

const FILTERS: Record<PendingFilter, string> = {
  all: '1',
  waiting: WAITING,
  ready: `NOT ${WAITING}`,
  unjournaled: `p.archive IS NULL AND NOT ${WAITING}`,
  unstored: `p.archive IS NULL AND p.inode IS NOT NULL`,
  untold: 'p.archive IS NULL',
};

/** Other files of this run that wait have the size. */
const SIZE_IS_SHARED = 'EXISTS(SELECT 1 FROM temp.sizes s WHERE s.size = i.size AND s.count > 1)';
/** A content that is stored has it. */
const SIZE_IS_KNOWN = 'EXISTS(SELECT 1 FROM content_keys k WHERE k.size = i.size)';

const HASH_COLUMNS = `h.hash, h.hash IS NOT NULL AND EXISTS(
  SELECT 1 FROM run_hashes l JOIN inodes n ON n.id = l.inode
  WHERE l.job = p.job AND l.hash = h.hash AND l.inode < h.inode AND n.content IS NULL)`;

/** Told of each row; what nobody asks for costs as much as the rest of it. */
type Asked = { readonly candidates: boolean };

/** Rows that follow each other, as told by `PendingRows.inSpans`. */
export type UsualRows = PendingSpan<PendingEntry>;

/** Rows of one span at most: they are planned together. */
const SPAN_ROWS = 256;

/**
 * Jobs that have rows in `pending`, as a list for IN: found by one look-up each. Snapshots, of which there are more each year, are
 * not gone through.
 */
export const JOBS_WITH_ROWS = `(WITH RECURSIVE found(job) AS (SELECT min(job) FROM pending
  UNION ALL SELECT (SELECT min(p.job) FROM pending p WHERE p.job > found.job) FROM found WHERE found.job IS NOT NULL)
  SELECT job FROM found WHERE job IS NOT NULL)`;

/** The key of the last of the next `rows` rows of a run, in order of key; undefined where there is none. */
export function endOfPage(
  catalog: Catalog,
  page: { readonly job: number; readonly after: readonly [number, Raw]; readonly rows: number },
): [number, Raw] | undefined {
  const { job, after, rows } = page;
  const from = 'SELECT dir, name FROM pending WHERE job = ? AND (dir, name) > (?, ?)';
  const full = catalog
    .prepare<[number, Raw]>(`${from} ORDER BY dir, name LIMIT 1 OFFSET ?`)
    .get(job, ...after, rows - 1);
  if (full) return full;
  return catalog
    .prepare<[number, Raw]>(`${from} ORDER BY dir DESC, name DESC LIMIT 1`)
    .get(job, ...after);
}

/** A run's rows in order of path. Memory is bounded; rows may change while it is read. */
export class PendingRows {
  readonly #jobNumber: number;
  readonly #directories: Directories;
  readonly #inodes: Inodes;
  readonly #catalog: Catalog;
  readonly #hasHashes;
  /** Some file may be a duplicate, as far as sizes tell: in the first run of many small ones none may. */
  readonly #hasSizes;

  constructor(catalog: Catalog, jobNumber: number) {
    this.#catalog = catalog;
    this.#hasHashes = catalog.prepare('SELECT 1 FROM run_hashes WHERE job = ? LIMIT 1');
    this.#jobNumber = jobNumber;
    this.#directories = new Directories(catalog);
    this.#inodes = new Inodes(catalog);
    this.#catalog
      .prepare('CREATE TEMP TABLE IF NOT EXISTS sizes(size INTEGER PRIMARY KEY, count INTEGER)')
      .run();
    this.#hasSizes = catalog.prepare(
      `SELECT 1 WHERE EXISTS(SELECT 1 FROM temp.sizes WHERE count > 1)
         OR EXISTS(SELECT 1 FROM content_keys WHERE size > 0)`,
    );
  }

  /**
   * Counts the sizes of waiting files, into a temporary table on disk; later rows know then who may be a duplicate.
   * Zero takes part in nothing: the empty content is known from the beginning.
   * @param fromBytes smaller ones are not counted
   * @param largestBytes none is larger: where none is counted, none is looked at
   */
  countSizes(fromBytes: number, largestBytes = Number.POSITIVE_INFINITY): void {
    this.#catalog.read(() => {
      this.#catalog.prepare('DELETE FROM temp.sizes').run();
      if (largestBytes < fromBytes) return;
      this.#catalog
        .prepare(
          `INSERT INTO temp.sizes SELECT i.size, count(*) FROM pending p CROSS JOIN inodes i ON i.id = p.inode
             WHERE p.job = ? AND i.size >= ? AND ${WAITING} GROUP BY i.size`,
        )
        .run(this.#jobNumber, fromBytes);
    });
  }

  inOrder(filter: PendingFilter): Generator<PendingEntry> {
    return this.#inOrder(FILTERS[filter], {
      candidates: filter !== 'unstored' && filter !== 'untold',
    });
  }

  /**
   * As `inOrder('unstored')`; of files as most are, those that follow each other at once.
   * @param usualBytesMax larger files are told of one by one
   */
  *inSpans(usualBytesMax: number): Generator<PendingEntry | UsualRows> {
    const where = FILTERS.unstored;
    const marked = this.#markDirectories(where);
    try {
      yield* this.#walk(marked, this.#pages(where, { candidates: false }), usualBytesMax);
    } finally {
      this.#catalog.prepare(`DROP TABLE temp.${marked}`).run();
    }
  }

  /** Waiting files that may be duplicates. @param sharedFromBytes smaller ones only where a stored content has the size */
  *candidates(sharedFromBytes: number): Generator<PendingEntry> {
    assert(Number.isSafeInteger(sharedFromBytes));
    if (this.#hasSizes.get() === undefined) return;
    const isShared = `i.size >= ${sharedFromBytes} AND ${SIZE_IS_SHARED}`;
    const where = `${WAITING} AND (${isShared} OR ${SIZE_IS_KNOWN})`;
    yield* this.#inOrder(where, { candidates: true });
  }

  /** Those that an archive carries, stored in it or only named by its journal. */
  carriedBy(archiveId: number): Generator<PendingEntry> {
    assert(Number.isSafeInteger(archiveId));
    return this.#inOrder(`p.archive = ${archiveId}`, { candidates: false });
  }

  *#inOrder(where: string, asked: Asked): Generator<PendingEntry> {
    const marked = this.#markDirectories(where);
    try {
      for (const entry of this.#walk(marked, this.#pages(where, asked), 0)) {
        assert(!(entry instanceof PendingSpan), 'no file is as small');
        yield entry;
      }
    } finally {
      this.#catalog.prepare(`DROP TABLE temp.${marked}`).run();
    }
  }

  /** As `inPathOrder`, page by page: each row's share of it counts here. */
  *#walk(
    marked: string,
    rows: RowPages,
    usualBytesMax: number,
  ): Generator<PendingEntry | UsualRows> {
    const directories = this.#directoriesIn(marked);
    const hosts = this.#directories.hosts();
    const open = (dir: number, hostId: number): Level => ({
      dir,
      hostId,
      prefix: this.#prefix(dir),
      rows: new Page((last) => rows(dir, last?.[14])),
      directories: new Page((last) => directories(dir, last?.[0])),
    });
    const levels = [open(PLACE_OF_HOSTS, NO_HOST)];
    for (let level = levels.at(-1); level; level = levels.at(-1)) {
      const { rows, directories, dir, hostId, prefix } = level;
      const directory = directories.next;
      const isHere = (row: EntryRow | undefined): row is EntryRow =>
        row !== undefined && (!directory || row[14] <= directory[0]);
      for (let row = rows.next; isHere(row); row = rows.next) {
        if (prefix !== undefined && isUsual(row, usualBytesMax)) {
          yield this.#span(rows, isHere, { dir, hostId, prefix, usualBytesMax });
          continue;
        }
        rows.advance();
        const own = hostId === NO_HOST ? hostNamed(hosts, row[14]) : hostId;
        yield this.#entry(row, { dir, hostId: own, prefix });
      }
      if (!directory) levels.pop();
      else {
        directories.advance();
        levels.push(open(directory[1], hostId === NO_HOST ? hostOf(hosts, directory[1]) : hostId));
      }
    }
  }

  /** The next row, and those like it that follow. */
  #span(
    rows: Page<EntryRow>,
    isHere: (row: EntryRow | undefined) => row is EntryRow,
    where: Omit<Level, 'rows' | 'directories'> & {
      readonly prefix: string;
      readonly usualBytesMax: number;
    },
  ): UsualRows {
    const { dir, hostId, prefix, usualBytesMax } = where;
    const usual: EntryRow[] = [];
    for (let row = rows.next; isHere(row) && isUsual(row, usualBytesMax); row = rows.next) {
      usual.push(row);
      rows.advance();
      if (usual.length === SPAN_ROWS) break;
    }
    return new PendingSpan({ directoryId: dir, hostId, prefix }, usual, {
      owner: (id) => this.#inodes.owner(id),
      entry: (row) => this.#entry(row, where),
    });
  }

  /** What stands before a name in its path; undefined where the entry is the root of a host. */
  #prefix(dir: number): string | undefined {
    if (dir === PLACE_OF_HOSTS) return undefined;
    const path = this.#directories.path(dir);
    return path === '/' ? path : `${path}/`;
  }

  /** Children to walk into, in pages. */
  #directoriesIn(marked: string): (dir: number, after: Raw | undefined) => readonly ChildRow[] {
    const select = `SELECT name, dir, parent FROM temp.${marked} WHERE`;
    const range = this.#catalog.prepare<ChildRow>(
      `${select} parent >= ? AND parent < ? ORDER BY parent, name LIMIT ?`,
    );
    const page = this.#catalog.prepare<ChildRow>(
      `${select} parent = ? AND name > ? ORDER BY name LIMIT ${PAGE_ROWS}`,
    );
    const ahead = new Ahead<ChildRow>({
      range: (first, end, limit) => range.all(first, end, limit),
      one: (dir) => page.all(dir, ''),
      idOf: (row) => row[2],
    });
    return (dir, after) => (after === undefined ? ahead.rows(dir) : page.all(dir, after));
  }

  /** Pages of a directory's rows; whether there are hashes is asked for each, for they may come meanwhile. */
  #pages(where: string, asked: Asked): RowPages {
    const job = this.#jobNumber;
    const plain = this.#selects(where, { ...asked, hashes: false });
    const hashed = this.#selects(where, { ...asked, hashes: true });
    const selects = () => (this.#hasHashes.get(job) === undefined ? plain : hashed);
    const ahead = new Ahead<EntryRow>({
      range: (first, end, limit) => selects().range.all(job, first, end, limit),
      one: (dir) => selects().page.all(job, dir, ''),
      idOf: (row) => row[18],
    });
    return (dir, after) =>
      after === undefined ? ahead.rows(dir) : selects().page.all(job, dir, after);
  }

  #selects(where: string, asked: Asked & { readonly hashes: boolean }) {
    const select = selectFrom(where, asked);
    return {
      range: this.#catalog.prepare<EntryRow>(
        `${select} AND p.dir >= ? AND p.dir < ? ORDER BY p.dir, p.name LIMIT ?`,
      ),
      page: this.#catalog.prepare<EntryRow>(
        `${select} AND p.dir = ? AND p.name > ? ORDER BY p.name LIMIT ${PAGE_ROWS}`,
      ),
    };
  }

  #entry(
    row: EntryRow,
    { dir, hostId, prefix }: Pick<Level, 'dir' | 'hostId' | 'prefix'>,
  ): PendingEntry {
    const isGone = row[0] === null;
    const name = row[14];
    const isWaiting =
      !isGone &&
      isFile(row[1]) &&
      (row[11] === null || (row[15] === CHANGES.again && row[17] === null));
    return {
      directoryId: dir,
      name,
      hostId,
      path: (prefix === undefined ? '/' : prefix + name) as Raw,
      change: changeOf(row[15]),
      archiveId: row[17] ?? undefined,
      movedFrom: row[16] ?? undefined,
      isWaiting,
      isCandidate: isWaiting && row[19] === 1,
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
           -- From directory to directory, not from row to row.
           each_dir(dir) AS (SELECT min(dir) FROM pending WHERE job = @job
             UNION ALL SELECT (SELECT min(dir) FROM pending WHERE job = @job AND dir > e.dir)
               FROM each_dir e WHERE e.dir IS NOT NULL),
           found(dir) AS (SELECT dir FROM each_dir e WHERE EXISTS(
             SELECT 1 FROM pending p LEFT JOIN inodes i ON i.id = p.inode
             WHERE p.job = @job AND p.dir = e.dir AND ${where})),
           above(dir) AS (SELECT dir FROM found WHERE dir <> ${PLACE_OF_HOSTS}
             UNION SELECT d.parent FROM above a JOIN directories d ON d.id = a.dir
               WHERE d.parent <> ${PLACE_OF_HOSTS})
         SELECT d.parent, d.name, d.id FROM above a JOIN directories d ON d.id = a.dir`,
      )
      .run({ job: this.#jobNumber });
    return table;
  }
}

/** What nobody asks for is left out behind the last column that somebody does. */
function selectFrom(where: string, asked: Asked & { readonly hashes: boolean }): string {
  const isCandidate = asked.candidates ? `${SIZE_IS_SHARED} OR ${SIZE_IS_KNOWN}` : '0';
  const hashes = asked.hashes ? `, ${HASH_COLUMNS}` : '';
  const more = asked.candidates || asked.hashes ? `, ${isCandidate}${hashes}` : '';
  return `SELECT ${inodeColumns('i')}, p.name, p.change, p.moved_from, p.archive, p.dir${more}
    FROM pending p LEFT JOIN inodes i ON i.id = p.inode
      ${asked.hashes ? 'LEFT JOIN run_hashes h ON h.job = p.job AND h.inode = p.inode' : ''}
    WHERE ${where} AND p.job = ?`;
}

type RowPages = (dir: number, after: Raw | undefined) => readonly EntryRow[];
type ChildRow = [name: Raw, dir: number, parent: number];

/** Where the roots of hosts stand, none is told yet. */
const NO_HOST = 0;

function hostNamed(hosts: readonly Host[], name: Raw): number {
  return known(hosts.find((host) => rawOf(host.name) === name)).id;
}

function hostOf(hosts: readonly Host[], rootId: number): number {
  return known(hosts.find(({ directoryId }) => directoryId === rootId)).id;
}

function known(host: Host | undefined): Host {
  assert(host, 'only hosts stand at the top');
  return host;
}

type Level = {
  readonly dir: number;
  readonly hostId: number;
  readonly prefix: string | undefined;
  readonly rows: Page<EntryRow>;
  readonly directories: Page<ChildRow>;
};
