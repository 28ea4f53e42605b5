/**
 * What is to be read back of each medium, and what that came to: which copies, longest unread first, and the bytes of the
 * contents in them. What is wrong with a copy stands in `damages` (damages.ts).
 */
import type { Extent } from '../../domain/content.ts';
import type { Catalog } from '../catalog.ts';
import { TemporaryTable } from '../row/temporary.ts';
import { EMPTY_CONTENT } from '../schema.ts';
import { paged } from '../tree/order.ts';

/** A copy that counts, unless its medium or a damage says otherwise. */
export type CopyToRead = {
  readonly archiveId: number;
  readonly uuid: string;
  readonly mediumId: number;
  readonly fileNumber: number;
  readonly startBlock: number;
  readonly blockBytes: number;
  /** Of the whole stream; of one that another archive completes, up to the tear. Undefined where nobody knows. */
  readonly lengthBytes: number | undefined;
  readonly lengthBlocks: number | undefined;
  readonly blake3: Buffer | undefined;
  readonly sha256: Buffer | undefined;
  readonly journalBytes: number | undefined;
  /** It ends in zeros, without journal and digest. */
  readonly isTorn: boolean;
  /** When it was read as a whole and right, or written; in ms. */
  readonly readMs: number;
  /** Undefined: never. */
  readonly verifiedMs: number | undefined;
};

type CopyRow = [
  archive: number,
  uuid: string,
  file: number,
  start: number,
  blockBytes: number,
  lengthBytes: number | null,
  lengthBlocks: number | null,
  blake3: Buffer | null,
  sha256: Buffer | null,
  journalBytes: number | null,
  completedBy: number | null,
  writtenMs: number | null,
  verifiedMs: number | null,
];

/** An extent with what its content has to hash to. */
export type ExtentToRead = {
  readonly contentId: number;
  readonly sizeBytes: number;
  readonly hash: Buffer | undefined;
  readonly segments: Buffer | undefined;
  readonly extent: Extent;
};

type ExtentRow = [
  position: number,
  content: number,
  offset: number,
  length: number,
  stored: number,
  form: number,
  size: number,
  hash: Buffer | null,
  segments: Buffer | null,
];

export type KnownLabel = { readonly lengthBytes: number; readonly blake3: Buffer };

const EXTENTS_TABLE = `(position INTEGER, content INTEGER, offset INTEGER, length INTEGER, stored INTEGER, form INTEGER,
  PRIMARY KEY(position, content, offset)) WITHOUT ROWID`;
const PAGE_ROWS = 256;

export class ReadBack {
  readonly #catalog: Catalog;
  readonly #extents: TemporaryTable;
  readonly #fill;
  readonly #page;
  #archiveId: number | undefined;

  /** One a connection. */
  constructor(catalog: Catalog) {
    this.#catalog = catalog;
    this.#extents = new TemporaryTable(catalog, 'read_back', EXTENTS_TABLE);
    this.#fill = catalog.prepare(
      `INSERT OR IGNORE INTO temp.read_back
       SELECT e.position, e.content, e.content_offset, coalesce(e.length, c.size - e.content_offset),
         coalesce(e.stored, e.length, c.size - e.content_offset), e.form
       FROM extents e CROSS JOIN contents c ON c.id = e.content WHERE e.archive = ? AND e.content <> ${EMPTY_CONTENT}`,
    );
    this.#page = catalog.prepare<ExtentRow>(
      `SELECT r.position, r.content, r.offset, r.length, r.stored, r.form, c.size, c.hash, c.segments
       FROM temp.read_back r CROSS JOIN contents c ON c.id = r.content
       WHERE (r.position, r.content, r.offset) > (?, ?, ?) ORDER BY r.position, r.content, r.offset LIMIT ${PAGE_ROWS}`,
    );
  }

  /** In order of tape: good copies of good archives. */
  copiesOn(mediumId: number): CopyToRead[] {
    return this.#catalog
      .prepare<CopyRow>(
        `SELECT a.id, a.uuid, k.file_number, k.start_block, a.block_bytes, a.length_bytes, a.length_blocks, a.blake3,
           a.sha256, a.journal_bytes, a.completed_by, k.written_ms, k.verified_ms
         FROM archive_copies k CROSS JOIN archives a ON a.id = k.archive
         WHERE k.medium = ? AND k.state = 'good' AND a.state = 'good' ORDER BY k.file_number`,
      )
      .all(mediumId)
      .map((row) => toCopy(mediumId, row));
  }

  /** Undefined where it was written before this was kept. */
  label(mediumId: number): KnownLabel | undefined {
    const [lengthBytes, blake3] = this.#catalog
      .prepare<[number | null, Buffer | null]>(
        'SELECT label_bytes, label_blake3 FROM media WHERE id = ?',
      )
      .get(mediumId) ?? [null, null];
    return lengthBytes === null || blake3 === null ? undefined : { lengthBytes, blake3 };
  }

  setLabel(mediumId: number, { lengthBytes, blake3 }: KnownLabel): void {
    this.#catalog.write(() =>
      this.#catalog
        .prepare('UPDATE media SET label_bytes = ?, label_blake3 = ? WHERE id = ?')
        .run(lengthBytes, blake3, mediumId),
    );
  }

  /**
   * What the archive has of contents, by position in its stream. One archive at a time; goes through all extents of the
   * catalog, some seconds for ten million.
   */
  *extentsOf(archiveId: number): Generator<ExtentToRead> {
    if (this.#archiveId !== archiveId) {
      this.#extents.clear();
      this.#catalog.read(() => this.#fill.run(archiveId));
      this.#archiveId = archiveId;
    }
    const page = (last: ExtentRow | undefined) =>
      this.#page.all(last?.[0] ?? -1, last?.[1] ?? 0, last?.[2] ?? 0);
    for (const row of paged(page, PAGE_ROWS)) yield toExtent(row);
  }

  /**
   * Whether the copy is still there, as it was when it was chosen: its medium may have been given up while it was read.
   * Part of the caller's `write`, which relies on it.
   */
  isThere({ archiveId, mediumId, startBlock }: CopyToRead): boolean {
    const row = this.#catalog
      .prepare(
        "SELECT 1 FROM archive_copies WHERE archive = ? AND medium = ? AND start_block = ? AND state = 'good'",
      )
      .get(archiveId, mediumId, startBlock);
    return row !== undefined;
  }

  /** What `extentsOf` has gathered is of no use any more. */
  forget(): void {
    this.#archiveId = undefined;
    this.#extents.clear();
  }

  /**
   * Bytes that cannot be trusted were met on it: its copies count no more, what of them is right serves all the same. One
   * on hold is suspect when the hold ends.
   */
  suspect(mediumId: number): void {
    this.#catalog.write(() => {
      this.#catalog
        .prepare("UPDATE media SET held_from = 'suspect' WHERE id = ? AND state = 'hold'")
        .run(mediumId);
      this.#catalog
        .prepare(
          "UPDATE media SET state = 'suspect' WHERE id = ? AND state IN ('scratch', 'filling', 'full')",
        )
        .run(mediumId);
    });
  }
}

function toCopy(mediumId: number, row: CopyRow): CopyToRead {
  const [archiveId, uuid, fileNumber, startBlock, blockBytes] = row;
  const [writtenMs, verifiedMs] = [row[11], row[12]];
  return {
    archiveId,
    uuid,
    mediumId,
    fileNumber,
    startBlock,
    blockBytes,
    lengthBytes: row[5] ?? undefined,
    lengthBlocks: row[6] ?? undefined,
    blake3: row[7] ?? undefined,
    sha256: row[8] ?? undefined,
    journalBytes: row[9] ?? undefined,
    isTorn: row[10] !== null,
    readMs: Math.max(writtenMs ?? 0, verifiedMs ?? 0),
    verifiedMs: verifiedMs ?? undefined,
  };
}

function toExtent(row: ExtentRow): ExtentToRead {
  const [archiveOffset, contentId, contentOffset, lengthBytes, storedBytes, form, sizeBytes] = row;
  return {
    contentId,
    sizeBytes,
    hash: row[7] ?? undefined,
    segments: row[8] ?? undefined,
    extent: {
      contentOffset,
      lengthBytes,
      archiveOffset,
      storedBytes,
      form: form === 1 ? 'sparse' : 'plain',
    },
  };
}
