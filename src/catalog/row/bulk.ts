/** Many rows into one table: several a statement, because running one costs as much as five values. */
import type { Catalog } from '../catalog.ts';

type Value = number | string | Buffer | null;

/** Rows a statement, largest first; more than 32 gain nothing. */
const ROWS = [32, 4, 1] as const;

export class Bulk {
  readonly #statements;
  readonly #values: Value[];
  #length = 0;

  /**
   * @param into for instance `INSERT INTO inodes`
   * @param row its values, those that are the same in all rows written out, for binding one costs 0.1 us: `(?, 1, NULL)`
   */
  constructor(catalog: Catalog, into: string, row: string) {
    const columns = row.split('?').length - 1;
    this.#values = Array.from({ length: ROWS[0] * columns }, () => null);
    this.#statements = ROWS.map((rows) => ({
      length: rows * columns,
      run: catalog.prepare(`${into} VALUES${Array.from({ length: rows }, () => row).join()}`),
    }));
    catalog.onRollback(() => {
      this.#length = 0;
    });
  }

  /** Reaches the table now or with a later call; `flush` before the transaction ends, and before it is read. */
  add(...row: Value[]): void {
    const values = this.#values;
    let length = this.#length;
    for (let index = 0; index < row.length; index += 1) {
      values[length] = row[index] ?? null;
      length += 1;
    }
    this.#length = length;
    if (length === values.length) this.flush();
  }

  flush(): void {
    const length = this.#length;
    this.#length = 0;
    if (length === this.#values.length) {
      this.#statements[0]?.run.run(this.#values);
      return;
    }
    let at = 0;
    for (const statement of this.#statements)
      for (; length - at >= statement.length; at += statement.length)
        statement.run.run(this.#values.slice(at, at + statement.length));
  }
}
