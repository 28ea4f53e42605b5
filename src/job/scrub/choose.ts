/** Which copies are read, of which media and in which order: longest unread first, on each cartridge in the tape's order. Pure. */
import type { CopyToRead } from '../../catalog/care/read-back.ts';

export type MediumToRead = {
  readonly barcode: string;
  /** In order of tape. */
  readonly copies: readonly CopyToRead[];
};

export type Bounds = {
  /** Archives are begun as long as fewer bytes than this have been. */
  readonly maxBytes: number;
  /** Of each medium's archives by their bytes; at least one archive. */
  readonly samplePercent: number;
  /** Read in this scrub already, before it was cut. */
  isDone(copy: CopyToRead): boolean;
};

/** Media without anything to read are among them as long as the bounds are not met: they have a label. */
export function chooseCopies(media: readonly MediumToRead[], bounds: Bounds): MediumToRead[] {
  const oldest = (medium: MediumToRead) =>
    Math.min(...medium.copies.map(({ readMs }) => readMs), Number.POSITIVE_INFINITY);
  const order = (a: MediumToRead, b: MediumToRead) =>
    compare(oldest(a), oldest(b)) || (a.barcode < b.barcode ? -1 : 1);
  const chosen: MediumToRead[] = [];
  let bytes = 0;
  for (const { barcode, copies } of media.toSorted(order)) {
    if (bytes >= bounds.maxBytes) break;
    const sampled = sample(copies, bounds.samplePercent);
    const wanted = new Set<CopyToRead>();
    for (const copy of sampled) {
      if (bounds.isDone(copy)) continue;
      if (bytes >= bounds.maxBytes) break;
      wanted.add(copy);
      bytes += bytesOf(copy);
    }
    chosen.push({ barcode, copies: copies.filter((copy) => wanted.has(copy)) });
  }
  return chosen;
}

/** Longest unread first. Those of this scrub that are done count as the ones they were chosen as. */
function sample(copies: readonly CopyToRead[], percent: number): CopyToRead[] {
  const byAge = copies.toSorted((a, b) => a.readMs - b.readMs || a.fileNumber - b.fileNumber);
  if (percent >= 100) return byAge;
  const wantedBytes = (copies.reduce((sum, copy) => sum + bytesOf(copy), 0) * percent) / 100;
  let bytes = 0;
  return byAge.filter((copy, index) => {
    const isWanted = index === 0 || bytes < wantedBytes;
    bytes += bytesOf(copy);
    return isWanted;
  });
}

export function bytesOf({ lengthBlocks = 0, blockBytes }: CopyToRead): number {
  return lengthBlocks * blockBytes;
}

/** Infinities are equal. */
function compare(a: number, b: number): number {
  return a === b ? 0 : a - b;
}
