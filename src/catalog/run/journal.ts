/** Runs that no journal on a medium tells completely: the next archive carries what is missing. */
import type { Catalog } from '../catalog.ts';
import { JOBS_WITH_ROWS, type PendingEntry, PendingRows } from '../pending/rows.ts';
import type { Snapshot } from '../tree/snapshots.ts';

/** Finished runs whose end, or some of whose rows, no good archive's journal carries; oldest first. */
export function unjournaled(catalog: Catalog): Snapshot[] {
  return catalog
    .prepare<[number, number, number, number]>(
      `SELECT id, seconds, job, is_partial FROM snapshots WHERE state = 'finished' AND journaled = 0
       UNION SELECT id, seconds, job, is_partial FROM snapshots WHERE state = 'finished' AND job IN ${JOBS_WITH_ROWS}
       ORDER BY id`,
    )
    .all()
    .map(([id, seconds, jobNumber, isPartial]) => ({
      id,
      seconds,
      jobNumber,
      isPartial: isPartial === 1,
    }));
}

/** The rows of a job that an archive's journal has to carry (after `ArchivesOfRun.takeForJournal`), in order of path. */
export function carriedEntries(
  catalog: Catalog,
  jobNumber: number,
  archiveId: number,
): Generator<PendingEntry> {
  return new PendingRows(catalog, jobNumber).carriedBy(archiveId);
}
