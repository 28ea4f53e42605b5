/** One directory: its entries with what stat says of them, in order of the bytes of their names. */
import { strict as assert } from 'node:assert';
import { constants } from 'node:fs';
import type { Raw } from '../base/raw.ts';
import type { EntryType, Moment } from '../domain/entry.ts';
import { type Answer, type FsDoor, ROW_COLUMNS } from './door.ts';

/**
 * What the kernel says of an entry without opening it. Computed when asked for, from a row it shares with its directory, so
 * that a directory of a million files fits in memory: take out what is needed, a spread or a clone has the name alone.
 */
export type ScannedEntry = {
  readonly name: Raw;
  readonly type: EntryType;
  /** 0 to 07777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  /** Blocks of 512 bytes that are really there. */
  readonly blocks512: number;
  readonly mtime: Moment;
  readonly ctime: Moment;
  /** dev_t of the file system. */
  readonly device: number;
  /** Exact up to 2^53; larger ones are mixed into that range. */
  readonly inode: number;
  readonly links: number;
  /** Of a device node. */
  readonly rdev: { readonly major: number; readonly minor: number } | undefined;
  /** As in /proc/self/mountinfo; -1 where the kernel does not say (before Linux 5.8). */
  readonly mountId: number;
  /** chattr +d: its owner wants it left out of backups. */
  readonly isNodump: boolean;
};

export type DirectoryListing = {
  readonly entries: readonly ScannedEntry[];
  /** Listed, but stat refused: EACCES without search permission, EIO. Those gone meanwhile are not among them. */
  readonly refused: readonly { readonly name: Raw; readonly answer: Answer }[];
};

const { S_IFMT, S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFCHR, S_IFBLK, S_IFSOCK } = constants;

/** linux/stat.h */
const STATX_ATTR_NODUMP = 0x40;
const ENOENT = -2;

/** Columns of a row (native/fs/src/directory.cc). */
const MODE = 0;
const UID = 1;
const GID = 2;
const SIZE = 3;
const BLOCKS = 4;
const MTIME = 5;
const CTIME = 7;
const DEVICE = 9;
const INODE = 10;
const LINKS = 11;
const RDEV = 12;
const MOUNT = 14;
const ATTRIBUTES = 15;

/** Lists an open directory; reads on from where its descriptor stands, so once a descriptor. */
export function listDirectory(door: FsDoor, directory: number): DirectoryListing | Answer {
  const reply = door.scan(directory);
  if (typeof reply === 'number') return reply;
  const { rows } = reply;
  const names = reply.names.split('\0');
  assert(rows.length === (names.length - 1) * ROW_COLUMNS, 'a row a name');
  const entries: ScannedEntry[] = [];
  const refused: { name: Raw; answer: Answer }[] = [];
  for (let index = 0, row = 0; row < rows.length; index += 1, row += ROW_COLUMNS) {
    const name = names[index] as Raw;
    const mode = rows[row] ?? 0;
    if (mode > 0) entries.push(new RowEntry(name, rows, row));
    else if (mode !== ENOENT) refused.push({ name, answer: mode });
  }
  return { entries, refused };
}

/** Looks at one name in a directory, or at the directory itself where the name is empty; follows no link. */
export function statEntry(door: FsDoor, directory: number, name: Raw): ScannedEntry | Answer {
  const row = new Float64Array(ROW_COLUMNS);
  const answer = door.stat(directory, Buffer.from(name, 'latin1'), row);
  return answer < 0 ? answer : new RowEntry(name, row, 0);
}

/** The same entry by another name: of a link followed, or of a path's last part. */
export function renamedEntry(entry: ScannedEntry, name: Raw): ScannedEntry {
  assert(entry instanceof RowEntry, 'made here');
  return entry.renamed(name);
}

class RowEntry implements ScannedEntry {
  readonly name: Raw;
  readonly #rows: Float64Array;
  readonly #row: number;

  constructor(name: Raw, rows: Float64Array, row: number) {
    this.name = name;
    this.#rows = rows;
    this.#row = row;
  }

  get type(): EntryType {
    return entryType(this.#at(MODE));
  }
  get mode(): number {
    return this.#at(MODE) & 0o7777;
  }
  get uid(): number {
    return this.#at(UID);
  }
  get gid(): number {
    return this.#at(GID);
  }
  get sizeBytes(): number {
    return this.#at(SIZE);
  }
  get blocks512(): number {
    return this.#at(BLOCKS);
  }
  get mtime(): Moment {
    return { seconds: this.#at(MTIME), nanoseconds: this.#at(MTIME + 1) };
  }
  get ctime(): Moment {
    return { seconds: this.#at(CTIME), nanoseconds: this.#at(CTIME + 1) };
  }
  get device(): number {
    return this.#at(DEVICE);
  }
  get inode(): number {
    return this.#at(INODE);
  }
  get links(): number {
    return this.#at(LINKS);
  }
  get rdev(): { readonly major: number; readonly minor: number } | undefined {
    const { type } = this;
    if (type !== 'character' && type !== 'block') return undefined;
    return { major: this.#at(RDEV), minor: this.#at(RDEV + 1) };
  }
  get mountId(): number {
    return this.#at(MOUNT);
  }
  get isNodump(): boolean {
    return (this.#at(ATTRIBUTES) & STATX_ATTR_NODUMP) !== 0;
  }

  renamed(name: Raw): ScannedEntry {
    return new RowEntry(name, this.#rows, this.#row);
  }

  #at(column: number): number {
    return this.#rows[this.#row + column] ?? 0;
  }
}

function entryType(mode: number): EntryType {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return 'file';
    case S_IFDIR:
      return 'directory';
    case S_IFLNK:
      return 'symlink';
    case S_IFIFO:
      return 'fifo';
    case S_IFCHR:
      return 'character';
    case S_IFBLK:
      return 'block';
    case S_IFSOCK:
      return 'socket';
    default:
      assert.fail(`no type of an entry: ${mode.toString(8)}`);
  }
}
