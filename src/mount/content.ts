/** All the mount knows of tapes: somebody can produce a content's bytes, perhaps after minutes. recall/ implements it. */

import type { TreePlace } from '../catalog/restore/below.ts';

/** Who reads, for the storm guard, the log and the operator. */
export type Caller = { readonly pid: number; readonly uid: number };

export type ReadRange = { readonly offset: number; readonly lengthBytes: number };

export interface ContentReader {
  /**
   * Opens a content for reading; never waits on media. Each is closed once.
   * @param contentId row of the catalog's contents, of one byte or more
   * @param place where the caller found it: what lies beside it may be read ahead; undefined where nobody remembers
   */
  open(contentId: number, caller: Caller, place?: TreePlace): OpenContent;
  /** Somebody reads a directory, perhaps to read what is in it. */
  listed(caller: Caller, place: TreePlace): void;
}

export interface OpenContent {
  /**
   * Descriptor of a file with all the bytes, proven, at their own offsets; undefined while it is not staged. It may become
   * defined by `read`; once defined it stays valid until `close`.
   */
  readonly file: number | undefined;
  /** Told once, when `file` becomes defined. */
  onStaged(listener: () => void): void;
  /**
   * Resolves when the bytes of the range are proven, with a descriptor they can be read from at their own offsets; it is
   * valid until `close`. A range beyond the end is cut.
   * @throws CodedError RECALL_REFUSED (EAGAIN) for those who must not move a tape, and for `isNonBlocking` where waiting
   * would be needed; MEDIUM_OFFLINE when the operator declined; MEDIUM_UNREADABLE when no copy is left; the abort reason
   */
  read(
    range: ReadRange,
    options: {
      readonly isNonBlocking: boolean;
      readonly caller: Caller;
      readonly signal: AbortSignal;
    },
  ): Promise<number>;
  close(): void;
}
