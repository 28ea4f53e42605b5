/**
 * From size and hash to content. SCHEMA.md section 6: keys reach their table late and in order; until then their contents
 * are found in memory. One for a catalog (`Catalog.part`), because all who share its connection must find the same.
 */
import { strict as assert } from 'node:assert';
import { HASH_BYTES } from '../../domain/content.ts';
import type { Catalog } from '../catalog.ts';
import { Packed } from '../row/packed.ts';
import { FreshContents } from './fresh.ts';

export type ContentKey = { readonly sizeBytes: number; readonly hash: Buffer };

/** Many of them: `count` sizes and as many hashes, HASH_BYTES each, one behind the other. */
export type ContentColumns = {
  readonly count: number;
  readonly sizes: Float64Array;
  readonly hashes: Buffer;
};

/** So many wait at most: 10 MiB. */
const FRESH_MAX = 262_144;
/** Written between two looks at the clock. */
const PORTION = 4096;

/** Of each content that the table is asked for: its place, size and key. */
const ASKED_NUMBERS = 3;

const NONE: readonly number[] = [];

export class ContentKeys {
  readonly #catalog: Catalog;
  readonly #asked;
  readonly #findOne;
  readonly #hashOf;
  readonly #rows: Packed;
  readonly #addRange;
  readonly #version;
  readonly #fresh = new FreshContents();
  /** First ids of the ranges whose contents are in memory. */
  #ranges: number[] = [];
  #isLoaded = false;
  /**
   * What the table does not have is remembered as minus this, so that storing what was just asked for need not ask again.
   * Another process' commit makes it the next number.
   */
  #epoch = 1;
  #seenVersion = 0;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
    this.#asked = catalog.prepare<[number, number]>(
      `SELECT a.n0, k.content FROM packed(?, 3) a
         CROSS JOIN content_keys k WHERE k.size = a.n1 AND k.key = a.n2`,
    );
    this.#findOne = catalog.prepare<[number]>(
      'SELECT content FROM content_keys WHERE size = ? AND key = ?',
    );
    this.#hashOf = catalog.prepare<[Buffer | null]>('SELECT hash FROM contents WHERE id = ?');
    this.#rows = new Packed(catalog, {
      sql: 'INSERT OR IGNORE INTO content_keys SELECT n0, n1, n2',
      numbers: 3,
    });
    this.#addRange = catalog.prepare('INSERT INTO unkeyed VALUES(?, ?)');
    this.#version = catalog.prepare<[number]>('PRAGMA data_version');
    catalog.onRollback(() => this.#forget());
  }

  /** Contents of these bytes, lowest id first. */
  find(sizeBytes: number, hash: Buffer): readonly number[] {
    this.#load();
    const key = keyOf(hash);
    const found = this.#inMemory(sizeBytes, key, hash);
    const [content, ...more] = this.#findOne.all(sizeBytes, key).flat();
    if (content === undefined) return found;
    return [content, ...more].reduce((all, id) => this.#with(all, id, hash), found);
  }

  /** Of each in turn. Much cheaper than one by one. */
  findEach(asked: readonly ContentKey[]): (readonly number[])[] {
    const found = this.findAll(columnsOf(asked));
    return asked.map((_, number) => found.get(number) ?? NONE);
  }

  /** As `find`, of those that are found: by their place among what is asked for. */
  findAll({ count, sizes, hashes }: ContentColumns): ReadonlyMap<number, readonly number[]> {
    const found = new Map<number, readonly number[]>();
    if (count === 0) return found;
    this.#load();
    // Before the table is asked: who commits between the two is noticed by the next call.
    this.#noteVersion();
    const unknown = new Float64Array(count * ASKED_NUMBERS);
    let length = 0;
    for (let number = 0; number < count; number += 1) {
      const sizeBytes = sizes[number] ?? 0;
      const key = keyAt(hashes, number * HASH_BYTES);
      const at = this.#fresh.find(sizeBytes, key);
      if (at < 0 || this.#fresh.valueOf(at) !== -this.#epoch) {
        unknown[length] = number;
        unknown[length + 1] = sizeBytes;
        unknown[length + 2] = key;
        length += ASKED_NUMBERS;
      }
      if (at < 0) continue;
      const inMemory = this.#inMemory(sizeBytes, key, hashAt(hashes, number));
      if (inMemory.length > 0) found.set(number, inMemory);
    }
    for (const [number, content] of this.#ask(unknown.subarray(0, length))) {
      const all = this.#with(found.get(number) ?? NONE, content, hashAt(hashes, number));
      if (all.length > 0) found.set(number, all);
    }
    return found;
  }

  /** Whether a content has this size; one whose key waits is none yet. */
  sizeIsKnown(sizeBytes: number): boolean {
    const statement = this.#catalog.prepare('SELECT 1 FROM content_keys WHERE size = ? LIMIT 1');
    return statement.get(sizeBytes) !== undefined;
  }

  /** New contents with ids in a row, of which not all need be used. Part of the caller's `write`, as are their rows. */
  beginRange(first: number, last: number): void {
    this.#load();
    this.#addRange.run(first, last);
    this.#ranges.push(first);
  }

  /**
   * A content whose id lies in a range.
   * @param isSame of a content added before, with the same size and key, whether its bytes are the same
   * @returns the id of that one; then nothing is added
   */
  add(
    contentId: number,
    { sizeBytes, hash }: ContentKey,
    isSame?: (contentId: number) => boolean | undefined,
  ): number | undefined {
    return this.addKey(contentId, { sizeBytes, key: keyOf(hash) }, isSame);
  }

  /** The same by the key of its hash. */
  addKey(
    contentId: number,
    { sizeBytes, key }: { readonly sizeBytes: number; readonly key: number },
    isSame?: (contentId: number) => boolean | undefined,
  ): number | undefined {
    let free = -1;
    for (let at = this.#fresh.find(sizeBytes, key); at >= 0; ) {
      const other = this.#fresh.valueOf(at);
      if (other < 0) free = at;
      else if (isSame?.(other)) return other;
      at = this.#fresh.find(sizeBytes, key, at);
    }
    if (free >= 0) this.#fresh.setValue(free, contentId);
    else this.#fresh.add(sizeBytes, key, contentId);
    return undefined;
  }

  /** A content that lies in no range: its key is written at once. Part of the caller's `write`. */
  addAtOnce(contentId: number, { sizeBytes, hash }: ContentKey): void {
    this.#rows.add([sizeBytes, keyOf(hash), contentId]);
    this.#rows.flush();
    // It may have been asked for, and remembered as absent.
    this.add(contentId, { sizeBytes, hash });
  }

  get isFull(): boolean {
    return this.#fresh.count >= FRESH_MAX;
  }

  /** Writes the keys that wait, in order. Cut short, they are read and written again. */
  flush(): void {
    this.#load();
    if (this.#ranges.length > 0) {
      const order = this.#fresh.inOrder();
      this.#catalog.writeEach(portionsOf(order), (portion) => {
        for (const index of portion) {
          const content = this.#fresh.valueOf(index);
          if (content > 0)
            this.#rows.add([this.#fresh.sizeOf(index), this.#fresh.keyOf(index), content]);
        }
        this.#rows.flush();
      });
      const remove = this.#catalog.prepare('DELETE FROM unkeyed WHERE first = ?');
      this.#catalog.write(() => {
        for (const first of this.#ranges) remove.run(first);
      });
      this.#ranges = [];
    }
    this.#fresh.clear();
  }

  /** @param unknown place, size and key of each */
  #ask(unknown: Float64Array): [number, number][] {
    if (unknown.length === 0) return [];
    const { buffer, byteOffset, byteLength } = unknown;
    const hits = this.#asked.all(Buffer.from(buffer, byteOffset, byteLength));
    if (this.isFull) return hits;
    const known = new Set(hits.map(([number]) => number));
    for (let at = 0; at < unknown.length; at += ASKED_NUMBERS)
      if (known.size === 0 || !known.has(unknown[at] ?? 0))
        this.#noteAbsent(unknown[at + 1] ?? 0, unknown[at + 2] ?? 0);
    return hits;
  }

  #with(found: readonly number[], content: number, hash: Buffer): readonly number[] {
    if (found.includes(content) || !this.#isContent(content, hash)) return found;
    return [...found, content].sort((a, b) => a - b);
  }

  #noteAbsent(sizeBytes: number, key: number): void {
    const at = this.#fresh.find(sizeBytes, key);
    if (at < 0) this.#fresh.add(sizeBytes, key, -this.#epoch);
    else if (this.#fresh.valueOf(at) < 0) this.#fresh.setValue(at, -this.#epoch);
  }

  #inMemory(sizeBytes: number, key: number, hash: Buffer): readonly number[] {
    let found = NONE;
    for (let at = this.#fresh.find(sizeBytes, key); at >= 0; ) {
      const content = this.#fresh.valueOf(at);
      if (content > 0 && this.#isContent(content, hash)) found = [...found, content];
      at = this.#fresh.find(sizeBytes, key, at);
    }
    return found;
  }

  #isContent(contentId: number, hash: Buffer): boolean {
    return this.#hashOf.get(contentId)?.[0]?.equals(hash) ?? false;
  }

  #noteVersion(): void {
    const version = this.#version.get()?.[0] ?? 0;
    if (version !== this.#seenVersion) this.#epoch += 1;
    this.#seenVersion = version;
  }

  /** Ranges that a process left behind, or that a transaction taken back made us forget. */
  #load(): void {
    if (this.#isLoaded) return;
    this.#isLoaded = true;
    const ranges = this.#catalog.prepare<[number, number]>('SELECT first, last FROM unkeyed').all();
    const contents = this.#catalog.prepare<[number, number, Buffer]>(
      'SELECT id, size, hash FROM contents WHERE id BETWEEN ? AND ? AND hash IS NOT NULL',
    );
    for (const [first, last] of ranges) {
      this.#ranges.push(first);
      for (const [id, sizeBytes, hash] of contents.all(first, last))
        this.add(id, { sizeBytes, hash });
    }
  }

  #forget(): void {
    this.#fresh.clear();
    this.#ranges = [];
    this.#isLoaded = false;
  }
}

export function columnsOf(contents: readonly ContentKey[]): ContentColumns {
  const sizes = Float64Array.from(contents, ({ sizeBytes }) => sizeBytes);
  const hashes = Buffer.concat(contents.map(({ hash }) => hash));
  return { count: contents.length, sizes, hashes };
}

export function keyOf(hash: Buffer): number {
  assert(hash.length === HASH_BYTES, 'a hash has 32 bytes');
  return keyAt(hash, 0);
}

/** The first six bytes of a hash. */
export function keyAt(hashes: Buffer, at: number): number {
  const high = (hashes[at] ?? 0) * 2 ** 8 + (hashes[at + 1] ?? 0);
  const middle = (hashes[at + 2] ?? 0) * 2 ** 8 + (hashes[at + 3] ?? 0);
  const low = (hashes[at + 4] ?? 0) * 2 ** 8 + (hashes[at + 5] ?? 0);
  return (high * 2 ** 16 + middle) * 2 ** 16 + low;
}

function hashAt(hashes: Buffer, number: number): Buffer {
  return hashes.subarray(number * HASH_BYTES, (number + 1) * HASH_BYTES);
}

function* portionsOf(order: Uint32Array): Generator<Uint32Array> {
  for (let at = 0; at < order.length; at += PORTION) yield order.subarray(at, at + PORTION);
}
