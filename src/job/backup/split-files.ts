/**
 * Files stored in parts while some are missing: where the parts lie, and what is left of each file. Some may have been begun
 * by a process that came to an end.
 */
import type { Place } from '../../archive/place.ts';
import type { StoredParts } from '../../catalog/pending/partials.ts';
import type { PlanItem } from '../../pack/item.ts';
import type { Feed } from './feed.ts';
import { copiesApart } from './locate.ts';
import type { OutgoingEntry } from './outgoing-entry.ts';
import { OutgoingSpan } from './outgoing-span.ts';

type Item = PlanItem<OutgoingEntry>;

export class SplitFiles {
  /** By inode, a list of places a copy; the archive under way keeps it up to date. */
  places = new Map<number, Place[][]>();
  /** Begun by this process, with what is left of them. */
  #left = new Map<number, Item>();
  /** Begun by earlier ones. */
  readonly #stored: Map<number, StoredParts>;
  readonly #forgotten = new Set<number>();

  constructor(stored: ReadonlyMap<number, StoredParts>) {
    this.#stored = new Map(stored);
    for (const [inodeId, { extents, lengthBytes }] of stored)
      this.places.set(inodeId, copiesApart(extents, lengthBytes));
  }

  /** Nothing of any file is stored: none is to be told from the others. */
  get areNone(): boolean {
    return this.#left.size === 0 && this.#stored.size === 0;
  }

  /** All items, those that this process has begun first, and of each what is left. */
  *itemsOf(all: Iterable<Item | OutgoingSpan>): Generator<Item | OutgoingSpan> {
    yield* this.#left.values();
    for (const item of all)
      if (item instanceof OutgoingSpan) yield item;
      else if (!this.#left.has(item.key.inode.inodeId)) yield this.#withoutStored(item);
  }

  /** @returns puts all back as it is now, for an archive that comes to nothing; but for files that failed in it */
  remember(): () => void {
    const [places, left] = [new Map(this.places), new Map(this.#left)];
    return () => {
      for (const inodeId of this.#forgotten) {
        places.delete(inodeId);
        left.delete(inodeId);
      }
      this.places = places;
      this.#left = left;
    };
  }

  /** The file failed: where it is tried again, it is stored from its beginning. */
  forget(inodeId: number): void {
    this.#forgotten.add(inodeId);
    this.#stored.delete(inodeId);
    this.#left.delete(inodeId);
    this.places.delete(inodeId);
  }

  /** After members were added to an archive. @param hasFailed no more of such a file will be stored */
  note(feed: Feed, hasFailed: (inodeId: number) => boolean): void {
    // Small files are never in parts, and one fragment.
    const piece = feed.isLast && feed.task.kind === 'run' ? feed.members.at(0)?.piece : undefined;
    const part = piece?.part;
    if (!piece || !part) return;
    const { inodeId } = piece.item.key.inode;
    if (part.number === part.count || hasFailed(inodeId)) this.#left.delete(inodeId);
    else {
      const partBytes = part.number === 1 ? part.lengthBytes : part.offset / (part.number - 1);
      const parts = { partBytes, first: part.number + 1, last: part.count };
      this.#left.set(inodeId, { ...piece.item, parts });
    }
  }

  #withoutStored(item: Item): Item {
    const stored = this.#stored.get(item.key.inode.inodeId);
    if (stored === undefined || item.key.form !== 'data') return item;
    const { partBytes, lengthBytes, hash } = stored;
    const first = lengthBytes / partBytes + 1;
    const parts = { partBytes, first, last: Math.ceil(item.sizeBytes / partBytes) };
    return { ...item, key: { ...item.key, stored: { lengthBytes, hash } }, parts };
  }
}
