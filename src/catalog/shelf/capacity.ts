/**
 * How full the media are, and of what: live, stale and free bytes of each, from sums a medium and an archive have.
 *
 * Nothing here looks at extents but `sumDeadBytes`: it answers as fast with ten million files as with ten (SCHEMA.md 9).
 */
import type { Catalog } from '../catalog.ts';

export type MediumFill = {
  /** Bytes of archives on it that some version or run still has. */
  readonly liveBytes: number;
  /** Written, and of no use any more: what grooming frees. */
  readonly staleBytes: number;
  readonly freeBytes: number;
  /** Tape files with archives of ours, the label apart. */
  readonly archives: number;
};

/** As SQL, of an archive `a` that is good: what another program wrote has members of another shape, and what is dead of it says little. */
export const IS_OURS = '(a.journal_bytes IS NOT NULL OR a.completed_by IS NOT NULL)';

/** As SQL: no extent is left of it. What a journal or an opening takes is never dead before the sweep has said so. */
export const IS_EMPTY = `(${IS_OURS} AND a.dead_bytes >= a.length_bytes)`;

type LiveRow = [medium: number, live: number, archives: number];

/** Torn archives and bad copies serve nobody; one that is unknown here may be somebody's. */
const LIVE = `SELECT k.medium, sum(CASE
    WHEN a.state = 'torn' AND a.completed_by IS NULL OR k.state = 'bad' THEN 0
    ELSE max(0, coalesce(a.length_bytes, 0) - coalesce(a.journal_bytes, 0) - a.dead_bytes
      - coalesce((SELECT c.length FROM catalog_copies c WHERE c.archive = a.id), 0)) END), count(*)
  FROM archive_copies k CROSS JOIN archives a ON a.id = k.archive WHERE k.state <> 'lost' GROUP BY k.medium`;

/** By id of the medium; every medium has one. */
export function fillOfMedia(catalog: Catalog): Map<number, MediumFill> {
  const live = new Map(
    catalog
      .prepare<LiveRow>(LIVE)
      .all()
      .map(([medium, liveBytes, archives]) => [medium, { liveBytes, archives }]),
  );
  const media = catalog
    .prepare<[number, number, number]>('SELECT id, capacity_bytes, written_bytes FROM media')
    .all();
  return new Map(
    media.map(([id, capacityBytes, writtenBytes]) => {
      const known = live.get(id);
      const liveBytes = Math.min(known?.liveBytes ?? 0, writtenBytes);
      const fill = {
        liveBytes,
        staleBytes: writtenBytes - liveBytes,
        freeBytes: Math.max(0, capacityBytes - writtenBytes),
        archives: known?.archives ?? 0,
      };
      return [id, fill];
    }),
  );
}

/** What each member takes of a stream besides its bytes: an extended header, its records, the header (FORMAT.md 4.3). */
const HEAD_BYTES = 1536;

/**
 * Says anew what is dead of every archive, from the extents there are: after they came in another way than by storing. Goes
 * through all of them once, some seconds for ten million.
 */
export function sumDeadBytes(catalog: Catalog): void {
  catalog.write(() => {
    const sums = catalog
      .prepare<[number, number]>(
        `SELECT e.archive, sum(${HEAD_BYTES} + 512 * ((511 + coalesce(e.stored, e.length, c.size - e.content_offset)) / 512))
         FROM extents e CROSS JOIN contents c ON c.id = e.content GROUP BY e.archive`,
      )
      .all();
    // Where nothing is left of an archive, all of it is dead.
    catalog.prepare('UPDATE archives SET dead_bytes = coalesce(length_bytes, 0)').run();
    const set = catalog.prepare(
      `UPDATE archives SET dead_bytes = max(0, coalesce(length_bytes, 0) - coalesce(journal_bytes, 0)
         - coalesce((SELECT c.length FROM catalog_copies c WHERE c.archive = archives.id), 0) - @bytes)
       WHERE id = @archive`,
    );
    for (const [archive, bytes] of sums) set.run({ archive, bytes });
  });
}

/** What a pool has taken in, as far as it is known. */
export type Intake = {
  readonly poolId: number;
  /** Written in the time that is looked at, all copies counted. */
  readonly bytes: number;
  /** Since when, in ms: the first of it, or the beginning of that time. */
  readonly sinceMs: number;
  /** Runs that wrote it. */
  readonly runs: number;
};

/** The first run of a pool stores everything there is: it says nothing of what a day brings. */
const INTAKE = `WITH written AS (SELECT m.pool, a.job, a.length_bytes AS bytes, k.written_ms AS ms
    FROM archive_copies k CROSS JOIN archives a ON a.id = k.archive CROSS JOIN media m ON m.id = k.medium
    WHERE m.pool IS NOT NULL AND k.written_ms IS NOT NULL AND a.length_bytes IS NOT NULL),
  beginnings AS (SELECT pool, min(job) AS job FROM written GROUP BY pool)
  SELECT w.pool, sum(w.bytes), min(w.ms), count(DISTINCT w.job) FROM written w CROSS JOIN beginnings b
  WHERE b.pool = w.pool AND w.job > b.job AND w.ms >= @sinceMs GROUP BY w.pool`;

/** Of each pool that was written since, its first run left out. */
export function intakeOfPools(catalog: Catalog, sinceMs: number): Intake[] {
  return catalog
    .prepare<[number, number, number, number]>(INTAKE)
    .all({ sinceMs })
    .map(([poolId, bytes, first, runs]) => ({ poolId, bytes, sinceMs: first, runs }));
}
