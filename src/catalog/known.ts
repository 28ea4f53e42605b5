/**
 * What the catalog knows of one directory before a run: the side of the rescan that does not touch the disk.
 *
 * Costs decide here: every value that crosses into JavaScript costs about 0.1 us, so the columns are few, and directories
 * with neighbouring ids, as a sorted walk meets them, are read in one statement.
 */
import type { Raw } from '../base/raw.ts';
import type { EntryType, Moment } from '../domain/entry.ts';
import type { Catalog } from './catalog.ts';
import type { Inodes } from './inodes.ts';
import { typeOf } from './mode.ts';
import { WAITING } from './pending.ts';

export type KnownEntry = {
  readonly name: Raw;
  readonly inodeId: number;
  readonly type: EntryType;
  /** Permissions, 0 to 07777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly mtime: Moment;
  readonly ctime: Moment;
  /** Of the source, as it was then. */
  readonly device: number;
  readonly inode: number;
  /** Undefined for what has none. */
  readonly contentId: number | undefined;
};

type KnownRow = [
  dir: number,
  name: Raw,
  inodeId: number,
  mode: number,
  owner: number,
  size: number,
  mtime: number,
  mtimeNs: number,
  ctime: number,
  ctimeNs: number,
  device: number,
  inode: number,
  content: number | null,
];

type OverlayRow = [inode: number | null, name: Raw];

const COLUMNS = `v.inode, i.mode, i.owner, i.size, i.mtime, i.mtime_ns, i.ctime, i.ctime_ns,
  i.device, i.inode, i.content`;
/** Directories read ahead when ids ascend. */
const AHEAD_DIRECTORIES = 32;
/** A range with more rows than this is not read ahead again. */
const AHEAD_ROWS_MAX = 4096;

export class Known {
  readonly #inodes: Inodes;
  readonly #snapshotId: number;
  readonly #job: number;
  readonly #range;
  readonly #overlay;
  readonly #inodeRow;
  #last = -1;
  #ahead: { readonly first: number; readonly end: number; readonly rows: Map<number, KnownRow[]> } =
    {
      first: 0,
      end: 0,
      rows: new Map(),
    };

  /** @param options.snapshotId as of which snapshot; 0: nothing is known */
  constructor(catalog: Catalog, inodes: Inodes, options: { snapshotId: number; job: number }) {
    this.#inodes = inodes;
    this.#snapshotId = options.snapshotId;
    this.#job = options.job;
    this.#range = catalog.prepare<KnownRow>(
      `SELECT v.dir, v.name, ${COLUMNS} FROM versions v CROSS JOIN inodes i ON i.id = v.inode
       WHERE v.dir >= ? AND v.dir < ? AND v.since <= ? AND (v.until IS NULL OR v.until > ?)
       ORDER BY v.dir, v.name LIMIT ?`,
    );
    this.#overlay = catalog.prepare<OverlayRow>(
      `SELECT p.inode, p.name FROM pending p LEFT JOIN inodes i ON i.id = p.inode
       WHERE p.job = ? AND p.dir = ? AND NOT ${WAITING}`,
    );
    this.#inodeRow = catalog.prepare<KnownRow>(
      `SELECT ?, ?, ${COLUMNS.replace('v.inode', 'i.id')} FROM inodes i WHERE i.id = ?`,
    );
  }

  /** In order of name. */
  list(directoryId: number): KnownEntry[] {
    const rows = this.#rows(directoryId).map((row) => this.#entry(row));
    const overlay = this.#overlay.all(this.#job, directoryId);
    return overlay.length === 0 ? rows : this.#merge(directoryId, rows, overlay);
  }

  #merge(dir: number, base: KnownEntry[], overlay: readonly OverlayRow[]): KnownEntry[] {
    const merged = new Map(base.map((entry) => [entry.name, entry]));
    for (const [inode, name] of overlay) {
      const row = inode === null ? undefined : this.#inodeRow.get(dir, name, inode);
      if (row) merged.set(name, this.#entry(row));
      else merged.delete(name);
    }
    return [...merged.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #rows(dir: number): KnownRow[] {
    if (this.#snapshotId === 0) return [];
    const { first, end, rows } = this.#ahead;
    if (dir >= first && dir < end) {
      this.#last = dir;
      return rows.get(dir) ?? [];
    }
    const isWalk = dir > this.#last && dir - this.#last <= AHEAD_DIRECTORIES;
    this.#last = dir;
    if (!isWalk) return this.#range.all(dir, dir + 1, this.#snapshotId, this.#snapshotId, -1);
    this.#readAhead(dir);
    return this.#ahead.rows.get(dir) ?? [];
  }

  /** Only directories read completely are kept: with many rows, the last one is cut off and left out. */
  #readAhead(dir: number): void {
    const snapshot = this.#snapshotId;
    const found = this.#range.all(dir, dir + AHEAD_DIRECTORIES, snapshot, snapshot, AHEAD_ROWS_MAX);
    const isCut = found.length === AHEAD_ROWS_MAX;
    const end = isCut ? (found.at(-1)?.[0] ?? dir) : dir + AHEAD_DIRECTORIES;
    const rows = new Map<number, KnownRow[]>();
    for (const row of found) {
      if (row[0] >= end) break;
      const list = rows.get(row[0]);
      if (list) list.push(row);
      else rows.set(row[0], [row]);
    }
    // One directory alone fills the page: it is read by itself.
    if (end === dir) rows.set(dir, this.#range.all(dir, dir + 1, snapshot, snapshot, -1));
    this.#ahead = { first: dir, end: Math.max(end, dir + 1), rows };
  }

  #entry(row: KnownRow): KnownEntry {
    const mode = row[3];
    const owner = this.#inodes.owner(row[4]);
    return {
      name: row[1],
      inodeId: row[2],
      type: typeOf(mode),
      mode: mode & 0o7777,
      uid: owner[0],
      gid: owner[1],
      sizeBytes: row[5],
      mtime: { seconds: row[6], nanoseconds: row[7] },
      ctime: { seconds: row[8], nanoseconds: row[9] },
      device: row[10],
      inode: row[11],
      contentId: row[12] ?? undefined,
    };
  }
}
