/** Files stored in parts of which some are still missing: where the parts lie, and what is left of each file. */
import type { Place } from '../../archive/place.ts';
import type { PlanItem } from '../../pack/item.ts';
import type { Feed, OutgoingEntry } from './feed.ts';

export class SplitFiles {
  /** By inode, a list of places a copy; the archive under way keeps it up to date. */
  places = new Map<number, Place[][]>();
  #left = new Map<number, PlanItem<OutgoingEntry>>();

  /** What is still to be stored of files that were begun. */
  left(): Iterable<PlanItem<OutgoingEntry>> {
    return this.#left.values();
  }

  /** @returns puts all back as it is now, for an archive that comes to nothing */
  remember(): () => void {
    const [places, left] = [new Map(this.places), new Map(this.#left)];
    return () => {
      this.places = places;
      this.#left = left;
    };
  }

  /** After members were added to an archive. @param hasFailed no more of such a file will be stored */
  note(feed: Feed, hasFailed: (inodeId: number) => boolean): void {
    if (!feed.isLast) return;
    for (const { piece } of feed.members) {
      const { item, part } = piece;
      if (!part) continue;
      const { inodeId } = item.key.inode;
      if (part.number === part.count || hasFailed(inodeId)) this.#left.delete(inodeId);
      else {
        const partBytes = part.number === 1 ? part.lengthBytes : part.offset / (part.number - 1);
        const parts = { partBytes, first: part.number + 1, last: part.count };
        this.#left.set(inodeId, { ...item, parts });
      }
    }
  }
}
