/**
 * What would be lost with a medium: contents that some version needs and no other medium holds, and what its journals tell.
 *
 * All versions that are held count, deleted files too, and the rows of runs that are not finished. It goes through the whole catalog once,
 * in temporary tables on disk.
 */
import { CodedError } from '../../base/errors.ts';
import type { Raw } from '../../base/raw.ts';
import type { Catalog } from '../catalog.ts';
import { Contents } from '../content/contents.ts';
import { Jobs } from '../job/jobs.ts';
import { isWriting } from '../job/writing.ts';
import { BAD_MEDIUM_STATES } from '../shelf/media.ts';
import { Directories } from '../tree/directories.ts';
import { heldSql } from '../tree/held.ts';

export type Loss = {
  /** Contents that versions need, each counted once: on no other medium, and on others too but on one fewer then. */
  readonly lost: { readonly contents: number; readonly bytes: number };
  readonly reduced: { readonly contents: number; readonly bytes: number };
  /** Some of the paths whose contents would be lost. */
  readonly paths: readonly Raw[];
  /** Its journals tell of what no copy of the catalog on another medium knows. */
  readonly isOnlyRecord: boolean;
};

const PATHS_MAX = 10;
const PAGE_ROWS = 500;

/** A copy that went bad may be the last there is. */
const HELD = `INSERT INTO temp.held SELECT e.content, max(k.state = 'good') FROM archive_copies k
  CROSS JOIN extents e ON e.archive = k.archive CROSS JOIN archives a ON a.id = k.archive
  WHERE k.medium = ? AND k.state IN ('good', 'bad') AND a.state = 'good' GROUP BY e.content`;

/** @param from versions or pending, each with the inode that needs the content */
const needed = (from: 'versions' | 'pending') =>
  `INSERT OR IGNORE INTO temp.needed SELECT i.content, i.size, v.dir, v.name, h.is_good FROM ${from} v
     CROSS JOIN inodes i ON i.id = v.inode CROSS JOIN temp.held h ON h.content = i.content
     ${from === 'versions' ? `WHERE ${heldSql('v')}` : ''}`;

/** A view of the moment: see `Quiet` for what may have come since. */
export function lossOf(catalog: Catalog, mediumId: number): Loss {
  fill(catalog, mediumId);
  const contents = new Contents(catalog);
  const directories = new Directories(catalog);
  const lost = { contents: 0, bytes: 0 };
  const reduced = { contents: 0, bytes: 0 };
  const paths: Raw[] = [];
  const page = catalog.prepare<[number, number, number, Raw, number]>(
    `SELECT content, size, dir, name, is_good FROM temp.needed WHERE content > ? ORDER BY content LIMIT ${PAGE_ROWS}`,
  );
  for (let after = -1; ; ) {
    const rows = page.all(after);
    for (const [contentId, sizeBytes, dir, name, isGood] of rows) {
      const isLost = contents.goodCopiesWithout(contentId, mediumId) === 0;
      if (!isLost && isGood === 0) continue;
      const counts = isLost ? lost : reduced;
      counts.contents += 1;
      counts.bytes += sizeBytes;
      if (isLost && paths.length < PATHS_MAX) paths.push(directories.entryPath(dir, name));
    }
    after = rows.at(-1)?.[0] ?? after;
    if (rows.length < PAGE_ROWS) break;
  }
  for (const table of ['held', 'needed']) catalog.prepare(`DELETE FROM temp.${table}`).run();
  return { lost, reduced, paths, isOnlyRecord: isOnlyRecord(catalog, mediumId) };
}

function fill(catalog: Catalog, mediumId: number): void {
  catalog.read(() => {
    for (const [table, columns] of [
      ['held', 'content INTEGER PRIMARY KEY, is_good INTEGER'],
      [
        'needed',
        'content INTEGER PRIMARY KEY, size INTEGER, dir INTEGER, name TEXT, is_good INTEGER',
      ],
    ]) {
      catalog.prepare(`CREATE TEMP TABLE IF NOT EXISTS ${table}(${columns})`).run();
      catalog.prepare(`DELETE FROM temp.${table}`).run();
    }
    catalog.prepare(HELD).run(mediumId);
    for (const from of ['versions', 'pending'] as const) catalog.prepare(needed(from)).run();
  });
}

/**
 * Whether an archive that lies here alone tells of something that no copy of the catalog on another medium does: none was
 * made there after it had been committed.
 */
function isOnlyRecord(catalog: Catalog, mediumId: number): boolean {
  const elsewhere = (archive: string) =>
    `archive_copies k CROSS JOIN media m ON m.id = k.medium WHERE k.archive = ${archive}
       AND k.state = 'good' AND k.medium <> @mediumId AND m.state NOT IN ${BAD_MEDIUM_STATES}`;
  const row = catalog
    .prepare<[number]>(
      `SELECT 1 FROM archive_copies l CROSS JOIN archives o ON o.id = l.archive
       WHERE l.medium = @mediumId AND l.state = 'good' AND o.state = 'good'
         AND NOT EXISTS(SELECT 1 FROM ${elsewhere('o.id')})
         AND NOT EXISTS(SELECT 1 FROM catalog_copies c CROSS JOIN archives a ON a.id = c.archive
           WHERE c.archive > o.id AND c.taken_ms >= o.committed_ms AND a.state = 'good'
             AND EXISTS(SELECT 1 FROM ${elsewhere('c.archive')}))
       LIMIT 1`,
    )
    .get({ mediumId });
  return row !== undefined;
}

/** Changes with each commit of another connection (sqlite.org, pragma data_version). */
export function dataVersion(catalog: Catalog): number | undefined {
  return catalog.prepare<[number]>('PRAGMA data_version').get()?.[0];
}

const PROOFS_MAX = 10;

/**
 * Proof takes longer than a transaction may: made anew until nobody wrote between it and the deed. Both may throw.
 * @throws CodedError SOURCE_BUSY where somebody writes all the time
 */
export function whileNobodyWrites(catalog: Catalog, prove: () => void, act: () => void): void {
  for (let attempt = 0; attempt < PROOFS_MAX; attempt += 1) {
    const version = dataVersion(catalog);
    prove();
    const isDone = catalog.write(() => {
      if (dataVersion(catalog) !== version) return false;
      act();
      return true;
    });
    if (isDone) return;
  }
  throw new CodedError(
    'SOURCE_BUSY',
    'another process writes to the catalog all the time; nothing was written: try again when it has ended',
  );
}

/** Proof that between two moments no job has begun or gone on: what was found out in the first still holds in the second. */
export class Quiet {
  readonly #catalog: Catalog;
  readonly #lastJob: number;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
    this.#lastJob = lastJob(catalog);
  }

  /** The number of a job that disturbs it; undefined while it is quiet. Within the `write` that relies on it. */
  disturbedBy(): number | undefined {
    const jobs = new Jobs(this.#catalog);
    const running = jobs.unfinished('backup').find(({ pid }) => isWriting(this.#catalog, pid));
    if (running && running.pid !== process.pid) return running.number;
    const last = lastJob(this.#catalog);
    return last === this.#lastJob ? undefined : last;
  }
}

function lastJob(catalog: Catalog): number {
  return new Jobs(catalog).list(1)[0]?.number ?? 0;
}

/** Nothing of what lay on the medium counts any more. */
export function disown(catalog: Catalog, mediumId: number): void {
  catalog.write(() => {
    catalog.prepare("UPDATE archive_copies SET state = 'lost' WHERE medium = ?").run(mediumId);
    catalog.prepare('DELETE FROM damages WHERE medium = ?').run(mediumId);
  });
}
