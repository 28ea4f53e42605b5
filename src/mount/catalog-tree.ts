/** Directories and files of the catalog as the kernel sees them, in any view. Never waits on media. */
import { strict as assert } from 'node:assert';
import type { Raw } from '../base/raw.ts';
import { LISTED, type ListedRow, type ListedRows, plainOf } from '../catalog/tree/listed-rows.ts';
import { isDirectoryRow, NODE, type NodeRow, type Nodes } from '../catalog/tree/nodes.ts';
import type { ListedRecords } from '../catalog/tree/records.ts';
import { highOfDirectory, highOfFile, lowOfDirectory, lowOfFile } from './inode-number.ts';
import { catalogListing, type Listing, type PackedListing } from './listing.ts';
import { NextDirectory } from './next-directory.ts';
import { directoryNode, fileNode } from './node-id.ts';
import { PackedDirectories } from './packed-directory.ts';
import { type NotedPlace, Places } from './places.ts';
import type { FileAttributes } from './protocol/attributes.ts';
import type { EntryReply } from './protocol/entry.ts';
import type { View } from './views.ts';
import { IN_USE_SECONDS, NO_NODE } from './virtual.ts';

/** What a name of a live view may have become by another process's backup: it is asked for again after this long. */
export const LIVE_SECONDS = 1;
/** What never changes. */
export const FOREVER_SECONDS = 365 * 86_400;

type Place = { readonly view: View; readonly directoryId: number; readonly name: Raw };

/** An entry that is a directory in the tree's own right, of which the catalog knows no id: nothing was ever in it. */
export type EmptyDirectories = {
  /** For the answer to one look-up. */
  node(view: View, place: Place, row: NodeRow): number;
};

export type CatalogTreeTools = {
  readonly nodes: Nodes;
  readonly rows: ListedRows;
  readonly records: ListedRecords;
  readonly empty: EmptyDirectories;
};

const SECTOR_BYTES = 512;
const RANGE_BYTES = 16;
/** stat(2) */
const TYPE_BITS = 0o170000;
const DIRECTORY = 0o040000;

export class CatalogTree {
  readonly #nodes: Nodes;
  readonly #empty: EmptyDirectories;
  readonly #places = new Places();
  readonly #rows: ListedRows;
  readonly #packed: PackedDirectories;
  readonly #ahead: NextDirectory<Buffer | undefined>;

  constructor({ nodes, rows, records, empty }: CatalogTreeTools) {
    this.#nodes = nodes;
    this.#rows = rows;
    this.#packed = new PackedDirectories({ records, owner: (id) => nodes.owner(id) });
    this.#ahead = new NextDirectory(nodes);
    this.#empty = empty;
  }

  lookup(view: View, directoryId: number, name: Raw): EntryReply | undefined {
    const row = this.#nodes.entry(view.tree, directoryId, name);
    if (!row) return undefined;
    const place = { view, directoryId, name };
    const entry = this.#toEntry(place, row);
    if (entry.nodeId !== NO_NODE) return entry;
    return { ...entry, nodeId: this.#empty.node(view, place, row) };
  }

  list(view: View, directoryId: number): Listing | PackedListing {
    const { tree } = view;
    const packed =
      tree.kind === 'as-of'
        ? this.#ahead.take(keyOf(view, directoryId), () => this.#pack(view, directoryId))
        : undefined;
    return packed ? { packed } : this.entries(view, directoryId);
  }

  /** One by one. */
  entries(view: View, directoryId: number): Listing {
    return catalogListing({
      rows: this.#rows,
      tree: view.tree,
      directoryId,
      toEntry: (row) => this.#listed(view, directoryId, row),
    });
  }

  /** A listing was opened, or read to its end: a walk goes on somewhere. */
  passed(view: View, directoryId: number, when: 'opened' | 'finished'): void {
    if (view.tree.kind !== 'as-of') return;
    this.#ahead[when](
      directoryId,
      (id) => keyOf(view, id),
      (id) => this.#pack(view, id),
    );
  }

  /** Undefined for a directory that is read by pages. */
  #pack(view: View, directoryId: number): Buffer | undefined {
    const place = { viewNumber: view.number, directoryId };
    return this.#packed.read({
      directoryId,
      snapshotId: view.tree.snapshotId,
      entrySeconds: view.isFixed ? FOREVER_SECONDS : LIVE_SECONDS,
      attributeSeconds: FOREVER_SECONDS,
      note: (inodeId) => this.#places.note(inodeId, place),
      toEntry: (name, inodeId) => this.#whole({ view, directoryId, name }, inodeId),
    });
  }

  #whole(place: Place, inodeId: number): EntryReply {
    const row = this.#nodes.inode(inodeId);
    assert(row, `no inode ${inodeId}`);
    return this.#toEntry(place, row);
  }

  /** Undefined where it is no directory at that time (any more). */
  directory(view: View, directoryId: number): FileAttributes | undefined {
    const row = this.#nodes.directory(view.tree, directoryId);
    return row && this.#attributes(row, directoryNode(view.number, directoryId));
  }

  /** Undefined for an inode that the catalog has given up since the kernel was told of it. */
  file(
    inodeId: number,
  ): { readonly row: NodeRow; readonly attributes: FileAttributes } | undefined {
    const row = this.#nodes.inode(inodeId);
    return row && { row, attributes: this.#attributes(row, undefined) };
  }

  /** Where a file was met last, for what belongs to a path; undefined when it was long ago. */
  placeOf(inodeId: number): NotedPlace | undefined {
    return this.#places.of(inodeId);
  }

  /** Nearly all rows of a walk: files that say no more than a ListedRow holds. */
  #listed(view: View, directoryId: number, row: ListedRow): EntryReply {
    const { [LISTED.plain]: packed, [LISTED.inode]: inodeId } = row;
    const plain = packed === null ? undefined : plainOf(packed);
    if (!plain || (plain.mode & TYPE_BITS) === DIRECTORY) {
      const place = { view, directoryId, name: row[LISTED.name] };
      const whole = row[LISTED.whole];
      return whole ? this.#toEntry(place, whole) : this.#whole(place, inodeId);
    }
    this.#places.note(inodeId, { viewNumber: view.number, directoryId });
    const [uid, gid] = this.#nodes.owner(plain.ownerId);
    const sizeBytes = row[LISTED.size];
    const attributes = {
      inoHigh: highOfFile(row[LISTED.content]),
      inoLow: lowOfFile(inodeId),
      sizeBytes,
      blocks: Math.ceil(sizeBytes / SECTOR_BYTES),
      mtime: row[LISTED.mtime],
      mtimeNs: row[LISTED.mtimeNs],
      ctime: row[LISTED.ctime],
      ctimeNs: row[LISTED.ctimeNs],
      mode: plain.mode,
      links: plain.links,
      uid,
      gid,
      deviceMajor: 0,
      deviceMinor: 0,
    };
    return {
      nodeId: fileNode(inodeId, plain),
      attributes,
      entrySeconds: view.isFixed ? FOREVER_SECONDS : LIVE_SECONDS,
      attributeSeconds: FOREVER_SECONDS,
    };
  }

  /** As it is listed: an empty directory has no node yet. */
  #toEntry(place: Place, row: NodeRow): EntryReply {
    const { view } = place;
    const entrySeconds = view.isFixed ? FOREVER_SECONDS : LIVE_SECONDS;
    if (!isDirectoryRow(row)) {
      const nodeId = fileNode(row[NODE.inode], { hasXattrs: row[NODE.xattrs] !== null });
      const { directoryId } = place;
      this.#places.note(row[NODE.inode], { viewNumber: view.number, directoryId });
      const attributes = this.#attributes(row, undefined);
      return { nodeId, attributes, entrySeconds, attributeSeconds: FOREVER_SECONDS };
    }
    const id = this.#nodes.child(place.directoryId, place.name);
    if (id === undefined) {
      const attributes = emptyAttributesOf(row, this.#nodes.owner(row[NODE.owner]));
      const attributeSeconds = entrySeconds;
      return { nodeId: NO_NODE, attributes, entrySeconds: IN_USE_SECONDS, attributeSeconds };
    }
    const nodeId = directoryNode(view.number, id);
    const attributes = this.#attributes(row, nodeId);
    return { nodeId, attributes, entrySeconds, attributeSeconds: entrySeconds };
  }

  /** @param directoryNodeId of a directory */
  #attributes(row: NodeRow, directoryNodeId: number | undefined): FileAttributes {
    return attributesOf(row, this.#nodes.owner(row[NODE.owner]), directoryNodeId);
  }
}

/** Of a directory's entries in a view as of now. */
const keyOf = ({ number, tree }: View, directoryId: number): string =>
  `${number} ${tree.snapshotId} ${directoryId}`;

export function attributesOf(
  row: NodeRow,
  [uid, gid]: readonly [uid: number, gid: number],
  directoryNodeId: number | undefined,
): FileAttributes {
  const target = row[NODE.target];
  const isLink = (row[NODE.mode] & 0o170000) === 0o120000;
  const [major = 0, minor = 0] = isLink || target === null ? [] : target.split(',').map(Number);
  const sizeBytes = isLink ? (target?.length ?? 0) : row[NODE.size];
  return {
    inoHigh:
      directoryNodeId === undefined
        ? highOfFile(row[NODE.content])
        : highOfDirectory(directoryNodeId),
    inoLow:
      directoryNodeId === undefined ? lowOfFile(row[NODE.inode]) : lowOfDirectory(directoryNodeId),
    sizeBytes,
    blocks: isLink ? 0 : sectorsOf(row),
    mtime: row[NODE.mtime],
    mtimeNs: row[NODE.mtimeNs],
    ctime: row[NODE.ctime],
    ctimeNs: row[NODE.ctimeNs],
    mode: row[NODE.mode],
    // 1: tools do not conclude from it how many directories are in there.
    links: directoryNodeId === undefined ? row[NODE.links] : 1,
    uid,
    gid,
    deviceMajor: major,
    deviceMinor: minor,
  };
}

/** Of a directory of which the catalog knows no id: numbered by its inode, as files without bytes are. */
export const emptyAttributesOf = (
  row: NodeRow,
  owner: readonly [uid: number, gid: number],
): FileAttributes => ({ ...attributesOf(row, owner, undefined), links: 1 });

/**
 * The data, holes excepted; at least one sector where there is any, for GNU `tar -S` takes a file without for one hole and
 * would leave its bytes out.
 */
function sectorsOf(row: NodeRow): number {
  const ranges = row[NODE.ranges];
  if (!ranges) return Math.ceil(row[NODE.size] / SECTOR_BYTES);
  let bytes = 0;
  for (let at = 8; at < ranges.length; at += RANGE_BYTES)
    bytes += Number(ranges.readBigUInt64BE(at));
  return Math.ceil(bytes / SECTOR_BYTES);
}
