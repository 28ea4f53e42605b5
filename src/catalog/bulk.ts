/** Many rows into one table: several a statement, because running one costs as much as five values. */
import type { Catalog } from './catalog.ts';

type Value = number | string | Buffer | null;

/** Rows a statement; larger ones gain nothing (measured: 8 to 64 are within 10 %). */
const ROWS = 16;

export class Bulk {
  readonly #many;
  readonly #one;
  readonly #columns: number;
  #values: Value[] = [];

  /** @param into for instance `INSERT INTO inodes` */
  constructor(catalog: Catalog, into: string, columns: number) {
    const row = `(${Array.from({ length: columns }, () => '?').join()})`;
    this.#columns = columns;
    this.#one = catalog.prepare(`${into} VALUES${row}`);
    this.#many = catalog.prepare(`${into} VALUES${Array.from({ length: ROWS }, () => row).join()}`);
    catalog.onRollback(() => {
      this.#values = [];
    });
  }

  /** Reaches the table now or with a later call; `flush` before the transaction ends, and before it is read. */
  add(...row: Value[]): void {
    this.#values.push(...row);
    if (this.#values.length < ROWS * this.#columns) return;
    this.#many.run(...this.#values);
    this.#values = [];
  }

  flush(): void {
    for (let at = 0; at < this.#values.length; at += this.#columns)
      this.#one.run(...this.#values.slice(at, at + this.#columns));
    this.#values = [];
  }
}
