/**
 * Runs as journals tell of them, while a catalog is rebuilt: which are known, in which order they were, which have ended.
 *
 * A run becomes the snapshot that its `end` line names. Of one without, nobody knows whether more was to come: what is told
 * of it is shown as a partial snapshot, as of its last journal, unless the catalog knows that it was given up.
 *
 * Strays are files of which no journal tells when they were there. They stand in a snapshot of their own before all others, and
 * in no later one; it is on hold, for no rule knows what they are worth.
 */
import { strict as assert } from 'node:assert';
import { CodedError } from '../../base/errors.ts';
import type { Bound, Catalog } from '../catalog.ts';
import { WAITING } from '../pending/rows.ts';
import { completeSnapshots } from '../run/finish.ts';

export type ToldRun = {
  /** In `temp.told`. */
  readonly index: number;
  readonly jobNumber: number;
  /** The catalog has its snapshot: what is told again is the same. */
  readonly isKnown: boolean;
};

type Run = ToldRun & {
  /** Failed or cancelled: nothing of it was to be kept. */
  readonly isGivenUp: boolean;
  readonly isStray: boolean;
  lastMs: number;
  /** Some of its journals are not among those that were read. */
  isIncomplete: boolean;
  end: { readonly state: 'finished' | 'partial'; readonly seconds: number } | undefined;
};

type Expired = {
  readonly kind: 'snapshot' | 'medium';
  readonly uuid: string;
  readonly name: string;
  readonly archiveId: number;
  readonly timeMs: number;
};

/** Fifty runs a day for a tenth of a century; what names more is made to fill memory. */
const RUNS_MAX = 200_000;
/** Of what has expired: a time, or a barcode. */
const NAME_MAX = 1024;

/** Why a snapshot of strays does not expire. */
const STRAY_HOLD = 'recovered without a journal: when these files were there is not known';

/** Rows of what a run had found by the time of the copy come before all that journals tell of it. */
const BEFORE_JOURNALS = 0;

const INSERT = `INSERT INTO snapshots(id, seconds, job, state, is_partial, cursor_dir, cursor_name, journaled, hold)
  VALUES(?, ?, ?, 'finished', ?, -1, '', ?, ?)`;

export class RebuiltRuns {
  readonly #catalog: Catalog;
  readonly #runs = new Map<string, Run>();
  readonly #expired = new Map<string, Expired>();

  /** What another process left half applied is completed first. */
  constructor(catalog: Catalog) {
    this.#catalog = catalog;
    completeSnapshots(catalog);
    catalog
      .prepare('CREATE TEMP TABLE rebuilt_runs(run PRIMARY KEY, snapshot, is_ended) WITHOUT ROWID')
      .run();
  }

  /** Whether a further run may be told, or one that was told before. @throws CodedError ARCHIVE_INVALID */
  expectRoom(uuid: string): void {
    if (this.#runs.size < RUNS_MAX || this.#runs.has(uuid)) return;
    throw new CodedError('ARCHIVE_INVALID', `journals name more than ${RUNS_MAX} runs`);
  }

  /** The run of this job. @param timeMs of the journal that tells of it */
  tell(job: { readonly uuid: string; readonly number: number }, timeMs: number): ToldRun {
    const told = this.#runs.get(job.uuid);
    if (told) {
      told.lastMs = Math.max(told.lastMs, timeMs);
      return told;
    }
    const [state, snapshot] =
      this.#catalog
        .prepare<[string, number | null]>(
          `SELECT j.state, s.id FROM jobs j LEFT JOIN snapshots s ON s.job = j.number AND s.state = 'finished'
           WHERE j.number = ?`,
        )
        .get(job.number) ?? [];
    assert(state !== undefined, 'a run has a job');
    const isInCatalog = this.#isInCatalog(job.number);
    const run: Run = {
      index: this.#runs.size + 1,
      jobNumber: job.number,
      isKnown: snapshot !== null && snapshot !== undefined,
      isGivenUp: isInCatalog && (state === 'failed' || state === 'cancelled'),
      isStray: false,
      isIncomplete: false,
      lastMs: timeMs,
      end: undefined,
    };
    this.#runs.set(job.uuid, run);
    return run;
  }

  /** What takes the strays that a job's archives hold. */
  tellStrays(job: { readonly uuid: string; readonly number: number }): ToldRun {
    const key = `strays ${job.uuid}`;
    const told = this.#runs.get(key);
    if (told) return told;
    const run: Run = {
      ...{ index: this.#runs.size + 1, jobNumber: job.number, isKnown: false, isGivenUp: false },
      ...{ isStray: true, isIncomplete: true, lastMs: 0, end: undefined },
    };
    this.#runs.set(key, run);
    return run;
  }

  strays(): readonly ToldRun[] {
    return [...this.#runs.values()].filter(({ isStray }) => isStray);
  }

  /** Not all that the run did is known: its snapshot is a partial one, whatever its end says. */
  lacks(uuid: string): void {
    const run = this.#runs.get(uuid);
    if (run) run.isIncomplete = true;
  }

  /** @param seconds undefined where no snapshot came of it */
  end(uuid: string, state: 'finished' | 'partial', seconds: number | undefined): void {
    const run = this.#runs.get(uuid);
    if (run && seconds !== undefined) run.end = { state, seconds };
  }

  /** Told again it stays the same. @throws CodedError ARCHIVE_INVALID where there are more than any history has */
  addExpired(expired: Expired): void {
    const key = `${expired.kind} ${expired.uuid}`;
    if (this.#expired.has(key)) return;
    if (this.#expired.size >= RUNS_MAX || expired.name.length > NAME_MAX)
      throw new CodedError('ARCHIVE_INVALID', 'journals name more as expired than can be');
    this.#expired.set(key, expired);
  }

  /** Jobs that this recovery has made, for journals alone tell of them, are no jobs of the catalog's. */
  #isInCatalog(jobNumber: number): boolean {
    return (
      this.#catalog
        .prepare("SELECT 1 FROM jobs WHERE number = ? AND NOT (pid = 0 AND os = '')")
        .get(jobNumber) !== undefined
    );
  }

  /** What the catalog knows of runs that it has not finished: as if a journal before all others had told it. */
  takePending(): void {
    const jobs = this.#catalog
      .prepare<[number, string]>(
        `SELECT j.number, j.uuid FROM jobs j WHERE j.state IN ('running', 'waiting')
           AND EXISTS(SELECT 1 FROM pending p WHERE p.job = j.number)
           AND NOT EXISTS(SELECT 1 FROM snapshots s WHERE s.job = j.number)`,
      )
      .all();
    for (const [number, uuid] of jobs) {
      const startedMs = this.#catalog
        .prepare<[number]>('SELECT started_ms FROM jobs WHERE number = ?')
        .get(number)?.[0];
      const run = this.tell({ uuid, number }, startedMs ?? 0);
      // An unchanged file that was to be stored again has no new version.
      this.#run(
        `INSERT INTO temp.told SELECT p.dir, p.name, ${run.index}, ${BEFORE_JOURNALS},
           CASE WHEN p.inode IS NULL THEN 2 WHEN ${WAITING} THEN 3 ELSE 1 END, p.inode
         FROM pending p LEFT JOIN inodes i ON i.id = p.inode WHERE p.job = ? AND p.change <> 8`,
        number,
      );
      this.#dropRows(number);
    }
  }

  /** Snapshots for runs that are to be shown, among those that the catalog has. @param job of the recovery itself */
  order(job: number): void {
    const runs = [...this.#runs.values()].filter((run) => !run.isKnown && this.#isShown(run));
    const known = this.#catalog
      .prepare<[number, number, number]>('SELECT id, seconds, job FROM snapshots ORDER BY id')
      .all();
    type Place = { seconds: number; readonly old: number; readonly run: Run | undefined };
    const places: Place[] = [
      ...known.map(([id, seconds]) => ({ seconds, old: id, run: undefined })),
      ...runs.map((run) => ({ seconds: secondsOf(run), old: Number.MAX_SAFE_INTEGER, run })),
    ].toSorted(
      (a, b) => a.seconds - b.seconds || a.old - b.old || (a.run?.index ?? 0) - (b.run?.index ?? 0),
    );
    const last = known.at(-1);
    const isBehind = places.slice(known.length).every(({ run }) => run) || known.length === 0;
    let id = isBehind ? (last?.[0] ?? 0) : 0;
    let seconds = Number.NEGATIVE_INFINITY;
    const moved: [old: number, id: number][] = [];
    const added: { readonly id: number; readonly seconds: number; readonly run: Run }[] = [];
    const strays = places.filter(({ run }) => run?.isStray).length;
    let before = (places[strays]?.seconds ?? 0) - strays;
    for (const place of places) {
      // Strays are in no order of time, but before all that is.
      if (place.run?.isStray) {
        place.seconds = before;
        before += 1;
      }
      // No two snapshots have one second; those of the catalog keep theirs where they can.
      seconds = Math.max(place.seconds, seconds + 1);
      if (place.run) {
        id += 1;
        added.push({ id, seconds, run: place.run });
      } else if (!isBehind) {
        id += 1;
        moved.push([place.old, id]);
        this.#run('UPDATE snapshots SET seconds = -? WHERE id = ?', seconds, place.old);
      }
    }
    if (!isBehind) this.#renumber(moved);
    for (const snapshot of added) this.#add(snapshot);
    if (strays === 0 || strays < places.length) return;
    // Nothing else is known: there is a time when they were there no more.
    this.#run(INSERT, id + 1, seconds + 1, job, 1, 1, null);
  }

  /** Ends what no process will go on with, and expires what journals say is held no longer, but for the newest. */
  expire(job: number): void {
    this.#run(
      `UPDATE jobs SET state = 'failed', ended_ms = coalesce(ended_ms, started_ms)
       WHERE state IN ('running', 'waiting') AND number <> ?`,
      job,
    );
    for (const { kind, uuid, name, archiveId, timeMs } of this.#expired.values()) {
      if (kind === 'snapshot')
        this.#run(
          `UPDATE snapshots SET expired_by = ? WHERE expired_by IS NULL
             AND job = (SELECT number FROM jobs WHERE uuid = ?) AND id < (SELECT max(id) FROM snapshots)`,
          job,
          uuid,
        );
      else
        this.#run(
          `UPDATE archive_copies SET state = 'lost' WHERE medium = (SELECT id FROM media WHERE uuid = ?)`,
          uuid,
        );
      this.#run(
        'INSERT OR IGNORE INTO expiries(kind, uuid, name, job, time_ms, archive) VALUES(?, ?, ?, ?, ?, ?)',
        kind,
        uuid,
        name,
        job,
        timeMs,
        archiveId,
      );
    }
  }

  #isShown(run: Run): boolean {
    if (run.end) return true;
    if (run.isGivenUp) return false;
    const told = this.#catalog.prepare('SELECT 1 FROM temp.told WHERE run = ? LIMIT 1');
    return told.get(run.index) !== undefined;
  }

  #add(snapshot: { readonly id: number; readonly seconds: number; readonly run: Run }): void {
    const { id, seconds, run } = snapshot;
    const { index, jobNumber, isStray, isIncomplete, end } = run;
    const isPartial = isIncomplete || end?.state !== 'finished';
    // No journal is ever to tell of strays as of a run.
    const isTold = isStray || end?.seconds === seconds;
    const hold = isStray ? STRAY_HOLD : null;
    this.#run(INSERT, id, seconds, jobNumber, isPartial ? 1 : 0, isTold ? 1 : 0, hold);
    const isWhole = end !== undefined && !isIncomplete;
    this.#run('INSERT INTO temp.rebuilt_runs VALUES(?, ?, ?)', index, id, isWhole ? 1 : 0);
    if (isStray) return;
    this.#run(
      `UPDATE jobs SET verb = 'backup', state = ?, ended_ms = ? WHERE number = ?`,
      isPartial ? 'partial' : 'finished',
      seconds * 1000,
      jobNumber,
    );
  }

  /** A history that another catalog wrote lies between: ids ascend with time. */
  #renumber(moved: readonly (readonly [old: number, id: number])[]): void {
    this.#catalog.write(() => {
      this.#run('CREATE TEMP TABLE renumbered(old INTEGER PRIMARY KEY, id)');
      for (const [old, id] of moved) this.#run('INSERT INTO temp.renumbered VALUES(?, ?)', old, id);
      const newId = (column: string) =>
        `(SELECT r.id FROM temp.renumbered r WHERE r.old = ${column})`;
      // By way of a table of its own: keys that move may meet.
      this.#run('CREATE TEMP TABLE moved_versions AS SELECT * FROM versions');
      this.#run('CREATE TEMP TABLE moved_bygones AS SELECT * FROM bygones');
      this.#run('DELETE FROM versions');
      // Those that the deletion itself has made, too.
      this.#run('DELETE FROM bygones');
      this.#run(
        `INSERT OR IGNORE INTO bygones SELECT ${newId('snapshot')}, dir, name, job FROM temp.moved_bygones
         WHERE ${newId('snapshot')} IS NOT NULL`,
      );
      this.#run('DROP TABLE temp.moved_bygones');
      this.#run(
        `INSERT INTO versions SELECT dir, name, ${newId('since')}, ${newId('until')}, inode
         FROM temp.moved_versions ORDER BY dir, name, since`,
      );
      this.#run('DROP TABLE temp.moved_versions');
      this.#run('PRAGMA defer_foreign_keys = ON');
      this.#run(`UPDATE snapshot_tags SET snapshot = -${newId('snapshot')}`);
      this.#run(`UPDATE snapshots SET id = -${newId('snapshots.id')}`);
      this.#run('UPDATE snapshots SET id = -id, seconds = -seconds');
      this.#run('UPDATE snapshot_tags SET snapshot = -snapshot');
      this.#run('DROP TABLE temp.renumbered');
    });
  }

  /** What only a run in progress needs. */
  #dropRows(job: number): void {
    const partial = `SELECT r.content FROM run_partials r JOIN contents c ON c.id = r.content
      WHERE r.job = ? AND c.hash IS NULL`;
    this.#run(`DELETE FROM extents WHERE content IN (${partial})`, job);
    this.#run(`DELETE FROM contents WHERE id IN (${partial})`, job);
    for (const table of ['pending', 'run_links', 'run_hashes', 'run_partials'])
      this.#run(`DELETE FROM ${table} WHERE job = ?`, job);
  }

  #run(sql: string, ...bound: Bound[]): void {
    this.#catalog.write(() => this.#catalog.prepare(sql).run(...bound));
  }
}

/** Before it is known where strays go they come first. */
function secondsOf({ isStray, end, lastMs }: Run): number {
  if (isStray) return Number.NEGATIVE_INFINITY;
  return end?.seconds ?? Math.floor(lastMs / 1000);
}
