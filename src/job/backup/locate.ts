/** Where the bytes of an inode lie, as the journal tells it. */
import { blockOf, type Place } from '../../archive/place.ts';
import { rawOf } from '../../base/raw.ts';
import type { Contents } from '../../catalog/content/contents.ts';
import type { LocatedExtent } from '../../catalog/content/located.ts';

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
 * Copies in which each place that can be part of one stands at least once: media go one by one, and what is left of the others
 * is to be found by whoever has only these. First those that share nothing with each other.
 */
export function copiesOf(extents: readonly LocatedExtent[], sizeBytes: number): Place[][] {
  const places = extents.flatMap(placesOf);
  const copies = apart(places, sizeBytes);
  const told = new Set(copies.flat());
  for (const place of places) {
    const end = place.contentOffset + place.lengthBytes;
    if (told.has(place)) continue;
    const before = way(places, { from: 0, to: place.contentOffset });
    const after = way(places, { from: end, to: sizeBytes });
    if (!before || !after) continue;
    const copy = [...before, place, ...after];
    for (const one of copy) told.add(one);
    copies.push(copy);
  }
  return copies;
}

/**
 * As many copies as can be put together of places that each is in one alone. Those that were cut at different places, because
 * the media were others, share no more than some of their edges: a part goes only where the rest of the content can follow.
 */
export function copiesApart(extents: readonly LocatedExtent[], sizeBytes: number): Place[][] {
  return apart(extents.flatMap(placesOf), sizeBytes);
}

function apart(all: readonly Place[], sizeBytes: number): Place[][] {
  if (all.every(({ lengthBytes }) => lengthBytes === sizeBytes)) return all.map((place) => [place]);
  const copies: Place[][] = [];
  for (let places = all; ; ) {
    const copy = way(places, { from: 0, to: sizeBytes });
    if (!copy) return copies;
    copies.push(copy);
    places = places.filter((place) => !copy.includes(place));
  }
}

/** From one offset of the content to another, on as few media as each next part allows; undefined where there is none. */
function way(
  places: readonly Place[],
  { from, to }: { readonly from: number; readonly to: number },
): Place[] | undefined {
  const leads = new Set([to]);
  for (const { contentOffset, lengthBytes } of places.toReversed())
    if (leads.has(contentOffset + lengthBytes)) leads.add(contentOffset);
  const byOffset = Map.groupBy(places, ({ contentOffset }) => contentOffset);
  const copy: Place[] = [];
  for (let at = from; at < to; ) {
    const next = (byOffset.get(at) ?? []).filter(({ lengthBytes }) => leads.has(at + lengthBytes));
    const [first] = next;
    if (!first) return undefined;
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
