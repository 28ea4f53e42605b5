/**
 * Finishing a run: its ready rows become versions, then its snapshot becomes visible.
 *
 * Split into short transactions that each begin where the snapshot's cursor stands. A crash, or a second process doing the
 * same, only changes who takes the next step. Until the last step nobody sees any of it.
 */
import { strict as assert } from 'node:assert';
import type { Raw } from '../../base/raw.ts';
import type { Catalog } from '../catalog.ts';
import { CHANGES } from '../pending/change.ts';
import { Partials } from '../pending/partials.ts';
import { endOfPage, WAITING } from '../pending/rows.ts';

/** Steps grow and shrink so that each takes about this long. */
const STEP_MS = 40;
const STEP_ROWS_MIN = 64;
const STEP_ROWS_MAX = 65_536;
/** Rows deleted, or looked at, in one transaction. */
const RANGE_ROWS = 16_384;
/** Rows of all runs that may be looked at and emptied in one transaction: 40 ms. */
const EMPTIED_ROWS_MAX = 262_144;

type Step = { rows: number };

export type FinishOptions = {
  readonly state: 'finished' | 'partial';
  readonly timeMs: number;
  /**
   * The time that the end line of a good archive's journal gives the run. Where it is not the snapshot's, or none is given,
   * the next archive must carry the run's end.
   */
  readonly journaledSeconds?: number | undefined;
};

/** The seconds of the next snapshot: those of the clock, but after every snapshot there is. */
export function proposeSeconds(catalog: Catalog, timeMs: number): number {
  const last = catalog.prepare<[number | null]>('SELECT max(seconds) FROM snapshots').get()?.[0];
  return Math.max(Math.floor(timeMs / 1000), (last ?? Number.NEGATIVE_INFINITY) + 1);
}

/** One snapshot is applied at a time, in order of their ids: another run's is completed first. May be called twice. */
export function beginSnapshot(catalog: Catalog, job: number, options: FinishOptions): void {
  const begun = catalog.prepare('SELECT 1 FROM snapshots WHERE job = ?');
  const other = catalog.prepare("SELECT 1 FROM snapshots WHERE state = 'applying'");
  const insert = catalog.prepare(
    `INSERT INTO snapshots(id, seconds, job, state, is_partial, cursor_dir, cursor_name, journaled)
     SELECT coalesce(max(id), 0) + 1, ?, ?, 'applying', ?, -1, '', ? FROM snapshots`,
  );
  const tryBegin = () =>
    catalog.write(() => {
      if (begun.get(job)) return true;
      if (other.get()) return false;
      const seconds = proposeSeconds(catalog, options.timeMs);
      const isPartial = options.state === 'partial' ? 1 : 0;
      insert.run(seconds, job, isPartial, options.journaledSeconds === seconds ? 1 : 0);
      return true;
    });
  while (!tryBegin()) completeSnapshots(catalog);
}

/** Completes whatever snapshot is being applied, whoever began it. */
export function completeSnapshots(catalog: Catalog): void {
  const step: Step = { rows: 4096 };
  catalog.writeSteps(() => applyStep(catalog, step));
}

/** Whether something is left to do. */
function applyStep(catalog: Catalog, step: Step): boolean {
  const startMs = catalog.clock.monotonicMs();
  const snapshot = catalog
    .prepare<[number, number, number, Raw, number]>(
      "SELECT id, job, cursor_dir, cursor_name, is_partial FROM snapshots WHERE state = 'applying'",
    )
    .get();
  if (!snapshot) return false;
  const [id, job, dir, name, isPartial] = snapshot;
  const after = { id, job, dir, name };
  const end = endOfPage(catalog, { job, after: [dir, name], rows: step.rows });
  if (!end) {
    makeVisible(catalog, id, job, isPartial === 1);
    return false;
  }
  applyRange(catalog, after, end);
  catalog
    .prepare('UPDATE snapshots SET cursor_dir = ?, cursor_name = ? WHERE id = ?')
    .run(end[0], end[1], id);
  const tookMs = catalog.clock.monotonicMs() - startMs;
  const factor = Math.min(2, Math.max(0.5, STEP_MS / Math.max(tookMs, 1)));
  step.rows = Math.floor(Math.min(STEP_ROWS_MAX, Math.max(STEP_ROWS_MIN, step.rows * factor)));
  return true;
}

type Cursor = {
  readonly id: number;
  readonly job: number;
  readonly dir: number;
  readonly name: Raw;
};

function applyRange(catalog: Catalog, after: Cursor, end: [number, Raw]): void {
  const range = `p.job = @job AND (p.dir, p.name) > (@dir, @name)
    AND (p.dir, p.name) <= (@endDir, @endName) AND NOT ${WAITING}`;
  const bound = { ...after, endDir: end[0], endName: end[1] };
  const { dir, name, endDir, endName } = bound;
  const isKnown = catalog
    .prepare('SELECT 1 FROM versions WHERE (dir, name) > (?, ?) AND (dir, name) <= (?, ?) LIMIT 1')
    .get(dir, name, endDir, endName);
  const insert = `INSERT INTO versions(dir, name, since, until, inode)
    SELECT p.dir, p.name, @id, NULL, p.inode FROM pending p CROSS JOIN inodes i ON i.id = p.inode
    WHERE ${range}`;
  if (!isKnown) {
    // Directories that nobody has seen before: all that stands in them is new.
    catalog.prepare(`${insert} ORDER BY p.dir, p.name`).run(bound);
    return;
  }
  catalog
    .prepare(
      `UPDATE versions SET until = @id FROM
         (SELECT p.dir, p.name, p.inode FROM pending p LEFT JOIN inodes i ON i.id = p.inode WHERE ${range}) n
       WHERE versions.dir = n.dir AND versions.name = n.name AND versions.until IS NULL
         AND versions.since < @id AND versions.inode IS NOT n.inode`,
    )
    .run(bound);
  catalog
    .prepare(
      `${insert} AND NOT EXISTS(
         SELECT 1 FROM versions v WHERE v.dir = p.dir AND v.name = p.name AND v.until IS NULL)
       ORDER BY p.dir, p.name`,
    )
    .run(bound);
}

function makeVisible(catalog: Catalog, id: number, job: number, isPartial: boolean): void {
  catalog.prepare("UPDATE snapshots SET state = 'finished' WHERE id = ?").run(id);
  catalog
    .prepare('UPDATE jobs SET state = ?, ended_ms = ? WHERE number = ?')
    .run(isPartial ? 'partial' : 'finished', Math.floor(catalog.clock.nowMs()), job);
}

/**
 * Removes what finished, failed and cancelled runs no longer need: all but ready rows that no journal carries yet. Cut
 * short, the next call goes on.
 */
export function sweepRuns(catalog: Catalog): void {
  for (const job of jobsWithRows(catalog)) {
    const state = catalog
      .prepare<[string, string | null]>(
        `SELECT j.state, s.state FROM jobs j LEFT JOIN snapshots s ON s.job = j.number WHERE j.number = ?`,
      )
      .get(job);
    assert(state, `rows of job ${job}, which there is not`);
    const [jobState, snapshotState] = state;
    if (snapshotState === 'finished') sweepFinished(catalog, job);
    else if (jobState === 'failed' || jobState === 'cancelled') dropRun(catalog, job);
  }
}

/** Every row of a run that will not be finished, and the inodes only it knew. */
export function dropRun(catalog: Catalog, job: number): void {
  dropHelpers(catalog, job);
  deleteOfJob(catalog, 'run_links', job);
  deleteWithInodes(catalog, job, '1');
}

/**
 * Rows that wait for content, and their inodes: after a crash the scan finds them anew. Inodes of which parts are stored
 * stay, without a row, until it is known what has become of them (`Partials.adopt`).
 */
export function dropWaiting(catalog: Catalog, job: number): void {
  const kept = new Partials(catalog, job).begun();
  deleteWithInodes(catalog, job, WAITING, kept);
  dropHelpers(catalog, job, kept);
  // Links of inodes that stay are kept: a name that the crash cut off finds its inode again.
  catalog.write(() =>
    catalog
      .prepare(
        'DELETE FROM run_links WHERE job = ? AND NOT EXISTS(SELECT 1 FROM inodes i WHERE i.id = run_links.inode)',
      )
      .run(job),
  );
}

/**
 * Nearly all rows are carried and go first, without a look at their inodes; then few are left. The rows go last: as long as
 * there are some, a sweep that was cut short is taken up again.
 */
function sweepFinished(catalog: Catalog, job: number): void {
  // Archives carry rows of split files also while a part is missing.
  const hasPartials = catalog.prepare('SELECT 1 FROM run_partials WHERE job = ? LIMIT 1').get(job);
  if (hasPartials) deleteWithInodes(catalog, job, WAITING);
  dropHelpers(catalog, job);
  deleteOfJob(catalog, 'run_links', job);
  deleteCarried(catalog, job);
  deleteWithInodes(catalog, job, WAITING);
}

type Range = { job: number; dir: number; name: Raw; endDir: number; endName: Raw };

const IN_RANGE =
  'p.job = @job AND (p.dir, p.name) > (@dir, @name) AND (p.dir, p.name) <= (@endDir, @endName)';

const NONE: ReadonlySet<number> = new Set();

/** Rows and the inodes only they name. */
function deleteWithInodes(catalog: Catalog, job: number, where: string, kept = NONE): void {
  const rows = catalog.prepare<[number, Raw, number | null, number]>(
    `SELECT p.dir, p.name, p.inode, p.change FROM pending p LEFT JOIN inodes i ON i.id = p.inode
     WHERE ${IN_RANGE} AND ${where}`,
  );
  const remove = catalog.prepare('DELETE FROM pending WHERE job = ? AND dir = ? AND name = ?');
  const removeInode = catalog.prepare('DELETE FROM inodes WHERE id = ?');
  eachRange(catalog, job, (range) => {
    for (const [dir, name, inode, change] of rows.all(range)) {
      remove.run(job, dir, name);
      // An unchanged file's row names the inode of an older snapshot.
      if (inode !== null && change !== CHANGES.again && !kept.has(inode)) removeInode.run(inode);
    }
  });
}

/** Only archives that are good carry a journal that can be read. */
function deleteCarried(catalog: Catalog, job: number): void {
  const isCarried = "archive IN (SELECT id FROM archives WHERE state = 'good')";
  if (catalog.write(() => emptyPending(catalog, job, isCarried))) return;
  const remove = catalog.prepare(`DELETE FROM pending AS p WHERE ${IN_RANGE} AND ${isCarried}`);
  eachRange(catalog, job, (range) => remove.run(range));
}

/** Where all rows there are may go, SQLite frees their pages and looks at none of them: a tenth of the cost. */
function emptyPending(catalog: Catalog, job: number, isCarried: string): boolean {
  const [count] =
    catalog
      .prepare<[number]>('SELECT count(*) FROM (SELECT 1 FROM pending LIMIT ?)')
      .get(EMPTIED_ROWS_MAX + 1) ?? [];
  if (count === undefined || count > EMPTIED_ROWS_MAX) return false;
  const other = catalog.prepare(
    `SELECT 1 FROM pending WHERE job <> ? OR coalesce(NOT ${isCarried}, 1) LIMIT 1`,
  );
  if (other.get(job)) return false;
  catalog.prepare('DELETE FROM pending').run();
  return true;
}

/** A transaction each, in order of key, over all rows of a run; it also ends when rows stay. */
function eachRange(catalog: Catalog, job: number, step: (range: Range) => void): void {
  let at: [number, Raw] = [-1, '' as Raw];
  catalog.writeSteps(() => {
    const end = endOfPage(catalog, { job, after: at, rows: RANGE_ROWS });
    if (!end) return false;
    step({ job, dir: at[0], name: at[1], endDir: end[0], endName: end[1] });
    at = end;
    return true;
  });
}

/** Split files that were not completed leave extents behind that no content will ever use, but for those that are kept. */
function dropHelpers(catalog: Catalog, job: number, kept = NONE): void {
  catalog.write(() => {
    const partials = catalog
      .prepare<[number, number, Buffer | null]>(
        `SELECT r.inode, r.content, c.hash FROM run_partials r JOIN contents c ON c.id = r.content
         WHERE r.job = ?`,
      )
      .all(job);
    const remove = catalog.prepare('DELETE FROM run_partials WHERE job = ? AND inode = ?');
    for (const [inode, content, hash] of partials) {
      if (kept.has(inode)) continue;
      remove.run(job, inode);
      if (hash !== null) continue;
      catalog.prepare('DELETE FROM extents WHERE content = ?').run(content);
      catalog.prepare('DELETE FROM contents WHERE id = ?').run(content);
      // One that a crash has left without a row.
      catalog.prepare('DELETE FROM inodes WHERE id = ? AND content IS NULL').run(inode);
    }
  });
  deleteOfJob(catalog, 'run_hashes', job);
}

function deleteOfJob(catalog: Catalog, table: string, job: number): void {
  const key = table === 'run_links' ? 'device, inode_number' : 'inode';
  const remove = catalog.prepare(
    `DELETE FROM ${table} WHERE job = @job AND (${key}) IN (SELECT ${key} FROM ${table} WHERE job = @job LIMIT 4096)`,
  );
  catalog.writeSteps(() => remove.run({ job }).changes > 0);
}

function jobsWithRows(catalog: Catalog): number[] {
  const next = catalog.prepare<[number | null]>('SELECT min(job) FROM pending WHERE job > ?');
  const jobs: number[] = [];
  for (let job = next.get(0)?.[0] ?? null; job !== null; job = next.get(job)?.[0] ?? null)
    jobs.push(job);
  return jobs;
}
