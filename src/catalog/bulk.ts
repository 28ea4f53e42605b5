/** Many rows into one table: several a statement, because running one costs as much as five values. */
import type { Catalog } from './catalog.ts';

type Value = number | string | Buffer | null;

/** Rows a statement, largest first; more than 32 gain nothing. */
const ROWS = [32, 4, 1] as const;

export class Bulk {
  readonly #statements;
  readonly #columns: number;
  #values: Value[] = [];

  /**
   * @param into for instance `INSERT INTO inodes`
   * @param row its values, those that are the same in all rows written out, for binding one costs 0.1 us: `(?, 1, NULL)`
   */
  constructor(catalog: Catalog, into: string, row: string) {
    this.#columns = row.split('?').length - 1;
    this.#statements = ROWS.map((rows) => ({
      values: rows * this.#columns,
      run: catalog.prepare(`${into} VALUES${Array.from({ length: rows }, () => row).join()}`),
    }));
    catalog.onRollback(() => {
      this.#values = [];
    });
  }

  /** Reaches the table now or with a later call; `flush` before the transaction ends, and before it is read. */
  add(...row: Value[]): void {
    for (const value of row) this.#values.push(value);
    if (this.#values.length >= ROWS[0] * this.#columns) this.flush();
  }

  flush(): void {
    const values = this.#values;
    let at = 0;
    for (const statement of this.#statements)
      for (; values.length - at >= statement.values; at += statement.values)
        statement.run.run(
          values.length === statement.values ? values : values.slice(at, at + statement.values),
        );
    this.#values = [];
  }
}
