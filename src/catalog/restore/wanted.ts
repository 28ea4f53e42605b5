/**
 * What a restore wants, in temporary tables on disk: the names of each content, and the extents chosen for it in tape order.
 * Memory does not grow with the number of files. Nothing of it outlives the connection.
 */
import type { Raw } from '../../base/raw.ts';
import type { Extent } from '../../domain/content.ts';
import type { Catalog } from '../catalog.ts';
import { toExtent } from '../content/located.ts';
import { TemporaryTable } from '../row/temporary.ts';
import { BAD_MEDIUM_STATES } from '../shelf/media.ts';
import { Directories } from '../tree/directories.ts';
import { type Inode, type InodeRow, Inodes, inodeColumns } from '../tree/inodes.ts';
import { paged } from '../tree/order.ts';

/** An entry by its path. */
export type NamedInode = {
  readonly directoryId: number;
  readonly name: Raw;
  readonly path: Raw;
  readonly inode: Inode;
};

export type WantedName = { readonly id: number; readonly entry: NamedInode };

/** A copy of an extent whose bytes may be there, whatever is thought of its medium. */
export type ExtentCopy = {
  readonly archiveId: number;
  readonly mediumId: number;
  readonly barcode: string;
  readonly startBlock: number;
  readonly extent: Extent;
  /** Archive, copy and medium are good, and no damage touches the extent. */
  readonly isGood: boolean;
  /** How often it has failed by now. */
  readonly tries: number;
};

export type WantedContent = {
  readonly contentId: number;
  readonly sizeBytes: number;
  /** How many names want it. */
  readonly names: number;
  /** Empty also for a content that was never completed. */
  readonly copies: readonly ExtentCopy[];
};

/** An extent on the medium chosen for it. */
export type ChosenExtent = {
  readonly contentId: number;
  readonly archiveId: number;
  readonly mediumId: number;
  readonly startBlock: number;
  readonly extent: Extent;
  /** Of how many extents the content is put together. */
  readonly parts: number;
};

export type WantedExtent = ChosenExtent & {
  readonly names: number;
  /** The name to put the content together under. */
  readonly first: WantedName;
  readonly sizeBytes: number;
  readonly hash: Buffer;
  /** Neither segments nor holes: there is no more to know of the content. */
  readonly isPlain: boolean;
};

const NAMES_TABLE = `(content INTEGER, id INTEGER, dir INTEGER, name TEXT, inode INTEGER,
  PRIMARY KEY(content, id)) WITHOUT ROWID`;
const EXTENTS_TABLE = `(medium INTEGER, start_block INTEGER, position INTEGER, content INTEGER,
  content_offset INTEGER, archive INTEGER, length INTEGER, stored INTEGER, form INTEGER, parts INTEGER,
  names INTEGER, PRIMARY KEY(medium, start_block, position, content, content_offset)) WITHOUT ROWID`;
const TRIES_TABLE = `(content INTEGER, content_offset INTEGER, archive INTEGER, medium INTEGER,
  tries INTEGER, PRIMARY KEY(content, content_offset, archive, medium)) WITHOUT ROWID`;
const PAGE_ROWS = 256;

type CopyRow = [
  content: number,
  names: number,
  size: number,
  offset: number | null,
  length: number,
  position: number,
  stored: number,
  form: number,
  archive: number | null,
  startBlock: number,
  medium: number | null,
  barcode: string,
  isGood: number,
  tries: number,
];

/** A page of contents with their copies; one without any has a row too. */
const COPIES = `
SELECT w.content, w.names, c.size, e.content_offset, coalesce(e.length, c.size - e.content_offset),
  e.position, coalesce(e.stored, e.length, c.size - e.content_offset), e.form,
  a.id, k.start_block, m.id, m.barcode,
  m.state NOT IN ${BAD_MEDIUM_STATES} AND NOT EXISTS(
    SELECT 1 FROM damages d WHERE d.archive = a.id AND d.medium = m.id
      AND d.position < e.position + coalesce(e.stored, e.length, c.size - e.content_offset)
      AND d.position + d.length > e.position),
  coalesce((SELECT t.tries FROM temp.wanted_tries t WHERE t.content = w.content
    AND t.content_offset = e.content_offset AND t.archive = a.id AND t.medium = m.id), 0)
FROM (SELECT content, count(*) AS names FROM temp.wanted_names WHERE content > ?
    GROUP BY content ORDER BY content LIMIT ${PAGE_ROWS}) w
  CROSS JOIN contents c ON c.id = w.content
  LEFT JOIN extents e ON e.content = c.id AND c.hash IS NOT NULL
  LEFT JOIN archives a ON a.id = e.archive AND a.state = 'good'
  LEFT JOIN archive_copies k ON k.archive = a.id AND k.state = 'good'
  LEFT JOIN media m ON m.id = k.medium AND m.state <> 'lost'
ORDER BY w.content`;

type NameRow = [...InodeRow, content: number, id: number, dir: number, name: Raw];

type ExtentRow = [
  ...NameRow,
  startBlock: number,
  position: number,
  offset: number,
  archive: number,
  length: number,
  stored: number,
  form: number,
  parts: number,
  names: number,
  size: number,
  hash: Buffer,
  isPlain: number,
];

const NAME = `${inodeColumns('i')}, n.content, n.id, n.dir, n.name`;

const EXTENTS = `
SELECT ${NAME}, x.start_block, x.position, x.content_offset, x.archive, x.length, x.stored, x.form,
  x.parts, x.names, c.size, c.hash, c.segments IS NULL AND c.holes IS NULL
FROM temp.wanted_extents x CROSS JOIN contents c ON c.id = x.content
  CROSS JOIN temp.wanted_names n ON n.content = x.content
    AND n.id = (SELECT min(id) FROM temp.wanted_names f WHERE f.content = x.content)
  CROSS JOIN inodes i ON i.id = n.inode
WHERE x.medium = ? AND (x.start_block, x.position, x.content, x.content_offset) > (?, ?, ?, ?)
ORDER BY x.start_block, x.position, x.content, x.content_offset LIMIT ${PAGE_ROWS}`;

const NAMES = `SELECT ${NAME} FROM temp.wanted_names n CROSS JOIN inodes i ON i.id = n.inode`;

export class Wanted {
  readonly #catalog: Catalog;
  readonly #directories: Directories;
  readonly #inodes: Inodes;
  readonly #namesTable: TemporaryTable;
  readonly #extentsTable: TemporaryTable;
  readonly #copies;
  readonly #extents;
  readonly #names;
  readonly #namesOf;
  readonly #chosenOf;
  readonly #remove;
  readonly #removeName;
  readonly #addTry;
  /** Ids of names ascend in the order in which they were wanted. */
  #nextId = 1;
  #left = 0;

  /** Begins with nothing wanted. */
  constructor(catalog: Catalog) {
    this.#catalog = catalog;
    this.#directories = new Directories(catalog);
    this.#inodes = new Inodes(catalog);
    this.#namesTable = new TemporaryTable(catalog, 'wanted_names', NAMES_TABLE);
    this.#extentsTable = new TemporaryTable(catalog, 'wanted_extents', EXTENTS_TABLE);
    new TemporaryTable(catalog, 'wanted_tries', TRIES_TABLE);
    catalog
      .prepare(
        'CREATE INDEX IF NOT EXISTS temp.wanted_parts ON wanted_extents(content) WHERE parts > 1',
      )
      .run();
    this.#copies = catalog.prepare<CopyRow>(COPIES);
    this.#extents = catalog.prepare<ExtentRow>(EXTENTS);
    this.#names = catalog.prepare<NameRow>(
      `${NAMES} WHERE (n.content, n.id) > (?, ?) ORDER BY n.content, n.id LIMIT ${PAGE_ROWS}`,
    );
    this.#namesOf = catalog.prepare<NameRow>(
      `${NAMES} WHERE n.content = ? AND n.id > ? ORDER BY n.id LIMIT ${PAGE_ROWS}`,
    );
    this.#chosenOf = catalog.prepare<number[]>(
      `SELECT archive, medium, start_block, content_offset, length, position, stored, form
       FROM temp.wanted_extents WHERE content = ? AND parts > 1`,
    );
    this.#remove = catalog.prepare('DELETE FROM temp.wanted_names WHERE content BETWEEN ? AND ?');
    this.#removeName = catalog.prepare(
      'DELETE FROM temp.wanted_names WHERE content = ? AND id = ?',
    );
    this.#addTry = catalog.prepare(
      `INSERT INTO temp.wanted_tries VALUES(?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET tries = tries + 1`,
    );
  }

  /** How many names are wanted. */
  get size(): number {
    return this.#left;
  }

  add(contentId: number, { directoryId, name, inode }: NamedInode): void {
    this.#namesTable.add(contentId, this.#nextId, directoryId, name, inode.inodeId);
    this.#nextId += 1;
    this.#left += 1;
  }

  /** The contents that are wanted, in order of id. */
  *contents(): Generator<WantedContent> {
    this.#namesTable.flush();
    for (let after = 0; ; ) {
      const page = contentsOf(this.#copies.all(after));
      yield* page;
      const last = page.at(-1);
      if (page.length < PAGE_ROWS || !last) return;
      after = last.contentId;
    }
  }

  /** Forgets what was chosen. */
  clearChosen(): void {
    this.#extentsTable.clear();
  }

  /** An extent of a content that `names` want; `endChoosing` follows before extents are read. */
  choose(chosen: ChosenExtent, names: number): void {
    const { contentId, archiveId, mediumId, startBlock, extent, parts } = chosen;
    this.#extentsTable.add(
      mediumId,
      startBlock,
      extent.archiveOffset,
      contentId,
      extent.contentOffset,
      archiveId,
      extent.lengthBytes,
      extent.storedBytes,
      extent.form === 'sparse' ? 1 : 0,
      parts,
      names,
    );
  }

  endChoosing(): void {
    this.#extentsTable.flush();
  }

  /** Of what is still wanted, as it lies on a medium; read a page ahead of what is removed meanwhile. */
  *inTapeOrder(mediumId: number): Generator<WantedExtent> {
    const page = (last: ExtentRow | undefined) =>
      this.#extents.all(
        mediumId,
        last?.[18] ?? -1,
        last?.[19] ?? 0,
        last?.[14] ?? 0,
        last?.[20] ?? 0,
      );
    for (const row of paged(page, PAGE_ROWS)) yield this.#toExtent(mediumId, row);
  }

  /** All that was chosen for a content of several parts. */
  chosenOf(contentId: number): ChosenExtent[] {
    const rows = this.#chosenOf.all(contentId);
    return rows.map(
      ([archive = 0, medium = 0, start = 0, offset = 0, length = 0, at = 0, stored = 0, form]) => ({
        contentId,
        archiveId: archive,
        mediumId: medium,
        startBlock: start,
        extent: toExtent([offset, length, at, stored, form ?? 0]),
        parts: rows.length,
      }),
    );
  }

  /** In the order in which they were wanted; those behind `after`. */
  *namesOf(contentId: number, after = 0): Generator<WantedName> {
    const page = (last: NameRow | undefined) => this.#namesOf.all(contentId, last?.[15] ?? after);
    for (const row of paged(page, PAGE_ROWS)) yield this.#toName(row);
  }

  /** All names, those of one content behind each other. */
  *names(): Generator<WantedName & { readonly contentId: number }> {
    this.#namesTable.flush();
    const page = (last: NameRow | undefined) => this.#names.all(last?.[14] ?? 0, last?.[15] ?? 0);
    for (const row of paged(page, PAGE_ROWS)) yield { ...this.#toName(row), contentId: row[14] };
  }

  /** Nobody wants these any more. Contents on a tape mostly have ids in a row. */
  removeContents(contentIds: readonly number[]): void {
    const ascending = contentIds.toSorted((a, b) => a - b);
    this.#catalog.read(() => {
      for (let at = 0; at < ascending.length; ) {
        const first = ascending[at] ?? 0;
        let last = first;
        for (at += 1; ascending[at] === last + 1; at += 1) last += 1;
        this.#left -= this.#remove.run(first, last).changes;
      }
    });
  }

  removeName(contentId: number, id: number): void {
    this.#catalog.read(() => {
      this.#left -= this.#removeName.run(contentId, id).changes;
    });
  }

  clear(): void {
    this.#namesTable.clear();
    this.#left = 0;
  }

  /** A copy of an extent has failed. */
  addTry({ contentId, archiveId, mediumId, extent }: ChosenExtent): void {
    const { contentOffset } = extent;
    this.#catalog.read(() => this.#addTry.run(contentId, contentOffset, archiveId, mediumId));
  }

  #toName(row: readonly [...NameRow, ...unknown[]]): WantedName {
    return { id: row[15], entry: this.#entry(row[16], row[17], this.#inodes.fromRow(row)) };
  }

  #entry(directoryId: number, name: Raw, inode: Inode): NamedInode {
    return { directoryId, name, path: this.#directories.entryPath(directoryId, name), inode };
  }

  #toExtent(mediumId: number, row: ExtentRow): WantedExtent {
    return {
      contentId: row[14],
      archiveId: row[21],
      mediumId,
      startBlock: row[18],
      extent: toExtent([row[20], row[22], row[19], row[23], row[24]]),
      parts: row[25],
      names: row[26],
      first: this.#toName(row),
      sizeBytes: row[27],
      hash: row[28],
      isPlain: row[29] === 1,
    };
  }
}

/** Rows of one content follow each other. */
function contentsOf(rows: readonly CopyRow[]): WantedContent[] {
  const found: (WantedContent & { readonly copies: ExtentCopy[] })[] = [];
  for (const row of rows) {
    let last = found.at(-1);
    if (last?.contentId !== row[0]) {
      last = { contentId: row[0], names: row[1], sizeBytes: row[2], copies: [] };
      found.push(last);
    }
    const [, , , offset, length, position, stored, form, archiveId, startBlock, mediumId] = row;
    if (offset === null || archiveId === null || mediumId === null) continue;
    last.copies.push({
      archiveId,
      mediumId,
      barcode: row[11],
      startBlock,
      extent: toExtent([offset, length, position, stored, form]),
      isGood: row[12] === 1,
      tries: row[13],
    });
  }
  return found;
}
