/** Archives of some jobs that are on fewer media of their pool than is wanted, whatever they hold: journals and copies of the catalog too. */
import type { Catalog } from '../catalog.ts';
import { BAD_MEDIUM_STATES } from '../shelf/media.ts';
import { COPY_COLUMNS, type CopyRow, copyReader, type ScarceArchive } from './copies-policy.ts';

export type LackingArchive = ScarceArchive & {
  /** Torn on purpose, or the one that completes it: neither is anything alone. */
  readonly isTorn: boolean;
};

const IS_GOOD = `k.archive = a.id AND k.state = 'good' AND m.pool = @poolId AND m.state NOT IN ${BAD_MEDIUM_STATES}`;

/** Once for each medium where they are good, in the order of their tapes. */
export function lackingArchives(
  catalog: Catalog,
  order: {
    readonly jobs: readonly number[];
    readonly poolId: number;
    readonly copies: number;
  },
): LackingArchive[] {
  const { jobs, poolId, copies } = order;
  const rows = catalog.prepare<[isTorn: number, ...CopyRow]>(
    `SELECT a.completed_by IS NOT NULL OR EXISTS(SELECT 1 FROM archives t WHERE t.completed_by = a.id), ${COPY_COLUMNS}
     FROM archives a CROSS JOIN archive_copies k CROSS JOIN media m ON m.id = k.medium
     WHERE a.job = @job AND a.state = 'good' AND ${IS_GOOD} AND @copies > (
       SELECT count(*) FROM archive_copies k CROSS JOIN media m ON m.id = k.medium WHERE ${IS_GOOD})
     ORDER BY k.medium, k.file_number`,
  );
  const read = copyReader(catalog);
  return jobs.flatMap((job) =>
    rows.all({ job, poolId, copies }).map(([isTorn, ...row]) => ({
      ...read(row),
      isTorn: isTorn === 1,
    })),
  );
}
