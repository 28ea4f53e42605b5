/** Archives of some jobs that are on fewer media of their pool than is wanted, whatever they hold: journals and copies of the catalog too. */
import type { Catalog } from './catalog.ts';
import { BAD_MEDIUM_STATES } from './contents.ts';
import type { ScarceArchive } from './copies-policy.ts';

export type LackingArchive = ScarceArchive & {
  /** Torn on purpose, or the one that completes it: neither is anything alone. */
  readonly isTorn: boolean;
};

type Row = [
  archiveId: number,
  mediumId: number,
  fileNumber: number,
  startBlock: number,
  lengthBlocks: number,
  blockBytes: number,
  lengthBytes: number,
  blake3: Buffer,
  isDamaged: number,
  isTorn: number,
];

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
  const rows = catalog.prepare<Row>(
    `SELECT a.id, k.medium, k.file_number, k.start_block, a.length_blocks, a.block_bytes, a.length_bytes, a.blake3,
       EXISTS(SELECT 1 FROM damages d WHERE d.archive = a.id AND d.medium = k.medium),
       a.completed_by IS NOT NULL OR EXISTS(SELECT 1 FROM archives t WHERE t.completed_by = a.id)
     FROM archives a CROSS JOIN archive_copies k CROSS JOIN media m ON m.id = k.medium
     WHERE a.job = @job AND a.state = 'good' AND ${IS_GOOD} AND @copies > (
       SELECT count(*) FROM archive_copies k CROSS JOIN media m ON m.id = k.medium WHERE ${IS_GOOD})
     ORDER BY k.medium, k.file_number`,
  );
  const holders = catalog.prepare<[number]>(
    "SELECT medium FROM archive_copies WHERE archive = ? AND state IN ('good', 'writing')",
  );
  return jobs.flatMap((job) =>
    rows.all({ job, poolId, copies }).map((row) => ({
      archiveId: row[0],
      mediumId: row[1],
      fileNumber: row[2],
      startBlock: row[3],
      lengthBlocks: row[4],
      blockBytes: row[5],
      lengthBytes: row[6],
      blake3: row[7],
      isDamaged: row[8] === 1,
      isTorn: row[9] === 1,
      holders: holders.all(row[0]).flat(),
    })),
  );
}
