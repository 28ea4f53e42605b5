/** What OPENDIR opens: entries by their place, which stays the same however the catalog changes meanwhile. */
import type { Raw } from '../base/raw.ts';
import { LISTED, type ListedRow, type ListedRows } from '../catalog/tree/listed-rows.ts';
import type { TreeView } from '../catalog/tree/nodes.ts';
import type { EntryReply } from './protocol/entry.ts';

export type Listed = {
  readonly name: Raw;
  readonly entry: EntryReply;
  /** Found by name, but not shown. */
  readonly isHidden?: boolean;
};

/** Entries from 0; undefined behind the last. */
export interface Listing {
  at(index: number): Listed | undefined;
  /** How many there are, where that is known beforehand. */
  readonly count?: number;
}

/** All entries but `.` and `..` at once, as READDIRPLUS shows them. */
export type PackedListing = { readonly packed: Buffer };

/** Of a few entries, all known. */
export function listOf(entries: readonly Listed[]): Listing {
  return { at: (index) => entries[index], count: entries.length };
}

/** Larger directories are read page by page in order of name: in memory they would take half a kilobyte an entry. */
const SORTED_ROWS_MAX = 20_000;
/** So many rows are asked for to see whether there are more. */
const FIRST_PAGE_ROWS = SORTED_ROWS_MAX + 1;
const PAGE_ROWS = 2000;

/** A directory of the catalog, in tape order. */
export type RowSource = {
  readonly rows: Pick<ListedRows, 'page'>;
  readonly tree: TreeView;
  readonly directoryId: number;
  /** Made when the kernel asks for it. */
  toEntry(row: ListedRow): EntryReply;
};

export function catalogListing(source: RowSource): Listing {
  const { tree, directoryId } = source;
  const from = { after: '' as Raw, limit: FIRST_PAGE_ROWS };
  const rows = source.rows.page(tree, directoryId, from);
  if (rows.length > SORTED_ROWS_MAX) return new PagedListing(source);
  // Contents are numbered as they lie on tape; what has none comes first, and names are in order already.
  rows.sort((a, b) => (a[LISTED.content] ?? 0) - (b[LISTED.content] ?? 0));
  return {
    at: (index) => {
      const row = rows[index];
      return row && { name: row[LISTED.name], entry: source.toEntry(row) };
    },
  };
}

type Page = { readonly first: number; readonly after: Raw };

/** A huge directory: remembers where its pages begin, and the rows of one. */
class PagedListing implements Listing {
  readonly #source: RowSource;
  readonly #pages: Page[] = [{ first: 0, after: '' as Raw }];
  #loaded = -1;
  #rows: readonly ListedRow[] = [];

  constructor(source: RowSource) {
    this.#source = source;
  }

  at(index: number): Listed | undefined {
    for (;;) {
      const page = this.#pageOf(index);
      const rows = this.#load(page);
      const row = rows[index - (this.#pages[page]?.first ?? 0)];
      if (row) return { name: row[LISTED.name], entry: this.#source.toEntry(row) };
      // Where reading the page has shown that another follows, it may be there.
      if (this.#pageOf(index) === page) return undefined;
    }
  }

  /** The last page known that begins at or before it. */
  #pageOf(index: number): number {
    let page = this.#pages.length - 1;
    while (page > 0 && (this.#pages[page]?.first ?? 0) > index) page -= 1;
    return page;
  }

  #load(page: number): readonly ListedRow[] {
    const start = this.#pages[page];
    if (page === this.#loaded || !start) return this.#rows;
    const { rows, tree, directoryId } = this.#source;
    this.#rows = rows.page(tree, directoryId, { after: start.after, limit: PAGE_ROWS });
    this.#loaded = page;
    const last = this.#rows.at(-1);
    const isEnd = !last || this.#rows.length < PAGE_ROWS;
    if (!isEnd && page === this.#pages.length - 1)
      this.#pages.push({ first: start.first + this.#rows.length, after: last[LISTED.name] });
    return this.#rows;
  }
}
