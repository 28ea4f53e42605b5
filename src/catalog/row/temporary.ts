/** Temporary tables on disk, of one connection: what a job must remember of each file does not stay in memory. */
import type { Catalog } from '../catalog.ts';
import { Bulk } from './bulk.ts';

type Value = number | string | Buffer | null;

/** Rows kept back until they are written in one go. */
const ROWS_KEPT = 512;

export class TemporaryTable {
  readonly #catalog: Catalog;
  readonly #bulk: Bulk;
  readonly #clear;
  #rows: (readonly Value[])[] = [];

  /**
   * Begins empty.
   * @param name of the table, which is one of schema `temp`
   * @param definition its columns and key, and what stands behind them
   */
  constructor(catalog: Catalog, name: string, definition: string) {
    this.#catalog = catalog;
    catalog.read(() => {
      catalog.prepare(`CREATE TEMP TABLE IF NOT EXISTS ${name}${definition}`).run();
      catalog.prepare(`DELETE FROM temp.${name}`).run();
    });
    const columns = catalog.prepare(`SELECT * FROM temp.${name}`).columns().length;
    const row = Array.from({ length: columns }, () => '?').join();
    this.#bulk = new Bulk(catalog, `INSERT INTO temp.${name}`, `(${row})`);
    this.#clear = catalog.prepare(`DELETE FROM temp.${name}`);
  }

  /** Reaches the table now or with a later call: `flush` before it is read. @throws CodedError FAILED where the disk is full */
  add(...row: Value[]): void {
    this.#rows.push(row);
    if (this.#rows.length >= ROWS_KEPT) this.flush();
  }

  /** Throws as `add`. */
  flush(): void {
    if (this.#rows.length === 0) return;
    const rows = this.#rows;
    this.#rows = [];
    this.#catalog.read(() => {
      for (const row of rows) this.#bulk.add(...row);
      this.#bulk.flush();
    });
  }

  clear(): void {
    this.#rows = [];
    this.#catalog.read(() => this.#clear.run());
  }
}
