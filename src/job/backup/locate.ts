/** Where the bytes of an inode lie, as the journal tells it. */
import { blockOf, type Place } from '../../archive/place.ts';
import { rawOf } from '../../base/raw.ts';
import type { Contents, LocatedExtent } from '../../catalog/contents.ts';

/** Hash and places of what an inode holds. */
export type Located = {
  readonly hash: Buffer | undefined;
  readonly copies: readonly (readonly Place[])[];
};

/** @param contentId undefined while the content is not stored */
export function locateContent(
  contents: Contents,
  contentId: number | undefined,
): Located | undefined {
  if (contentId === undefined) return undefined;
  const content = contents.get(contentId);
  if (!content) return undefined;
  return { hash: content.hash, copies: copiesOf(contents.extentsOf(contentId)) };
}

/** Extents of one offset are alternatives; the k-th copy takes the k-th of each. */
export function copiesOf(extents: readonly LocatedExtent[]): Place[][] {
  const byOffset = new Map<number, Place[]>();
  for (const located of extents) {
    const places = byOffset.get(located.extent.contentOffset) ?? [];
    places.push(...placesOf(located));
    byOffset.set(located.extent.contentOffset, places);
  }
  const all = [...byOffset.values()];
  const count = Math.min(...all.map(({ length }) => length));
  if (!Number.isFinite(count)) return [];
  return Array.from({ length: count }, (_, copy) => all.flatMap((places) => places[copy] ?? []));
}

/** Of copies that count, or that the archive now being written will make. */
function placesOf({ extent, blockBytes, archiveState, copies }: LocatedExtent): Place[] {
  return copies
    .filter(({ isGood, state }) => isGood || (archiveState === 'writing' && state === 'writing'))
    .map(({ barcode, fileNumber, startBlock }) => ({
      medium: rawOf(barcode),
      file: fileNumber,
      ...blockOf({ startBlock, blockBytes }, extent.archiveOffset),
      storedBytes: extent.storedBytes,
      contentOffset: extent.contentOffset,
      lengthBytes: extent.lengthBytes,
      form: extent.form,
    }));
}
