/**
 * Reads one directory ahead of a walk: while the kernel is busy with the entries of one, the next sibling is read, so that
 * whoever walks the tree hardly waits for the catalog.
 */
import type { Nodes } from '../catalog/tree/nodes.ts';

export class NextDirectory<Read> {
  readonly #nodes: Nodes;
  #ahead: { readonly key: string; readonly read: Read } | undefined;
  /** The sibling that a walk would open next. */
  #expected: string | undefined;

  constructor(nodes: Nodes) {
    this.#nodes = nodes;
  }

  /** What `read` would give; it may be there already, once. */
  take(key: string, read: () => Read): Read {
    const ahead = this.#ahead;
    if (ahead?.key !== key) return read();
    this.#ahead = undefined;
    return ahead.read;
  }

  /** As it is opened: who was awaited there walks, and what follows is read while the kernel is busy with this one. */
  opened(directoryId: number, keyOf: (directoryId: number) => string, read: (id: number) => Read) {
    if (this.#expected === keyOf(directoryId)) this.finished(directoryId, keyOf, read);
  }

  /** The directory was read to its end. @param read of the one that follows, by its id */
  finished(
    directoryId: number,
    keyOf: (directoryId: number) => string,
    read: (id: number) => Read,
  ) {
    const isWalk = this.#expected === undefined || this.#expected === keyOf(directoryId);
    const nextId = this.#nodes.siblingAfter(directoryId);
    this.#expected = nextId === undefined ? undefined : keyOf(nextId);
    if (!isWalk || nextId === undefined || this.#ahead?.key === this.#expected) return;
    this.#ahead = { key: keyOf(nextId), read: read(nextId) };
  }
}
