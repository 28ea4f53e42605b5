/** A content as the stage puts it together: what its bytes must be, and where it has any. */
import { type Content, HASH_BYTES, SEGMENT_BYTES } from '../domain/content.ts';
import type { DataRange } from '../domain/entry.ts';

export type RecallContent = Content & {
  readonly contentId: number;
  /** Where a sparse content has data; undefined: everywhere. */
  readonly ranges: readonly DataRange[] | undefined;
};

/** Disks give space by the page. */
const PAGE_BYTES = 4096;

/** What can be proven, and so handed out, by itself: a segment with a hash of its own, else the whole. */
export function proofLength({ sizeBytes, segments }: RecallContent): number {
  return segments === undefined ? sizeBytes : SEGMENT_BYTES;
}

export function proofCount(content: RecallContent): number {
  return Math.max(1, Math.ceil(content.sizeBytes / proofLength(content)));
}

/** The part with this number, from 0: where it lies, and its hash. */
export function proofOf(
  content: RecallContent,
  index: number,
): { readonly range: DataRange; readonly hash: Buffer } {
  const { sizeBytes, segments, hash } = content;
  if (segments === undefined) return { range: { offset: 0, lengthBytes: sizeBytes }, hash };
  const offset = index * SEGMENT_BYTES;
  return {
    range: { offset, lengthBytes: Math.min(SEGMENT_BYTES, sizeBytes - offset) },
    hash: segments.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES),
  };
}

/** Bytes it takes of a disk. */
export function diskBytes({ sizeBytes, ranges }: RecallContent): number {
  const paged = (bytes: number) => Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
  if (ranges === undefined) return paged(sizeBytes);
  return ranges.reduce((sum, { lengthBytes }) => sum + paged(lengthBytes), 0);
}

/** What two ranges have in common; undefined where nothing. */
export function overlap(a: DataRange, b: DataRange): DataRange | undefined {
  const offset = Math.max(a.offset, b.offset);
  const end = Math.min(a.offset + a.lengthBytes, b.offset + b.lengthBytes);
  return end > offset ? { offset, lengthBytes: end - offset } : undefined;
}
