/**
 * What a run has found, summed up while it is recorded: to go through a million rows again, each question by itself, takes as long as
 * to record a third of them. Only as long as these are all the rows there are; else the tables are asked.
 */
import type { Attributes, SourceInode } from '../../domain/entry.ts';
import type { Change } from '../pending/change.ts';
import type { Untold } from './untold.ts';

/** A device's two numbers of 32 bits, and what is between them. */
const DEVICE_BYTES = 21;
/** Of the lengths in front of a name and a value (tree/inodes.ts). */
const XATTR_FRAME_BYTES = 6;

/** Of a row, as the scan tells of it. */
export type FoundEntry = {
  readonly change: Change;
  readonly attributes: Attributes;
  readonly sourceInode: SourceInode;
  /** Undefined where its bytes are still to be stored, and where it has none. */
  readonly contentId?: number | undefined;
};

export class Found {
  #rows = 0;
  #waitingBytes = 0;
  #needsMedium = false;
  #largestBytes = 0;
  #nameBytes = 0;
  #xattrBytes = 0;
  /** All rows of the run were told of here. */
  #isWhole: boolean;
  /** And nothing has been done with them since. */
  #isFresh: boolean;

  /** @param state whether the run had rows before */
  constructor(state: 'no-rows' | 'rows') {
    this.#isWhole = state === 'no-rows';
    this.#isFresh = this.#isWhole;
  }

  /**
   * A row; one that it replaces counts still.
   * @param nameBytes of its path and, where it was moved, of the path before
   */
  add({ change, attributes, sourceInode, contentId }: FoundEntry, nameBytes: number): void {
    const hasContent = contentId !== undefined;
    const { type, sizeBytes, target = '', device, xattrs } = attributes;
    const isWaiting = type === 'file' && sizeBytes > 0 && !hasContent;
    this.#rows += 1;
    if (isWaiting) {
      this.#waitingBytes += sizeBytes;
      if (sizeBytes > this.#largestBytes) this.#largestBytes = sizeBytes;
    }
    const isMember = type === 'file' ? sizeBytes === 0 : type !== 'directory';
    // The bytes of one name may be stored, those of another then are.
    if (sourceInode.links > 1 && type !== 'directory') this.#isFresh = false;
    // Of a split file the extents would be told.
    if (hasContent) this.#isWhole = false;
    this.#needsMedium ||= isWaiting || (change === 'new' && isMember);
    this.#nameBytes += nameBytes + target.length + (device ? DEVICE_BYTES : 0);
    for (const { name, value } of xattrs)
      this.#xattrBytes += name.length + value.length + XATTR_FRAME_BYTES;
  }

  /** Rows have become others than were told of. */
  lose(): void {
    this.#isWhole = false;
    this.#isFresh = false;
  }

  /** Archives have begun to carry rows. */
  age(): void {
    this.#isFresh = false;
  }

  /** As `Run.outstanding`; undefined where the tables are to be asked. */
  get outstanding() {
    if (!this.#isFresh) return undefined;
    return {
      rows: this.#rows,
      waitingBytes: this.#waitingBytes,
      needsMedium: this.#needsMedium,
    };
  }

  /** No waiting file has more bytes; undefined where the tables are to be asked. */
  get largestBytes(): number | undefined {
    return this.#isFresh ? this.#largestBytes : undefined;
  }

  /** Upper bounds of what no journal tells of; undefined where the tables are to be asked. Without names of owners. */
  get untold(): Untold | undefined {
    if (!this.#isWhole) return undefined;
    return {
      rows: this.#rows,
      nameBytes: this.#nameBytes,
      xattrBytes: this.#xattrBytes,
      extents: 0,
    };
  }
}
