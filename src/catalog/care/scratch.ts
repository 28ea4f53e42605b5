/**
 * A medium becomes scratch: all that lay on it is proven to be elsewhere, and then forgotten, in one transaction
 * (SCHEMA.md section 9).
 *
 * Proving takes longer than a transaction may. So it is done before, and the transaction proves that nobody has written to
 * the catalog since; else it is done again.
 */
import type { Catalog } from '../catalog.ts';
import { Alarms } from '../job/alarms.ts';
import { Jobs } from '../job/jobs.ts';
import { isWriting } from '../job/writing.ts';
import { BAD_MEDIUM_STATES, Media } from '../shelf/media.ts';
import { LiveContents, type PoolCopies } from './live.ts';
import { dataVersion, disown } from './loss.ts';
import { expiriesToldOn, runsToldOn, unfinishedOn } from './retell.ts';
import { unreadCopies } from './unread.ts';

export type GiveUpOrder = PoolCopies & {
  readonly mediumId: number;
  /** Holds the copy of the catalog that knows where everything is now. */
  readonly archiveId: number;
  /** Whether the job has looked at a medium, and found what the catalog knows of it. */
  isProven(mediumId: number): boolean;
};

/** `kept`: why it is not scratch. `isBusy`: a run is under way, and may name what lies there a moment later. */
export type GivenUp =
  | { readonly state: 'scratch' | 'suspect' | 'retired' }
  | { readonly state: 'kept'; readonly reason: string; readonly isBusy: boolean };

const ATTEMPTS_MAX = 10;

/** These stay what they are, empty: what is wrong with them is not what was on them. */
const KEPT_STATES: ReadonlySet<string> = new Set(['suspect', 'retired']);
const STATES: ReadonlySet<string> = new Set(['filling', 'full', ...KEPT_STATES]);

/** All of it or nothing. */
export function giveUpMedium(catalog: Catalog, order: GiveUpOrder): GivenUp {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    const version = dataVersion(catalog);
    const reason = whyNot(catalog, order);
    if (reason !== undefined) return { state: 'kept', reason, isBusy: false };
    const done = catalog.write((): GivenUp | undefined => {
      const job = runningBackup(catalog);
      if (job !== undefined) return busy(`job ${job} runs, and may name what lies there`);
      return dataVersion(catalog) === version ? forget(catalog, order.mediumId) : undefined;
    });
    if (done) return done;
  }
  return busy('other processes write to the catalog all the time');
}

function busy(reason: string): GivenUp {
  return { state: 'kept', reason, isBusy: true };
}

/** It finds a content first, and names it a moment later. */
function runningBackup(catalog: Catalog): number | undefined {
  return new Jobs(catalog).unfinished('backup').find(({ pid }) => isWriting(catalog, pid))?.number;
}

function forget(catalog: Catalog, mediumId: number): GivenUp {
  const media = new Media(catalog);
  const { state } = media.get(mediumId);
  disown(catalog, mediumId);
  const kept = state === 'suspect' || state === 'retired' ? state : 'scratch';
  catalog.prepare('UPDATE media SET state = ?, written_bytes = 0 WHERE id = ?').run(kept, mediumId);
  return { state: kept };
}

/** In a sentence's end; undefined where all guards agree. */
function whyNot(catalog: Catalog, order: GiveUpOrder): string | undefined {
  const { mediumId, archiveId } = order;
  const { state } = new Media(catalog).get(mediumId);
  if (!STATES.has(state)) return `it is ${state}`;
  if (new Alarms(catalog).open().length > 0) return 'an alarm is not settled';
  const job = unfinishedOn(catalog, mediumId);
  if (job !== undefined) return `job ${job} is not finished, and its journal lies there`;
  if (runsToldOn(catalog, mediumId).length > 0)
    return 'its journals tell what no other medium does';
  if (expiriesToldOn(catalog, mediumId).length > 0)
    return 'its journals tell of expiries that no other medium does';
  if (!isConfirmed(catalog, mediumId, archiveId))
    return 'no copy of the catalog that knows it all was read back from another medium';
  if (unreadCopies(catalog, mediumId).length > 0)
    return 'what was written to other media was not read back yet';
  const proof = { isProven: (id: number) => order.isProven(id), awaits: () => false };
  for (const { entry } of new LiveContents(catalog, mediumId).needing(order, proof))
    return `too few other media, proven to be what they were, hold what it has of inode ${entry.inode.inodeId}`;
  return undefined;
}

/** A copy of the catalog in the last archive of its job, read back from another medium since it was written. */
function isConfirmed(catalog: Catalog, mediumId: number, archiveId: number): boolean {
  const row = catalog
    .prepare(
      `SELECT 1 FROM catalog_copies c CROSS JOIN archives a ON a.id = c.archive
         CROSS JOIN archive_copies k ON k.archive = c.archive CROSS JOIN media m ON m.id = k.medium
       WHERE c.archive = @archiveId AND a.state = 'good' AND k.state = 'good' AND k.medium <> @mediumId
         AND k.verified_ms IS NOT NULL AND m.state NOT IN ${BAD_MEDIUM_STATES}
         AND NOT EXISTS(SELECT 1 FROM archives n WHERE n.job = a.job AND n.id > a.id AND n.state = 'good')
         AND NOT EXISTS(SELECT 1 FROM archive_copies l WHERE l.medium = @mediumId AND l.archive > a.id)`,
    )
    .get({ archiveId, mediumId });
  return row !== undefined;
}
