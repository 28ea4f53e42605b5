/**
 * What a scanned entry is against the one the catalog knows at its path.
 *
 * Reading every file each time would find every change and take days; this decides from the attributes which must be
 * read. It errs towards reading: a file taken for changed costs one hash, one taken for the same is lost.
 */
import { compareMoments, type EntryType, type Moment } from '../domain/entry.ts';

export const CHANGE_CRITERIA = ['size', 'mtime', 'ctime', 'inode'] as const;

export type ChangeCriterion = (typeof CHANGE_CRITERIA)[number];

/** By which attributes a file is taken for changed. A size that differs always counts: such bytes cannot be the same. */
export type ChangedBy = ReadonlySet<ChangeCriterion>;

export const CHANGED_BY_ALL: ChangedBy = new Set(CHANGE_CRITERIA);

export type Compared = {
  readonly type: EntryType;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly mtime: Moment;
  readonly ctime: Moment;
  /** Undefined where it is not known: a catalog recovered from media. */
  readonly inode: number | undefined;
};

/** `changed`: its bytes are to be read. `attributes`: stored anew, the content stays. */
export type Change = 'new' | 'changed' | 'attributes' | 'same';

export type ChangePolicy = {
  readonly changedBy: ChangedBy;
  /** What a ctime that changed alone means: chmod, chown, a link, a rename; or bytes written with times put back. */
  readonly ctimeMeans: 'attributes' | 'content';
};

/**
 * @param known the entry as last stored; undefined where there was none at this path
 * @param options.unsettledFrom a file whose ctime is this or later may have been written to in the same tick of the
 *   clock after it had been looked at: it is read again. The start of the run that stored it is such a moment.
 */
export function changeOf(
  scanned: Compared,
  known: Compared | undefined,
  options: ChangePolicy & { readonly unsettledFrom?: Moment },
): Change {
  if (known === undefined) return 'new';
  if (scanned.type !== known.type) return 'changed';
  const { changedBy, ctimeMeans, unsettledFrom } = options;
  const hasCtimeChanged =
    changedBy.has('ctime') && compareMoments(scanned.ctime, known.ctime) !== 0;
  const hasMtimeChanged = compareMoments(scanned.mtime, known.mtime) !== 0;
  if (scanned.type === 'file') {
    if (scanned.sizeBytes !== known.sizeBytes) return 'changed';
    if (hasMtimeChanged && changedBy.has('mtime')) return 'changed';
    if (changedBy.has('inode') && isOtherInode(scanned, known)) return 'changed';
    if (hasCtimeChanged && ctimeMeans === 'content') return 'changed';
    if (unsettledFrom !== undefined && compareMoments(known.ctime, unsettledFrom) >= 0)
      return 'changed';
  }
  const haveAttributes =
    hasCtimeChanged ||
    hasMtimeChanged ||
    scanned.mode !== known.mode ||
    scanned.uid !== known.uid ||
    scanned.gid !== known.gid ||
    (scanned.type !== 'directory' && scanned.sizeBytes !== known.sizeBytes);
  return haveAttributes ? 'attributes' : 'same';
}

function isOtherInode(scanned: Compared, known: Compared): boolean {
  return scanned.inode !== undefined && known.inode !== undefined && scanned.inode !== known.inode;
}
