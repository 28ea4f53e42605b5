/**
 * Every failure this program can name, in one table.
 *
 * Bugs are not here: what cannot be is an `assert` and crashes. What the world does is a CodedError, and nothing else is
 * thrown by us. The command line reads `exit`, the mount reads `errno`, loops read `retry`; no second mapping exists.
 */

/** What a loop may do about a failure. */
export type Retry =
  | 'never' // the same request fails again until a person changes something
  | 'later' // the resource is taken or not ready yet
  | 'operator' // a person can help: insert, exchange, clean
  | 'other-copy' // these bytes may be read from another medium
  | 'other-medium' // these bytes may be written to another medium
  | 'prove-position'; // the drive is usable again once its position has been proven

export type Failure = { readonly exit: number; readonly errno: string; readonly retry: Retry };

export const FAILURES = {
  FAILED: { exit: 1, errno: 'EIO', retry: 'never' },
  USAGE: { exit: 2, errno: 'EINVAL', retry: 'never' },
  CONFIG_INVALID: { exit: 2, errno: 'EINVAL', retry: 'never' },
  STATE_EXISTS: { exit: 2, errno: 'EEXIST', retry: 'never' },
  SOURCE_MISSING: { exit: 3, errno: 'ENOENT', retry: 'never' }, // vanished, perhaps between being listed and being read
  SOURCE_ABSENT: { exit: 1, errno: 'ENOENT', retry: 'never' }, // the source as a whole: nothing is backed up
  SOURCE_EMPTY: { exit: 1, errno: 'ENOENT', retry: 'never' }, // and was not before: its disk may not be mounted
  SOURCE_UNREADABLE: { exit: 3, errno: 'EACCES', retry: 'never' },
  PROGRAM_REPLACED: { exit: 1, errno: 'EIO', retry: 'never' }, // by another version, while a job of this one ran
  STATE_MISSING: { exit: 10, errno: 'ENOENT', retry: 'never' },
  PATH_UNKNOWN: { exit: 1, errno: 'ENOENT', retry: 'never' }, // the catalog shows no such path at that time
  SNAPSHOT_EXPIRED: { exit: 1, errno: 'ESTALE', retry: 'never' }, // while somebody was reading what it showed
  ALARM_OPEN: { exit: 1, errno: 'EPERM', retry: 'operator' }, // a backup looked like damage, and nobody has said it was none
  CLOCK_DOUBTFUL: { exit: 1, errno: 'EINVAL', retry: 'operator' }, // it went back, or leapt ahead
  CATALOG_NEWER: { exit: 1, errno: 'EIO', retry: 'never' }, // written by a later program than this one
  CATALOG_DAMAGED: { exit: 1, errno: 'EIO', retry: 'never' },
  CATALOG_BUSY: { exit: 11, errno: 'EBUSY', retry: 'later' }, // somebody held the write lock for minutes
  SOURCE_BUSY: { exit: 11, errno: 'EBUSY', retry: 'later' }, // a backup of it is running
  DRIVE_BUSY: { exit: 11, errno: 'EBUSY', retry: 'later' }, // held by another process, named by pid
  LIBRARY_BUSY: { exit: 11, errno: 'EBUSY', retry: 'later' },
  MEDIUM_OFFLINE: { exit: 20, errno: 'ENOMEDIUM', retry: 'operator' }, // on the shelf; the operator declined or timed out
  DRIVE_EMPTY: { exit: 20, errno: 'ENOMEDIUM', retry: 'operator' },
  MEDIUM_MISMATCH: { exit: 21, errno: 'EIO', retry: 'operator' }, // the label read is not the label asked for
  MEDIUM_PROTECTED: { exit: 21, errno: 'EROFS', retry: 'other-medium' }, // write-protect tab, WORM, append-only
  MEDIUM_UNREADABLE: { exit: 22, errno: 'EIO', retry: 'other-copy' }, // sense key 3h after the drive gave up
  ARCHIVE_INVALID: { exit: 22, errno: 'EIO', retry: 'other-copy' }, // bytes that are no tar, journal or digest of ours
  ARCHIVE_TORN: { exit: 22, errno: 'EIO', retry: 'other-copy' }, // ends before its digest
  FORMAT_UNSUPPORTED: { exit: 21, errno: 'EIO', retry: 'never' }, // needs a newer version of this program
  MEDIUM_UNWRITABLE: { exit: 23, errno: 'EIO', retry: 'other-medium' },
  DEVICE_MISSING: { exit: 23, errno: 'ENODEV', retry: 'never' },
  DEVICE_FORBIDDEN: { exit: 23, errno: 'EACCES', retry: 'never' },
  DEVICE_UNSUITABLE: { exit: 23, errno: 'ENODEV', retry: 'never' }, // neither a tape drive nor a changer
  DRIVE_NOT_READY: { exit: 23, errno: 'EAGAIN', retry: 'later' },
  DRIVE_NEEDS_CLEANING: { exit: 23, errno: 'EIO', retry: 'operator' },
  DRIVE_RESET: { exit: 23, errno: 'EIO', retry: 'prove-position' }, // unit attention: reset, power, medium changed
  DRIVE_FAILED: { exit: 23, errno: 'EIO', retry: 'prove-position' },
  POSITION_LOST: { exit: 23, errno: 'EIO', retry: 'prove-position' }, // the drive is not where our own count says
  CHANGER_CHANGED: { exit: 23, errno: 'EIO', retry: 'later' }, // opened or reset since it was looked at
  CHANGER_SOURCE_EMPTY: { exit: 23, errno: 'EIO', retry: 'never' },
  CHANGER_DESTINATION_FULL: { exit: 23, errno: 'EIO', retry: 'never' },
  REMOVAL_PREVENTED: { exit: 23, errno: 'EBUSY', retry: 'later' },
  CHANGER_JAMMED: { exit: 23, errno: 'EIO', retry: 'operator' },
  CHANGER_FAILED: { exit: 23, errno: 'EIO', retry: 'operator' },
  MEDIUM_FULL: { exit: 24, errno: 'ENOSPC', retry: 'other-medium' }, // the physical end, past early warning
  TARGET_UNSAFE: { exit: 1, errno: 'EXDEV', retry: 'never' }, // the name leads out of the tree, or through what is no directory
  TARGET_EXISTS: { exit: 1, errno: 'EEXIST', retry: 'never' }, // and is not to be replaced
  TARGET_FULL: { exit: 1, errno: 'ENOSPC', retry: 'never' },
  TARGET_FAILED: { exit: 1, errno: 'EIO', retry: 'never' },
  RECALL_REFUSED: { exit: 1, errno: 'EAGAIN', retry: 'later' }, // who asks must not move a tape, or will not wait
  STAGE_FULL: { exit: 1, errno: 'ENOSPC', retry: 'later' }, // the disk cache has no room for it
  STAGE_FAILED: { exit: 1, errno: 'EIO', retry: 'never' }, // the disk cache cannot be written or read
  MOUNTPOINT_UNSUITABLE: { exit: 1, errno: 'EINVAL', retry: 'never' }, // missing, no directory, not empty, or mounted already
  MOUNT_UNSUPPORTED: { exit: 1, errno: 'ENODEV', retry: 'never' }, // this machine lacks what a mount needs
  MOUNT_FAILED: { exit: 1, errno: 'EIO', retry: 'never' },
  MOUNT_BUSY: { exit: 11, errno: 'EBUSY', retry: 'later' },
  NOT_MOUNTED: { exit: 1, errno: 'EINVAL', retry: 'never' },
  NOTICE_FAILED: { exit: 1, errno: 'EIO', retry: 'later' }, // a channel could not tell a person
  NOTICE_REFUSED: { exit: 1, errno: 'EIO', retry: 'never' }, // nor will it
  INTERRUPTED: { exit: 130, errno: 'EINTR', retry: 'never' },
} as const satisfies Record<string, Failure>;

export type FailureCode = keyof typeof FAILURES;

/** What each exit status means. Help text and README print this list; scripts may rely on it. */
export const EXIT_MEANINGS: ReadonlyMap<number, string> = new Map([
  [0, 'done'],
  [1, 'failed'],
  [2, 'usage'],
  [3, 'done, but some sources could not be read'],
  [10, 'no catalog'],
  [11, 'locked by another process (names its pid)'],
  [12, 'wrong key'],
  [20, 'medium not available (operator declined or timed out)'],
  [21, 'wrong medium'],
  [22, 'unreadable with no other copy'],
  [23, 'drive or library error'],
  [24, 'no room on any medium'],
  [130, 'interrupted'],
]);

/** Facts about a failure that a program may read; prose goes into the message. */
export type FailureFacts = {
  readonly cause?: unknown;
  readonly device?: string;
  readonly volser?: string;
  readonly block?: number;
  readonly pid?: number;
  readonly path?: string;
  /** What the kernel said, for instance `EACCES`. */
  readonly errno?: string;
};

/** A named failure. The message says what failed, on which thing, and what to do. */
export class CodedError extends Error {
  override readonly name = 'CodedError';
  readonly code: FailureCode;
  readonly facts: Omit<FailureFacts, 'cause'>;

  constructor(code: FailureCode, message: string, facts: FailureFacts = {}) {
    const { cause, ...rest } = facts;
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.facts = rest;
  }

  get failure(): Failure {
    return FAILURES[this.code];
  }
}

/** What was asked for cannot be meant; the sentence says why, and what can. */
export function usage(sentence: string): CodedError {
  return new CodedError('USAGE', sentence);
}

/** The errno name of an error thrown by node:fs and its kin, for instance `ENOENT`. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
