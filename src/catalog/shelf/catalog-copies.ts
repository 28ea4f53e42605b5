/** Copies of the catalog that lie on media: where, as of when, and whether the next one is due. */
import type { Catalog } from '../catalog.ts';
import { BAD_MEDIUM_STATES } from './media.ts';

/** A member of an archive. */
export type CopyOfCatalog = {
  /** Of its first byte in the archive's stream. */
  readonly position: number;
  /** As it lies there, compressed. */
  readonly lengthBytes: number;
  /** Of the SQLite file in it. */
  readonly databaseBytes: number;
  /** What was committed later is not in it. */
  readonly takenMs: number;
};

export type LocatedCopy = CopyOfCatalog & {
  readonly archiveUuid: string;
  readonly fileNumber: number;
  readonly startBlock: number;
  /** Archive, copy and medium are good. */
  readonly isGood: boolean;
};

/** Journals of more than this share of the last copy make the next one due: so much is read again to be up to date. */
const DUE_SHARE = 0.1;

export class CatalogCopies {
  readonly #catalog: Catalog;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /** Part of the commit of its archive. */
  add(archiveId: number, copy: CopyOfCatalog): void {
    const { position, lengthBytes, databaseBytes, takenMs } = copy;
    this.#catalog.write(() =>
      this.#catalog
        .prepare('INSERT INTO catalog_copies VALUES(?, ?, ?, ?, ?)')
        .run(archiveId, position, lengthBytes, databaseBytes, Math.floor(takenMs)),
    );
  }

  /**
   * Whether on one of these media the journals since its last copy, one of so many bytes about to be written among them,
   * ask for another. Each is to suffice by itself, so copies on other media do not count.
   */
  isDue(mediumIds: readonly number[], journalBytes: number): boolean {
    return mediumIds.some((mediumId) => {
      const last = this.#last(mediumId);
      if (!last) return true;
      const [archiveId, databaseBytes] = last;
      // The journal of the archive that holds the copy stands behind it, and tells what the copy does not know.
      const since = this.#catalog
        .prepare<[number]>(
          `SELECT coalesce(sum(journal_bytes), 0) FROM archives WHERE id >= ? AND state = 'good'`,
        )
        .get(archiveId);
      return (since?.[0] ?? 0) + journalBytes > databaseBytes * DUE_SHARE;
    });
  }

  #last(mediumId: number): [archiveId: number, databaseBytes: number] | undefined {
    return this.#catalog
      .prepare<[number, number]>(
        `SELECT c.archive, c.database_bytes FROM archive_copies k JOIN catalog_copies c ON c.archive = k.archive
           JOIN archives a ON a.id = k.archive
         WHERE k.medium = ? AND k.state = 'good' AND a.state = 'good' ORDER BY c.archive DESC LIMIT 1`,
      )
      .get(mediumId);
  }

  /** Those on a medium, in order of tape. */
  onMedium(mediumId: number): LocatedCopy[] {
    return this.#catalog
      .prepare<[string, number, number, number, number, number, number, number]>(
        `SELECT a.uuid, k.file_number, k.start_block, c.position, c.length, c.database_bytes, c.taken_ms,
           a.state = 'good' AND k.state = 'good' AND m.state NOT IN ${BAD_MEDIUM_STATES}
         FROM archive_copies k JOIN catalog_copies c ON c.archive = k.archive
           JOIN archives a ON a.id = k.archive JOIN media m ON m.id = k.medium
         WHERE k.medium = ? ORDER BY k.file_number`,
      )
      .all(mediumId)
      .map((row) => ({
        archiveUuid: row[0],
        fileNumber: row[1],
        startBlock: row[2],
        position: row[3],
        lengthBytes: row[4],
        databaseBytes: row[5],
        takenMs: row[6],
        isGood: row[7] === 1,
      }));
  }
}
