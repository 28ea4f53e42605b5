/**
 * Names, attributes and listings of everything in the mount: by a node's bits it finds the tree that knows it. Nothing here
 * waits, neither for media nor for anybody else.
 */
import type { Raw } from '../base/raw.ts';
import type { TreePlace } from '../catalog/restore/below.ts';
import { PLACE_OF_HOSTS } from '../catalog/tree/directories.ts';
import type { ListedRows } from '../catalog/tree/listed-rows.ts';
import { NODE, type NodeRow, type Nodes } from '../catalog/tree/nodes.ts';
import type { ListedRecords } from '../catalog/tree/records.ts';
import { expiredMeanwhile, type Snapshots } from '../catalog/tree/snapshots.ts';
import { CatalogTree, emptyAttributesOf, FOREVER_SECONDS, LIVE_SECONDS } from './catalog-tree.ts';
import { type ControlFacts, ControlTree } from './control-tree.ts';
import { type Listing, listOf, type PackedListing } from './listing.ts';
import type { Live } from './live.ts';
import { nodeRef, ROOT_NODE } from './node-id.ts';
import { Probes } from './probes.ts';
import type { FileAttributes } from './protocol/attributes.ts';
import type { EntryReply } from './protocol/entry.ts';
import { SnapshotNames } from './snapshots-tree.ts';
import { VersionsTree } from './versions-tree.ts';
import { type RootView, VIEW_NUMBER, type View, viewOf } from './views.ts';
import { IN_USE_SECONDS, VirtualNodes, virtualAttributes } from './virtual.ts';

export type FilesystemTools = {
  readonly nodes: Nodes;
  readonly rows: ListedRows;
  readonly records: ListedRecords;
  readonly snapshots: Snapshots;
  readonly facts: ControlFacts;
  readonly root: RootView;
  readonly live: Pick<Live, 'snapshotId' | 'changeCount' | 'looked'>;
};

export type Attributed = { readonly file: FileAttributes; readonly seconds: number };

/** An inode of the catalog and where it was met last, or something virtual. */
export type OpenedNode =
  | { readonly kind: 'file'; readonly row: NodeRow; readonly place: TreePlace | undefined }
  | { readonly kind: 'text'; readonly text: Buffer };

/** `isFixed`: it never changes. */
export type OpenedDirectory = {
  readonly listing: Listing | PackedListing;
  readonly isFixed: boolean;
};

/** No directory of the catalog has this id. */
const NO_DIRECTORY = 0;

export class Filesystem {
  readonly tree: CatalogTree;
  readonly #tools: FilesystemTools;
  readonly #versions: VersionsTree;
  readonly #virtual = new VirtualNodes();
  readonly #probes = new Probes();

  constructor(tools: FilesystemTools) {
    const { nodes, rows, records, snapshots, facts } = tools;
    this.#tools = tools;
    const empty = {
      node: (view: View, { directoryId, name }: { directoryId: number; name: Raw }, row: NodeRow) =>
        // With other attributes it is another inode, and so another node.
        this.#emptyDirectory(`empty:${view.number}:${directoryId}:${row[NODE.inode]}:${name}`, row),
    };
    this.tree = new CatalogTree({ nodes, rows, records, empty });
    const { owner } = facts;
    const changeCount = () => tools.live.changeCount;
    const versions = { nodes, rows, snapshots, virtual: this.#virtual, owner, changeCount };
    this.#versions = new VersionsTree(versions);
    new ControlTree({
      nodes: this.#virtual,
      tree: this.tree,
      snapshots: new SnapshotNames(snapshots),
      facts,
      view: (viewNumber) => this.#view(viewNumber),
    });
  }

  /** Undefined: there is no such name. */
  lookup(parent: number, name: Raw): EntryReply | undefined {
    if (!this.#probes.isProbe(name)) return this.#lookup(parent, name);
    const { snapshotId } = this.#tools.live;
    if (this.#probes.isMissing(parent, name, snapshotId)) return undefined;
    const entry = this.#lookup(parent, name);
    if (!entry) this.#probes.remember(parent, name, snapshotId);
    return entry;
  }

  #lookup(parent: number, name: Raw): EntryReply | undefined {
    const ref = nodeRef(parent);
    if (ref.kind === 'file') return undefined;
    if (ref.kind === 'virtual') {
      this.#lookedAtRoot(parent);
      const node = this.#virtual.get(ref.number);
      return node?.kind === 'directory' ? node.lookup(name) : undefined;
    }
    const view = this.#lookedAt(parent, ref);
    const tree = view.isVersions ? this.#versions : this.tree;
    const entry = tree.lookup(view, ref.directoryId, name);
    if (!entry) this.#refuseExpired(view);
    return entry;
  }

  /** How long the kernel may believe that a name is not in a directory. */
  missingSeconds(parent: number): number {
    const ref = nodeRef(parent);
    // What the kernel remembers below a directory keeps the directory as well.
    if (ref.kind === 'virtual' && this.#virtual.isCounted(ref.number)) return IN_USE_SECONDS;
    const isFixed = ref.kind === 'directory' && this.#view(ref.viewNumber).isFixed;
    return isFixed ? FOREVER_SECONDS : LIVE_SECONDS;
  }

  /** Undefined where it is not there any more. */
  attributes(nodeId: number): Attributed | undefined {
    const ref = nodeRef(nodeId);
    if (ref.kind === 'file') {
      const found = this.tree.file(ref.inodeId);
      return found && { file: found.attributes, seconds: FOREVER_SECONDS };
    }
    if (ref.kind === 'virtual') {
      const node = this.#virtual.get(ref.number);
      return node && { file: node.attributes(), seconds: node.kind === 'text' ? 0 : LIVE_SECONDS };
    }
    const view = this.#view(ref.viewNumber);
    const own = this.tree.directory(view, ref.directoryId);
    const file = own ?? this.#rootOfNothing(nodeId, ref.directoryId);
    return file && { file, seconds: view.isFixed ? FOREVER_SECONDS : LIVE_SECONDS };
  }

  /** Undefined for what is no directory. `isFixed`: the kernel may keep the whole listing. */
  list(nodeId: number): OpenedDirectory | undefined {
    const ref = nodeRef(nodeId);
    if (ref.kind === 'file') return undefined;
    if (ref.kind === 'virtual') {
      this.#lookedAtRoot(nodeId);
      const node = this.#virtual.get(ref.number);
      return node?.kind === 'directory' ? { listing: node.list(), isFixed: false } : undefined;
    }
    const view = this.#lookedAt(nodeId, ref);
    const tree = view.isVersions ? this.#versions : this.tree;
    const listing = tree.list(view, ref.directoryId);
    if (!view.isFixed) return { listing, isFixed: false };
    if ('packed' in listing) {
      this.#refuseExpired(view);
      return { listing, isFixed: true };
    }
    const at = (index: number) => {
      const listed = listing.at(index);
      if (!listed) this.#refuseExpired(view);
      return listed;
    };
    return { listing: { at }, isFixed: true };
  }

  /** What is missing in a snapshot that has expired meanwhile is no answer: who copies it would take it for all there was. */
  #refuseExpired({ isFixed, tree }: View): void {
    if (!isFixed || this.#tools.snapshots.get(tree.snapshotId)) return;
    throw expiredMeanwhile();
  }

  /** A directory's listing was opened, or read to its end: what a walk comes to next may be read. */
  passed(nodeId: number, when: 'opened' | 'finished'): void {
    const ref = nodeRef(nodeId);
    if (ref.kind !== 'directory') return;
    const view = this.#view(ref.viewNumber);
    if (!view.isVersions) this.tree.passed(view, ref.directoryId, when);
  }

  /** The target of a link; undefined for what is none. */
  readlink(nodeId: number): Raw | undefined {
    const ref = nodeRef(nodeId);
    if (ref.kind === 'directory') return undefined;
    if (ref.kind === 'file') return this.tree.file(ref.inodeId)?.row[NODE.target] ?? undefined;
    const node = this.#virtual.get(ref.number);
    return node?.kind === 'link' ? node.target : undefined;
  }

  /** What a node's bytes are; undefined for what has none. */
  open(nodeId: number): OpenedNode | undefined {
    const ref = nodeRef(nodeId);
    if (ref.kind === 'file') {
      const { inodeId } = ref;
      const found = this.tree.file(inodeId);
      return found && { kind: 'file', row: found.row, place: this.#placeOf(inodeId) };
    }
    const node = ref.kind === 'virtual' ? this.#virtual.get(ref.number) : undefined;
    return node?.kind === 'text' ? { kind: 'text', text: node.text() } : undefined;
  }

  /** The place of a directory in the catalog; undefined for what is virtual. */
  directoryPlace(nodeId: number): TreePlace | undefined {
    const ref = nodeRef(nodeId);
    const host = nodeId === ROOT_NODE ? this.#tools.facts.rootHost() : undefined;
    if (host) return this.#treePlace(VIEW_NUMBER.root, host.directoryId);
    if (ref.kind !== 'directory') return undefined;
    return this.#treePlace(ref.viewNumber, ref.directoryId);
  }

  /** The row behind a node of the catalog, and the path it was met at; undefined for what is virtual. */
  rowOf(nodeId: number): { readonly row: NodeRow; readonly directoryId?: number } | undefined {
    const ref = nodeRef(nodeId);
    if (ref.kind === 'virtual') {
      const node = this.#virtual.get(ref.number);
      return node?.kind === 'directory' && node.row ? { row: node.row } : undefined;
    }
    if (ref.kind === 'file') return this.tree.file(ref.inodeId);
    const { tree } = this.#view(ref.viewNumber);
    const row = this.#tools.nodes.directory(tree, ref.directoryId);
    return row && { row, directoryId: ref.directoryId };
  }

  /** The kernel was told of the node once more. */
  refer(nodeId: number): void {
    const ref = nodeId === 0 ? undefined : nodeRef(nodeId);
    if (ref?.kind === 'virtual') this.#virtual.refer(ref.number);
  }

  forget(nodeId: number, count: number): void {
    const ref = nodeRef(nodeId);
    if (ref.kind === 'virtual') this.#virtual.forget(ref.number, count);
  }

  /** Of a host of which nothing was known at that time: its root is found by name, and empty. */
  #rootOfNothing(nodeId: number, directoryId: number): FileAttributes | undefined {
    const { nodes, facts } = this.#tools;
    const [parent] = nodes.place(directoryId);
    return parent === PLACE_OF_HOSTS ? virtualAttributes(nodeId, 'directory', facts) : undefined;
  }

  #lookedAtRoot(nodeId: number): void {
    const host = nodeId === ROOT_NODE ? this.#tools.facts.rootHost() : undefined;
    // Below the control folders nothing is told to the kernel, but it is to be as fresh.
    this.#tools.live.looked(nodeId, host?.directoryId ?? NO_DIRECTORY);
  }

  /** The view as of now: what another process has finished counts. */
  #lookedAt(
    nodeId: number,
    ref: { readonly viewNumber: number; readonly directoryId: number },
  ): View {
    const view = this.#view(ref.viewNumber);
    if (view.isFixed) return view;
    this.#tools.live.looked(nodeId, ref.directoryId);
    return this.#view(ref.viewNumber);
  }

  #placeOf(inodeId: number): TreePlace | undefined {
    const met = this.tree.placeOf(inodeId);
    return met && this.#treePlace(met.viewNumber, met.directoryId);
  }

  #treePlace(viewNumber: number, directoryId: number): TreePlace {
    return { directoryId, snapshotId: this.#view(viewNumber).tree.snapshotId };
  }

  #view(viewNumber: number): View {
    return viewOf(viewNumber, this.#tools.root, this.#tools.live.snapshotId);
  }

  #emptyDirectory(key: string, row: NodeRow): number {
    return this.#virtual.of(key, () => ({
      kind: 'directory',
      attributes: () => emptyAttributesOf(row, this.#tools.nodes.owner(row[NODE.owner])),
      lookup: () => undefined,
      list: () => listOf([]),
      row,
    }));
  }
}
