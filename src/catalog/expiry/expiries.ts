/** What is held no longer, until a journal on a medium tells it (archive/FORMAT.md section 5.5). */
import type { Catalog } from '../catalog.ts';
import { BAD_MEDIUM_STATES } from '../shelf/media.ts';

export type Expiry = {
  readonly id: number;
  readonly kind: 'snapshot' | 'medium';
  /** Of the snapshot's run, or of the medium's label. */
  readonly uuid: string;
  /** The snapshot's time (ISO 8601, UTC), or the barcode. */
  readonly name: string;
};

/**
 * An archive that is not good tells nobody anything, nor does one on media that were given up. Asked once an archive: there is a
 * row for each snapshot that ever expired.
 */
const UNTOLD = `(archive IS NULL OR archive IN (
  SELECT d.archive FROM (SELECT DISTINCT archive FROM expiries WHERE archive IS NOT NULL) d
  WHERE NOT EXISTS(SELECT 1 FROM archives a CROSS JOIN archive_copies k ON k.archive = a.id
    CROSS JOIN media m ON m.id = k.medium WHERE a.id = d.archive AND a.state = 'good' AND k.state = 'good'
      AND m.state NOT IN ${BAD_MEDIUM_STATES})))`;

export class Expiries {
  readonly #catalog: Catalog;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /** Once for each uuid; what is known of it stays. */
  add(jobNumber: number | undefined, { kind, uuid, name }: Omit<Expiry, 'id'>): void {
    this.#catalog.write(() =>
      this.#catalog
        .prepare(
          'INSERT OR IGNORE INTO expiries(kind, uuid, name, job, time_ms) VALUES(?, ?, ?, ?, ?)',
        )
        .run(kind, uuid, name, jobNumber ?? null, Math.floor(this.#catalog.clock.nowMs())),
    );
  }

  /** What no good archive's journal tells, in the order in which it was said. */
  untold(): Expiry[] {
    return this.#catalog
      .prepare<[number, Expiry['kind'], string, string]>(
        `SELECT id, kind, uuid, name FROM expiries WHERE ${UNTOLD} ORDER BY id`,
      )
      .all()
      .map(([id, kind, uuid, name]) => ({ id, kind, uuid, name }));
  }

  countUntold(): number {
    const row = this.#catalog
      .prepare<[number]>(`SELECT count(*) FROM expiries WHERE ${UNTOLD}`)
      .get();
    return row?.[0] ?? 0;
  }

  /** The archive's journal tells these: they count as told once it is good. */
  tell(archiveId: number, expiries: readonly Pick<Expiry, 'id'>[]): void {
    if (expiries.length === 0) return;
    const set = this.#catalog.prepare('UPDATE expiries SET archive = ? WHERE id = ?');
    this.#catalog.write(() => {
      for (const { id } of expiries) set.run(archiveId, id);
    });
  }
}
