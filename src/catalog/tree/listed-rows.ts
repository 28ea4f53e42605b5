/**
 * What a listing shows of each entry, by the thousand: few columns, for one costs more to fetch than SQLite takes to find the
 * row. What most rows say alike is packed into one number; a row that says more is read by itself.
 */
import { strict as assert } from 'node:assert';
import type { Raw } from '../../base/raw.ts';
import type { Catalog } from '../catalog.ts';
import { AS_OF, NODE, type NodeRow, type Nodes, type TreeView } from './nodes.ts';

/** `LISTED` names its places. Times in seconds and nanoseconds. */
export type ListedRow = [
  name: Raw,
  inode: number,
  /** What `plainOf` takes apart; null where the row has `whole`. */
  plain: number | null,
  sizeBytes: number,
  mtime: number,
  mtimeNs: number,
  ctime: number,
  ctimeNs: number,
  content: number | null,
  /** Of links, devices and what has holes, and in views of more than one time. */
  whole?: NodeRow,
];

/** Places in a ListedRow. */
export const LISTED = {
  name: 0,
  inode: 1,
  plain: 2,
  size: 3,
  mtime: 4,
  mtimeNs: 5,
  ctime: 6,
  ctimeNs: 7,
  content: 8,
  whole: 9,
} as const;

/** Of `plain`: 16 bits of mode, one for extended attributes, 15 of links, 21 of owner, so that a Number holds it. */
const HAS_XATTRS = 0x10000;
const LINKS_AT = 2 ** 17;
const OWNER_AT = 2 ** 32;
const LINKS_END = 2 ** 15;
const OWNERS_END = 2 ** 21;

const ROW = `SELECT v.name, i.id,
    CASE WHEN i.target IS NULL AND i.links < ${LINKS_END} AND i.owner < ${OWNERS_END}
      THEN (i.owner << 32) | (i.links << 17) | ((i.xattrs IS NOT NULL) << 16) | i.mode END,
    i.size, i.mtime, i.mtime_ns, i.ctime, i.ctime_ns, i.content
  FROM versions v CROSS JOIN inodes i ON i.id = v.inode`;

export type From = { readonly after: Raw; readonly limit: number };

export class ListedRows {
  readonly #catalog: Catalog;
  readonly #nodes: Nodes;
  readonly #page;
  readonly #sparse;

  constructor(catalog: Catalog, nodes: Nodes) {
    this.#catalog = catalog;
    this.#nodes = nodes;
    this.#page = catalog.prepare<ListedRow>(
      `${ROW} WHERE ${AS_OF} AND v.name > @name ORDER BY v.name LIMIT @limit`,
    );
    this.#sparse = catalog.prepare<[number]>(
      `SELECT c.id FROM contents c INDEXED BY sparse_contents
        WHERE c.id BETWEEN ? AND ? AND c.holes IS NOT NULL LIMIT ?`,
    );
  }

  /** In order of name, `limit` at least where there are so many behind `after`; fewer: the end. */
  page(view: TreeView, directoryId: number, from: From): ListedRow[] {
    // One view of it: a snapshot may expire meanwhile.
    return this.#catalog.read(() => this.#rows(view, directoryId, from));
  }

  #rows(view: TreeView, directoryId: number, { after, limit }: From): ListedRow[] {
    if (view.kind !== 'as-of')
      return this.#nodes.page(view, directoryId, { after, limit }).map(listedOf);
    const bound = { dir: directoryId, at: view.snapshotId, name: after, limit };
    const rows = this.#page.all(bound);
    const isSparse = this.#sparseAmong(rows);
    for (const row of rows) {
      if (row[LISTED.plain] !== null && !isSparse(row[LISTED.content])) continue;
      row[LISTED.plain] = null;
      const whole = this.#nodes.inode(row[LISTED.inode]);
      assert(whole, `no inode ${row[LISTED.inode]}`);
      row[LISTED.whole] = whole;
    }
    return rows;
  }

  /** Which contents have holes: one question, for contents of a directory mostly lie close together. */
  #sparseAmong(rows: readonly ListedRow[]): (contentId: number | null) => boolean {
    let [first, last] = [Number.POSITIVE_INFINITY, 0];
    for (const row of rows) {
      const content = row[LISTED.content];
      if (content === null) continue;
      if (content < first) first = content;
      if (content > last) last = content;
    }
    if (last === 0) return () => false;
    const limit = rows.length + 1;
    const found = new Set(this.#sparse.all(first, last, limit).flat());
    // So many that are none of ours: then each row is looked at by itself.
    const isCut = found.size === limit;
    return (contentId) => contentId !== null && (isCut || found.has(contentId));
  }
}

/** Of a row that has no `whole`. */
export function plainOf(plain: number) {
  const low = plain % OWNER_AT;
  return {
    mode: low % HAS_XATTRS,
    hasXattrs: (low & HAS_XATTRS) !== 0,
    links: Math.floor(low / LINKS_AT),
    ownerId: Math.floor(plain / OWNER_AT),
  };
}

function listedOf(row: NodeRow): ListedRow {
  return [
    row[NODE.name],
    row[NODE.inode],
    null,
    row[NODE.size],
    row[NODE.mtime],
    row[NODE.mtimeNs],
    row[NODE.ctime],
    row[NODE.ctimeNs],
    row[NODE.content],
    row,
  ];
}
