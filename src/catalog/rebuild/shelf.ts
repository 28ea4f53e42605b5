/**
 * Media and archives as they were found, put into a catalog that knows all, some or none of them.
 *
 * What is found wins over what the catalog believed: a cartridge with another label holds nothing of what it held under the
 * old one, an archive that ends with its digest is good, a tape file that is not there any more is lost.
 */
import { strict as assert } from 'node:assert';
import type { Bound, Catalog } from '../catalog.ts';
import { Store } from '../run/store.ts';
import { Media } from '../shelf/media.ts';

export type ShelfMedium = {
  readonly uuid: string;
  readonly barcode: string;
  readonly pool: string;
  readonly setUuid: string;
  readonly setNumber: number;
  readonly generation: string;
  readonly blockBytes: number;
  /** Of the label. */
  readonly createdMs: number;
  /** As the chip counts archives; undefined where it does not. */
  readonly writeGeneration: number | undefined;
  readonly capacityBytes: number;
  readonly nextFile: number;
  readonly nextBlock: number;
  /** Archives found on it. */
  readonly archives: number;
  /** The whole label, as JSON. */
  readonly label: unknown;
};

export type ShelfArchive = {
  readonly uuid: string;
  readonly job: { readonly number: number; readonly uuid: string; readonly host: string };
  readonly sequence: number;
  readonly blockBytes: number;
  readonly createdMs: number;
  readonly lengthBlocks: number;
  /** Undefined: torn. */
  readonly digest:
    | { readonly blake3: Buffer; readonly sha256: Buffer | undefined; readonly lengthBytes: number }
    | undefined;
  readonly journalBytes: number | undefined;
  readonly copies: readonly { position: number; lengthBytes: number; takenMs: number }[];
  readonly place: {
    readonly mediumId: number;
    readonly fileNumber: number;
    readonly startBlock: number;
  };
};

/** An archive by its number within its run. */
export type NumberedArchive = { readonly sequence: number; readonly isGood: boolean };

export class Shelf {
  readonly #catalog: Catalog;
  readonly #media: Media;
  readonly #isLost;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
    this.#media = new Media(catalog);
    this.#isLost = catalog.prepare(
      `SELECT 1 FROM archive_copies k JOIN archives a ON a.id = k.archive
       WHERE k.medium = ? AND a.uuid = ? AND k.state = 'lost'`,
    );
  }

  /** Archives that the catalog holds for good: what their journals tell it knows; or those it knows to be torn. */
  archivesIn(state: 'good' | 'torn'): ReadonlySet<string> {
    const rows = this.#catalog.prepare<[string]>('SELECT uuid FROM archives WHERE state = ?');
    return new Set(rows.all(state).flat());
  }

  /** UUIDs of jobs that the catalog knows to be grooms; what recovery takes for one, for want of a journal, may be none. */
  grooms(): ReadonlySet<string> {
    const rows = this.#catalog.prepare<[string]>(
      "SELECT uuid FROM jobs WHERE verb = 'groom' AND NOT (pid = 0 AND os = '')",
    );
    return new Set(rows.all().flat());
  }

  /** Archives of runs that have no snapshot yet, by job: what is in them the catalog knows. */
  archivesOfRuns(): ReadonlyMap<string, readonly NumberedArchive[]> {
    const rows = this.#catalog
      .prepare<[string, number, number]>(
        `SELECT j.uuid, a.sequence, a.state = 'good' FROM jobs j CROSS JOIN archives a ON a.job = j.number
         WHERE j.state IN ('running', 'waiting') AND a.state IN ('good', 'torn')
           AND NOT EXISTS(SELECT 1 FROM snapshots s WHERE s.job = j.number)`,
      )
      .all();
    const numbered = ([, sequence, isGood]: (typeof rows)[number]) => {
      return { sequence, isGood: isGood === 1 };
    };
    return new Map(
      [...Map.groupBy(rows, ([uuid]) => uuid)].map(([uuid, of]) => [uuid, of.map(numbered)]),
    );
  }

  /** Whether the catalog has given up all of these archives under this label: it will be written over. */
  isGivenUp(mediumUuid: string, archives: readonly (string | undefined)[]): boolean {
    const medium = this.#media.findUuid(mediumUuid);
    if (medium?.state !== 'scratch' || archives.length === 0) return false;
    return archives.every((uuid) => this.#isLost.get(medium.id, uuid ?? '') !== undefined);
  }

  /** Whether the catalog knows this label under another barcode, and the barcode under another label: it was forged. */
  isContradicted({ uuid, barcode }: Pick<ShelfMedium, 'uuid' | 'barcode'>): boolean {
    const [labelled, named] = [this.#media.findUuid(uuid), this.#media.find(barcode)];
    return labelled !== undefined && named !== undefined && labelled.id !== named.id;
  }

  /** Whether the catalog knows archives behind the end of this medium: it was cut, or is an older likeness of it. */
  endsEarly(uuid: string, found: { readonly endFile: number; readonly endBlock: number }): boolean {
    const medium = this.#media.findUuid(uuid);
    if (!medium) return false;
    return medium.nextFile > found.endFile || medium.nextBlock > found.endBlock;
  }

  /** @returns the medium's id. One that the catalog did not know is kept from being erased: it is on hold. */
  addMedium(found: ShelfMedium): number {
    return this.#catalog.write(() => {
      const byUuid = this.#media.findUuid(found.uuid);
      const known = byUuid ?? this.#media.find(found.barcode);
      const id = known?.id ?? this.#insert(found);
      if (known && !byUuid) this.#forget(id);
      const isNew = byUuid === undefined;
      const state = found.archives > 0 ? 'filling' : 'scratch';
      const held = found.archives > 0 ? 'hold' : 'scratch';
      this.#run(
        `UPDATE media SET uuid = ?, barcode = ?, pool = ?, set_uuid = ?, set_number = ?, generation = ?,
           block_bytes = ?, next_file = ?, next_block = ?, write_generation = ?, label = ?,
           written_bytes = (? - 1) * ?, capacity_bytes = iif(capacity_bytes > 0, capacity_bytes, ?),
           held_from = iif(?, ?, held_from), label_bytes = iif(?, NULL, label_bytes), label_blake3 = iif(?, NULL, label_blake3),
           state = iif(?, ?, iif(state IN ('unlabelled', 'lost'), ?, iif(state = 'scratch', ?, state)))
         WHERE id = ?`,
        found.uuid,
        found.barcode,
        this.#media.ensurePool(found.pool).id,
        found.setUuid,
        found.setNumber,
        found.generation,
        found.blockBytes,
        found.nextFile,
        found.nextBlock,
        found.writeGeneration ?? found.archives + 1,
        JSON.stringify(found.label),
        found.nextBlock,
        found.blockBytes,
        found.capacityBytes,
        isNew ? 1 : 0,
        isNew && found.archives > 0 ? state : null,
        ...[isNew ? 1 : 0, isNew ? 1 : 0],
        isNew ? 1 : 0,
        held,
        held,
        state,
        id,
      );
      return id;
    });
  }

  /** @returns the archive's id */
  addArchive(found: ShelfArchive): number {
    return this.#catalog.write(() => {
      const id = this.#archive(found);
      const { digest, place } = found;
      if (digest) this.#setGood(id, found);
      this.#run(
        `INSERT INTO archive_copies(archive, medium, file_number, start_block, state, written_ms)
         VALUES(@id, @medium, @file, @start, @state, @time)
         ON CONFLICT DO UPDATE SET file_number = @file, start_block = @start,
           state = iif(state = 'good' AND file_number = @file, state, @state), written_ms = coalesce(written_ms, @time)`,
        {
          id,
          medium: place.mediumId,
          file: place.fileNumber,
          start: place.startBlock,
          state: digest ? 'good' : 'bad',
          time: found.createdMs,
        },
      );
      return id;
    });
  }

  /** The archive vouches for the whole members of a torn one. */
  complete(tornUuid: string, archiveId: number, wholeBytes: number): number | undefined {
    return this.#catalog.write(() => {
      const [torn] =
        this.#catalog.prepare<[number]>('SELECT id FROM archives WHERE uuid = ?').get(tornUuid) ??
        [];
      if (torn === undefined || torn === archiveId) return undefined;
      this.#run(
        `UPDATE archives SET state = 'good', length_bytes = ?, completed_by = ?, committed_ms = created_ms
         WHERE id = ? AND state <> 'good'`,
        Math.ceil(wholeBytes / 512) * 512,
        archiveId,
        torn,
      );
      this.#run(
        "UPDATE archive_copies SET state = 'good' WHERE archive = ? AND state <> 'lost'",
        torn,
      );
      return torn;
    });
  }

  /** Whole members of an archive without an end of its own were read: it counts so far. */
  salvage(
    archiveId: number,
    found: { readonly mediumId: number; readonly wholeBytes: number; readonly blake3: Buffer },
  ): void {
    this.#catalog.write(() => {
      const { changes } = this.#catalog
        .prepare(
          `UPDATE archives SET state = 'good', length_bytes = ?, blake3 = ?, committed_ms = created_ms
           WHERE id = ? AND state <> 'good'`,
        )
        .run(found.wholeBytes, found.blake3, archiveId);
      if (changes === 0) return;
      this.#run(
        "UPDATE archive_copies SET state = 'good' WHERE archive = ? AND medium = ?",
        archiveId,
        found.mediumId,
      );
    });
  }

  /** Bytes that a good archive's hash is to cover, where it has none yet. */
  unproven(archiveId: number): number | undefined {
    return this.#catalog
      .prepare<[number]>(
        `SELECT length_bytes FROM archives WHERE id = ? AND state = 'good' AND blake3 IS NULL AND length_bytes IS NOT NULL`,
      )
      .get(archiveId)?.[0];
  }

  prove(archiveId: number, blake3: Buffer): void {
    this.#run('UPDATE archives SET blake3 = ? WHERE id = ?', blake3, archiveId);
  }

  /** What the catalog believed to be on a cartridge that was looked through, and is not. */
  loseOthers(mediumId: number, archiveIds: ReadonlySet<number>): number {
    return this.#catalog.write(() => {
      const rows = this.#catalog
        .prepare<[number]>(
          "SELECT archive FROM archive_copies WHERE medium = ? AND state <> 'lost'",
        )
        .all(mediumId)
        .flat();
      const lost = rows.filter((archive) => !archiveIds.has(archive));
      for (const archive of lost)
        this.#run(
          "UPDATE archive_copies SET state = 'lost' WHERE archive = ? AND medium = ?",
          archive,
          mediumId,
        );
      return lost.length;
    });
  }

  /** Archives that were being written when the catalog was copied and were found nowhere: they count for nothing. */
  tearUnfinished(): void {
    const rows = this.#catalog
      .prepare<[number, number | null]>("SELECT id, job FROM archives WHERE state = 'writing'")
      .all();
    for (const [id, job] of rows) {
      this.#catalog.write(() => {
        this.#run("UPDATE archives SET state = 'torn' WHERE id = ?", id);
        this.#run(
          "UPDATE archive_copies SET state = 'bad' WHERE archive = ? AND state = 'writing'",
          id,
        );
      });
      if (job !== null) new Store(this.#catalog, job).untie(id);
    }
    this.#run(
      "UPDATE archive_copies SET state = 'bad' WHERE state = 'writing' AND archive IN (SELECT id FROM archives WHERE state <> 'writing')",
    );
  }

  /** An archive's journal tells of a run of another job. */
  toldRun(archiveId: number, jobNumber: number): void {
    this.#run(
      'INSERT OR IGNORE INTO told_runs SELECT id, @job FROM archives WHERE id = @archive AND job IS NOT @job',
      { archive: archiveId, job: jobNumber },
    );
  }

  /** The job of this UUID, made where it is not known; its number stays if no other has it. */
  ensureJob(job: {
    readonly number: number;
    readonly uuid: string;
    readonly host: string;
    readonly startedMs: number;
    readonly verb: string;
  }): number {
    return this.#catalog.write(() => {
      const known = this.#catalog
        .prepare<[number]>('SELECT number FROM jobs WHERE uuid = ?')
        .get(job.uuid)?.[0];
      if (known !== undefined) return known;
      const isTaken = this.#catalog.prepare('SELECT 1 FROM jobs WHERE number = ?').get(job.number);
      const number = isTaken || job.number < 1 || job.number > NUMBER_MAX ? null : job.number;
      const id = this.#catalog
        .prepare<[number]>(
          `INSERT INTO jobs(number, uuid, verb, state, started_ms, ended_ms, host, os, pid, parameters)
           VALUES(?, ?, ?, 'failed', ?, ?, ?, '', 0, '{}') RETURNING number`,
        )
        .get(number, job.uuid, job.verb, job.startedMs, job.startedMs, job.host)?.[0];
      assert(id !== undefined);
      return id;
    });
  }

  #archive(found: ShelfArchive): number {
    const known = this.#catalog
      .prepare<[number]>('SELECT id FROM archives WHERE uuid = ?')
      .get(found.uuid)?.[0];
    if (known !== undefined) return known;
    const job = this.ensureJob({ ...found.job, startedMs: found.createdMs, verb: 'groom' });
    const id = this.#catalog
      .prepare<[number]>(
        `INSERT INTO archives(uuid, job, sequence, state, block_bytes, length_blocks, created_ms)
         VALUES(?, ?, ?, 'torn', ?, ?, ?) RETURNING id`,
      )
      .get(
        found.uuid,
        job,
        found.sequence,
        found.blockBytes,
        found.lengthBlocks,
        found.createdMs,
      )?.[0];
    assert(id !== undefined);
    return id;
  }

  #setGood(id: number, { digest, lengthBlocks, createdMs, ...found }: ShelfArchive): void {
    assert(digest);
    const { changes } = this.#catalog
      .prepare(
        `UPDATE archives SET state = 'good', length_bytes = ?, length_blocks = ?, blake3 = ?, sha256 = ?,
           committed_ms = ?, journal_bytes = ? WHERE id = ? AND state <> 'good'`,
      )
      .run(
        lengthBlocks * found.blockBytes,
        lengthBlocks,
        digest.blake3,
        digest.sha256 ?? null,
        createdMs,
        found.journalBytes ?? null,
        id,
      );
    if (changes === 0) return;
    // How large it is unpacked nobody says; taken for smaller, the next copy is due sooner.
    for (const { position, lengthBytes, takenMs } of found.copies)
      this.#run(
        'INSERT OR REPLACE INTO catalog_copies VALUES(?, ?, ?, ?, ?)',
        id,
        position,
        lengthBytes,
        lengthBytes,
        takenMs,
      );
  }

  #insert(found: ShelfMedium): number {
    const id = this.#catalog
      .prepare<[number]>(
        `INSERT INTO media(barcode, kind, state, capacity_bytes, written_bytes, next_file, next_block,
           write_generation, created_ms) VALUES(?, 'tape', 'unlabelled', ?, 0, 0, 0, 0, ?) RETURNING id`,
      )
      .get(found.barcode, found.capacityBytes, found.createdMs)?.[0];
    assert(id !== undefined);
    return id;
  }

  /** It was labelled anew since the catalog was copied. */
  #forget(mediumId: number): void {
    this.#run("UPDATE archive_copies SET state = 'lost' WHERE medium = ?", mediumId);
  }

  #run(sql: string, ...bound: Bound[]): void {
    this.#catalog.write(() => this.#catalog.prepare(sql).run(...bound));
  }
}

/** Numbers of jobs beyond this come from no history of ours. */
const NUMBER_MAX = 2 ** 40;
