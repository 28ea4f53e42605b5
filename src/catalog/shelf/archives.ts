/** Archives and where their copies lie. An archive is the unit of commit: until it is good it counts for nothing. */
import { strict as assert } from 'node:assert';
import type { Catalog } from '../catalog.ts';
import { CatalogCopies, type CopyOfCatalog } from './catalog-copies.ts';
import { BAD_MEDIUM_STATES } from './media.ts';

export type ArchiveState = 'writing' | 'good' | 'torn' | 'orphan';

export type CopyPlace = {
  readonly mediumId: number;
  readonly fileNumber: number;
  readonly startBlock: number;
};

export type NewArchive = {
  readonly uuid: string;
  /** From 1 within the job. */
  readonly sequence: number;
  readonly blockBytes: number;
  /** Where each copy of it begins. */
  readonly copies: readonly CopyPlace[];
};

export type FinishedArchive = {
  /** Bytes of the stream, padding included; of a torn one, up to the tear: what the hashes cover. */
  readonly lengthBytes: number;
  readonly lengthBlocks: number;
  readonly blake3: Buffer;
  readonly sha256: Buffer | undefined;
  /** Media whose synchronous filemark came back good; the other copies are bad. At least one. */
  readonly copiesGood: readonly number[];
  /** The archive that vouches for the whole members of this one, which has no digest of its own. */
  readonly completedBy?: number | undefined;
  /** Snapshots of earlier runs whose end its journal carries. */
  readonly carriedSnapshots?: readonly number[] | undefined;
  /** Snapshots of runs that its journal tells anew, whole. */
  readonly retoldSnapshots?: readonly number[] | undefined;
  readonly journalBytes?: number | undefined;
  /** Of the catalog, among its members. */
  readonly catalogCopy?: CopyOfCatalog | undefined;
  /** What its journal says of the end of its own run. */
  readonly end?: JournaledEnd | undefined;
};

/** How a run has ended, as a journal has it: the time is that of its snapshot. */
export type JournaledEnd = { readonly state: 'finished' | 'partial'; readonly seconds: number };

/** Where the data of a medium end. */
export type MediumEnd = {
  readonly mediumId: number;
  readonly nextFile: number;
  readonly nextBlock: number;
};

export type Archive = {
  readonly archiveId: number;
  readonly uuid: string;
  readonly jobNumber: number | undefined;
  readonly sequence: number;
  readonly state: ArchiveState;
  readonly blockBytes: number;
  readonly lengthBytes: number | undefined;
  readonly lengthBlocks: number | undefined;
  readonly blake3: Buffer | undefined;
  readonly sha256: Buffer | undefined;
};

type ArchiveRow = [
  number,
  string,
  number | null,
  number,
  ArchiveState,
  number,
  number | null,
  number | null,
  Buffer | null,
  Buffer | null,
];

const SELECT = `SELECT id, uuid, job, sequence, state, block_bytes, length_bytes, length_blocks, blake3, sha256
  FROM archives`;

export class Archives {
  readonly #catalog: Catalog;
  readonly #move;
  readonly #count;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
    // One with an archive behind its label is not given up, though the archive counts for nothing: it is not labelled anew.
    this.#move = catalog.prepare(
      `UPDATE media SET next_file = @nextFile, next_block = @nextBlock,
         state = CASE state WHEN 'scratch' THEN 'filling' ELSE state END,
         written_bytes = written_bytes + (@nextBlock - next_block - 1) * coalesce(block_bytes, 0)
       WHERE id = @mediumId AND next_file < @nextFile`,
    );
    this.#count = catalog.prepare(
      `UPDATE media SET write_generation = write_generation + 1,
         state = CASE state WHEN 'scratch' THEN 'filling' ELSE state END WHERE id = ?`,
    );
  }

  /**
   * Announces an archive before its first block is written.
   * @param ends where media end behind a torn archive that this one is to complete: both are told at once
   */
  begin(
    jobNumber: number | undefined,
    archive: NewArchive,
    ends: readonly MediumEnd[] = [],
  ): number {
    return this.#catalog.write(() => {
      this.moveEnds(ends);
      const id = this.#catalog
        .prepare<[number]>(
          `INSERT INTO archives(uuid, job, sequence, state, block_bytes, created_ms)
           VALUES(?, ?, ?, 'writing', ?, ?) RETURNING id`,
        )
        .get(
          archive.uuid,
          jobNumber ?? null,
          archive.sequence,
          archive.blockBytes,
          Math.floor(this.#catalog.clock.nowMs()),
        )?.[0];
      assert(id !== undefined && archive.copies.length > 0);
      const insert = this.#catalog.prepare(
        `INSERT INTO archive_copies(archive, medium, file_number, start_block, state)
         VALUES(?, ?, ?, ?, 'writing')`,
      );
      for (const copy of archive.copies)
        insert.run(id, copy.mediumId, copy.fileNumber, copy.startBlock);
      return id;
    });
  }

  /**
   * The archive is durable: it and its good copies count from now on, and the media end behind it. One small transaction;
   * what the archive holds has been stored before.
   */
  commit(archiveId: number, finished: FinishedArchive): void {
    assert(finished.copiesGood.length > 0, 'an archive without a good copy is torn');
    const nowMs = Math.floor(this.#catalog.clock.nowMs());
    this.#catalog.write(() => {
      const { changes } = this.#catalog
        .prepare(
          `UPDATE archives SET state = 'good', length_bytes = ?, length_blocks = ?, blake3 = ?, sha256 = ?,
             committed_ms = ?, completed_by = ?, journal_bytes = ?, end_seconds = ?, end_is_partial = ? WHERE id = ? AND state = 'writing'`,
        )
        .run(
          finished.lengthBytes,
          finished.lengthBlocks,
          finished.blake3,
          finished.sha256 ?? null,
          nowMs,
          finished.completedBy ?? null,
          finished.journalBytes ?? null,
          finished.end?.seconds ?? null,
          finished.end ? Number(finished.end.state === 'partial') : null,
          archiveId,
        );
      assert(changes === 1, `archive ${archiveId} is not being written`);
      const carried = this.#catalog.prepare('UPDATE snapshots SET journaled = 1 WHERE id = ?');
      const told = this.#catalog.prepare(
        'INSERT OR IGNORE INTO told_runs SELECT ?, job FROM snapshots WHERE id = ?',
      );
      for (const id of finished.carriedSnapshots ?? []) {
        carried.run(id);
        told.run(archiveId, id);
      }
      for (const id of finished.retoldSnapshots ?? []) told.run(archiveId, id);
      if (finished.catalogCopy)
        new CatalogCopies(this.#catalog).add(archiveId, finished.catalogCopy);
      const mark = this.#catalog.prepare(
        `UPDATE archive_copies SET state = ?, written_ms = ? WHERE archive = ? AND medium = ?`,
      );
      for (const copy of this.copies(archiveId)) {
        const isGood = finished.copiesGood.includes(copy.mediumId);
        mark.run(isGood ? 'good' : 'bad', isGood ? nowMs : null, archiveId, copy.mediumId);
        if (isGood) this.#grow(copy, finished.lengthBlocks);
      }
    });
  }

  /**
   * Whatever of it lies on media counts for nothing. Rows of the run are the caller's (`ArchivesOfRun.tear`).
   * @param ends where the media end now, as far as that is known
   */
  tear(archiveId: number, ends: readonly MediumEnd[] = []): void {
    this.#catalog.write(() => {
      this.#catalog
        .prepare("UPDATE archives SET state = 'torn' WHERE id = ? AND state = 'writing'")
        .run(archiveId);
      this.#catalog
        .prepare("UPDATE archive_copies SET state = 'bad' WHERE archive = ? AND state = 'writing'")
        .run(archiveId);
      this.moveEnds(ends);
    });
  }

  /**
   * Media end behind archives that do not count, or not yet; never before what is known. What those take is counted as
   * written. Part of the caller's `write`.
   */
  moveEnds(ends: readonly MediumEnd[]): void {
    for (const { mediumId, nextFile, nextBlock } of ends)
      this.#move.run({ mediumId, nextFile, nextBlock });
  }

  /** A good archive is about to be written to another medium, behind the data there. */
  beginCopy(archiveId: number, { mediumId, fileNumber, startBlock }: CopyPlace): void {
    this.#catalog.write(() =>
      this.#catalog
        .prepare(
          `INSERT INTO archive_copies(archive, medium, file_number, start_block, state)
           VALUES(?, ?, ?, ?, 'writing') ON CONFLICT DO UPDATE SET file_number = excluded.file_number,
             start_block = excluded.start_block, state = 'writing', written_ms = NULL, verified_ms = NULL
           WHERE state IN ('bad', 'lost', 'writing')`,
        )
        .run(archiveId, mediumId, fileNumber, startBlock),
    );
  }

  /** Its filemark came back good: the copy counts from now on. */
  commitCopy(archiveId: number, mediumId: number, lengthBlocks: number): void {
    this.#catalog.write(() => {
      const { changes } = this.#catalog
        .prepare(
          `UPDATE archive_copies SET state = 'good', written_ms = ? WHERE archive = ? AND medium = ? AND state = 'writing'`,
        )
        .run(Math.floor(this.#catalog.clock.nowMs()), archiveId, mediumId);
      assert(changes === 1, `archive ${archiveId} is not being copied`);
      const copy = this.copies(archiveId).find((one) => one.mediumId === mediumId);
      assert(copy);
      this.#grow(copy, lengthBlocks);
    });
  }

  /** What is left of it counts for nothing. @param ends where the medium ends now, as far as that is known */
  abandonCopy(archiveId: number, mediumId: number, ends: readonly MediumEnd[] = []): void {
    this.#catalog.write(() => {
      this.#catalog
        .prepare(
          "UPDATE archive_copies SET state = 'bad' WHERE archive = ? AND medium = ? AND state = 'writing'",
        )
        .run(archiveId, mediumId);
      this.moveEnds(ends);
    });
  }

  /** Copies of good archives that a process has begun which is no more. */
  abandonCopies(): void {
    this.#catalog.write(() =>
      this.#catalog
        .prepare(
          `UPDATE archive_copies SET state = 'bad' WHERE state = 'writing'
             AND archive IN (SELECT id FROM archives WHERE state = 'good')`,
        )
        .run(),
    );
  }

  /** Of a copy read back, or found bad or lost. */
  markCopy(archiveId: number, mediumId: number, found: 'good' | 'bad' | 'lost'): void {
    this.#catalog.write(() =>
      this.#catalog
        .prepare(
          'UPDATE archive_copies SET state = ?, verified_ms = ? WHERE archive = ? AND medium = ?',
        )
        .run(found, Math.floor(this.#catalog.clock.nowMs()), archiveId, mediumId),
    );
  }

  /** A range of one copy that cannot be read, or reads wrong. May be told twice. */
  addDamage(damage: {
    archiveId: number;
    mediumId: number;
    position: number;
    lengthBytes: number;
  }): void {
    this.#catalog.write(() =>
      this.#catalog
        .prepare(
          `INSERT INTO damages VALUES(?, ?, ?, ?)
           ON CONFLICT DO UPDATE SET length = max(length, excluded.length)`,
        )
        .run(damage.archiveId, damage.mediumId, damage.position, damage.lengthBytes),
    );
  }

  get(archiveId: number): Archive {
    const row = this.#catalog.prepare<ArchiveRow>(`${SELECT} WHERE id = ?`).get(archiveId);
    assert(row, `no archive ${archiveId}`);
    return toArchive(row);
  }

  find(uuid: string): Archive | undefined {
    const row = this.#catalog.prepare<ArchiveRow>(`${SELECT} WHERE uuid = ?`).get(uuid);
    return row && toArchive(row);
  }

  /** Of a job those that count, and one that is being written as if it did. */
  countGood(jobNumber: number, writingId: number): number {
    const row = this.#catalog
      .prepare<[number]>(
        "SELECT count(*) FROM archives WHERE job = ? AND (state = 'good' OR id = ?)",
      )
      .get(jobNumber, writingId);
    return row?.[0] ?? 0;
  }

  ofJob(jobNumber: number): Archive[] {
    const rows = this.#catalog.prepare<ArchiveRow>(`${SELECT} WHERE job = ? ORDER BY sequence, id`);
    return rows.all(jobNumber).map(toArchive);
  }

  /** What the last good archive of a job says of its end; undefined where it says nothing, or is on no medium that counts. */
  endOf(jobNumber: number): JournaledEnd | undefined {
    const row = this.#catalog
      .prepare<[seconds: number | null, isPartial: number | null]>(
        `SELECT a.end_seconds, a.end_is_partial FROM archives a WHERE a.job = ? AND a.state = 'good'
           AND EXISTS(SELECT 1 FROM archive_copies k JOIN media m ON m.id = k.medium
             WHERE k.archive = a.id AND k.state = 'good' AND m.state NOT IN ${BAD_MEDIUM_STATES})
         ORDER BY a.sequence DESC, a.id DESC LIMIT 1`,
      )
      .get(jobNumber);
    const [seconds = null, isPartial] = row ?? [];
    if (seconds === null) return undefined;
    return { state: isPartial === 1 ? 'partial' : 'finished', seconds };
  }

  copies(archiveId: number): (CopyPlace & { readonly state: string })[] {
    return this.#catalog
      .prepare<[number, number, number, string]>(
        `SELECT medium, file_number, start_block, state FROM archive_copies WHERE archive = ? ORDER BY medium`,
      )
      .all(archiveId)
      .map(([mediumId, fileNumber, startBlock, state]) => ({
        mediumId,
        fileNumber,
        startBlock,
        state,
      }));
  }

  /** What lies on a medium, in order of tape. */
  onMedium(mediumId: number): { readonly archiveId: number; readonly fileNumber: number }[] {
    return this.#catalog
      .prepare<[number, number]>(
        'SELECT archive, file_number FROM archive_copies WHERE medium = ? ORDER BY file_number',
      )
      .all(mediumId)
      .map(([archiveId, fileNumber]) => ({ archiveId, fileNumber }));
  }

  /** The filemark behind the archive counts as a block, as READ POSITION counts (SSC-4, 4.2.7). */
  #grow({ mediumId, fileNumber, startBlock }: CopyPlace, lengthBlocks: number): void {
    const nextBlock = startBlock + lengthBlocks + 1;
    this.moveEnds([{ mediumId, nextFile: fileNumber + 1, nextBlock }]);
    this.#count.run(mediumId);
  }
}

function toArchive(row: ArchiveRow): Archive {
  return {
    archiveId: row[0],
    uuid: row[1],
    jobNumber: row[2] ?? undefined,
    sequence: row[3],
    state: row[4],
    blockBytes: row[5],
    lengthBytes: row[6] ?? undefined,
    lengthBlocks: row[7] ?? undefined,
    blake3: row[8] ?? undefined,
    sha256: row[9] ?? undefined,
  };
}
