/**
 * One run of a backup, as the catalog sees it: what was found, what is stored by now, and at last the snapshot.
 *
 * Order of a run: add and gone for everything that changed; candidates, each with its hash or the content it is; archives,
 * each begin, store..., commit; finish. Nothing of it is visible before finish has returned. After a crash `resume` brings
 * the rows back to what is proven, and the same order is gone through again.
 *
 * Calls within `catalog.write` share its transaction: wrap many small ones, a few hundred entries at a time.
 */
import { strict as assert } from 'node:assert';
import type { Raw } from '../../base/raw.ts';
import type { Catalog } from '../catalog.ts';
import type { CopyPolicy } from '../content/contents.ts';
import { CHANGES } from '../pending/change.ts';
import { Known, type KnownEntry } from '../pending/known.ts';
import { Partials, type StoredParts } from '../pending/partials.ts';
import {
  type PendingEntry,
  type PendingFilter,
  PendingRows,
  type UsualRows,
  WAITING,
} from '../pending/rows.ts';
import { Directories } from '../tree/directories.ts';
import { Inodes } from '../tree/inodes.ts';
import { type Snapshot, Snapshots } from '../tree/snapshots.ts';
import { ArchivesOfRun } from './archives.ts';
import { Candidates } from './candidates.ts';
import { type AddedEntry, Findings } from './findings.ts';
import {
  beginSnapshot,
  completeSnapshots,
  dropRun,
  dropWaiting,
  type FinishOptions,
  proposeSeconds,
  sweepRuns,
} from './finish.ts';
import { Found } from './found.ts';
import type { Untold } from './untold.ts';

export type { AddedEntry, NewDirectory } from './findings.ts';

export type Outstanding = {
  readonly rows: number;
  readonly waitingBytes: number;
  /** New contents, empty files, links, special files; moves, deletions, attributes and directories alone are not. */
  readonly needsMedium: boolean;
};

export class Run {
  readonly jobNumber: number;
  /** The snapshot against which changes are found, undefined for the first run. */
  readonly base: Snapshot | undefined;
  readonly candidates: Candidates;
  readonly archives: ArchivesOfRun;
  readonly #catalog: Catalog;
  readonly #directories: Directories;
  readonly #rows: PendingRows;
  readonly #known: Known;
  readonly #findings: Findings;
  readonly #found: Found;
  readonly #partials: Partials;
  #hasForgottenParts = false;

  /** Completes what another run left half finished, so that the base is the newest there is. */
  constructor(catalog: Catalog, jobNumber: number) {
    completeSnapshots(catalog);
    sweepRuns(catalog);
    this.#catalog = catalog;
    this.jobNumber = jobNumber;
    this.base = new Snapshots(catalog).live();
    const snapshotId = this.base?.id ?? 0;
    this.#directories = new Directories(catalog);
    const inodes = new Inodes(catalog);
    this.#rows = new PendingRows(catalog, jobNumber);
    const against = { snapshotId, job: jobNumber };
    this.#known = new Known(catalog, inodes, against);
    const hasRows = catalog.prepare('SELECT 1 FROM pending WHERE job = ? LIMIT 1').get(jobNumber);
    this.#found = new Found(hasRows ? 'rows' : 'no-rows');
    const tables = { directories: this.#directories, inodes, found: this.#found };
    this.#findings = new Findings(catalog, tables, against);
    this.#partials = new Partials(catalog, jobNumber);
    const own = { job: jobNumber, rows: this.#rows, found: this.#found };
    this.candidates = new Candidates(catalog, own);
    this.archives = new ArchivesOfRun(catalog, own);
  }

  /** The row of a directory's path, made where there is none: a transaction of its own, see `NewDirectory`. */
  directory(path: Raw, hostId: number): number {
    return this.#findings.directory(path, hostId);
  }

  /** Undefined where the path was never a directory: then nothing is known of what stands there. */
  findDirectory(path: Raw, hostId: number): number | undefined {
    return this.#directories.find(hostId, path);
  }

  /** The place of a path's entry: its parent directory, made where there is none, and its name. */
  place(path: Raw, hostId: number): { directoryId: number; name: Raw } {
    if (path !== '/') this.#directories.ensure(hostId, parentOf(path));
    const place = this.#directories.place(hostId, path);
    assert(place);
    return place;
  }

  /** One entry, as `known` gives it. */
  knownAt({ directoryId, name }: { directoryId: number; name: Raw }): KnownEntry | undefined {
    return this.known(directoryId).find((entry) => entry.name === name);
  }

  /** A directory's entries as of the base, overlaid with what this run has stored by now. In order of name. */
  known(directoryId: number): KnownEntry[] {
    return this.#known.list(directoryId);
  }

  /**
   * Records what is new or changed; a second time for one place replaces the first. Names of one source inode share an
   * inode. What stood below a directory that is one no longer becomes gone.
   */
  add(entries: Iterable<AddedEntry>): void {
    if (Array.isArray(entries) && entries.length === 0) return;
    this.#known.noteRows();
    this.#findings.add(entries);
  }

  /** Unchanged, but too few good copies of its content are left: it is stored again, without a new version. */
  again(entry: { directoryId: number; name: Raw; inodeId: number }): void {
    this.#known.noteRows();
    this.#findings.again(entry);
  }

  /** The entry is no longer there, nor is anything below it. @returns how many entries that are */
  gone(directoryId: number, name: Raw): number {
    this.#known.noteRows();
    return this.#findings.gone(directoryId, name);
  }

  /** A row that is given up: the file vanished or cannot be read. The last version before stays. */
  forget(directoryId: number, name: Raw): void {
    this.#found.lose();
    this.#catalog.write(() =>
      this.#catalog
        .prepare('DELETE FROM pending WHERE job = ? AND dir = ? AND name = ?')
        .run(this.jobNumber, directoryId, name),
    );
  }

  /** Entries that the run has found to be gone by now, those that moved left out. */
  countGone(): number {
    const [gone = 0] =
      this.#catalog
        .prepare<[number | null]>(
          `SELECT sum(change = ${CHANGES.gone}) - sum(change = ${CHANGES.moved}) FROM pending WHERE job = ?`,
        )
        .get(this.jobNumber) ?? [];
    return Math.max(0, gone ?? 0);
  }

  /** The run's rows in order of path; memory is bounded. */
  entries(filter: PendingFilter): Generator<PendingEntry> {
    return this.#rows.inOrder(filter);
  }

  /** What a plan is made of: see `PendingRows.inSpans`. */
  toPlan(usualBytesMax: number): Generator<PendingEntry | UsualRows> {
    return this.#rows.inSpans(usualBytesMax);
  }

  /** What no archive carries yet: rows, bytes of files that wait for content, and whether anything of it is worth a tape. */
  outstanding(): Outstanding {
    const found = this.#found.outstanding;
    if (found) return found;
    const isNewHere = `p.change = ${CHANGES.new} AND (i.mode & 61440) <> 16384
      AND ((i.mode & 61440) <> 32768 OR i.size = 0)`;
    const row = this.#catalog
      .prepare<[number, number | null, number | null]>(
        `SELECT count(*), sum(iif(${WAITING}, i.size, 0)), max(${WAITING} OR (${isNewHere}))
         FROM pending p LEFT JOIN inodes i ON i.id = p.inode
         WHERE p.job = ? AND p.archive IS NULL AND p.inode IS NOT NULL`,
      )
      .get(this.jobNumber);
    return { rows: row?.[0] ?? 0, waitingBytes: row?.[1] ?? 0, needsMedium: row?.[2] === 1 };
  }

  /** As `outstanding`, without a look into the tables; undefined where that would be needed. */
  get foundByNow(): Outstanding | undefined {
    return this.#found.outstanding;
  }

  /** Upper bounds of what no journal tells of this run's rows; undefined where the catalog is to be asked (`untold`). */
  get untold(): Untold | undefined {
    return this.#found.untold;
  }

  /** Files that need content, in order of path. */
  waiting(): Generator<PendingEntry> {
    return this.#rows.inOrder('waiting');
  }

  /** See `Partials.adopt`. */
  adoptParts(policy: CopyPolicy): ReadonlyMap<number, StoredParts> {
    return this.#partials.adopt(policy);
  }

  /** See `Partials.forget`. */
  forgetParts(inodeId: number): void {
    this.#hasForgottenParts = true;
    this.#partials.forget(inodeId);
  }

  /**
   * After a crash: archives in writing are torn, rows without content are dropped for the scan to find anew. What is stored
   * stays and is known, parts of files too (`adoptParts`). May be called twice.
   */
  resume(): void {
    this.#found.lose();
    // Torn ones too: the crash may have come between tearing and untying.
    this.archives.tearAll(['writing', 'torn']);
    dropWaiting(this.#catalog, this.jobNumber);
  }

  /** The seconds `finish` will give the snapshot, unless another run is finished before. */
  proposeSeconds(timeMs: number): number {
    return proposeSeconds(this.#catalog, timeMs);
  }

  /**
   * Makes the snapshot: ready rows become versions, waiting ones are dropped. May be called again after a crash.
   */
  finish(options: FinishOptions): Snapshot {
    assert(!this.archives.isWriting, 'an archive of this run is still being written');
    beginSnapshot(this.#catalog, this.jobNumber, options);
    completeSnapshots(this.#catalog);
    sweepRuns(this.#catalog);
    const snapshot = new Snapshots(this.#catalog).ofJob(this.jobNumber);
    assert(snapshot);
    return snapshot;
  }

  /** Nothing of it is kept but the archives it wrote, whose contents serve later runs. */
  discard(): void {
    this.archives.tearAll(['writing']);
    dropRun(this.#catalog, this.jobNumber);
  }

  /** Whether rows wait for content. Looks at the inodes of few where nearly all are in archives. */
  hasWaiting(): boolean {
    const isOpen = `p.archive IS NULL OR p.inode IN (SELECT inode FROM run_partials WHERE job = @job)`;
    // A row that an archive carries may wait all the same: of its file the parts were given up, or an archive was torn.
    const mayHide = this.#hasForgottenParts || this.archives.hasTorn;
    const where = mayHide ? WAITING : `(${isOpen}) AND ${WAITING}`;
    return (
      this.#catalog
        .prepare(
          `SELECT 1 FROM pending p LEFT JOIN inodes i ON i.id = p.inode WHERE p.job = @job AND ${where} LIMIT 1`,
        )
        .get({ job: this.jobNumber }) !== undefined
    );
  }
}

function parentOf(path: Raw): Raw {
  return (path.slice(0, path.lastIndexOf('/')) || '/') as Raw;
}
