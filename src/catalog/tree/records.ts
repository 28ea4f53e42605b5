/**
 * Listings written out by SQLite itself: of each entry a record of bytes, laid out as who asks says (native/sqlite). A value that
 * crosses into JavaScript costs more than SQLite takes to find its row, and a listing has ten of them a name.
 */
import { strict as assert } from 'node:assert';
import Database from 'better-sqlite3';
import type { Catalog } from '../catalog.ts';
import { AS_OF } from './nodes.ts';

/** What of an entry may stand in a record: attributes of its inode. `content` is 0 for what has no bytes, `hasXattrs` 0 or 1. */
const COLUMNS = {
  inode: 'i.id',
  hasXattrs: 'i.xattrs IS NOT NULL',
  content: 'i.content',
  mode: 'i.mode',
  size: 'i.size',
  mtime: 'i.mtime',
  mtimeNs: 'i.mtime_ns',
  ctime: 'i.ctime',
  ctimeNs: 'i.ctime_ns',
  links: 'i.links',
  owner: 'i.owner',
} as const;

export type RecordColumn = keyof typeof COLUMNS;

/** Where a column goes, in the machine's order: (column + `add`) >> `shift`, or-ed to what is there. */
export type RecordField = {
  readonly column: RecordColumn;
  readonly at: number;
  readonly bytes: 1 | 4 | 8;
  readonly add?: number;
  /** In bits; below 0: to the left. */
  readonly shift?: number;
};

export type RecordShape = {
  /** Of a record before its name: what stands in each. */
  readonly template: Uint8Array;
  /** Where the length of the name goes, 4 bytes. */
  readonly lengthAt: number;
  /** Where the record's place goes, 8 bytes, counted from `firstPlace`. */
  readonly placeAt: number;
  readonly firstPlace: number;
  /** A listing of more is none; below 2^15. */
  readonly recordsMax: number;
  readonly fields: readonly RecordField[];
};

const NAMES = Object.keys(COLUMNS);
const HEAD_NUMBERS = 7;
const FIELD_NUMBERS = 5;

/** A shape as native/sqlite reads it. */
export function recordLayout({ template, fields, ...shape }: RecordShape): Buffer {
  const { lengthAt, placeAt, firstPlace, recordsMax } = shape;
  const key = NAMES.indexOf('content');
  const numbers = new Int16Array(HEAD_NUMBERS + fields.length * FIELD_NUMBERS);
  const head = [template.length, lengthAt, placeAt, firstPlace, key, recordsMax, fields.length];
  numbers.set(head);
  for (const [index, { column, at, bytes, add = 0, shift = 0 }] of fields.entries()) {
    const field = [NAMES.indexOf(column), at, bytes, add, shift];
    numbers.set(field, HEAD_NUMBERS + index * FIELD_NUMBERS);
  }
  return Buffer.concat([new Uint8Array(numbers.buffer), template]);
}

export class ListedRecords {
  readonly #list;
  readonly #sparse;

  constructor(catalog: Catalog) {
    const columns = Object.values(COLUMNS).join(', ');
    // The table's own order is that of names.
    this.#list = catalog.prepare<[Buffer | null]>(
      `SELECT records(@layout, v.name, ${columns})
        FROM versions v CROSS JOIN inodes i ON i.id = v.inode WHERE ${AS_OF}`,
    );
    this.#sparse = catalog.prepare<[number]>(
      `SELECT c.id FROM contents c INDEXED BY sparse_contents
        WHERE c.id BETWEEN ? AND ? AND c.holes IS NOT NULL LIMIT ?`,
    );
  }

  /**
   * The entries of a directory at a time, as their contents lie on tape, what has none first; then by name. The bytes are in no
   * other's memory. Undefined where there are more than the layout takes.
   */
  list(layout: Buffer, place: { directoryId: number; snapshotId: number }): Buffer | undefined {
    const { directoryId: dir, snapshotId: at } = place;
    try {
      const row = this.#list.get({ layout, dir, at });
      assert(row, 'an aggregate has one row');
      return row[0] ?? Buffer.alloc(0);
    } catch (error) {
      if (error instanceof Database.SqliteError && error.code === 'SQLITE_TOOBIG') return undefined;
      throw error;
    }
  }

  /**
   * Which contents from `first` to `last` have holes, undefined: none; asked once for a directory, whose contents mostly lie close together.
   * @param limit with more in that range than this each has to be looked at: all are said to have some
   */
  sparseAmong(
    first: number,
    last: number,
    limit: number,
  ): ((contentId: number) => boolean) | undefined {
    const found = new Set(this.#sparse.all(first, last, limit + 1).flat());
    if (found.size === 0) return undefined;
    const isCut = found.size > limit;
    return (contentId) => isCut || found.has(contentId);
  }
}
