/** A row of the run on its way into an archive: what it is there, and what is asked of it on the way. */
import { type Member, type MemberLengths, memberPath } from '../../archive/member.ts';
import type { PendingEntry } from '../../catalog/pending/rows.ts';
import type { Inode } from '../../catalog/tree/inodes.ts';
import type { DataRange } from '../../domain/entry.ts';
import type { Part, Piece } from '../../pack/item.ts';
import { SMALL_BYTES_MAX, type SourcePlace, type Stamp } from './fragment.ts';

/**
 * What an archive has of an entry: `data` a member with the file's bytes, `head` a member without any, `link` a hard link
 * to a member of the same archive, where its bytes turn out to be there; `line` its line in the journal alone.
 */
export type EntryForm = 'data' | 'head' | 'link' | 'line';

/** A row of the run on its way into an archive. */
export type OutgoingEntry = {
  readonly row: PendingEntry;
  readonly inode: Inode;
  readonly form: EntryForm;
  /** Where it is not the run's own: its members stand below a prefix that says so. */
  readonly host: string | undefined;
  readonly place: SourcePlace;
  /** Where a sparse file has data. */
  readonly ranges: readonly DataRange[] | undefined;
  /** It is not tried again: what could be read counts, even if it was changed meanwhile. */
  readonly isFinal: boolean;
  /** The first parts of it that an earlier process has stored: how many bytes, and their hash. */
  readonly stored?: { readonly lengthBytes: number; readonly hash: Uint8Array };
};

export type PlannedMember = {
  readonly piece: Piece<OutgoingEntry>;
  /** Of its head and what follows; undefined for links, which are made when it is known what they can link to, and for lines. */
  readonly lengths: MemberLengths | undefined;
  /** The content ends with this member. */
  readonly isLastOfContent: boolean;
};

export function memberOf({ item, part }: Piece<OutgoingEntry>): Member {
  const { row, inode, host, ranges } = item.key;
  const path = memberPath(row.path, host);
  const isFile = inode.type === 'file';
  const lengthBytes = isFile ? (part?.lengthBytes ?? inode.sizeBytes) : 0;
  if (part === undefined && ranges === undefined) return { path, attributes: inode, lengthBytes };
  const offset = part?.offset ?? 0;
  return {
    path,
    attributes: inode,
    lengthBytes,
    part: part && { number: part.number, count: part.count, offset, totalBytes: part.totalBytes },
    ranges:
      ranges &&
      rangesOf(item.key, part).map((range) => ({ ...range, offset: range.offset - offset })),
  };
}

export function isSmall({ item, part }: Piece<OutgoingEntry>): boolean {
  const isWhole = part === undefined && item.key.ranges === undefined;
  return isWhole && item.key.inode.sizeBytes <= SMALL_BYTES_MAX;
}

export function stampOf({ inode }: OutgoingEntry): Stamp {
  const { sizeBytes, mtime, ctime, sourceInode } = inode;
  return { sizeBytes, mtime, ctime, inode: sourceInode.inode };
}

/** The data of a file or of one of its parts, by offset in the file. */
export function rangesOf(entry: OutgoingEntry, part: Part | undefined): readonly DataRange[] {
  const start = part?.offset ?? 0;
  const end = start + (part?.lengthBytes ?? entry.inode.sizeBytes);
  const all = entry.ranges ?? [{ offset: 0, lengthBytes: entry.inode.sizeBytes }];
  const found: DataRange[] = [];
  for (const range of all) {
    const from = Math.max(range.offset, start);
    const to = Math.min(range.offset + range.lengthBytes, end);
    if (to > from) found.push({ offset: from, lengthBytes: to - from });
  }
  return found;
}
