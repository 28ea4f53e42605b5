/** Turns the stored bytes of an extent into runs of the content: plain ones as they are, sparse ones by their map. */
import { strict as assert } from 'node:assert';
import { SparseMapReader } from '../archive/sparse.ts';
import type { Extent } from '../domain/content.ts';
import type { DataRange } from '../domain/entry.ts';

/** Bytes at their place in the content. */
export type Placed = { readonly offset: number; readonly bytes: Buffer };

const MAP_BLOCK_BYTES = 512;

export interface Unfolding {
  /**
   * The next stored bytes. What is yielded is valid as long as `bytes` are.
   * @throws CodedError ARCHIVE_INVALID for a broken sparse map
   */
  take(bytes: Buffer): Placed[];
  /** All up to here is known, holes included: an offset in the content. */
  readonly reached: number;
}

/** @param from where in the content the bytes begin: of a sparse extent always its start */
export function unfolding(extent: Extent, from: number): Unfolding {
  if (extent.form === 'plain') return new Plain(from);
  assert(from === extent.contentOffset, 'a sparse extent is read from its map on');
  return new Sparse(extent);
}

class Plain implements Unfolding {
  reached: number;

  constructor(from: number) {
    this.reached = from;
  }

  take(bytes: Buffer): Placed[] {
    const placed = { offset: this.reached, bytes };
    this.reached += bytes.length;
    return [placed];
  }
}

class Sparse implements Unfolding {
  reached: number;
  readonly #extent: Extent;
  #map: SparseMapReader | undefined = new SparseMapReader();
  #rest = Buffer.alloc(0);
  #ranges: readonly DataRange[] = [];
  #index = 0;
  /** Of the range at `#index`. */
  #taken = 0;
  #storedBytes = 0;

  constructor(extent: Extent) {
    this.#extent = extent;
    this.reached = extent.contentOffset;
  }

  take(bytes: Buffer): Placed[] {
    this.#storedBytes += bytes.length;
    const data = this.#map ? this.#takeMap(bytes) : bytes;
    const placed: Placed[] = [];
    for (let at = 0; at < data.length; ) {
      const range = this.#ranges[this.#index];
      // Zeros that fill the last block of 512 may follow the last range.
      if (!range) break;
      const count = Math.min(data.length - at, range.lengthBytes - this.#taken);
      const offset = this.#extent.contentOffset + range.offset + this.#taken;
      placed.push({ offset, bytes: data.subarray(at, at + count) });
      at += count;
      this.#taken += count;
      this.reached = offset + count;
      if (this.#taken < range.lengthBytes) continue;
      this.#index += 1;
      this.#taken = 0;
    }
    const { contentOffset, lengthBytes, storedBytes } = this.#extent;
    if (this.#storedBytes === storedBytes) this.reached = contentOffset + lengthBytes;
    return placed;
  }

  /** @returns the data behind the map */
  #takeMap(bytes: Buffer): Buffer {
    let rest = Buffer.concat([this.#rest, bytes]);
    while (this.#map && rest.length >= MAP_BLOCK_BYTES) {
      const isComplete = this.#map.push(rest.subarray(0, MAP_BLOCK_BYTES));
      rest = rest.subarray(MAP_BLOCK_BYTES);
      if (!isComplete) continue;
      this.#ranges = this.#map.ranges(this.#extent.lengthBytes);
      this.#map = undefined;
    }
    this.#rest = this.#map ? Buffer.from(rest) : Buffer.alloc(0);
    return this.#map ? Buffer.alloc(0) : rest;
  }
}
