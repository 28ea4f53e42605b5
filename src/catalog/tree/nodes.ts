/**
 * The tree as the mount shows it: lean rows, several views, directories by id. What one row says of an inode never changes
 * and may be remembered for ever; which row a name has depends on the view.
 */
import { strict as assert } from 'node:assert';
import type { Raw } from '../../base/raw.ts';
import type { Xattr } from '../../domain/entry.ts';
import type { Catalog } from '../catalog.ts';
import { PLACE_OF_HOSTS } from './directories.ts';
import { heldSql } from './held.ts';
import { decodeXattrs } from './inodes.ts';

/**
 * Which entries a tree shows. `as-of`: those of the snapshot. `all`: of each name the newest up to the snapshot, gone or not.
 * `deleted`: names that are gone by the snapshot, at the newest they were. `medium`: of each name the newest up to the snapshot
 * that has bytes on the medium. The last two also show the directories that lead to such.
 */
export type TreeView =
  | { readonly kind: 'as-of' | 'all' | 'deleted'; readonly snapshotId: number }
  | { readonly kind: 'medium'; readonly snapshotId: number; readonly mediumId: number };

/** An array, for millions are read: `NODE` names its places. Times in seconds and nanoseconds. */
export type NodeRow = [
  name: Raw,
  inode: number,
  mode: number,
  owner: number,
  sizeBytes: number,
  mtime: number,
  mtimeNs: number,
  ctime: number,
  ctimeNs: number,
  links: number,
  content: number | null,
  target: Raw | null,
  xattrs: number | null,
  /** Data ranges of a sparse content, as SCHEMA.md 6 packs them. */
  ranges: Buffer | null,
  since: number,
  until: number | null,
];

/** Places in a NodeRow. */
export const NODE = {
  name: 0,
  inode: 1,
  mode: 2,
  owner: 3,
  size: 4,
  mtime: 5,
  mtimeNs: 6,
  ctime: 7,
  ctimeNs: 8,
  links: 9,
  content: 10,
  target: 11,
  xattrs: 12,
  ranges: 13,
  since: 14,
  until: 15,
} as const;

const TYPE_BITS = 0o170000;
const DIRECTORY = 0o040000;

export const isDirectoryRow = (row: NodeRow): boolean => (row[NODE.mode] & TYPE_BITS) === DIRECTORY;

const INODE = `i.id, i.mode, i.owner, i.size, i.mtime, i.mtime_ns, i.ctime, i.ctime_ns, i.links, i.content,
  i.target, i.xattrs, (SELECT c.holes FROM contents c INDEXED BY sparse_contents
    WHERE c.id = i.content AND c.holes IS NOT NULL)`;
const ROW = `SELECT v.name, ${INODE}, v.since, v.until
  FROM versions v CROSS JOIN inodes i ON i.id = v.inode`;
/** Versions of a directory at one time: parameters `dir` and `at`. */
export const AS_OF = 'v.dir = @dir AND v.since <= @at AND (v.until IS NULL OR v.until > @at)';
const UP_TO = `v.dir = @dir AND v.since <= @at AND ${heldSql('v')}`;
const ON_MEDIUM = `((i.mode & 61440) = 16384 OR EXISTS(SELECT 1 FROM extents e
  JOIN archive_copies k ON k.archive = e.archive AND k.medium = @medium AND k.state = 'good'
  WHERE e.content = i.content))`;
/** Directories looked at before one counts as leading somewhere: an answer is owed in milliseconds. */
const LOOKED_AT_MAX = 2000;

type Bound = { dir: number; at: number; name: Raw; limit: number; medium: number };

export class Nodes {
  readonly #statements;
  readonly #inode;
  readonly #child;
  readonly #children;
  readonly #place;
  readonly #sibling;
  readonly #name;
  readonly #owner;
  readonly #xattrs;
  readonly #changed;
  readonly #owners = new Map<number, readonly [uid: number, gid: number]>();

  constructor(catalog: Catalog) {
    // At one time a name has one version: asked for an order among them, SQLite would sort.
    const pair = (where: string, order = 'v.name, v.since DESC') => ({
      one: catalog.prepare<NodeRow>(
        `${ROW} WHERE ${where} AND v.name = @name ORDER BY v.since DESC`,
      ),
      page: catalog.prepare<NodeRow>(
        `${ROW} WHERE ${where} AND v.name > @name ORDER BY ${order} LIMIT @limit`,
      ),
    });
    this.#statements = {
      'as-of': pair(AS_OF, 'v.name'),
      all: pair(UP_TO),
      deleted: pair(UP_TO),
      medium: pair(`${UP_TO} AND ${ON_MEDIUM}`),
    };
    this.#inode = catalog.prepare<NodeRow>(
      `SELECT '', ${INODE}, 0, NULL FROM inodes i WHERE i.id = ?`,
    );
    this.#child = catalog.prepare<[number]>(
      'SELECT id FROM directories WHERE parent = ? AND name = ?',
    );
    this.#children = catalog.prepare<[number, Raw]>(
      'SELECT id, name FROM directories WHERE parent = ? ORDER BY name',
    );
    this.#sibling = catalog.prepare<[number]>(
      'SELECT id FROM directories WHERE parent = ? AND name > ? ORDER BY name LIMIT 1',
    );
    this.#name = catalog.prepare<[Raw]>(
      'SELECT name FROM versions WHERE dir = ? AND inode = ? LIMIT 1',
    );
    this.#place = catalog.prepare<[number, Raw]>(
      'SELECT parent, name FROM directories WHERE id = ?',
    );
    this.#changed = catalog.prepare<[Raw]>(
      'SELECT DISTINCT name FROM versions WHERE dir = ? AND (since > ? OR until > ?) LIMIT ?',
    );
    this.#xattrs = catalog.prepare<[Buffer]>('SELECT value FROM xattrs WHERE id = ?');
    this.#owner = catalog.prepare<[number, number]>('SELECT uid, gid FROM owners WHERE id = ?');
  }

  /** What the view shows under the name; undefined for nothing. */
  entry(view: TreeView, directoryId: number, name: Raw): NodeRow | undefined {
    const bound = { ...boundOf(view, directoryId), name, limit: -1 };
    if (view.kind === 'as-of') return this.#statements['as-of'].one.get(bound);
    return this.#shown(view, directoryId, this.#statements[view.kind].one.all(bound));
  }

  /** Every row of a name up to the view's snapshot, newest first. */
  versions({ snapshotId }: TreeView, directoryId: number, name: Raw): NodeRow[] {
    const bound = { ...boundOf({ kind: 'all', snapshotId }, directoryId), name, limit: -1 };
    return this.#statements.all.one.all(bound);
  }

  /** In order of name, `limit` at least where there are so many behind `after`; fewer: the end. */
  page(view: TreeView, directoryId: number, from: { after: Raw; limit: number }): NodeRow[] {
    const rows: NodeRow[] = [];
    let { after } = from;
    for (;;) {
      const bound = { ...boundOf(view, directoryId), name: after, limit: from.limit };
      const found = this.#statements[view.kind].page.all(bound);
      if (view.kind === 'as-of') return found;
      const isEnd = found.length < from.limit;
      const last = found.at(-1)?.[NODE.name];
      for (const versions of groups(found)) {
        // The page may have been cut within the last name's versions: it is read anew, whole.
        const name = versions[0]?.[NODE.name];
        const isWhole = isEnd || name !== last;
        const row = isWhole
          ? this.#shown(view, directoryId, versions)
          : name !== undefined && this.entry(view, directoryId, name);
        if (row) rows.push(row);
      }
      if (isEnd || last === undefined || rows.length >= from.limit) return rows;
      after = last;
    }
  }

  /** The row of an inode, without name and versions; undefined for an id that is none. */
  inode(inodeId: number): NodeRow | undefined {
    return this.#inode.get(inodeId);
  }

  /** The directory's own row in the view; its place may not be there, or be no directory, at that time. */
  directory(view: TreeView, directoryId: number): NodeRow | undefined {
    const [parent, name] = this.place(directoryId);
    // Where a place is shown for what is below it, its own attributes are the newest there were: it may be a file by now.
    if (view.kind !== 'as-of') return this.versions(view, parent, name).find(isDirectoryRow);
    const row = this.entry(view, parent, name);
    return row && isDirectoryRow(row) ? row : undefined;
  }

  /** Parent (0 above the roots of hosts) and name. */
  place(directoryId: number): readonly [parent: number, name: Raw] {
    const row = this.#place.get(directoryId);
    assert(row, `no directory ${directoryId}`);
    return row;
  }

  /** Absolute path on its host. */
  path(directoryId: number): Raw {
    const names: Raw[] = [];
    for (let id = directoryId; ; ) {
      const [parent, name] = this.place(id);
      if (parent === PLACE_OF_HOSTS) return `/${names.reverse().join('/')}` as Raw;
      names.push(name);
      id = parent;
    }
  }

  /** A name the inode has or had in the directory. Reads the directory up to it. */
  nameOf(directoryId: number, inodeId: number): Raw | undefined {
    return this.#name.get(directoryId, inodeId)?.[0];
  }

  /** The directory of that name in another one; undefined when there never was one. */
  child(directoryId: number, name: Raw): number | undefined {
    return this.#child.get(directoryId, name)?.[0];
  }

  /** The directory whose name follows in the same parent; it need not be there at any given time. */
  siblingAfter(directoryId: number): number | undefined {
    const [parent, name] = this.place(directoryId);
    return this.#sibling.get(parent, name)?.[0];
  }

  /** uid and gid. */
  owner(ownerId: number): readonly [uid: number, gid: number] {
    const known = this.#owners.get(ownerId);
    if (known) return known;
    const row = this.#owner.get(ownerId);
    assert(row, `no owner ${ownerId}`);
    this.#owners.set(ownerId, row);
    return row;
  }

  /** Names of the directory that came, went or changed with snapshots later than `after`. */
  changedNames(directoryId: number, { after, limit }: { after: number; limit: number }): Raw[] {
    return this.#changed.all(directoryId, after, after, limit).map(([name]) => name);
  }

  /** Extended attributes, ACLs among them, in order of name. */
  xattrs(row: NodeRow): Xattr[] {
    const id = row[NODE.xattrs];
    if (id === null) return [];
    const found = this.#xattrs.get(id);
    assert(found, `no xattrs ${id}`);
    return decodeXattrs(found[0]);
  }

  /** @param versions of one name, newest first, as far as the view's statement gives them */
  #shown(view: TreeView, directoryId: number, versions: readonly NodeRow[]): NodeRow | undefined {
    const [newest] = versions;
    if (!newest || view.kind === 'all' || view.kind === 'as-of') return newest;
    const isGone = (newest[NODE.until] ?? Number.POSITIVE_INFINITY) <= view.snapshotId;
    if (view.kind === 'deleted' && isGone) return newest;
    if (view.kind === 'deleted') {
      // A file may have taken the place of a directory whose entries are gone.
      const directory = versions.find(isDirectoryRow);
      return directory && this.#leading(view, directoryId, directory);
    }
    const file = versions.find((row) => !isDirectoryRow(row));
    return file ?? this.#leading(view, directoryId, newest);
  }

  /** The row where it is a directory below which the view shows something. */
  #leading(view: TreeView, directoryId: number, row: NodeRow): NodeRow | undefined {
    if (!isDirectoryRow(row)) return undefined;
    const id = this.child(directoryId, row[NODE.name]);
    return id !== undefined && this.#leads(view, id) ? row : undefined;
  }

  /** Breadth first; gives up, and says yes, after many directories. */
  #leads(view: TreeView, directoryId: number): boolean {
    const queue = [directoryId];
    for (let looked = 0; looked < queue.length; looked += 1) {
      if (looked === LOOKED_AT_MAX) return true;
      const id = queue[looked];
      assert(id !== undefined);
      const bound = { ...boundOf(view, id), name: '' as Raw, limit: -1 };
      for (const versions of groups(this.#statements[view.kind].page.all(bound))) {
        const [newest] = versions;
        assert(newest);
        const isGone = (newest[NODE.until] ?? Number.POSITIVE_INFINITY) <= view.snapshotId;
        if (view.kind === 'deleted' ? isGone : versions.some((row) => !isDirectoryRow(row)))
          return true;
      }
      for (const [childId] of this.#children.all(id)) queue.push(childId);
    }
    return false;
  }
}

function boundOf(view: TreeView, dir: number): Omit<Bound, 'name' | 'limit'> {
  const bound = { dir, at: view.snapshotId };
  // SQLite refuses names that no statement asks for, but better-sqlite3 lets them pass.
  return { ...bound, medium: view.kind === 'medium' ? view.mediumId : 0 };
}

/** Rows of one name each. */
function* groups(rows: readonly NodeRow[]): Generator<NodeRow[]> {
  let group: NodeRow[] = [];
  for (const row of rows) {
    if (group[0] && group[0][NODE.name] !== row[NODE.name]) {
      yield group;
      group = [];
    }
    group.push(row);
  }
  if (group.length > 0) yield group;
}
