/**
 * Reads one directory ahead of a walk: while the kernel still works on the last entries of a directory, the rows of its next
 * sibling are fetched, so that whoever walks the tree waits for half of what it takes.
 */
import type { Raw } from '../base/raw.ts';
import type { NodeRow, Nodes, TreeView } from '../catalog/nodes.ts';

type Ahead = { readonly key: string; readonly rows: NodeRow[] };

export class NextDirectory {
  readonly #nodes: Nodes;
  #ahead: Ahead | undefined;
  /** The sibling that a walk would open next. */
  #expected: string | undefined;

  constructor(nodes: Nodes) {
    this.#nodes = nodes;
  }

  /** What `Nodes.page` would give from the start; taken once. */
  page(tree: TreeView, directoryId: number, from: { after: Raw; limit: number }): NodeRow[] {
    const key = keyOf(tree, directoryId);
    const ahead = from.after === '' && this.#ahead?.key === key ? this.#ahead : undefined;
    if (!ahead) return this.#nodes.page(tree, directoryId, from);
    this.#ahead = undefined;
    return ahead.rows;
  }

  /** The directory was read to its end. @param limit as of the `page` that will follow */
  finished(tree: TreeView, directoryId: number, limit: number): void {
    const isWalk = this.#expected === undefined || this.#expected === keyOf(tree, directoryId);
    const nextId = this.#nodes.siblingAfter(directoryId);
    this.#expected = nextId === undefined ? undefined : keyOf(tree, nextId);
    if (!isWalk || nextId === undefined || this.#ahead?.key === this.#expected) return;
    const rows = this.#nodes.page(tree, nextId, { after: '' as Raw, limit });
    this.#ahead = { key: keyOf(tree, nextId), rows };
  }
}

const keyOf = (tree: TreeView, directoryId: number): string =>
  `${tree.kind} ${tree.snapshotId} ${tree.kind === 'medium' ? tree.mediumId : ''} ${directoryId}`;
