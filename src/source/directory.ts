/** One directory: its entries with what stat says of them, in order of the bytes of their names. */
import { strict as assert } from 'node:assert';
import { constants } from 'node:fs';
import type { Raw } from '../base/raw.ts';
import type { EntryType, Moment } from '../domain/entry.ts';
import { type Answer, type FsDoor, ROW_COLUMNS } from './door.ts';

/** What the kernel says of an entry without opening it. */
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
  readonly rdevMajor?: number;
  readonly rdevMinor?: number;
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
    if (mode > 0) entries.push(entryOf(name, rows, row));
    else if (mode !== ENOENT) refused.push({ name, answer: mode });
  }
  return { entries, refused };
}

/** Looks at one name in a directory, or at the directory itself where the name is empty; follows no link. */
export function statEntry(door: FsDoor, directory: number, name: Raw): ScannedEntry | Answer {
  const row = new Float64Array(ROW_COLUMNS);
  const answer = door.stat(directory, Buffer.from(name, 'latin1'), row);
  return answer < 0 ? answer : entryOf(name, row, 0);
}

function entryOf(name: Raw, rows: Float64Array, row: number): ScannedEntry {
  const at = (column: number) => rows[row + column] ?? 0;
  const mode = at(MODE);
  const type = entryType(mode);
  const entry: ScannedEntry = {
    name,
    type,
    mode: mode & 0o7777,
    uid: at(UID),
    gid: at(GID),
    sizeBytes: at(SIZE),
    blocks512: at(BLOCKS),
    mtime: { seconds: at(MTIME), nanoseconds: at(MTIME + 1) },
    ctime: { seconds: at(CTIME), nanoseconds: at(CTIME + 1) },
    device: at(DEVICE),
    inode: at(INODE),
    links: at(LINKS),
    mountId: at(MOUNT),
    isNodump: (at(ATTRIBUTES) & STATX_ATTR_NODUMP) !== 0,
  };
  if (type !== 'character' && type !== 'block') return entry;
  return { ...entry, rdevMajor: at(RDEV), rdevMinor: at(RDEV + 1) };
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
