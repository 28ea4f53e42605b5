/** Contents that were read and wait to be written to another medium, in the order of their names; in a temporary table. */
import type { Raw } from '../../base/raw.ts';
import type { Catalog } from '../catalog.ts';
import type { NamedInode } from '../restore/wanted.ts';
import { TemporaryTable } from '../row/temporary.ts';
import { Directories, PLACE_OF_HOSTS } from '../tree/directories.ts';
import { type InodeRow, Inodes, inodeColumns } from '../tree/inodes.ts';

export type SpooledContent = {
  readonly contentId: number;
  readonly entry: NamedInode;
  readonly hostId: number;
  /** Where its bytes are in its part of the spool. */
  readonly base: number;
};

const TABLE = `(part INTEGER, held_by TEXT, dir INTEGER, name TEXT, content INTEGER, inode INTEGER, base INTEGER,
  PRIMARY KEY(part, held_by, dir, name, content)) WITHOUT ROWID`;
const PAGE_ROWS = 256;
const PAGE = `SELECT ${inodeColumns('i')}, t.dir, t.name, t.content, t.base
  FROM temp.spooled t CROSS JOIN inodes i ON i.id = t.inode
  WHERE t.part = ? AND t.held_by = ? AND (t.dir, t.name, t.content) > (?, ?, ?)
  ORDER BY t.dir, t.name, t.content LIMIT ${PAGE_ROWS}`;

type PageRow = [...InodeRow, dir: number, name: Raw, content: number, base: number];

export class Spooled {
  readonly #catalog: Catalog;
  readonly #table: TemporaryTable;
  readonly #directories: Directories;
  readonly #inodes: Inodes;
  readonly #page;
  readonly #remove;
  /** By directory of the host's root. */
  #hosts: ReadonlyMap<number, number> | undefined;
  /** Names of one directory follow each other. */
  #last: { readonly directoryId: number; readonly hostId: number } | undefined;

  /** Begins empty. */
  constructor(catalog: Catalog) {
    this.#catalog = catalog;
    this.#table = new TemporaryTable(catalog, 'spooled', TABLE);
    this.#directories = new Directories(catalog);
    this.#inodes = new Inodes(catalog);
    this.#page = catalog.prepare<PageRow>(PAGE);
    this.#remove = catalog.prepare('DELETE FROM temp.spooled WHERE content = ?');
    catalog.prepare('CREATE INDEX IF NOT EXISTS temp.spooled_contents ON spooled(content)').run();
  }

  /**
   * @param options.part of the spool, which is written as a whole
   * @param options.heldBy ids of media that have a good copy already: it is not to be written there
   */
  add(
    { contentId, entry, base }: Omit<SpooledContent, 'hostId'>,
    { part, heldBy }: { readonly part: number; readonly heldBy: readonly number[] },
  ): void {
    const { directoryId, name, inode } = entry;
    this.#table.add(part, heldBy.join(), directoryId, name, contentId, inode.inodeId, base);
  }

  /** The sets of media that hold some of a part already. */
  groups(part: number): (readonly number[])[] {
    this.#table.flush();
    return this.#catalog
      .prepare<[string]>(
        'SELECT DISTINCT held_by FROM temp.spooled WHERE part = ? ORDER BY held_by',
      )
      .all(part)
      .map(([heldBy]) => (heldBy === '' ? [] : heldBy.split(',').map(Number)));
  }

  /** In order of directory and name; read a page ahead of what is removed meanwhile. */
  *of(part: number, heldBy: readonly number[]): Generator<SpooledContent> {
    for (let at: [number, Raw, number] = [-1, '' as Raw, -1]; ; ) {
      const rows = this.#page.all(part, heldBy.join(), ...at);
      for (const row of rows) {
        const [directoryId, name, contentId, base] = [row[14], row[15], row[16], row[17]];
        const path = this.#directories.entryPath(directoryId, name);
        const entry = { directoryId, name, path, inode: this.#inodes.fromRow(row) };
        yield { contentId, entry, base, hostId: this.hostOf(directoryId) };
      }
      const last = rows.at(-1);
      if (!last || rows.length < PAGE_ROWS) return;
      at = [last[14], last[15], last[16]];
    }
  }

  /** The host that a directory is of. */
  hostOf(directoryId: number): number {
    this.#hosts ??= new Map(
      this.#directories.hosts().map(({ id, directoryId: root }) => [root, id]),
    );
    if (this.#last?.directoryId === directoryId) return this.#last.hostId;
    const root = directoryId === PLACE_OF_HOSTS ? directoryId : this.#directories.root(directoryId);
    const hostId = this.#hosts.get(root) ?? -1;
    this.#last = { directoryId, hostId };
    return hostId;
  }

  /** These are written. */
  remove(contentIds: readonly number[]): void {
    this.#table.flush();
    this.#catalog.read(() => {
      for (const id of contentIds) this.#remove.run(id);
    });
  }

  /** Nothing of a part waits any more. */
  clear(part: number): void {
    this.#table.flush();
    this.#catalog.read(() =>
      this.#catalog.prepare('DELETE FROM temp.spooled WHERE part = ?').run(part),
    );
  }
}
