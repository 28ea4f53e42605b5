/**
 * Fragments: finished pieces of an archive's stream, built by readers into shared memory, in any order, and put one
 * behind the other by the writer. A file that has changed since the scan is left out of its fragment; one that changes
 * while it is read is cut or padded to the length its header promises, and marked.
 */

import type { Raw } from '../../base/raw.ts';
import type { DataRange, Moment } from '../../domain/entry.ts';
import type { FileBatch } from '../../source/door.ts';

/** A fragment's room. Small enough that a few of them fit the memory limit, large enough to keep messages rare. */
export const SLAB_BYTES = 4 * 2 ** 20;

/** Files up to this size are read whole, many in one task. */
export const SMALL_BYTES_MAX = 2 ** 20;

/** What the scan saw of a file; a reader compares before and after reading. */
export type Stamp = {
  readonly sizeBytes: number;
  readonly mtime: Moment;
  readonly ctime: Moment;
  readonly inode: number;
};

/** Where a file is read: always through its source's directory, so that no planted link leads out of it. */
export type SourcePlace = {
  /** The source's directory, absolute. */
  readonly source: Raw;
  readonly followsLinks: boolean;
  /** Relative to the source. */
  readonly path: Raw;
};

/** A source as it is opened. */
export type ReadSource = Pick<SourcePlace, 'source' | 'followsLinks'>;

/** As the native door takes it, but for the sources. Paths are empty where there is nothing to read. */
export type PackedTask = Omit<FileBatch, 'sources'> & {
  readonly sources: readonly ReadSource[];
};

/** Whole small files, and what has no data (directories, symlinks): there the head says it all. */
export type SmallTask = { readonly kind: 'small'; readonly packed: PackedTask };

/** A run of a large file's bytes. All runs of one file go to the same reader, in order. */
export type RunTask = {
  readonly kind: 'run';
  /** Of the member; the runs of one member follow each other. */
  readonly member: number;
  readonly place: SourcePlace;
  readonly stamp: Stamp;
  readonly isFirst: boolean;
  /** Empty but for the first run of a member. */
  readonly head: Uint8Array;
  /** Data to store, ascending; what lies between them and before the first, behind the last run, is a hole. */
  readonly ranges: readonly DataRange[];
  /** Where the hash of the content has to stand before the first range; a reader elsewhere begins anew. */
  readonly hashFrom: number;
  /** Where it stands behind this run: the content's size with the last one. */
  readonly hashTo: number;
  /** Zero bytes behind the data, to the next 512. */
  readonly paddingBytes: number;
  /** With the first run of a part: what the hash is there, where an earlier process stored what is before. */
  readonly hashBefore: Uint8Array | undefined;
  /** The member ends here: the hash is wanted. */
  readonly isMemberEnd: boolean;
  /** So does the content: its segments are wanted too, and the file is closed. */
  readonly isLast: boolean;
};

export type ReadTask = SmallTask | RunTask;

export type MemberOutcome = 'stored' | 'changed-before' | 'changed-while-read' | 'unreadable';

export type FragmentResult = {
  readonly lengthBytes: number;
  readonly members: readonly MemberResult[];
  /** Of a batch: the same as columns, for who has no need of objects. */
  readonly packed?: PackedResult | undefined;
};

export type PackedResult = {
  readonly lengthBytes: number;
  /** Indices of OUTCOMES. */
  readonly outcomes: Uint8Array;
  readonly offsets: Uint32Array;
  readonly readBytes: Uint32Array;
  readonly hasHash: Uint8Array;
  /** HASH_BYTES a member. */
  readonly hashes: Uint8Array;
  readonly errnos: readonly (readonly [index: number, errno: string])[];
};

export type MemberResult = {
  readonly outcome: MemberOutcome;
  /** Where the head begins, from the start of the fragment. */
  readonly offset: number;
  /** Of the content up to the member's end, where that is here and was stored. */
  readonly hash: Buffer | undefined;
  readonly segments: Buffer | undefined;
  /** Bytes read from the source. */
  readonly readBytes: number;
  /** Why it is unreadable. */
  readonly errno: string | undefined;
};
