/**
 * Reads one directory ahead of a walk: while the kernel still works on the last entries of a directory, the rows of its next
 * sibling are fetched, so that whoever walks the tree waits for half of what it takes.
 */
import type { Raw } from '../base/raw.ts';
import type { From, ListedRow, ListedRows } from '../catalog/listed-rows.ts';
import type { Nodes, TreeView } from '../catalog/nodes.ts';

type Ahead = { readonly key: string; readonly rows: ListedRow[] };

export class NextDirectory {
  readonly #nodes: Nodes;
  readonly #rows: ListedRows;
  #ahead: Ahead | undefined;
  /** The sibling that a walk would open next. */
  #expected: string | undefined;

  constructor(nodes: Nodes, rows: ListedRows) {
    this.#nodes = nodes;
    this.#rows = rows;
  }

  /** What `ListedRows.page` would give; from the start it may be there already, once. */
  page(tree: TreeView, directoryId: number, from: From): ListedRow[] {
    const key = keyOf(tree, directoryId);
    const ahead = from.after === '' && this.#ahead?.key === key ? this.#ahead : undefined;
    if (!ahead) return this.#rows.page(tree, directoryId, from);
    this.#ahead = undefined;
    return ahead.rows;
  }

  /** The directory was read to its end. @param limit as of the `page` that will follow */
  finished(tree: TreeView, directoryId: number, limit: number): void {
    const isWalk = this.#expected === undefined || this.#expected === keyOf(tree, directoryId);
    const nextId = this.#nodes.siblingAfter(directoryId);
    this.#expected = nextId === undefined ? undefined : keyOf(tree, nextId);
    if (!isWalk || nextId === undefined || this.#ahead?.key === this.#expected) return;
    const rows = this.#rows.page(tree, nextId, { after: '' as Raw, limit });
    this.#ahead = { key: keyOf(tree, nextId), rows };
  }
}

const keyOf = (tree: TreeView, directoryId: number): string =>
  `${tree.kind} ${tree.snapshotId} ${tree.kind === 'medium' ? tree.mediumId : ''} ${directoryId}`;
