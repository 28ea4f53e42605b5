/**
 * What of a medium is still needed: contents of versions and of runs under way, in the order of its tape, each with the name
 * it is stored under when it is moved.
 *
 * It goes through extents and versions once, into temporary tables on disk; memory does not grow with their number. Nothing
 * of it outlives the connection. Each content's copies are looked at when it is asked for, so what came meanwhile counts.
 */
import type { Raw } from '../../base/raw.ts';
import type { Catalog } from '../catalog.ts';
import { Contents } from '../content/contents.ts';
import { Locator } from '../content/locator.ts';
import type { NamedInode } from '../restore/wanted.ts';
import { BAD_MEDIUM_STATES } from '../shelf/media.ts';
import { Directories } from '../tree/directories.ts';
import { heldSql } from '../tree/held.ts';
import { type InodeRow, Inodes, inodeColumns } from '../tree/inodes.ts';

/** Copies that contents of a pool are to have. */
export type PoolCopies = { readonly copies: number; readonly poolId: number | undefined };

export type LiveContent = {
  readonly contentId: number;
  /** The newest version that has it; of several names of one snapshot the first. */
  readonly entry: NamedInode;
  /** No finished run names it yet. */
  readonly isPending: boolean;
};

/**
 * Whether a medium is what the catalog takes it for, as a job has found out: a catalog that was set back to an older day counts copies
 * that were written over since (SCHEMA.md section 9).
 */
export interface Proof {
  isProven(mediumId: number): boolean;
  /**
   * A content has copies enough, but none on media that are proven.
   * @param holders media that have some of it
   * @returns whether some of them are going to be looked at, so that it is not needed yet
   */
  awaits(holders: readonly number[]): boolean;
}

const NO_PROOF: Proof = { isProven: () => true, awaits: () => true };

const TABLES = [
  'live_elsewhere(archive INTEGER PRIMARY KEY, copies INTEGER, is_proven INTEGER)',
  'live_proven(medium INTEGER PRIMARY KEY)',
  'live_archives(archive INTEGER PRIMARY KEY, file INTEGER)',
  'live_places(content INTEGER PRIMARY KEY, file INTEGER, position INTEGER)',
  `live_names(content INTEGER PRIMARY KEY, is_now INTEGER, since INTEGER, dir INTEGER, name TEXT,
    inode INTEGER)`,
];

/** Of archives that count; a copy that went bad may be the last there is. */
const ARCHIVES = `INSERT INTO temp.live_archives SELECT k.archive, k.file_number
  FROM archive_copies k CROSS JOIN archives a ON a.id = k.archive
  WHERE k.medium = ? AND k.state IN ('good', 'bad') AND a.state = 'good'`;

/** Archives that are whole and undamaged on other media, and on how many of the pool: most contents need no closer look. */
const ELSEWHERE = `INSERT INTO temp.live_elsewhere
  SELECT k.archive, count(*), max(k.medium IN (SELECT medium FROM temp.live_proven))
  FROM archive_copies k CROSS JOIN archives a ON a.id = k.archive CROSS JOIN media m ON m.id = k.medium
  WHERE a.state = 'good' AND k.state = 'good' AND k.medium <> @medium AND m.state NOT IN ${BAD_MEDIUM_STATES}
    AND (@pool IS NULL OR m.pool = @pool) AND NOT EXISTS(SELECT 1 FROM damages d WHERE d.archive = k.archive)
  GROUP BY k.archive`;

/** Stored in one piece, in an archive that has enough copies elsewhere. */
const IS_SAFE = `EXISTS(SELECT 1 FROM extents e CROSS JOIN temp.live_elsewhere w ON w.archive = e.archive
  WHERE e.content = p.content AND e.content_offset = 0 AND e.length IS NULL AND w.copies >= ? AND w.is_proven)`;

const PLACES = `INSERT OR IGNORE INTO temp.live_places SELECT e.content, l.file, e.position
  FROM extents e CROSS JOIN temp.live_archives l ON l.archive = e.archive`;

/** Whatever medium they lie on, in the order in which they came. */
const SCARCE_PLACES = `INSERT INTO temp.live_places SELECT s.content, 0, s.content FROM temp.short s`;

const NAMES = `INSERT INTO temp.live_names
  SELECT i.content, v.until IS NULL, v.since, v.dir, v.name, v.inode
  FROM versions v CROSS JOIN inodes i ON i.id = v.inode CROSS JOIN temp.live_places p ON p.content = i.content
  WHERE ${heldSql('v')} ON CONFLICT(content) DO UPDATE SET is_now = excluded.is_now, since = excluded.since,
    dir = excluded.dir, name = excluded.name, inode = excluded.inode
  WHERE (excluded.is_now, excluded.since) > (live_names.is_now, live_names.since)`;

const PENDING = `INSERT OR IGNORE INTO temp.live_names SELECT i.content, 0, 0, r.dir, r.name, r.inode
  FROM pending r CROSS JOIN inodes i ON i.id = r.inode CROSS JOIN temp.live_places p ON p.content = i.content`;

const PAGE_ROWS = 256;
/** Ids begin at 1. */
const NO_MEDIUM = 0;

const PAGE = `SELECT ${inodeColumns('i')}, p.content, n.dir, n.name, p.file, p.position,
    NOT EXISTS(SELECT 1 FROM snapshots s WHERE s.id = n.since AND s.state = 'finished')
  FROM temp.live_places p INDEXED BY live_in_order CROSS JOIN temp.live_names n ON n.content = p.content
    CROSS JOIN inodes i ON i.id = n.inode
  WHERE (p.file, p.position, p.content) > (?, ?, ?) AND NOT ${IS_SAFE} ORDER BY p.file, p.position, p.content LIMIT ${PAGE_ROWS}`;

type PageRow = [
  ...InodeRow,
  content: number,
  dir: number,
  name: Raw,
  file: number,
  position: number,
  isPending: number,
];

export class LiveContents {
  readonly #catalog: Catalog;
  readonly #contents: Contents;
  readonly #directories: Directories;
  readonly #inodes: Inodes;
  readonly #mediumId: number;

  /** Looks the medium over; or, `short`, the contents that `shortageOf` has found last. */
  constructor(catalog: Catalog, of: number | 'short') {
    this.#catalog = catalog;
    this.#contents = new Contents(catalog);
    this.#contents.rememberTwins();
    this.#directories = new Directories(catalog);
    this.#inodes = new Inodes(catalog);
    this.#mediumId = of === 'short' ? NO_MEDIUM : of;
    catalog.read(() => {
      for (const table of TABLES) {
        catalog.prepare(`CREATE TEMP TABLE IF NOT EXISTS ${table}`).run();
        catalog.prepare(`DELETE FROM temp.${table.slice(0, table.indexOf('('))}`).run();
      }
      catalog
        .prepare(
          'CREATE INDEX IF NOT EXISTS temp.live_in_order ON live_places(file, position, content)',
        )
        .run();
      if (of !== 'short') catalog.prepare(ARCHIVES).run(of);
      const places = of === 'short' ? SCARCE_PLACES : PLACES;
      for (const fill of [places, NAMES, PENDING]) catalog.prepare(fill).run();
    });
  }

  /**
   * Those that would have fewer copies than they are to have if the medium were not there, or none that is proven; in order of tape.
   */
  *needing({ copies, poolId }: PoolCopies, proof: Proof = NO_PROOF): Generator<LiveContent> {
    this.#catalog.read(() => {
      for (const table of ['live_elsewhere', 'live_proven'])
        this.#catalog.prepare(`DELETE FROM temp.${table}`).run();
      const medium = this.#mediumId;
      const add = this.#catalog.prepare('INSERT INTO temp.live_proven VALUES(?)');
      const media = this.#catalog.prepare<[number]>('SELECT id FROM media').all().flat();
      for (const id of media) if (proof.isProven(id)) add.run(id);
      this.#catalog.prepare(ELSEWHERE).run({ medium, pool: poolId ?? null });
    });
    const isProven = (id: number) => proof.isProven(id);
    let asked = 0;
    let only = { poolId, isProven, locator: this.#locator() };
    for (const content of this.#all(copies)) {
      const { contentId } = content;
      // What changes meanwhile is seen with the next ones, and by who gives the medium up.
      asked += 1;
      if (asked % PAGE_ROWS === 0) only = { ...only, locator: this.#locator() };
      const { good, proven } = this.#contents.copiesElsewhere(contentId, this.#mediumId, only);
      const isSafe = good >= copies && (proven > 0 || proof.awaits(this.holdersOf(contentId)));
      if (!isSafe) yield content;
    }
  }

  #locator(): Locator {
    return new Locator(this.#catalog, this.#contents);
  }

  /** Media that hold a good copy of some of it, other than the medium. */
  holdersOf(contentId: number): number[] {
    const media = this.#contents
      .extentsOf(contentId)
      .flatMap(({ copies }) => copies.filter(({ isGood }) => isGood))
      .map(({ mediumId }) => mediumId);
    return [...new Set(media)].filter((id) => id !== this.#mediumId).toSorted((a, b) => a - b);
  }

  *#all(copies: number): Generator<LiveContent> {
    const page = this.#catalog.prepare<PageRow>(PAGE);
    for (let at: [number, number, number] = [-1, -1, -1]; ; ) {
      const rows = page.all(...at, copies);
      for (const row of rows) {
        const [contentId, directoryId, name] = [row[14], row[15], row[16]];
        const path = this.#directories.entryPath(directoryId, name);
        const inode = this.#inodes.fromRow(row);
        const entry = { directoryId, name, path, inode };
        yield { contentId, entry, isPending: row[19] === 1 };
      }
      const last = rows.at(-1);
      if (!last || rows.length < PAGE_ROWS) return;
      at = [last[17], last[18], last[14]];
    }
  }
}
