/**
 * native/fs as TypeScript sees it: what its calls take and answer, and what an errno from it means for a source.
 *
 * The door follows no symbolic link at the end of a path and has no opinion; which paths may be walked, and beneath what, is
 * decided by those who call it (beneath.ts, source tree and target tree).
 */
import { getSystemErrorName } from 'node:util';
import { CodedError, type FailureCode } from '../base/errors.ts';
import { loadDoor } from '../base/native-door.ts';
import { type Raw, rawText } from '../base/raw.ts';

/** kRevision of native/fs/src/door.cc. */
const FS = { name: 'fs', what: 'the door to the file system', revision: 1 };

/** 0 or what was asked for; an errno below zero where the kernel refused. */
export type Answer = number;

/** Names and paths are bytes without a NUL. An empty name means the descriptor itself. Nothing of it throws or waits. */
export type FsDoor = {
  /** openat2(2), O_CLOEXEC always: the new descriptor. */
  open(directory: number, path: Uint8Array, flags: number, mode: number, resolve: number): Answer;
  close(file: number): Answer;
  /** statx(2) into a row of ROW_COLUMNS. */
  stat(directory: number, name: Uint8Array, row: Float64Array): Answer;
  /**
   * Reads an open directory to its end: names in byte order, each followed by a NUL (one character a byte), and a row for
   * each; column 0 is -errno where an entry could not be looked at.
   */
  scan(directory: number): { readonly names: string; readonly rows: Float64Array } | Answer;
  /**
   * Reads many small files in one call, each behind its head; what could not be read as it was seen takes no room.
   * @returns bytes filled, a multiple of 512
   */
  readFiles(batch: FileBatch, into: Uint8Array, results: FileResults): Answer;
  /** Lines of a journal, one behind the other. @returns bytes written; ENOBUFS where they may not fit: then nothing counts */
  writeLines(lines: LineBatch, into: Uint8Array): Answer;
  /** Offset and length in turn; EINVAL where the file system knows of no holes. Moves the file's position. */
  dataRanges(file: number, from: number, rangesMax: number): Float64Array | Answer;
  readLink(directory: number, name: Uint8Array): Buffer | Answer;
  /** Of entries of a directory, names ended by NUL each: 0 or an errno each, targets ended by NUL each. */
  readLinks(
    directory: number,
    names: string,
  ): { readonly answers: Int32Array; readonly targets: string } | Answer;
  /** Type (linux/magic.h), bytes, bytes free for us, inodes, inodes free. */
  fileSystem(file: number): Float64Array | Answer;

  /** Name and value in turn. */
  getXattrs(directory: number, name: Uint8Array): Buffer[] | Answer;
  /** Of entries of a directory, names ended by NUL each. ENOSYS where neither the kernel nor /proc allows it. */
  xattrsOf(directory: number, names: string): XattrsReply | Answer;
  setXattr(directory: number, name: Uint8Array, xattr: Uint8Array, value: Uint8Array): Answer;
  removeXattr(directory: number, name: Uint8Array, xattr: Uint8Array): Answer;
  changeOwner(directory: number, name: Uint8Array, uid: number, gid: number): Answer;
  changeMode(directory: number, name: Uint8Array, mode: number): Answer;
  /** Seconds and nanoseconds of the last access, then of the last change. */
  setTimes(directory: number, name: Uint8Array, ...times: readonly number[]): Answer;

  /** Empty where there is none. */
  userName(uid: number): Buffer | Answer;
  groupName(gid: number): Buffer | Answer;
  /** ENOENT where there is none. */
  userId(name: Uint8Array): Answer;
  groupId(name: Uint8Array): Answer;

  makeDirectory(directory: number, name: Uint8Array, mode: number): Answer;
  /** `mode` with the type of the node. */
  makeNode(directory: number, name: Uint8Array, mode: number, major: number, minor: number): Answer;
  makeSymlink(target: Uint8Array, directory: number, name: Uint8Array): Answer;
  makeLink(directory: number, name: Uint8Array, toDirectory: number, toName: Uint8Array): Answer;
  /** renameat2(2) */
  rename(
    directory: number,
    name: Uint8Array,
    toDirectory: number,
    toName: Uint8Array,
    flags: number,
  ): Answer;
  unlink(directory: number, name: Uint8Array, flags: number): Answer;
  /** An exclusive flock(2), or EAGAIN. */
  lock(file: number): Answer;
  /** syncfs(2) */
  syncFileSystem(file: number): Answer;
};

export type XattrsReply = {
  /** How many an entry has, or an errno below zero. Fewer than names where the reply has become long. */
  readonly answers: Int32Array;
  /** Of names and values in turn. */
  readonly lengths: Uint32Array;
  /** Names and values in turn, without anything in between. */
  readonly bytes: Buffer;
};

/** What `readFiles` is to read, in columns. Together with padding it has to fit. */
export type FileBatch = {
  /** SOURCE_NUMBERS each: its open directory or an errno below zero, flags to open a file with, RESOLVE_*. */
  readonly sources: Int32Array;
  /** Of each file in `sources`; NOTHING_TO_READ: its head is all there is. */
  readonly sourceOf: Uint8Array;
  /** Relative to the source, one character a byte, each ended by NUL. */
  readonly paths: string;
  readonly heads: Uint8Array;
  /** Where each head ends in `heads`. */
  readonly headEnds: Uint32Array;
  readonly frames: readonly HeadFrame[];
  /** Of each file in `frames`; NO_FRAME: its head is among `heads`. */
  readonly frameOf: Uint8Array;
  /** STAMP_NUMBERS each: size, mtime and its nanoseconds, ctime and its nanoseconds, inode. */
  readonly stamps: Float64Array;
};

/** What the heads of many files have in common; path, size and times are written over it where they belong. */
export type HeadFrame = {
  /** FRAME_BYTES. */
  readonly bytes: Uint8Array;
  /** What a member's name has before the path. */
  readonly prefix: string;
  /** Records behind those of times and path. */
  readonly records: string;
};

/** Filled by `readFiles`, an element a file. */
export type FileResults = {
  /** READ, OTHER_THAN_SEEN, CHANGED_WHILE_READ, NO_FILE, or an errno below zero. */
  readonly answers: Int32Array;
  /** Where its head begins. */
  readonly offsets: Uint32Array;
  readonly readBytes: Uint32Array;
};

/** What lines have in common, each field with a TAB behind it. */
export type LineForm = {
  /** TYPE and CHANGE. */
  readonly kind: string;
  /** MODE, IDS and OWNER. */
  readonly owner: string;
};

/** Where an archive lies. */
export type LineWhere = {
  /** `name`: of its medium, and the number of the tape file there, with a colon behind each. */
  readonly copies: readonly { readonly name: string; readonly startBlock: number }[];
  readonly blockBytes: number;
};

/** Lines of files that are whole, each in one extent, in columns. */
export type LineBatch = LineWhere & {
  readonly forms: readonly LineForm[];
  /** Of each line in `forms`. */
  readonly formOf: Uint8Array;
  /** LINE_NUMBERS each: size, mtime and its nanoseconds, ctime and its nanoseconds, device, inode, links, offset in the archive. */
  readonly numbers: Float64Array;
  /** 32 bytes each. */
  readonly hashes: Uint8Array;
  /** One character a byte, each ended by NUL. */
  readonly paths: string;
};

export const LINE_NUMBERS = 9;
export const SOURCE_NUMBERS = 3;
export const STAMP_NUMBERS = 6;
export const NOTHING_TO_READ = 255;
export const NO_FRAME = 255;
/** Of a head that is written over a frame. */
export const FRAME_BYTES = 1536;

/** Read whole, and the same before and after. */
export const READ = 0;
/** Not what the stamp says: nothing was read. */
export const OTHER_THAN_SEEN = 1;
/** Changed between two looks; what it has become too short for is zeros. */
export const CHANGED_WHILE_READ = 2;
/** A directory, a FIFO, a device. */
export const NO_FILE = 3;

/** Columns of a row of `stat` and `scan`; column names say what linux/stat.h says of statx. */
export const ROW_COLUMNS = 16;

/** fcntl.h: paths start at the working directory. */
export const AT_FDCWD = -100;
/** fcntl.h: remove a directory. */
export const AT_REMOVEDIR = 0x200;
/** fcntl.h, the same on x86-64 and arm64: a descriptor that is only a place. node:fs does not name it. */
export const O_PATH = 0o10000000;

/** linux/openat2.h */
export const RESOLVE_NO_MAGICLINKS = 0x02;
export const RESOLVE_NO_SYMLINKS = 0x04;
export const RESOLVE_BENEATH = 0x08;

/** sys/stat.h: in place of nanoseconds, leave this time alone. */
export const UTIME_OMIT = 0x3ffffffe;

/** linux/fs.h: renameat2 fails with EEXIST instead of replacing. */
export const RENAME_NOREPLACE = 1;

/**
 * Loads native/fs: the build or the prebuilt one, or the file `addonPath`.
 * @throws CodedError FAILED when there is none for this machine, or one of another revision.
 */
export function loadFsDoor(addonPath?: string): FsDoor {
  return loadDoor<FsDoor>(FS, addonPath);
}

/** `ENOENT` for -2. */
export function errnoName(answer: Answer): string {
  return getSystemErrorName(answer);
}

/**
 * What was listed is not there any more: gone, or exchanged, a directory for something else (ENOTDIR), anything for a
 * symbolic link (ELOOP), a file for a socket (ENXIO).
 */
export function isMissing(answer: Answer): boolean {
  return MISSING.has(errnoName(answer));
}

const MISSING: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ESTALE', 'ELOOP', 'ENXIO']);

/** What it means that something of a source cannot be read. */
export function sourceFailure(path: Raw, answer: Answer): CodedError {
  const errno = errnoName(answer);
  const name = rawText(path);
  const code: FailureCode = isMissing(answer)
    ? 'SOURCE_MISSING'
    : errno === 'ENOSYS'
      ? 'FAILED'
      : 'SOURCE_UNREADABLE';
  const sentences: Partial<Record<FailureCode, string>> = {
    SOURCE_MISSING: `${name} is not there any more (${errno})`,
    FAILED: `this kernel has no openat2 (${errno}); Linux 5.6 or newer is needed, also inside a container`,
  };
  return new CodedError(code, sentences[code] ?? `${name} cannot be read (${errno})`, {
    path: name,
    errno,
  });
}
