/**
 * What a restore does when all bytes are there, in temporary tables on disk: further names of files that have several, and
 * directories, which get their attributes after all that is in them.
 */
import type { Raw } from '../../base/raw.ts';
import type { Catalog } from '../catalog.ts';
import { TemporaryTable } from '../row/temporary.ts';
import { Directories } from '../tree/directories.ts';
import { type InodeRow, Inodes, inodeColumns } from '../tree/inodes.ts';
import type { NamedInode } from './wanted.ts';

type Row = [...InodeRow, id: number, dir: number, name: Raw];

const TABLE = '(id INTEGER PRIMARY KEY, dir INTEGER, name TEXT, inode INTEGER)';
const PAGE_ROWS = 256;

/** Entries in the order in which they were added, from either end. */
class EntryList {
  readonly #catalog: Catalog;
  readonly #table: TemporaryTable;
  readonly #directories: Directories;
  readonly #inodes: Inodes;
  readonly #forward;
  readonly #backward;
  readonly #remove;
  #nextId = 1;
  #length = 0;

  constructor(catalog: Catalog, name: string) {
    this.#catalog = catalog;
    this.#table = new TemporaryTable(catalog, name, TABLE);
    this.#directories = new Directories(catalog);
    this.#inodes = new Inodes(catalog);
    const select = `SELECT ${inodeColumns('i')}, t.id, t.dir, t.name
      FROM temp.${name} t CROSS JOIN inodes i ON i.id = t.inode`;
    this.#forward = catalog.prepare<Row>(
      `${select} WHERE t.id > ? ORDER BY t.id LIMIT ${PAGE_ROWS}`,
    );
    this.#backward = catalog.prepare<Row>(
      `${select} WHERE t.id < ? ORDER BY t.id DESC LIMIT ${PAGE_ROWS}`,
    );
    this.#remove = catalog.prepare(`DELETE FROM temp.${name} WHERE id = ?`);
  }

  get length(): number {
    return this.#length;
  }

  add({ directoryId, name, inode }: NamedInode): void {
    this.#table.add(this.#nextId, directoryId, name, inode.inodeId);
    this.#nextId += 1;
    this.#length += 1;
  }

  /** Pages, last entries first. */
  *reversed(): Generator<NamedInode[]> {
    this.#table.flush();
    for (let before = this.#nextId; ; ) {
      const rows = this.#backward.all(before);
      yield rows.map((row) => this.#entry(row));
      const last = rows.at(-1);
      if (rows.length < PAGE_ROWS || !last) return;
      before = last[14];
    }
  }

  /** Goes through all in order and keeps those of which `step` says so. */
  *retain(step: (entry: NamedInode) => boolean): Generator<void> {
    this.#table.flush();
    for (let after = 0; ; ) {
      const rows = this.#forward.all(after);
      const done = rows.filter((row) => !step(this.#entry(row)));
      this.#catalog.read(() => {
        for (const row of done) this.#remove.run(row[14]);
      });
      this.#length -= done.length;
      yield;
      const last = rows.at(-1);
      if (rows.length < PAGE_ROWS || !last) return;
      after = last[14];
    }
  }

  #entry(row: Row): NamedInode {
    const [directoryId, name] = [row[15], row[16]];
    const path = this.#directories.entryPath(directoryId, name);
    return { directoryId, name, path, inode: this.#inodes.fromRow(row) };
  }
}

/** Directories that were restored, each before what is in it. */
export class RestoredDirectories {
  readonly #entries: EntryList;

  /** Begins with none. */
  constructor(catalog: Catalog) {
    this.#entries = new EntryList(catalog, 'restored_directories');
  }

  add(directory: NamedInode): void {
    this.#entries.add(directory);
  }

  /** Each after what is in it, page by page. */
  reversed(): Generator<NamedInode[]> {
    return this.#entries.reversed();
  }
}

/** The name that the other names of an inode are linked to. */
export type FirstName = {
  readonly path: Raw;
  /** Something had the name before this restore. */
  readonly isKept: boolean;
  /** It has its bytes: brought, or proven. */
  readonly isLinkable: boolean;
  /** Its bytes are not to be had, under whatever name. */
  readonly isLost: boolean;
  /** The pass over the further names in which it became the first; 0: before them. */
  readonly pass: number;
};

type FirstRow = [
  dir: number,
  name: Raw,
  isKept: number,
  isLinkable: number,
  isLost: number,
  pass: number,
];

/** Inodes with several names: the first one of each, and those still to be linked to it. */
export class RestoredLinks {
  readonly #catalog: Catalog;
  readonly #directories: Directories;
  readonly #further: EntryList;
  readonly #find;
  readonly #set;
  readonly #markLinkable;
  readonly #markLost;

  /** Begins with none. */
  constructor(catalog: Catalog) {
    this.#catalog = catalog;
    this.#directories = new Directories(catalog);
    this.#further = new EntryList(catalog, 'restored_links');
    new TemporaryTable(
      catalog,
      'restored_first',
      `(inode INTEGER PRIMARY KEY, dir INTEGER, name TEXT, is_kept INTEGER, is_linkable INTEGER,
        is_lost INTEGER, pass INTEGER)`,
    );
    this.#find = catalog.prepare<FirstRow>(
      'SELECT dir, name, is_kept, is_linkable, is_lost, pass FROM temp.restored_first WHERE inode = ?',
    );
    this.#set = catalog.prepare(
      'INSERT OR REPLACE INTO temp.restored_first VALUES(?, ?, ?, ?, 0, 0, ?)',
    );
    const mark = (column: string) =>
      catalog.prepare(`UPDATE temp.restored_first SET ${column} = 1 WHERE inode = ?`);
    this.#markLinkable = mark('is_linkable');
    this.#markLost = mark('is_lost');
  }

  /** Further names that are not linked yet. */
  get length(): number {
    return this.#further.length;
  }

  first(inodeId: number): FirstName | undefined {
    const row = this.#find.get(inodeId);
    if (!row) return undefined;
    const [dir, name, isKept, isLinkable, isLost, pass] = row;
    const path = this.#directories.entryPath(dir, name);
    return { path, isKept: isKept === 1, isLinkable: isLinkable === 1, isLost: isLost === 1, pass };
  }

  /** It has no bytes until `markLinkable`. */
  setFirst(
    { inode, directoryId, name }: NamedInode,
    { isKept, pass }: Pick<FirstName, 'isKept' | 'pass'>,
  ): void {
    const values = [inode.inodeId, directoryId, name, isKept ? 1 : 0, pass];
    this.#catalog.read(() => this.#set.run(values));
  }

  markLinkable(inodeId: number): void {
    this.#catalog.read(() => this.#markLinkable.run(inodeId));
  }

  markLost(inodeId: number): void {
    this.#catalog.read(() => this.#markLost.run(inodeId));
  }

  add(further: NamedInode): void {
    this.#further.add(further);
  }

  /** Goes through the further names in order and keeps those of which `step` says so; a turn between pages. */
  retain(step: (further: NamedInode) => boolean): Generator<void> {
    return this.#further.retain(step);
  }
}
