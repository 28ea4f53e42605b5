/** Reading the tree as of a snapshot. What a snapshot shows never changes, so callers may remember it. */
import { strict as assert } from 'node:assert';
import { joinRaw, type Raw } from '../../base/raw.ts';
import type { Catalog } from '../catalog.ts';
import { Directories, PLACE_OF_HOSTS } from './directories.ts';
import { heldSql } from './held.ts';
import { type Inode, type InodeRow, Inodes, inodeColumns } from './inodes.ts';
import { inPathOrder, paged } from './order.ts';
import { expiredMeanwhile, type Snapshot, Snapshots } from './snapshots.ts';

export type TreeEntry = {
  /** Its parent; 0 for the root of a host. */
  readonly directoryId: number;
  readonly name: Raw;
  readonly inode: Inode;
  /** The first snapshot that shows it like this, and the first that does not; undefined: it is so still. */
  readonly since: number;
  readonly until: number | undefined;
};

export type PathEntry = TreeEntry & { readonly path: Raw };

type VersionRow = [name: Raw, since: number, until: number | null, ...InodeRow];

const SELECT = `SELECT v.name, v.since, v.until, ${inodeColumns('i')}
  FROM versions v CROSS JOIN inodes i ON i.id = v.inode`;
const AS_OF = 'v.since <= ? AND (v.until IS NULL OR v.until > ?)';
const PAGE_ROWS = 1000;

export class Tree {
  readonly directories: Directories;
  readonly snapshots: Snapshots;
  readonly #catalog: Catalog;
  readonly #inodes: Inodes;
  readonly #list;
  readonly #page;
  readonly #entry;
  readonly #versions;
  readonly #children;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
    this.directories = new Directories(catalog);
    this.snapshots = new Snapshots(catalog);
    this.#inodes = new Inodes(catalog);
    this.#list = catalog.prepare<VersionRow>(
      `${SELECT} WHERE v.dir = ? AND ${AS_OF} ORDER BY v.name`,
    );
    this.#page = catalog.prepare<VersionRow>(
      `${SELECT} WHERE v.dir = ? AND v.name > ? AND ${AS_OF} ORDER BY v.name LIMIT ${PAGE_ROWS}`,
    );
    this.#entry = catalog.prepare<VersionRow>(
      `${SELECT} WHERE v.dir = ? AND v.name = ? AND ${AS_OF}`,
    );
    this.#versions = catalog.prepare<VersionRow>(
      `${SELECT} WHERE v.dir = ? AND v.name = ? AND v.since <= ? AND ${heldSql('v')} ORDER BY v.since`,
    );
    this.#children = catalog.prepare<[Raw, number]>(
      'SELECT name, id FROM directories WHERE parent = ? AND name > ? ORDER BY name LIMIT 1000',
    );
  }

  /** See `Snapshots.resolve`. @throws CodedError USAGE */
  resolveSnapshot(text?: string): Snapshot {
    return this.snapshots.resolve(text);
  }

  /** @param path absolute and normal; `/` is the root of the host */
  lookup(hostId: number, path: Raw, snapshotId: number): TreeEntry | undefined {
    const place = this.directories.place(hostId, path);
    return place && this.entry(place.directoryId, place.name, snapshotId);
  }

  entry(directoryId: number, name: Raw, snapshotId: number): TreeEntry | undefined {
    const row = this.#entry.get(directoryId, name, snapshotId, snapshotId);
    return row && this.#toEntry(directoryId, row);
  }

  /** In order of name; empty also for what is no directory at that time. */
  list(directoryId: number, snapshotId: number): TreeEntry[] {
    return this.#list
      .all(directoryId, snapshotId, snapshotId)
      .map((row) => this.#toEntry(directoryId, row));
  }

  /**
   * The entry at the path and everything below it, in order of path. Memory is bounded by the depth.
   * @throws CodedError SNAPSHOT_EXPIRED at the end: what was gone through may not have been all
   */
  *walk(hostId: number, path: Raw, snapshotId: number): Generator<PathEntry> {
    yield* this.walkWhatIsLeft(hostId, path, snapshotId);
    if (!this.snapshots.get(snapshotId)) throw expiredMeanwhile();
  }

  /** As `walk`, for whom less than all is better than nothing. */
  *walkWhatIsLeft(hostId: number, path: Raw, snapshotId: number): Generator<PathEntry> {
    const top = this.lookup(hostId, path, snapshotId);
    if (!top) return;
    yield { ...top, path };
    const root = this.directories.find(hostId, path);
    if (top.inode.type !== 'directory' || root === undefined) return;
    const tree = {
      entries: (dir: number) => this.#entries(dir, snapshotId),
      directories: (dir: number) => this.#directoriesOf(dir, snapshotId),
    };
    for (const { directoryId, entry } of inPathOrder(tree, root))
      yield { ...entry, path: joinRaw(this.directories.path(directoryId), entry.name) };
  }

  /**
   * All versions of a path, oldest first, as far as finished snapshots that are not expired show them: from the first of
   * those to the first that does not.
   */
  versions(hostId: number, path: Raw): TreeEntry[] {
    const place = this.directories.place(hostId, path);
    const live = this.snapshots.live();
    if (!place || !live) return [];
    return this.#versions
      .all(place.directoryId, place.name, live.id)
      .map((row) => this.#toEntry(place.directoryId, row))
      .map(({ since, until, ...entry }) => {
        const isLive = until === undefined || until > live.id;
        const ended = isLive ? undefined : this.#firstHeld(until);
        return { ...entry, since: this.#firstHeld(since), until: ended };
      });
  }

  #firstHeld(id: number): number {
    const snapshot = this.snapshots.from(id);
    assert(snapshot, 'the newest is never expired');
    return snapshot.id;
  }

  *#entries(dir: number, snapshotId: number): Generator<TreeEntry> {
    const page = (last: VersionRow | undefined) =>
      this.#page.all(dir, last?.[0] ?? '', snapshotId, snapshotId);
    for (const row of paged(page, PAGE_ROWS)) yield this.#toEntry(dir, row);
  }

  /** Only where an entry is a directory now: rows of directories outlive what they name. */
  *#directoriesOf(dir: number, snapshotId: number): Generator<{ name: Raw; id: number }> {
    const page = (last: [Raw, number] | undefined) => this.#children.all(dir, last?.[0] ?? '');
    for (const [name, id] of paged(page, PAGE_ROWS))
      if (this.entry(dir, name, snapshotId)?.inode.type === 'directory') yield { name, id };
  }

  #toEntry(directoryId: number, row: VersionRow): TreeEntry {
    const [name, since, until, ...inode] = row;
    return {
      directoryId,
      name,
      inode: this.#inodes.fromRow(inode),
      since,
      until: until ?? undefined,
    };
  }

  /** Closes nothing: the catalog is the caller's. Places of hosts are listed by `directories.hosts`. */
  hostRoots(snapshotId: number): TreeEntry[] {
    return this.list(PLACE_OF_HOSTS, snapshotId);
  }

  /** One consistent view over several calls; not needed for what one snapshot shows. */
  read<T>(work: () => T): T {
    return this.#catalog.read(work);
  }
}
