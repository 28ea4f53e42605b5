/**
 * Which media are written next, and how much of each is left.
 *
 * The fullest one that still has room comes first, so that few stand half-written; then scratch media in order of
 * barcode. With several copies so many media are written together and end together: the same archives on each.
 */
import { strict as assert } from 'node:assert';
import type { Reserve } from './limits.ts';

export type MediumRoom = {
  /** Barcode or name; unique. */
  readonly key: string;
  /** A scratch medium gets a label first. */
  readonly state: 'scratch' | 'appendable';
  /** What may still be written, as `roomBytes` says; of a scratch medium before its label. */
  readonly roomBytes: number;
};

/** One medium of the plan; `freeBytes` is without the label and what the plan has put there. */
export type Place = {
  readonly key: string;
  freeBytes: number;
  /** Journal bytes planned for it. */
  journalBytes: number;
  isUsed: boolean;
};

/** The media that get the same archives. */
export class WriteSet {
  readonly places: readonly Place[];

  constructor(places: readonly Place[]) {
    assert(places.length > 0);
    this.places = places;
  }

  get keys(): readonly string[] {
    return this.places.map(({ key }) => key);
  }

  /** What would be left besides the reserve if so much were written now, of the medium with the least. */
  restBytes(
    planned: {
      readonly bytes: number;
      readonly journalBytes: number;
      /** Of the whole run, these included. */
      readonly runJournalBytes: number;
    },
    reserve: Reserve,
  ): number {
    const { bytes, journalBytes, runJournalBytes } = planned;
    const commonBytes =
      bytes + reserve.fixedBytes + Math.ceil(reserve.perRunJournalByte * runJournalBytes);
    let leastBytes = Number.POSITIVE_INFINITY;
    for (const place of this.places) {
      const copiesBytes = reserve.perMediumJournalByte * (place.journalBytes + journalBytes);
      leastBytes = Math.min(leastBytes, place.freeBytes - commonBytes - Math.ceil(copiesBytes));
    }
    return leastBytes;
  }

  take(archive: { readonly bytes: number; readonly journalBytes: number }): void {
    for (const place of this.places) {
      place.freeBytes -= archive.bytes;
      place.journalBytes += archive.journalBytes;
      place.isUsed = true;
      assert(place.freeBytes >= 0, 'a plan never overruns a medium');
    }
  }
}

/** Media in the order in which they are written. */
export class MediaQueue {
  #waiting: Place[];
  /** Media on which nothing that waited found room; smaller items to come may. */
  #passed: Place[] = [];
  readonly #copies: number;
  readonly #usefulBytes: number;

  /** @param options.usefulBytes an appendable medium with less is not worth loading while there are others */
  constructor(options: {
    readonly media: readonly MediumRoom[];
    readonly copies: number;
    readonly labelBytes: number;
    readonly usefulBytes: number;
  }) {
    const { media, copies, labelBytes, usefulBytes } = options;
    assert(Number.isInteger(copies) && copies >= 1, `not a number of copies: ${copies}`);
    assert.equal(new Set(media.map(({ key }) => key)).size, media.length, 'a medium stands twice');
    this.#copies = copies;
    this.#usefulBytes = usefulBytes;
    const scratch = media.filter(({ state }) => state === 'scratch').toSorted(byKey);
    const appendable = media.filter(({ state }) => state === 'appendable').toSorted(byRoom);
    const isUseful = ({ roomBytes }: MediumRoom) => roomBytes >= usefulBytes;
    this.#waiting = [
      ...appendable.filter(isUseful),
      ...scratch,
      ...appendable.filter((medium) => !isUseful(medium)).toReversed(),
    ].map(({ key, state, roomBytes }) => {
      const freeBytes = Math.max(0, roomBytes - (state === 'scratch' ? labelBytes : 0));
      return { key, freeBytes, journalBytes: 0, isUsed: false };
    });
  }

  /** Undefined when fewer are left than copies are wanted. */
  next(): WriteSet | undefined {
    if (this.#waiting.length < this.#copies) return undefined;
    return new WriteSet(this.#waiting.splice(0, this.#copies));
  }

  /** Gives a set back that is full: the fullest goes, the others are first in the next set. */
  giveBack(set: WriteSet): void {
    const leastBytes = Math.min(...set.places.map(({ freeBytes }) => freeBytes));
    const full = set.places.filter((place) => place.freeBytes === leastBytes);
    const others = set.places.filter((place) => place.freeBytes > leastBytes);
    this.#passed.push(...full.filter((place) => !place.isUsed));
    this.#waiting.unshift(
      ...others.filter((place) => !place.isUsed || place.freeBytes >= this.#usefulBytes),
    );
  }

  /** Gives those passed over another chance. */
  recall(): void {
    this.#waiting.push(...this.#passed);
    this.#passed = [];
  }
}

/** The room that every copy of a file finds on empty media; undefined where there are not so many. */
export function freshRoomBytes(media: readonly MediumRoom[], copies: number): number | undefined {
  const rooms = media.filter(({ state }) => state === 'scratch').map((medium) => medium.roomBytes);
  return rooms.toSorted((a, b) => b - a)[copies - 1];
}

function byKey(a: MediumRoom, b: MediumRoom): number {
  return a.key < b.key ? -1 : 1;
}

function byRoom(a: MediumRoom, b: MediumRoom): number {
  return a.roomBytes - b.roomBytes || byKey(a, b);
}
