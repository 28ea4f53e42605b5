/** What was seen of the health of media and drives (SCHEMA.md 9): a row a stay of a cartridge in a drive, or a cleaning. */
import { strict as assert } from 'node:assert';
import type { CleaningReading, HealthReading } from '../../domain/health.ts';
import type { Catalog } from '../catalog.ts';

export type KnownDrive = {
  readonly id: number;
  readonly serial: string;
  readonly path: string;
  readonly model: string;
};

export type SeenDrive = Pick<KnownDrive, 'serial' | 'path' | 'model'>;

/** More is not looked at, and not kept: some years of a busy cartridge. */
const ROWS_MAX = 1000;

type Row = [timeMs: number, facts: string];

export class HealthBook {
  readonly #catalog: Catalog;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /** @param options.jobNumber for which it was in the drive; undefined: none */
  add(
    drive: SeenDrive,
    reading: Omit<HealthReading, 'timeMs'> | Omit<CleaningReading, 'timeMs'>,
    options: { readonly mediumId: number | undefined; readonly jobNumber: number | undefined },
  ): void {
    const { mediumId, jobNumber } = options;
    const catalog = this.#catalog;
    catalog.write(() => {
      const driveId = this.#driveId(drive);
      catalog
        .prepare('INSERT INTO health(medium, drive, time_ms, job, facts) VALUES(?, ?, ?, ?, ?)')
        .run(mediumId ?? null, driveId, this.#nowMs, jobNumber ?? null, JSON.stringify(reading));
      catalog
        .prepare(
          `DELETE FROM health WHERE drive = @driveId AND id <= (SELECT id FROM health WHERE drive = @driveId
             ORDER BY id DESC LIMIT 1 OFFSET ${ROWS_MAX})`,
        )
        .run({ driveId });
    });
  }

  /** Oldest first. */
  ofMedium(mediumId: number): HealthReading[] {
    return readings(this.#rows('medium = ?', mediumId));
  }

  ofDrive(driveId: number): HealthReading[] {
    return readings(this.#rows('drive = ?', driveId));
  }

  /** Of a drive, or of all. */
  cleanings(driveId?: number): CleaningReading[] {
    const rows =
      driveId === undefined
        ? this.#rows('facts LIKE \'{"cleanedBy":%\'')
        : this.#rows('drive = ?', driveId);
    return rows.flatMap(([timeMs, facts]) => {
      const parsed = JSON.parse(facts);
      return 'cleanedBy' in parsed ? [{ ...parsed, timeMs }] : [];
    });
  }

  /** Media of which anything is known. */
  media(): number[] {
    return this.#catalog
      .prepare<[number]>('SELECT DISTINCT medium FROM health WHERE medium IS NOT NULL')
      .all()
      .map(([id]) => id);
  }

  /** In order of serial number. */
  drives(): KnownDrive[] {
    return this.#catalog
      .prepare<[number, string, string, string]>(
        'SELECT id, serial, path, facts FROM drives ORDER BY serial',
      )
      .all()
      .map(([id, serial, path, facts]) => ({
        ...{ id, serial, path },
        model: JSON.parse(facts).model ?? '',
      }));
  }

  #driveId({ serial, path, model }: SeenDrive): number {
    const id = this.#catalog
      .prepare<[number]>(
        `INSERT INTO drives(serial, path, facts, seen_ms) VALUES(?, ?, ?, ?)
         ON CONFLICT(serial) DO UPDATE SET path = excluded.path, facts = excluded.facts,
           seen_ms = excluded.seen_ms RETURNING id`,
      )
      .get(serial, path, JSON.stringify({ model }), this.#nowMs)?.[0];
    assert(id !== undefined);
    return id;
  }

  #rows(where: string, ...bound: number[]): Row[] {
    return this.#catalog
      .prepare<Row>(
        `SELECT time_ms, facts FROM health WHERE ${where} ORDER BY id DESC LIMIT ${ROWS_MAX}`,
      )
      .all(...bound)
      .reverse();
  }

  get #nowMs(): number {
    return Math.floor(this.#catalog.clock.nowMs());
  }
}

function readings(rows: readonly Row[]): HealthReading[] {
  return rows.flatMap(([timeMs, facts]) => {
    const parsed = JSON.parse(facts);
    return 'alerts' in parsed ? [{ ...parsed, timeMs }] : [];
  });
}
