/**
 * What the catalog knows of one directory before a run: the side of the rescan that does not touch the disk.
 *
 * Costs decide here: every value that crosses into JavaScript costs about 0.1 us, so the columns are few, and directories
 * with neighbouring ids, as a sorted walk meets them, are read in one statement.
 */
import type { Raw } from '../../base/raw.ts';
import type { EntryType, Moment } from '../../domain/entry.ts';
import type { Catalog } from '../catalog.ts';
import { Ahead } from '../row/ahead.ts';
import type { Inodes } from '../tree/inodes.ts';
import { typeOf } from '../tree/mode.ts';
import { CHANGES } from './change.ts';
import { WAITING } from './rows.ts';

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
  readonly inode: number;
  /** Undefined for what has none. */
  readonly contentId: number | undefined;
  /** What this very run has found it to be, in a process that was cut short; left out: nothing. */
  readonly found?: 'new' | 'changed' | 'moved' | undefined;
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
  inode: number,
  content: number | null,
];

type OverlayRow = [inode: number | null, name: Raw, change: number];

const COLUMNS = `v.inode, i.mode, i.owner, i.size, i.mtime, i.mtime_ns, i.ctime, i.ctime_ns,
  i.inode, i.content`;
const NO_ROWS: readonly KnownRow[] = [];

export class Known {
  readonly #inodes: Inodes;
  readonly #snapshotId: number;
  readonly #job: number;
  readonly #overlay;
  readonly #inodeRow;
  readonly #ahead: Ahead<KnownRow>;
  #hasRows: boolean;

  /** @param options.snapshotId as of which snapshot; 0: nothing is known */
  constructor(catalog: Catalog, inodes: Inodes, options: { snapshotId: number; job: number }) {
    this.#inodes = inodes;
    this.#snapshotId = options.snapshotId;
    this.#job = options.job;
    const anyRow = catalog.prepare('SELECT 1 FROM pending WHERE job = ? LIMIT 1');
    this.#hasRows = anyRow.get(options.job) !== undefined;
    const range = catalog.prepare<KnownRow>(
      `SELECT v.dir, v.name, ${COLUMNS} FROM versions v CROSS JOIN inodes i ON i.id = v.inode
       WHERE v.dir >= ? AND v.dir < ? AND v.since <= ? AND (v.until IS NULL OR v.until > ?)
       ORDER BY v.dir, v.name LIMIT ?`,
    );
    const { snapshotId } = options;
    const read = (first: number, end: number, limit: number) =>
      range.all(first, end, snapshotId, snapshotId, limit);
    this.#ahead = new Ahead({
      range: read,
      one: (dir) => read(dir, dir + 1, -1),
      idOf: ([dir]) => dir,
    });
    this.#overlay = catalog.prepare<OverlayRow>(
      `SELECT p.inode, p.name, p.change FROM pending p LEFT JOIN inodes i ON i.id = p.inode
       WHERE p.job = ? AND p.dir = ? AND NOT ${WAITING}`,
    );
    this.#inodeRow = catalog.prepare<KnownRow>(
      `SELECT ?, ?, ${COLUMNS.replace('v.inode', 'i.id')} FROM inodes i WHERE i.id = ?`,
    );
  }

  /** In order of name. */
  list(directoryId: number): KnownEntry[] {
    const rows = this.#rows(directoryId).map((row) => this.#entry(row));
    if (!this.#hasRows) return rows;
    const overlay = this.#overlay.all(this.#job, directoryId);
    return overlay.length === 0 ? rows : this.#merge(directoryId, rows, overlay);
  }

  /** The run has rows by now: until then, as in most rescans, no directory needs a second look. */
  noteRows(): void {
    this.#hasRows = true;
  }

  #merge(dir: number, base: KnownEntry[], overlay: readonly OverlayRow[]): KnownEntry[] {
    const merged = new Map(base.map((entry) => [entry.name, entry]));
    for (const [inode, name, change] of overlay) {
      const row = inode === null ? undefined : this.#inodeRow.get(dir, name, inode);
      const found = foundAs(change, merged.has(name));
      if (row) merged.set(name, { ...this.#entry(row), found });
      else merged.delete(name);
    }
    return [...merged.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #rows(dir: number): readonly KnownRow[] {
    return this.#snapshotId === 0 ? NO_ROWS : this.#ahead.rows(dir);
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
      inode: row[10],
      contentId: row[11] ?? undefined,
    };
  }
}

function foundAs(change: number, isInBase: boolean): KnownEntry['found'] {
  if (change === CHANGES.again) return undefined;
  if (change === CHANGES.moved) return 'moved';
  return isInBase ? 'changed' : 'new';
}
