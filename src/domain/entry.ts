/** An entry of a tree: a path's kind and attributes, without its bytes. */
import type { Raw } from '../base/raw.ts';

export const ENTRY_TYPES = [
  'file',
  'directory',
  'symlink',
  'fifo',
  'character',
  'block',
  'socket',
] as const;

export type EntryType = (typeof ENTRY_TYPES)[number];

/** A point in time; nanoseconds 0 to 999,999,999 count forward also before 1970. */
export type Moment = { readonly seconds: number; readonly nanoseconds: number };

export type Xattr = { readonly name: Raw; readonly value: Buffer };

/** The kernel keeps POSIX ACLs in these two extended attributes (acl(5), linux/posix_acl_xattr.h). */
export const ACL_ACCESS = 'system.posix_acl_access' as Raw;
export const ACL_DEFAULT = 'system.posix_acl_default' as Raw;

export type Attributes = {
  readonly type: EntryType;
  /** Permission, set-id and sticky bits: 0 to 07777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Empty where the host had no name for the number. */
  readonly user: Raw;
  readonly group: Raw;
  /** Bytes of a file's content, holes included; 0 for everything else. */
  readonly sizeBytes: number;
  readonly mtime: Moment;
  readonly ctime: Moment;
  /** Of a symlink. */
  readonly target?: Raw;
  /** Of a device node. */
  readonly device?: { readonly major: number; readonly minor: number };
  /** In order of name; POSIX ACLs are among them under the kernel's names. */
  readonly xattrs: readonly Xattr[];
};

/** Which inode of the source an entry was: tells hard links, and whether a file was exchanged. */
export type SourceInode = {
  readonly device: number;
  readonly inode: number;
  readonly links: number;
};

/** A run of data in a sparse file; what lies between runs are holes. Runs ascend and do not touch. */
export type DataRange = { readonly offset: number; readonly lengthBytes: number };

export function compareMoments(a: Moment, b: Moment): number {
  return a.seconds - b.seconds || a.nanoseconds - b.nanoseconds;
}

const SECOND_NS = 1e9;

/** Whether nanoseconds are less than a second: of a broken file system they may be anything. */
export function hasUsualTimes({ mtime, ctime }: Pick<Attributes, 'mtime' | 'ctime'>): boolean {
  return mtime.nanoseconds < SECOND_NS && ctime.nanoseconds < SECOND_NS;
}
