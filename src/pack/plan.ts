/**
 * The plan of a run: which entries go into which archive on which media, in what order.
 *
 * Items come in path order and leave as soon as they are placed, so that writing begins with the first and memory does
 * not grow with their number. What does not fit the medium waits for the next, while smaller items behind it fill this
 * one; only what fits no empty medium, or exceeds the part size, is split, into parts of one fixed size so that the
 * first part's header already knows how many there are. The same items and media give the same plan.
 *
 * Everything counted is an upper bound, so the end of a medium is met only when the medium deceived us. Then, as after
 * any other loss, the same decision is taken anew: a planner made of the true rooms, fed with what is left.
 */
import { strict as assert } from 'node:assert';
import { CodedError } from '../base/errors.ts';
import {
  assertSizes,
  type Cursor,
  cursorOf,
  isSize,
  type Piece,
  type PlanGroup,
  type PlanItem,
  pieceOf,
  remainderOf,
  split,
  storedBytesMax,
} from './item.ts';
import { LOOK_AHEAD_ITEMS, type PlanLimits, roundUp, TAR_BYTES } from './limits.ts';
import { MediaQueue, type MediumRoom, type WriteSet } from './place.ts';

export type PlanOptions = {
  readonly media: readonly MediumRoom[];
  /** On so many media each archive is written. */
  readonly copies: number;
  readonly limits: PlanLimits;
  /** Items that may wait for another medium at once. */
  readonly lookAheadItems?: number;
  /** Journal bytes of this run that lie behind: when it is planned anew. */
  readonly journalBytesBefore?: number;
};

/** Archives follow each other: begin, pieces, end. */
export type PlanStep<K> =
  | { readonly kind: 'begin'; readonly media: readonly string[] }
  | ({ readonly kind: 'piece' } & Piece<K>)
  /** `bytesMax`: the whole stream with journal, digest and padding, at most. */
  | { readonly kind: 'end'; readonly bytesMax: number; readonly entries: number };

export type PlannedArchive<K> = {
  readonly media: readonly string[];
  readonly pieces: readonly Piece<K>[];
  readonly bytesMax: number;
};

type OpenArchive = {
  readonly storedBytes: number;
  readonly journalBytes: number;
  readonly entries: number;
};

/** What one piece more changes besides its archive. */
type More = { readonly journalBytes: number; readonly toldBytes: number };

const NO_MORE: More = { journalBytes: 0, toldBytes: 0 };

/** A medium with less left than this share of what it had is full: it is not worth waiting for tiny items. */
const FULL_SHARE = 1 / 1000;

/** An appendable medium with less room than this share of an empty one is not loaded while there are others. */
const USEFUL_SHARE = 1 / 100;

export class Planner<K> {
  readonly #limits: PlanLimits;
  readonly #queue: MediaQueue;
  readonly #lookAheadItems: number;
  /** Waiting for the next medium, in the order of their coming. */
  #waiting: Cursor<K>[] = [];
  /** Being tried on the current medium, from `#tried` on. */
  #trying: readonly Cursor<K>[] = [];
  #tried = 0;
  #set: WriteSet | undefined;
  #archive: OpenArchive | undefined;
  #restAtStartBytes = 0;
  #runJournalBytes: number;
  /** Of lines that would tell what is not placed yet. */
  #untoldBytes: number;
  #placedSinceRecall = 0;

  constructor(options: PlanOptions) {
    const { media, copies, limits, lookAheadItems, journalBytesBefore } = options;
    this.#limits = limits;
    this.#lookAheadItems = lookAheadItems ?? LOOK_AHEAD_ITEMS;
    assert(this.#lookAheadItems >= 1);
    this.#runJournalBytes = journalBytesBefore ?? 0;
    this.#untoldBytes = limits.reserve.untoldBytes ?? 0;
    const usefulBytes = Math.min(limits.archiveBytes, Math.floor(limits.freshBytes * USEFUL_SHARE));
    const { labelBytes } = limits.bounds;
    this.#queue = new MediaQueue({ media, copies, labelBytes, usefulBytes });
  }

  /**
   * Places one whole item into the archive that is open, where it fits there and nothing waits for a place: nearly all small
   * files, and at a tenth of the cost of `add`.
   * @returns undefined where it is for `add` to decide
   */
  join(item: PlanItem<K>): (PlanStep<K> & { readonly kind: 'piece' }) | undefined {
    const open = this.#archive;
    const isPlain = item.parts === undefined && this.#waiting.length === 0 && !this.#isLarge(item);
    if (open === undefined || !isPlain) return undefined;
    assertSizes(item);
    const step = { kind: 'piece', item, part: undefined } as const;
    const { journalBytesMax } = item;
    const toldBytes = this.#toldBytes(step);
    const joined = withPiece(open, step);
    if (!this.#mayBe(joined)) return undefined;
    const more = { journalBytes: journalBytesMax, toldBytes };
    if (this.#restBytes(joined, NOTHING, more) < 0) return undefined;
    this.#archive = joined;
    this.#place(journalBytesMax, toldBytes);
    return step;
  }

  /**
   * Places many whole items as `join` would one after the other, where all of them fit: what each takes only adds up.
   * @returns false where it is for `join` and `add` to decide of each by itself; nothing is placed then
   */
  joinAll(items: PlanGroup): boolean {
    const open = this.#archive;
    if (open === undefined || this.#waiting.length > 0) return false;
    const { entries, storedBytesMax, journalBytesMax } = items;
    assert(isSize(storedBytesMax) && isSize(journalBytesMax), 'sizes are whole numbers');
    const toldBytes = Math.min(this.#untoldBytes, items.untoldBytesMax);
    const joined = {
      storedBytes: open.storedBytes + storedBytesMax,
      journalBytes: open.journalBytes + journalBytesMax,
      entries: open.entries + entries,
    };
    const more = { journalBytes: journalBytesMax, toldBytes };
    if (!this.#mayBe(joined) || this.#restBytes(joined, NOTHING, more) < 0) return false;
    this.#archive = joined;
    this.#place(journalBytesMax, toldBytes);
    return true;
  }

  /**
   * Places one item, or lets it wait. The steps are to be taken to the end before the next call.
   * @throws CodedError MEDIUM_FULL; `pending` then says what has not been placed
   */
  *add(item: PlanItem<K>): Generator<PlanStep<K>> {
    this.#trying = [cursorOf(item)];
    this.#tried = 0;
    if (this.#set === undefined) this.#advance();
    yield* this.#try();
    while (this.#mustAdvance()) yield* this.#nextMedium();
  }

  /**
   * Places what still waits and ends the last archive.
   * @throws CodedError MEDIUM_FULL, as `add`
   */
  *finish(): Generator<PlanStep<K>> {
    while (this.#waiting.length > 0) yield* this.#nextMedium();
    yield* this.#endArchive();
  }

  /** What was given and has not come out yet, in the order in which it would be placed. */
  pending(): PlanItem<K>[] {
    return [...this.#waiting, ...this.#trying.slice(this.#tried)]
      .filter(({ next, last }) => next <= last)
      .map(remainderOf);
  }

  /** When enough waits, or when what is left is too little to be worth the search. */
  #mustAdvance(): boolean {
    if (this.#waiting.length === 0) return false;
    if (this.#waiting.length >= this.#lookAheadItems) return true;
    const fullBytes = Math.max(this.#restAtStartBytes * FULL_SHARE, this.#limits.bounds.blockBytes);
    return this.#restBytes(this.#archive ?? NOTHING, NOTHING, NO_MORE) < fullBytes;
  }

  *#nextMedium(): Generator<PlanStep<K>> {
    yield* this.#endArchive();
    this.#advance();
    this.#trying = this.#waiting;
    this.#tried = 0;
    this.#waiting = [];
    yield* this.#try();
  }

  /** @throws CodedError MEDIUM_FULL */
  #advance(): void {
    assert(this.#archive === undefined);
    if (this.#set !== undefined) this.#queue.giveBack(this.#set);
    this.#set = this.#queue.next();
    if (this.#set === undefined && this.#placedSinceRecall > 0) {
      this.#placedSinceRecall = 0;
      this.#queue.recall();
      this.#set = this.#queue.next();
    }
    if (this.#set !== undefined) {
      this.#restAtStartBytes = this.#restBytes(NOTHING, NOTHING, NO_MORE);
      return;
    }
    const message = 'no medium has room for the rest; label scratch media, or add some';
    throw new CodedError('MEDIUM_FULL', message);
  }

  /** Each in turn, all its parts; those that do not fit wait. */
  *#try(): Generator<PlanStep<K>> {
    for (const cursor of this.#trying) {
      yield* this.#placeAll(cursor);
      this.#tried += 1;
      if (cursor.next <= cursor.last) this.#waiting.push(cursor);
    }
  }

  *#placeAll(cursor: Cursor<K>): Generator<PlanStep<K>> {
    if (cursor.partBytes === 0 && this.#isLarge(cursor.item)) split(cursor, this.#limits.partBytes);
    while (cursor.next <= cursor.last) {
      const isPlaced = yield* this.#placeNext(cursor);
      if (isPlaced) continue;
      if (cursor.partBytes > 0 || this.#fitsFresh(cursor.item)) return;
      if (cursor.item.sizeBytes <= this.#limits.partBytes) return;
      split(cursor, this.#limits.partBytes);
    }
  }

  /** Into the open archive, else into a new one; false when it does not fit the medium. */
  *#placeNext(cursor: Cursor<K>): Generator<PlanStep<K>, boolean> {
    const piece = pieceOf(cursor);
    const { journalBytesMax } = piece.item;
    const toldBytes = this.#toldBytes(piece);
    const more = { journalBytes: journalBytesMax, toldBytes };
    const open = this.#archive;
    const joined = open === undefined ? undefined : withPiece(open, piece);
    if (open !== undefined && joined !== undefined && this.#mayBe(joined)) {
      if (this.#restBytes(joined, NOTHING, more) < 0) return false;
      this.#archive = joined;
    } else {
      const alone = withPiece(NOTHING, piece);
      if (this.#restBytes(open ?? NOTHING, alone, more) < 0) return false;
      yield* this.#endArchive();
      assert(this.#set !== undefined);
      yield { kind: 'begin', media: this.#set.keys };
      this.#archive = alone;
    }
    this.#place(journalBytesMax, toldBytes);
    cursor.next += 1;
    yield { kind: 'piece', ...piece };
    return true;
  }

  #place(journalBytes: number, toldBytes: number): void {
    this.#runJournalBytes += journalBytes;
    this.#untoldBytes -= toldBytes;
    this.#placedSinceRecall += 1;
  }

  *#endArchive(): Generator<PlanStep<K>> {
    if (this.#archive === undefined) return;
    assert(this.#set !== undefined);
    const { entries, journalBytes } = this.#archive;
    const bytesMax = this.#bytesMax(this.#archive);
    this.#archive = undefined;
    this.#set.take({ bytes: bytesMax, journalBytes });
    yield { kind: 'end', bytesMax, entries };
  }

  /** Whether one archive may hold so much. */
  #mayBe(archive: OpenArchive): boolean {
    const { entriesMax, archiveBytes } = this.#limits;
    return archive.entries <= entriesMax && this.#bytesMax(archive) <= archiveBytes;
  }

  /** What two archives, not yet ended, leave of the media besides the reserve; below 0 they do not fit. */
  #restBytes(one: OpenArchive, other: OpenArchive, more: More): number {
    assert(this.#set !== undefined);
    const rest = {
      bytes: this.#bytesMax(one) + this.#bytesMax(other),
      journalBytes: one.journalBytes + other.journalBytes,
      runJournalBytes: this.#runJournalBytes + more.journalBytes,
    };
    const untoldBytes = this.#untoldBytes - more.toldBytes;
    return this.#set.restBytes(rest, this.#limits.reserve) - untoldBytes;
  }

  /** By how much less is to be told with this piece; with the last part of a file only. */
  #toldBytes({ item, part }: Piece<K>): number {
    if (part !== undefined && part.number < part.count) return 0;
    return Math.min(this.#untoldBytes, item.untoldBytesMax ?? 0);
  }

  #bytesMax({ storedBytes, journalBytes, entries }: OpenArchive): number {
    const { archiveBytes, blockBytes } = this.#limits.bounds;
    if (entries === 0) return 0;
    return roundUp(archiveBytes + storedBytes + roundUp(journalBytes, TAR_BYTES), blockBytes);
  }

  /** Split whatever the medium: no header promises so many bytes at once. */
  #isLarge(item: PlanItem<K>): boolean {
    const { wholeBytesMax, partBytes } = this.#limits;
    return item.sizeBytes > partBytes && item.storedBytesMax - item.headerBytesMax > wholeBytesMax;
  }

  /** Whether it could stand whole on an empty medium, by now. */
  #fitsFresh(item: PlanItem<K>): boolean {
    const { freshBytes, reserve } = this.#limits;
    const alone = withPiece(NOTHING, { item, part: undefined });
    const reservedBytes =
      reserve.fixedBytes +
      reserve.perMediumJournalByte * item.journalBytesMax +
      reserve.perRunJournalByte * (this.#runJournalBytes + item.journalBytesMax) +
      Math.max(0, this.#untoldBytes - (item.untoldBytesMax ?? 0));
    return this.#bytesMax(alone) + reservedBytes <= freshBytes;
  }
}

const NOTHING: OpenArchive = Object.freeze({ storedBytes: 0, journalBytes: 0, entries: 0 });

function withPiece<K>(archive: OpenArchive, piece: Piece<K>): OpenArchive {
  return {
    storedBytes: archive.storedBytes + storedBytesMax(piece),
    journalBytes: archive.journalBytes + piece.item.journalBytesMax,
    entries: archive.entries + 1,
  };
}

/** The steps of a planner that is given these items. @throws CodedError MEDIUM_FULL, as `Planner.add` */
export function* stepsOf<K>(
  planner: Planner<K>,
  items: Iterable<PlanItem<K>>,
): Generator<PlanStep<K>, void> {
  for (const item of items) {
    const step = planner.join(item);
    if (step) yield step;
    else yield* planner.add(item);
  }
  yield* planner.finish();
}

/** The steps of a whole run. @throws CodedError MEDIUM_FULL behind all that could be placed */
export function* planSteps<K>(
  items: Iterable<PlanItem<K>>,
  options: PlanOptions,
): Generator<PlanStep<K>> {
  yield* stepsOf(new Planner<K>(options), items);
}

/** The same, an archive at a time. @throws CodedError MEDIUM_FULL behind all that could be placed */
export function* planArchives<K>(
  items: Iterable<PlanItem<K>>,
  options: PlanOptions,
): Generator<PlannedArchive<K>> {
  let media: readonly string[] = [];
  let pieces: Piece<K>[] = [];
  for (const step of planSteps(items, options)) {
    if (step.kind === 'begin') media = step.media;
    else if (step.kind === 'piece') pieces.push({ item: step.item, part: step.part });
    else {
      yield { media, pieces, bytesMax: step.bytesMax };
      pieces = [];
    }
  }
}
