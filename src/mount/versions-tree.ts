/** `.shelfs/versions`: the tree of all names that ever were, where each file is a directory of its versions by snapshot. */
import { strict as assert } from 'node:assert';
import type { Raw } from '../base/raw.ts';
import { LISTED, type ListedRows } from '../catalog/tree/listed-rows.ts';
import { isDirectoryRow, NODE, type NodeRow, type Nodes } from '../catalog/tree/nodes.ts';
import { type Snapshots, snapshotName } from '../catalog/tree/snapshots.ts';
import { attributesOf, FOREVER_SECONDS, LIVE_SECONDS } from './catalog-tree.ts';
import { numberOfName } from './inode-number.ts';
import { ListedLately } from './listed-lately.ts';
import { catalogListing, type Listed, type Listing, listOf } from './listing.ts';
import { directoryNode, fileNode } from './node-id.ts';
import type { EntryReply } from './protocol/entry.ts';
import type { View } from './views.ts';
import {
  IN_USE_SECONDS,
  NO_NODE,
  type VirtualNodes,
  type VirtualOwner,
  virtualAttributes,
} from './virtual.ts';

export type VersionsTools = {
  readonly nodes: Nodes;
  readonly rows: ListedRows;
  readonly snapshots: Snapshots;
  readonly virtual: VirtualNodes;
  readonly owner: VirtualOwner;
  /** Another one once the catalog was written. */
  changeCount(): number;
};

export class VersionsTree {
  readonly #tools: VersionsTools;
  readonly #lately = new ListedLately();

  constructor(tools: VersionsTools) {
    this.#tools = tools;
  }

  lookup(view: View, directoryId: number, name: Raw): EntryReply | undefined {
    const entry =
      this.#lately.find(this.#keyOf(view, directoryId), name) ??
      this.#find(view, directoryId, name);
    if (entry) {
      return entry.nodeId === NO_NODE
        ? { ...entry, nodeId: this.#node(view, directoryId, name) }
        : entry;
    }
    return this.#versionsOf(view, directoryId).find((listed) => listed.name === name)?.entry;
  }

  /** Names below, and where the directory's own place was a file once, the versions of that. */
  list(view: View, directoryId: number): Listing {
    const own = this.#versionsOf(view, directoryId);
    const key = this.#keyOf(view, directoryId);
    const names = catalogListing({
      rows: this.#tools.rows,
      tree: view.tree,
      directoryId,
      toEntry: (listed) => {
        const row = listed[LISTED.whole];
        assert(row, 'all versions are rows of their own');
        const entry = this.#toEntry(view, directoryId, row);
        this.#lately.note(key, row[NODE.name], entry);
        return entry;
      },
    });
    return { at: (index) => own[index] ?? names.at(index - own.length) };
  }

  #keyOf({ number, tree }: View, directoryId: number): string {
    return `${number} ${tree.snapshotId} ${this.#tools.changeCount()} ${directoryId}`;
  }

  #find(view: View, directoryId: number, name: Raw): EntryReply | undefined {
    const row = this.#tools.nodes.entry(view.tree, directoryId, name);
    return row && this.#toEntry(view, directoryId, row);
  }

  /** As it is listed: a name that has versions has no node yet. */
  #toEntry(view: View, directoryId: number, row: NodeRow): EntryReply {
    const { nodes, owner } = this.#tools;
    const name = row[NODE.name];
    const id = nodes.child(directoryId, name);
    const common = { entrySeconds: LIVE_SECONDS, attributeSeconds: LIVE_SECONDS };
    if (id !== undefined) {
      const nodeId = directoryNode(view.number, id);
      // Where it is a file by now, what is below stays behind the permissions that it had.
      const own = isDirectoryRow(row) ? row : nodes.directory(view.tree, id);
      const attributes = own
        ? attributesOf(own, nodes.owner(own[NODE.owner]), nodeId)
        : virtualAttributes(nodeId, 'directory', { owner });
      return { ...common, nodeId, attributes };
    }
    const number = numberOfName(keyOf(directoryId, name));
    const attributes = virtualAttributes(number, 'directory', { owner });
    return { ...common, entrySeconds: IN_USE_SECONDS, nodeId: NO_NODE, attributes };
  }

  #node(view: View, directoryId: number, name: Raw): number {
    const { virtual, owner } = this.#tools;
    const key = keyOf(directoryId, name);
    // What the kernel remembers below a directory keeps the directory as well.
    const versions = () =>
      this.#versions(view, directoryId, name).map((listed) => ({
        ...listed,
        entry: { ...listed.entry, entrySeconds: IN_USE_SECONDS },
      }));
    return virtual.of(key, () => ({
      kind: 'directory',
      attributes: () => virtualAttributes(numberOfName(key), 'directory', { owner }),
      lookup: (version) => versions().find((listed) => listed.name === version)?.entry,
      list: () =>
        listOf(
          versions().map(({ name, entry }) => ({ name, entry: { ...entry, nodeId: NO_NODE } })),
        ),
    }));
  }

  #versionsOf(view: View, directoryId: number): Listed[] {
    const [parent, name] = this.#tools.nodes.place(directoryId);
    return this.#versions(view, parent, name);
  }

  /** Newest first; directories have none. */
  #versions(view: View, directoryId: number, name: Raw): Listed[] {
    const { nodes, snapshots } = this.#tools;
    const listed: Listed[] = [];
    for (const row of nodes.versions(view.tree, directoryId, name)) {
      const snapshot = isDirectoryRow(row) ? undefined : snapshots.from(row[NODE.since]);
      if (!snapshot) continue;
      const nodeId = fileNode(row[NODE.inode], { hasXattrs: row[NODE.xattrs] !== null });
      const attributes = attributesOf(row, nodes.owner(row[NODE.owner]), undefined);
      const entry = {
        nodeId,
        attributes,
        entrySeconds: LIVE_SECONDS,
        attributeSeconds: FOREVER_SECONDS,
      };
      listed.push({ name: snapshotName(snapshot) as Raw, entry });
    }
    return listed;
  }
}

const keyOf = (directoryId: number, name: Raw): string => `versions:${directoryId}:${name}`;
