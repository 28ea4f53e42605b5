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
  return { hash: content.hash, copies: copiesOf(contents.extentsOf(contentId), content.sizeBytes) };
}

/**
 * As many copies as can be put together, each without gap or overlap. Those that were cut at different places, because the
 * media were others, share no more than some of their edges: a part goes only where the rest of the content can follow.
 */
export function copiesOf(extents: readonly LocatedExtent[], sizeBytes: number): Place[][] {
  let places: readonly Place[] = extents.flatMap(placesOf);
  if (places.every(({ lengthBytes }) => lengthBytes === sizeBytes))
    return places.map((place) => [place]);
  const copies: Place[][] = [];
  for (;;) {
    const copy = oneCopy(places, sizeBytes);
    if (copy.length === 0) return copies;
    copies.push(copy);
    places = places.filter((place) => !copy.includes(place));
  }
}

/** On as few media as each next part allows; none where no copy is whole. */
function oneCopy(places: readonly Place[], sizeBytes: number): Place[] {
  const leads = new Set([sizeBytes]);
  for (const { contentOffset, lengthBytes } of places.toReversed())
    if (leads.has(contentOffset + lengthBytes)) leads.add(contentOffset);
  const byOffset = Map.groupBy(places, ({ contentOffset }) => contentOffset);
  const copy: Place[] = [];
  for (let at = 0; at < sizeBytes; ) {
    const next = (byOffset.get(at) ?? []).filter(({ lengthBytes }) => leads.has(at + lengthBytes));
    const [first] = next;
    if (!first) return [];
    const place = next.find(({ medium }) => medium === copy.at(-1)?.medium) ?? first;
    copy.push(place);
    at += place.lengthBytes;
  }
  return copy;
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
