/**
 * Rows of directories in a sorted walk: ids of directories mostly ascend with it, so neighbours are read in one statement,
 * which costs as much as a few rows.
 */
/** Ids read ahead when they ascend. */
const AHEAD_IDS = 64;
/** A range with more rows is cut: only directories read completely are kept. */
const AHEAD_ROWS_MAX = 2048;

export type Reads<Row> = {
  /** Rows of directories from `first` up to, not including, `end`, by id and name, `limit` at most. */
  range(first: number, end: number, limit: number): readonly Row[];
  /** Rows of one directory by name: all, or as many as the caller takes for a page. */
  one(id: number): readonly Row[];
  idOf(row: Row): number;
};

const NO_NAMES: readonly never[] = [];

export class Ahead<Row> {
  readonly #reads: Reads<Row>;
  #last = -1;
  #first = 0;
  #end = 0;
  readonly #rows = new Map<number, Row[]>();

  constructor(reads: Reads<Row>) {
    this.#reads = reads;
  }

  rows(id: number): readonly Row[] {
    const isWalk = id > this.#last && id - this.#last <= AHEAD_IDS;
    this.#last = id;
    if (id < this.#first || id >= this.#end) {
      if (!isWalk) return this.#reads.one(id);
      if (!this.#readAhead(id)) return this.#reads.one(id);
    }
    return this.#rows.get(id) ?? NO_NAMES;
  }

  /** Whether the directory itself was read completely. */
  #readAhead(id: number): boolean {
    const found = this.#reads.range(id, id + AHEAD_IDS, AHEAD_ROWS_MAX);
    const isCut = found.length === AHEAD_ROWS_MAX;
    const last = found.at(-1);
    this.#first = id;
    this.#end = isCut && last !== undefined ? this.#reads.idOf(last) : id + AHEAD_IDS;
    this.#rows.clear();
    let list: Row[] = [];
    let listId = -1;
    for (const row of found) {
      const rowId = this.#reads.idOf(row);
      if (rowId >= this.#end) break;
      if (rowId !== listId) {
        list = [];
        listId = rowId;
        this.#rows.set(rowId, list);
      }
      list.push(row);
    }
    return id < this.#end;
  }
}
