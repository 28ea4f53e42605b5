/** Rows of the run as items of a plan: what form each takes in an archive, and upper bounds of what it needs there. */
import { memberLengthMax } from '../../archive/member.ts';
import { rawOf } from '../../base/raw.ts';
import type { PendingEntry } from '../../catalog/pending/rows.ts';
import type { Untold } from '../../catalog/run/untold.ts';
import type { Inode } from '../../catalog/tree/inodes.ts';
import { SEGMENT_BYTES, segmentCount } from '../../domain/content.ts';
import type { DataRange } from '../../domain/entry.ts';
import type { PlanItem } from '../../pack/item.ts';
import type { EntryForm, OutgoingEntry } from './outgoing-entry.ts';

/** Numbers, hash, separators and a place of a journal's line (FORMAT.md section 5), generously. */
const LINE_BYTES_FIXED = 640;
/** A byte of a name is at most five characters of a journal: `\0ooo`. */
const ESCAPED = 5;
/** An offset and a length, decimal, with their line ends. */
const MAP_LINE_BYTES = 36;
const PLACE_BYTES = 100;
/** A hash in hex. Counted twice, as ranges are, which the journal does not tell: the catalog keeps both, see closing-reserve.ts. */
const SEGMENT_LINE_BYTES = 70;

/**
 * What the archive has of a row.
 * @param isFurtherName another name of the same inode goes before it
 */
export function formOf(row: PendingEntry, inode: Inode, isFurtherName: boolean): EntryForm {
  if (inode.type === 'socket') return 'line';
  if (row.isWaiting) return isFurtherName ? 'link' : 'data';
  const isStoredHere = row.change === 'new' || row.change === 'changed';
  if (!isStoredHere) return 'line';
  return inode.type === 'file' && inode.sizeBytes > 0 ? 'line' : 'head';
}

/** What of an entry decides how much it takes. */
export type SizedEntry = Pick<OutgoingEntry, 'inode' | 'form' | 'host' | 'ranges'> & {
  readonly row: Pick<PendingEntry, 'path' | 'movedFrom'>;
};

export function planItem<Entry extends SizedEntry>(entry: Entry, copies: number): PlanItem<Entry> {
  const { inode, form, ranges } = entry;
  const mapBytes = ranges === undefined ? 0 : padded((ranges.length + 2) * MAP_LINE_BYTES);
  const headerBytesMax = (form === 'line' ? 0 : headerMax(entry)) + mapBytes;
  const dataBytes = form === 'data' ? storedData(inode.sizeBytes, ranges) : 0;
  const untoldBytesMax = untoldMax(entry, copies);
  const item = {
    key: entry,
    sizeBytes: form === 'data' ? inode.sizeBytes : 0,
    headerBytesMax,
    storedBytesMax: headerBytesMax + padded(dataBytes),
    journalBytesMax: untoldBytesMax + lineMoreMax(entry),
    untoldBytesMax,
  };
  return ranges === undefined ? item : { ...item, ranges };
}

const NO_RANGES: readonly DataRange[] = [];

/** `.shelfs/hosts/HOST`, and the host in the line. */
const HOST_PREFIX_BYTES = 14;

function headerMax({ row, inode, host }: SizedEntry): number {
  const pathBytes = row.path.length + hostBytes(host);
  const xattrBytes = inode.xattrs.reduce(
    (sum, { name, value }) => sum + name.length + value.length,
    0,
  );
  return memberLengthMax({
    pathBytes,
    linkBytes: Math.max(inode.target?.length ?? 0, pathBytes),
    lengthBytes: 0,
    ownerBytes: inode.user.length + inode.group.length,
    xattrs: { count: inode.xattrs.length, bytes: xattrBytes },
    isSparse: true,
  });
}

export function hostBytes(host: string | undefined): number {
  return host === undefined ? 0 : HOST_PREFIX_BYTES + rawOf(host).length;
}

/** What its line as a stored file may have more. */
function lineMoreMax({ inode, ranges = NO_RANGES }: SizedEntry): number {
  const xattrs = inode.xattrs.reduce(
    (sum, { name, value }) => sum + name.length * ESCAPED + value.length * 1.5 + 32,
    0,
  );
  const segments = inode.sizeBytes > SEGMENT_BYTES ? segmentCount(inode.sizeBytes) : 0;
  const inCatalog = segments * SEGMENT_LINE_BYTES * 2 + ranges.length * MAP_LINE_BYTES * 2;
  return Math.ceil(xattrs + inCatalog);
}

/** Of the line that tells that it is still to be stored; without attributes of its own, so never more than is reserved. */
function untoldMax({ row, inode, host }: SizedEntry, copies: number): number {
  const names =
    hostBytes(host) +
    row.path.length +
    (row.movedFrom?.length ?? 0) +
    (inode.target?.length ?? 0) +
    inode.user.length +
    inode.group.length;
  return untoldNamesMax(names, copies);
}

/** @param nameBytes of all names in the line together */
export function untoldNamesMax(nameBytes: number, copies: number): number {
  return LINE_BYTES_FIXED + nameBytes * ESCAPED + copies * PLACE_BYTES;
}

/** What is to be reserved for lines that no journal has yet. @param copies of the archive whose journal will tell them */
export function untoldLinesMax(
  { rows, nameBytes, xattrBytes, extents }: Untold,
  { copies, hostBytes }: { readonly copies: number; readonly hostBytes: number },
): number {
  const perRow = LINE_BYTES_FIXED + hostBytes * ESCAPED + copies * PLACE_BYTES;
  return rows * perRow + (nameBytes + xattrBytes) * ESCAPED + extents * copies * PLACE_BYTES;
}

function storedData(sizeBytes: number, ranges: readonly DataRange[] | undefined): number {
  if (ranges === undefined) return sizeBytes;
  return ranges.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
}

function padded(bytes: number): number {
  return Math.ceil(bytes / 512) * 512;
}
