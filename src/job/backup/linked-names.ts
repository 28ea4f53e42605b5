/**
 * Names of one source inode that the scan of a source has met. A file that got a further name, or other attributes, between
 * two of its names was seen as two files; the next run finds the first name changed and the others the same. Here they meet,
 * so that they are one file again.
 *
 * Memory is bounded: names with more than so many other inodes of several names between them stay apart.
 */
import type { Raw } from '../../base/raw.ts';
import { compareMoments } from '../../domain/entry.ts';
import type { ScannedEntry } from '../../source/directory.ts';

/** About 300 B each. */
const INODES_MAX = 65_536;

/** A name that has not changed, and what the catalog knows it as. */
export type UnchangedName = {
  readonly directoryId: number;
  readonly name: Raw;
  readonly inodeId: number;
  readonly contentId: number | undefined;
};

/** Met before: a name that has not changed, or one that the run records; `contentId` undefined: it is to be read. */
type Met = {
  readonly entry: ScannedEntry;
  readonly contentId: number | undefined;
  readonly unchanged?: UnchangedName;
};

/** `contentId` undefined: the file is to be read. */
export type Joined = {
  readonly contentId: number | undefined;
  readonly twin: UnchangedName | undefined;
};

export class LinkedNames {
  /** By device and inode number, the one met last at the end. */
  readonly #met = new Map<string, Met>();
  readonly #inodesMax: number;

  constructor(inodesMax = INODES_MAX) {
    this.#inodesMax = inodesMax;
  }

  /**
   * The run records this name.
   * @param contentId what its bytes are taken for; undefined: they are to be read
   * @returns with which unchanged name of the inode it is recorded, and as what
   */
  found(entry: ScannedEntry, contentId: number | undefined): Joined {
    const alone = { contentId, twin: undefined };
    if (!isLinked(entry)) return alone;
    const twin = this.#meet({ entry, contentId })?.unchanged;
    if (twin === undefined) return alone;
    // What has not changed at all is surer than what was taken for the same; where they differ nothing is.
    const isRead = contentId !== undefined && contentId !== twin.contentId;
    return { contentId: isRead ? undefined : twin.contentId, twin };
  }

  /**
   * The name is as it was.
   * @returns as what it is recorded all the same, for another name of the inode is known as another file
   */
  same(entry: ScannedEntry, unchanged: UnchangedName): Joined | undefined {
    if (!isLinked(entry)) return undefined;
    const { contentId } = unchanged;
    const before = this.#meet({ entry, contentId, unchanged });
    if (before === undefined) return undefined;
    const twin = before.unchanged;
    if (twin === undefined) {
      // It is recorded with other bytes than these, which are sure: they stay apart.
      const isOther = before.contentId !== undefined && before.contentId !== contentId;
      return isOther ? undefined : { contentId, twin };
    }
    if (twin.inodeId === unchanged.inodeId) return undefined;
    const joined = twin.contentId === contentId ? contentId : undefined;
    this.#meet({ entry, contentId: joined });
    return { contentId: joined, twin };
  }

  /** @returns what was met of the same inode in the same state */
  #meet(met: Met): Met | undefined {
    const { entry } = met;
    const key = `${entry.device}:${entry.inode}`;
    const before = this.#met.get(key);
    const isInState = before !== undefined && isSameState(before.entry, entry);
    this.#met.delete(key);
    // What the run records goes on being recorded, whoever comes next.
    this.#met.set(key, isInState && before.unchanged === undefined ? before : met);
    if (this.#met.size > this.#inodesMax)
      for (const oldest of this.#met.keys()) {
        this.#met.delete(oldest);
        break;
      }
    return isInState ? before : undefined;
  }
}

function isLinked({ type, links }: ScannedEntry): boolean {
  return links > 1 && type !== 'directory';
}

/** Written to between two of its names it is another file: the run reads it again. */
function isSameState(a: ScannedEntry, b: ScannedEntry): boolean {
  return (
    a.sizeBytes === b.sizeBytes &&
    compareMoments(a.mtime, b.mtime) === 0 &&
    compareMoments(a.ctime, b.ctime) === 0
  );
}
