/** What a scan found, as rows of the run and inodes: new, changed, moved, gone. */
import { strict as assert } from 'node:assert';
import type { Raw } from '../../base/raw.ts';
import type { Attributes, SourceInode } from '../../domain/entry.ts';
import type { Catalog } from '../catalog.ts';
import { CHANGES, type Change } from '../pending/change.ts';
import { Packed } from '../row/packed.ts';
import { EMPTY_CONTENT } from '../schema.ts';
import { type Directories, PLACE_OF_HOSTS } from '../tree/directories.ts';
import type { Inodes } from '../tree/inodes.ts';
import type { Found } from './found.ts';
import { portions } from './store.ts';

/** Entries between two looks at the clock. */
const PORTION = 1024;

/** One that may have no row yet: it gets one in the transaction that records what stands in it. */
export type NewDirectory = { readonly path: Raw; readonly hostId: number };

export type AddedEntry = {
  /** Of a new directory the same object for all its entries. */
  readonly directoryId: number | NewDirectory;
  readonly name: Raw;
  readonly change: Exclude<Change, 'gone' | 'again'>;
  readonly attributes: Attributes;
  readonly sourceInode: SourceInode;
  /** Known already: unchanged, moved or a duplicate. Empty files need none. */
  readonly contentId?: number | undefined;
  /** The old path of what was moved. */
  readonly movedFrom?: Raw | undefined;
};

export class Findings {
  readonly #catalog: Catalog;
  readonly #job: number;
  readonly #directories: Directories;
  readonly #inodes: Inodes;
  readonly #found: Found;
  readonly #put;
  /** What was not moved: nearly all. */
  readonly #puts: Packed;
  readonly #findLink;
  readonly #addLink;
  readonly #setContent;
  readonly #liveNames;
  readonly #children;
  #lastSubdirectories: { directoryId: number; names: ReadonlySet<Raw> } | undefined;

  /** @param options.snapshotId against which changes are found; 0: nothing was known */
  constructor(
    catalog: Catalog,
    tables: { readonly directories: Directories; readonly inodes: Inodes; readonly found: Found },
    options: { readonly snapshotId: number; readonly job: number },
  ) {
    const { snapshotId, job } = options;
    assert(Number.isSafeInteger(job) && Number.isSafeInteger(snapshotId));
    this.#catalog = catalog;
    this.#job = job;
    this.#directories = tables.directories;
    this.#inodes = tables.inodes;
    this.#found = tables.found;
    this.#put = catalog.prepare('INSERT OR REPLACE INTO pending VALUES(?, ?, ?, ?, ?, NULL, ?)');
    this.#puts = new Packed(catalog, {
      sql: `INSERT OR REPLACE INTO pending SELECT ${job}, n0, t0, n1, n2, NULL, NULL`,
      numbers: 3,
      texts: 1,
    });
    this.#findLink = catalog.prepare<[number, number | null]>(
      `SELECT l.inode, i.content FROM run_links l JOIN inodes i ON i.id = l.inode
       WHERE l.job = ? AND l.device = ? AND l.inode_number = ? AND i.size = ? AND i.mtime = ? AND i.mtime_ns = ?
         AND i.ctime = ? AND i.ctime_ns = ?`,
    );
    this.#addLink = catalog.prepare('INSERT OR REPLACE INTO run_links VALUES(?, ?, ?, ?)');
    // Older snapshots may show an inode that has content: it stays theirs.
    this.#setContent = catalog.prepare(
      'UPDATE inodes SET content = ? WHERE id = ? AND content IS NULL',
    );
    this.#liveNames = catalog.prepare<[Raw]>(
      `SELECT name FROM versions WHERE dir = @dir AND since <= ${snapshotId}
         AND (until IS NULL OR until > ${snapshotId})
       UNION SELECT name FROM pending WHERE job = @job AND dir = @dir AND inode IS NOT NULL`,
    );
    this.#children = catalog.prepare<[number, Raw]>(
      'SELECT id, name FROM directories WHERE parent = ?',
    );
  }

  /** See `Run.directory`. */
  directory(path: Raw, hostId: number): number {
    this.#lastSubdirectories = undefined;
    return this.#directories.ensure(hostId, path);
  }

  /**
   * Records what is new or changed; a second time for one place replaces the first. Names of one source inode share an
   * inode. What stood below a directory that is one no longer becomes gone.
   */
  add(entries: Iterable<AddedEntry>): void {
    this.#catalog.writeEach(portions(entries, PORTION), (portion) => {
      let directory: number | NewDirectory | undefined;
      let directoryId = 0;
      let pathBytes = 0;
      for (const entry of portion) {
        const { name, attributes, movedFrom } = entry;
        if (entry.directoryId !== directory) {
          directory = entry.directoryId;
          directoryId = this.#directoryId(directory);
          pathBytes = this.#pathBytes(directoryId);
        }
        if (attributes.type !== 'directory' && this.#subdirectories(directoryId).has(name))
          this.#goneBelow(directoryId, name);
        const inode = this.#inodeOf(entry);
        const change = CHANGES[entry.change];
        this.#found.add(entry, pathBytes + name.length + (movedFrom?.length ?? 0));
        if (movedFrom === undefined) {
          const at = this.#puts.next();
          this.#puts.numbers[at] = directoryId;
          this.#puts.numbers[at + 1] = change;
          this.#puts.numbers[at + 2] = inode;
          this.#puts.addText(name);
        } else {
          // A later row of the same place replaces an earlier one.
          this.#puts.flush();
          this.#put.run(this.#job, directoryId, name, change, inode, movedFrom);
        }
      }
      this.#inodes.flush();
      this.#puts.flush();
    });
  }

  /** Unchanged, but too few good copies of its content are left: it is stored again, without a new version. */
  again(entry: { directoryId: number; name: Raw; inodeId: number }): void {
    this.#found.lose();
    this.#catalog.write(() =>
      this.#put.run(this.#job, entry.directoryId, entry.name, CHANGES.again, entry.inodeId, null),
    );
  }

  /** The entry is no longer there, nor is anything below it. @returns how many entries that are */
  gone(directoryId: number, name: Raw): number {
    this.#found.lose();
    return this.#catalog.write(() => {
      this.#put.run(this.#job, directoryId, name, CHANGES.gone, null, null);
      return 1 + this.#goneBelow(directoryId, name);
    });
  }

  #directoryId(directory: number | NewDirectory): number {
    if (typeof directory === 'number') return directory;
    return this.directory(directory.path, directory.hostId);
  }

  /** Of its path, and of the slash behind it. */
  #pathBytes(directoryId: number): number {
    return directoryId === PLACE_OF_HOSTS ? 1 : this.#directories.path(directoryId).length + 1;
  }

  #inodeOf(entry: AddedEntry): number {
    const { attributes, sourceInode } = entry;
    const contentId =
      entry.contentId ??
      (attributes.type === 'file' && attributes.sizeBytes === 0 ? EMPTY_CONTENT : undefined);
    if (sourceInode.links <= 1 || attributes.type === 'directory')
      return this.#inodes.add(attributes, sourceInode, contentId);
    this.#inodes.flush();
    const key = [this.#job, sourceInode.device, sourceInode.inode];
    // Written to between two of its names, it is another file: what was seen of the first is no longer so.
    const { sizeBytes, mtime, ctime } = attributes;
    const times = [mtime.seconds, mtime.nanoseconds, ctime.seconds, ctime.nanoseconds];
    const shared = this.#findLink.get(...key, sizeBytes, ...times);
    if (shared) {
      if (contentId !== undefined && shared[1] === null) this.#setContent.run(contentId, shared[0]);
      return shared[0];
    }
    const id = this.#inodes.add(attributes, sourceInode, contentId);
    this.#addLink.run(...key, id);
    return id;
  }

  /** Names of directories that are or were there; asked once for all entries of a directory. */
  #subdirectories(directoryId: number): ReadonlySet<Raw> {
    if (this.#lastSubdirectories?.directoryId !== directoryId) {
      const names = new Set(this.#children.all(directoryId).map(([, name]) => name));
      this.#lastSubdirectories = { directoryId, names };
    }
    return this.#lastSubdirectories.names;
  }

  /** Everything the base shows below a directory, or this run has added there. */
  #goneBelow(directoryId: number, name: Raw): number {
    const top = this.#directories.child(directoryId, name);
    if (top === undefined) return 0;
    this.#found.lose();
    this.#puts.flush();
    let count = 0;
    const left = [top];
    for (let dir = left.pop(); dir !== undefined; dir = left.pop()) {
      for (const [child] of this.#liveNames.all({ dir, job: this.#job })) {
        this.#put.run(this.#job, dir, child, CHANGES.gone, null, null);
        count += 1;
      }
      for (const [child] of this.#children.all(dir)) left.push(child);
    }
    return count;
  }
}
