/**
 * Rows of a run that an archive holds, as members or only in its journal, in the order in which it has them. What is known of
 * files as most are lies in columns: an object for each, with all that hangs on it, takes longer than their rows in the tables.
 */
import { strict as assert } from 'node:assert';
import type { Raw } from '../../base/raw.ts';
import { type Content, type Extent, HASH_BYTES } from '../../domain/content.ts';
import type { DataRange } from '../../domain/entry.ts';
import { type ContentColumns, keyAt } from '../content/keys.ts';
import type { Packed } from '../row/packed.ts';

/** One row of the run that an archive holds, as a member or only in its journal. */
export type StoredEntry = {
  readonly directoryId: number;
  readonly name: Raw;
  readonly inodeId: number;
  /**
   * The bytes of the file, complete with this archive. Left out for what has no bytes, for further names of an inode, and
   * while parts of a split file are missing.
   */
  readonly content?: Content | undefined;
  /** The parts of the content that lie in this archive. */
  readonly extents?: readonly Extent[] | undefined;
  /** BLAKE3 of the content up to the end of these parts, while others are missing. */
  readonly hashSoFar?: Buffer | undefined;
  /** Of a sparse content: its data ranges as a whole. With `content` only. */
  readonly ranges?: readonly DataRange[] | undefined;
};

/** A file that is whole and plain in one extent. */
export type PlainRow = {
  readonly directoryId: number;
  readonly name: Raw;
  readonly inodeId: number;
  readonly sizeBytes: number;
  readonly archiveOffset: number;
};

/** Where a hash lies among others, HASH_BYTES each. */
export type HashPlace = { readonly hashes: Buffer; readonly index: number };

/** Some of the rows. */
export type RowPortion = { readonly rows: StoredRows; readonly from: number; readonly to: number };

const ROWS_MIN = 512;

export class StoredRows {
  readonly names: Raw[] = [];
  #directoryIds = new Float64Array(ROWS_MIN);
  #inodeIds = new Float64Array(ROWS_MIN);
  #sizes = new Float64Array(ROWS_MIN);
  #offsets = new Float64Array(ROWS_MIN);
  /** Of those that have a content. */
  #hashes = Buffer.alloc(ROWS_MIN * HASH_BYTES);
  /** All but those that are whole and plain in one extent. */
  #entries = new Map<number, StoredEntry>();

  static of(entries: Iterable<StoredEntry>): StoredRows {
    const rows = new StoredRows();
    for (const entry of entries) rows.add(entry);
    return rows;
  }

  get count(): number {
    return this.names.length;
  }

  add(entry: StoredEntry): void {
    const { directoryId, name, inodeId, content } = entry;
    const at = this.#next({ directoryId, name, inodeId });
    if (content) {
      this.#sizes[at] = content.sizeBytes;
      this.#hashes.set(content.hash, at * HASH_BYTES);
    }
    this.#entries.set(at, entry);
  }

  addPlain(row: PlainRow, { hashes, index }: HashPlace): void {
    const at = this.#next(row);
    this.#sizes[at] = row.sizeBytes;
    this.#offsets[at] = row.archiveOffset;
    hashes.copy(this.#hashes, at * HASH_BYTES, index * HASH_BYTES, (index + 1) * HASH_BYTES);
  }

  /** As an object of its own, made where there is none. */
  entryOf(index: number): StoredEntry {
    const known = this.entry(index);
    if (known) return known;
    const { directoryId, name, inodeId, sizeBytes, archiveOffset } = this.#plain(index);
    const bytes = { lengthBytes: sizeBytes, storedBytes: sizeBytes };
    const extent = { contentOffset: 0, ...bytes, archiveOffset, form: 'plain' } as const;
    const content = { hash: this.hash(index), sizeBytes, segments: undefined };
    return { directoryId, name, inodeId, content, extents: [extent] };
  }

  /** Undefined where it is whole and plain in one extent. */
  entry(index: number): StoredEntry | undefined {
    return this.#entries.size === 0 ? undefined : this.#entries.get(index);
  }

  name(index: number): Raw {
    const name = this.names[index];
    assert(name !== undefined);
    return name;
  }

  directoryId(index: number): number {
    return this.#directoryIds[index] ?? 0;
  }

  inodeId(index: number): number {
    return this.#inodeIds[index] ?? 0;
  }

  sizeBytes(index: number): number {
    return this.#sizes[index] ?? 0;
  }

  /** Of the data in the archive's stream, of one that is whole and plain. */
  archiveOffset(index: number): number {
    return this.#offsets[index] ?? 0;
  }

  /** The same memory; of one that has a content. */
  hash(index: number): Buffer {
    return this.#hashes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
  }

  /** The first bytes of its hash, see content/keys.ts. */
  key(index: number): number {
    return keyAt(this.#hashes, index * HASH_BYTES);
  }

  isSameHash(one: number, other: number): boolean {
    const [a, b] = [one * HASH_BYTES, other * HASH_BYTES];
    return this.#hashes.compare(this.#hashes, a, a + HASH_BYTES, b, b + HASH_BYTES) === 0;
  }

  putHash(index: number, into: Packed): void {
    into.addHash(this.#hashes, index * HASH_BYTES);
  }

  /** Contents of some rows, which ascend. */
  contents(indices: Uint32Array): ContentColumns {
    const count = indices.length;
    const [first = 0, last = 0] = [indices[0], indices[count - 1]];
    if (last - first + 1 === count) {
      const hashes = this.#hashes.subarray(first * HASH_BYTES, (last + 1) * HASH_BYTES);
      return { count, sizes: this.#sizes.subarray(first, last + 1), hashes };
    }
    const sizes = new Float64Array(count);
    const hashes = Buffer.alloc(count * HASH_BYTES);
    for (let at = 0; at < count; at += 1) {
      const index = indices[at] ?? 0;
      sizes[at] = this.sizeBytes(index);
      hashes.set(this.hash(index), at * HASH_BYTES);
    }
    return { count, sizes, hashes };
  }

  /** Without those of an inode. */
  without(inodeId: number): StoredRows {
    const rows = new StoredRows();
    for (let index = 0; index < this.count; index += 1) {
      if (this.inodeId(index) === inodeId) continue;
      const entry = this.entry(index);
      if (entry) rows.add(entry);
      else rows.addPlain(this.#plain(index), { hashes: this.#hashes, index });
    }
    return rows;
  }

  /** Empty again. */
  clear(): void {
    this.names.length = 0;
    this.#entries.clear();
  }

  #plain(index: number): PlainRow {
    return {
      directoryId: this.directoryId(index),
      name: this.name(index),
      inodeId: this.inodeId(index),
      sizeBytes: this.sizeBytes(index),
      archiveOffset: this.archiveOffset(index),
    };
  }

  #next({
    directoryId,
    name,
    inodeId,
  }: Pick<PlainRow, 'directoryId' | 'name' | 'inodeId'>): number {
    const at = this.count;
    if (at === this.#sizes.length) this.#grow();
    this.names.push(name);
    this.#directoryIds[at] = directoryId;
    this.#inodeIds[at] = inodeId;
    return at;
  }

  #grow(): void {
    this.#directoryIds = grown(this.#directoryIds);
    this.#inodeIds = grown(this.#inodeIds);
    this.#sizes = grown(this.#sizes);
    this.#offsets = grown(this.#offsets);
    const hashes = Buffer.alloc(this.#hashes.length * 2);
    hashes.set(this.#hashes);
    this.#hashes = hashes;
  }
}

function grown(column: Float64Array) {
  const larger = new Float64Array(column.length * 2);
  larger.set(column);
  return larger;
}
