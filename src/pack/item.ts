/** What a plan places: members and journal lines, whole or in parts. */
import { strict as assert } from 'node:assert';
import type { DataRange } from '../domain/entry.ts';
import { roundUp, TAR_BYTES } from './limits.ts';

/** One entry of the run. Bytes are upper bounds: a plan from them never meets the end of a medium. */
export type PlanItem<K> = {
  /** The caller's own; the plan never looks at it. */
  readonly key: K;
  /** Of the content, holes included; 0 where the entry has none or its content is stored already. */
  readonly sizeBytes: number;
  /** Of the whole member: headers, data, padding; 0 for an entry that only the journal tells of. */
  readonly storedBytesMax: number;
  /** Of those, all but data: what each part has again. */
  readonly headerBytesMax: number;
  /** Of its line in the journal; each part has one. */
  readonly journalBytesMax: number;
  /** Of the line that would tell, at the end of a medium, that it is still to be stored; left out: there is none. */
  readonly untoldBytesMax?: number;
  /** Where a sparse file has data; left out: everywhere. */
  readonly ranges?: readonly DataRange[];
  /** Of a file whose other parts are on media already: the size of its parts, and those still to be placed. */
  readonly parts?: { readonly partBytes: number; readonly first: number; readonly last: number };
};

/** What many items take together, none of which is ever split: sums of what `PlanItem` says of each. */
export type PlanGroup = {
  readonly entries: number;
  readonly storedBytesMax: number;
  readonly journalBytesMax: number;
  readonly untoldBytesMax: number;
};

/** A part of a split file: `number` of `count`, from 1. */
export type Part = {
  readonly number: number;
  readonly count: number;
  /** Of its first byte in the content. */
  readonly offset: number;
  readonly lengthBytes: number;
  readonly totalBytes: number;
};

export type Piece<K> = { readonly item: PlanItem<K>; readonly part: Part | undefined };

/** An item on its way: which of its parts comes next. */
export type Cursor<K> = {
  readonly item: PlanItem<K>;
  /** 0 while it is to be stored whole. */
  partBytes: number;
  next: number;
  last: number;
};

export function cursorOf<K>(item: PlanItem<K>): Cursor<K> {
  const { sizeBytes, parts } = item;
  assertSizes(item);
  if (parts === undefined) return { item, partBytes: 0, next: 1, last: 1 };
  const { partBytes, first, last } = parts;
  assert(first >= 1 && first <= last && last <= Math.ceil(sizeBytes / partBytes));
  return { item, partBytes, next: first, last };
}

export function assertSizes<K>(item: PlanItem<K>): void {
  const { sizeBytes, storedBytesMax, headerBytesMax, journalBytesMax } = item;
  assert(
    isSize(sizeBytes) &&
      isSize(storedBytesMax) &&
      isSize(headerBytesMax) &&
      isSize(journalBytesMax),
    'sizes are whole numbers',
  );
}

export function isSize(bytes: number): boolean {
  return Number.isSafeInteger(bytes) && bytes >= 0;
}

/** From now on in parts. */
export function split<K>(cursor: Cursor<K>, partBytes: number): void {
  assert(cursor.partBytes === 0 && partBytes > 0);
  cursor.partBytes = partBytes;
  cursor.last = Math.ceil(cursor.item.sizeBytes / partBytes);
}

export function pieceOf<K>({ item, partBytes, next }: Cursor<K>): Piece<K> {
  if (partBytes === 0) return { item, part: undefined };
  const { sizeBytes } = item;
  const offset = (next - 1) * partBytes;
  return {
    item,
    part: {
      number: next,
      count: Math.ceil(sizeBytes / partBytes),
      offset,
      lengthBytes: Math.min(partBytes, sizeBytes - offset),
      totalBytes: sizeBytes,
    },
  };
}

/** Upper bound of what a piece takes of an archive, without its journal line. */
export function storedBytesMax<K>({ item, part }: Piece<K>): number {
  if (part === undefined) return item.storedBytesMax;
  return item.headerBytesMax + roundUp(dataBytes(item.ranges, part), TAR_BYTES);
}

/** The items that make up these pieces again, in their order: what is left of an archive that came to nothing. */
export function itemsOf<K>(pieces: Iterable<Piece<K>>): PlanItem<K>[] {
  const items: PlanItem<K>[] = [];
  for (const { item, part } of pieces) {
    if (part === undefined) {
      items.push(item);
      continue;
    }
    const before = items.at(-1);
    const partBytes = part.number === 1 ? part.lengthBytes : part.offset / (part.number - 1);
    if (before?.key === item.key && before.parts?.last === part.number - 1)
      items[items.length - 1] = { ...item, parts: { ...before.parts, last: part.number } };
    else items.push({ ...item, parts: { partBytes, first: part.number, last: part.number } });
  }
  return items;
}

/** Of a cursor not yet at its end. */
export function remainderOf<K>({ item, partBytes, next, last }: Cursor<K>): PlanItem<K> {
  return partBytes === 0 ? item : { ...item, parts: { partBytes, first: next, last } };
}

/** How much of a part is data. Ranges ascend: the first that matters is found by halving. */
function dataBytes(ranges: readonly DataRange[] | undefined, part: Part): number {
  if (ranges === undefined) return part.lengthBytes;
  const end = part.offset + part.lengthBytes;
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const range = ranges[middle];
    assert(range !== undefined);
    if (range.offset + range.lengthBytes <= part.offset) low = middle + 1;
    else high = middle;
  }
  let bytes = 0;
  for (let index = low; index < ranges.length; index += 1) {
    const range = ranges[index];
    if (range === undefined || range.offset >= end) break;
    const from = Math.max(range.offset, part.offset);
    bytes += Math.min(range.offset + range.lengthBytes, end) - from;
  }
  return bytes;
}
