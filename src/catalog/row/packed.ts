/**
 * Many rows into one table by one statement: their values travel packed, and native/sqlite unpacks them within SQLite.
 * Bound one by one, a row's values cost more than the row (measured: a file's inode and pending row 3.8 us, packed 1.4).
 */
import { strict as assert } from 'node:assert';
import { HASH_BYTES } from '../../domain/content.ts';
import type { Catalog } from '../catalog.ts';

/** More a statement gain nothing. */
const ROWS = 512;

/** A number that is NULL in the table. */
export const NULL_NUMBER = Number.NaN;

export type PackedRows = {
  /** Where from `FROM` on the rows come: `INSERT INTO t SELECT n0, t0, n1 * 2`; see native/sqlite for the columns. */
  readonly sql: string;
  /** Of a row: numbers, which are integers or NULL_NUMBER. */
  readonly numbers: number;
  /** Of a row. */
  readonly texts?: 0 | 1 | undefined;
  /** Of a row: hashes, which are column b0. */
  readonly hashes?: 0 | 1 | undefined;
};

export class Packed {
  readonly #catalog: Catalog;
  readonly #rows: PackedRows;
  readonly #numbers: Float64Array;
  readonly #hashes: Buffer;
  #texts = '';
  #count = 0;
  #statement: ReturnType<Catalog['prepare']> | undefined;

  constructor(catalog: Catalog, rows: PackedRows) {
    this.#catalog = catalog;
    this.#rows = rows;
    this.#numbers = new Float64Array(ROWS * rows.numbers);
    this.#hashes = Buffer.alloc(rows.hashes ? ROWS * HASH_BYTES : 0);
    catalog.onRollback(() => this.#clear());
  }

  /** Reaches the table now or with a later call; `flush` before the transaction ends, and before it is read. */
  add(numbers: readonly number[], text?: string, hash?: Uint8Array): void {
    const width = this.#rows.numbers;
    assert(numbers.length === width);
    const at = this.next();
    for (let index = 0; index < width; index += 1)
      this.#numbers[at + index] = numbers[index] ?? NULL_NUMBER;
    if (text !== undefined) this.addText(text);
    if (hash) this.#hashes.set(hash, (this.#count - 1) * HASH_BYTES);
  }

  /** A row as `add`, without a list: @returns where its numbers go in `numbers`. Its text and hash follow. */
  next(): number {
    if (this.#count === ROWS) this.flush();
    this.#count += 1;
    return (this.#count - 1) * this.#rows.numbers;
  }

  get numbers(): Float64Array {
    return this.#numbers;
  }

  /** Of the row that `next` began. */
  addText(text: string): void {
    this.#texts += `${text}\0`;
  }

  /** The hash that lies at `from` among others. */
  addHash(hashes: Buffer, from: number): void {
    hashes.copy(this.#hashes, (this.#count - 1) * HASH_BYTES, from, from + HASH_BYTES);
  }

  flush(): void {
    if (this.#count === 0) return;
    this.#statement ??= this.#prepare();
    const { buffer, byteOffset } = this.#numbers;
    const bytes = this.#count * this.#rows.numbers * Float64Array.BYTES_PER_ELEMENT;
    const numbers = Buffer.from(buffer, byteOffset, bytes);
    const hashes = this.#hashes.subarray(0, this.#count * HASH_BYTES);
    const texts = this.#texts;
    this.#clear();
    this.#statement.run(numbers, texts, hashes);
  }

  #prepare(): ReturnType<Catalog['prepare']> {
    const { sql, numbers, texts = 0 } = this.#rows;
    return this.#catalog.prepare(`${sql} FROM packed(?, ${numbers}, ?, ${texts}, ?)`);
  }

  #clear(): void {
    this.#count = 0;
    this.#texts = '';
  }
}
