/** Rows in order, of which a page is in memory; they may change while they are read. */
export const PAGE_ROWS = 500;

/** Rows in order, a page of them in memory. */
export class Page<Row> {
  readonly #read: (last: Row | undefined) => readonly Row[];
  #rows: readonly Row[];
  #at = 0;

  constructor(read: (last: Row | undefined) => readonly Row[]) {
    this.#read = read;
    this.#rows = read(undefined);
  }

  get next(): Row | undefined {
    return this.#rows[this.#at];
  }

  advance(): void {
    this.#at += 1;
    if (this.#at < PAGE_ROWS || this.#at < this.#rows.length) return;
    this.#rows = this.#read(this.#rows.at(-1));
    this.#at = 0;
  }
}
