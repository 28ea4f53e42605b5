/**
 * One run of a backup, as the catalog sees it: what was found, what is stored by now, and at last the snapshot.
 *
 * Order of a run: add and gone for everything that changed; countSizes; setHash and setContent for candidates; archives,
 * each beginArchive, store..., commitArchive; finish. Nothing of it is visible before finish has returned. After a crash
 * `resume` brings the rows back to what is proven, and the same order is gone through again.
 *
 * Calls within `catalog.write` share its transaction: wrap many small ones, a few hundred entries at a time.
 */
import { strict as assert } from 'node:assert';
import type { Raw } from '../../base/raw.ts';
import type { Catalog } from '../catalog.ts';
import { Contents, type CopyPolicy, type FoundContent } from '../content/contents.ts';
import { type ContentColumns, ContentKeys } from '../content/keys.ts';
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
import {
  Archives,
  type FinishedArchive,
  type JournaledEnd,
  type MediumEnd,
  type NewArchive,
} from '../shelf/archives.ts';
import { Directories } from '../tree/directories.ts';
import { Inodes } from '../tree/inodes.ts';
import { type Snapshot, Snapshots } from '../tree/snapshots.ts';
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
import { Store } from './store.ts';
import type { StoredEntry, StoredRows } from './stored-rows.ts';
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
  readonly #catalog: Catalog;
  readonly #directories: Directories;
  readonly #contents: Contents;
  readonly #archives: Archives;
  readonly #rows: PendingRows;
  readonly #known: Known;
  readonly #findings: Findings;
  readonly #found: Found;
  readonly #store: Store;
  readonly #partials: Partials;
  readonly #keys: ContentKeys;
  readonly #setContent;
  readonly #setHash;
  readonly #findHash;
  readonly #settle;
  readonly #contentOf;
  /** A row that an archive carries may wait all the same: of its file the parts were given up, or an archive was torn. */
  #mayHideWaiting = false;

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
    this.#contents = new Contents(catalog);
    this.#keys = catalog.part(ContentKeys);
    this.#archives = new Archives(catalog);
    this.#rows = new PendingRows(catalog, jobNumber);
    const against = { snapshotId, job: jobNumber };
    this.#known = new Known(catalog, inodes, against);
    const hasRows = catalog.prepare('SELECT 1 FROM pending WHERE job = ? LIMIT 1').get(jobNumber);
    this.#found = new Found(hasRows ? 'rows' : 'no-rows');
    const tables = { directories: this.#directories, inodes, found: this.#found };
    this.#findings = new Findings(catalog, tables, against);
    this.#store = new Store(catalog, jobNumber);
    this.#partials = new Partials(catalog, jobNumber);
    // Older snapshots may show an inode that has content: it stays theirs.
    this.#setContent = catalog.prepare(
      'UPDATE inodes SET content = ? WHERE id = ? AND content IS NULL',
    );
    this.#settle = catalog.prepare(
      `UPDATE pending SET change = ?, moved_from = ? WHERE job = ? AND dir = ? AND name = ?
         AND change <> ${CHANGES.again}`,
    );
    this.#setHash = catalog.prepare('INSERT OR REPLACE INTO run_hashes VALUES(?, ?, ?)');
    this.#findHash = catalog.prepare('SELECT 1 FROM run_hashes WHERE job = ? AND hash = ? LIMIT 1');
    this.#contentOf = catalog.prepare<[number | null]>('SELECT content FROM inodes WHERE id = ?');
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

  /** Counts sizes anew; call it when everything is added. */
  countSizes(): void {
    this.#rows.countSizes(0);
  }

  /**
   * Waiting files whose size another content has, stored or waiting: to be hashed before they are written.
   * @param sharedFromBytes of smaller files only those whose size a stored content has
   */
  sizeCandidates(sharedFromBytes = 0): Generator<PendingEntry> {
    // What a process that ended badly has stored is to be found by its size too.
    this.#keys.flush();
    const largestBytes = this.#found.largestBytes ?? Number.POSITIVE_INFINITY;
    this.#rows.countSizes(sharedFromBytes, largestBytes);
    return this.#rows.candidates(sharedFromBytes);
  }

  findContent(sizeBytes: number, hash: Buffer, policy: CopyPolicy): FoundContent | undefined {
    return this.#contents.findStored({ sizeBytes, hash }, policy);
  }

  /**
   * Those whose bytes need not be stored, by their place: the policy's copies are there, or this archive has them. Some
   * tens to hundreds at a time; who then stores what is missing pays for no second look-up.
   */
  areStored(
    contents: ContentColumns,
    where: { readonly policy: CopyPolicy; readonly archiveId: number },
  ): ReadonlySet<number> {
    const { policy, archiveId } = where;
    const stored = new Set<number>();
    for (const [number, { contentId, goodCopies }] of this.#contents.findStoredEach(
      contents,
      policy,
    ))
      if (goodCopies >= policy.copies || this.#contents.isIn(contentId, archiveId))
        stored.add(number);
    return stored;
  }

  /** See `Partials.adopt`. */
  adoptParts(policy: CopyPolicy): ReadonlyMap<number, StoredParts> {
    return this.#partials.adopt(policy);
  }

  /** See `Partials.forget`. */
  forgetParts(inodeId: number): void {
    this.#mayHideWaiting = true;
    this.#partials.forget(inodeId);
  }

  /** The inode's bytes are this content: all its names become ready. */
  setContent(inodeId: number, contentId: number): void {
    this.#found.lose();
    this.#catalog.write(() => this.#setContent.run(contentId, inodeId));
  }

  /**
   * What a row turned out to be, once its bytes were known: a move, or a duplicate of what is stored. A row that stores
   * unchanged bytes again stays that: its inode is an older snapshot's.
   */
  settle(
    row: { readonly directoryId: number; readonly name: Raw },
    found: { readonly change: 'moved' | 'duplicate'; readonly movedFrom?: Raw | undefined },
  ): void {
    this.#found.lose();
    const { directoryId, name } = row;
    const change = CHANGES[found.change];
    this.#catalog.write(() =>
      this.#settle.run(change, found.movedFrom ?? null, this.jobNumber, directoryId, name),
    );
  }

  /** The content of an inode by now; undefined while it waits for one, and for what has none. */
  contentOf(inodeId: number): number | undefined {
    const row = this.#contentOf.get(inodeId);
    return row?.[0] ?? undefined;
  }

  /** Remembers the hash of a waiting inode, so that one of several with the same bytes is written. */
  setHash(inodeId: number, hash: Buffer): void {
    this.#catalog.write(() => this.#setHash.run(this.jobNumber, inodeId, hash));
  }

  /** Whether a waiting inode has this hash: it will be written, and others with the same bytes take its content. */
  hasHash(hash: Buffer): boolean {
    return this.#findHash.get(this.jobNumber, hash) !== undefined;
  }

  /** Others with the same bytes no longer wait for this one: it could not be read. */
  forgetHash(inodeId: number): void {
    this.#catalog.write(() =>
      this.#catalog
        .prepare('DELETE FROM run_hashes WHERE job = ? AND inode = ?')
        .run(this.jobNumber, inodeId),
    );
  }

  /** @param ends where media end behind a torn archive that this one is to complete: both are told at once */
  beginArchive(archive: NewArchive, ends: readonly MediumEnd[] = []): number {
    return this.#catalog.write(() => {
      this.#archives.moveEnds(ends);
      return this.#archives.begin(this.jobNumber, archive);
    });
  }

  /** Records entries that the archive holds, any time while it is written; they count when it is committed. */
  store(archiveId: number, stored: StoredRows | Iterable<StoredEntry>): void {
    this.#found.age();
    this.#store.add(archiveId, stored);
  }

  /**
   * Ready rows that no journal carries yet (gone, duplicates, attributes; also of earlier runs) become this archive's.
   * `journal` reads them. Goes through all rows of the run: once an archive that closes a cartridge or the run, not more.
   */
  takeForJournal(archiveId: number): void {
    this.#found.age();
    this.#store.takeForJournal(archiveId);
  }

  /** The rows of this run that an archive carries, in order of path. */
  carriedBy(archiveId: number): Generator<PendingEntry> {
    return this.#rows.carriedBy(archiveId);
  }

  /** The archive is durable on `copiesGood`. What was stored into it counts from now on. */
  commitArchive(
    archiveId: number,
    finished: FinishedArchive & { readonly stored?: Iterable<StoredEntry> },
  ): void {
    if (finished.stored) this.store(archiveId, finished.stored);
    this.#archives.commit(archiveId, finished);
    this.#keys.flush();
  }

  /**
   * A torn archive and the one behind it that vouches for its whole members are durable: both count from now on. What
   * the torn one holds has been stored before.
   */
  commitCompleted(
    torn: FinishedArchive & { readonly archiveId: number },
    completing: FinishedArchive & { readonly archiveId: number },
  ): void {
    this.#catalog.write(() => {
      this.#archives.commit(torn.archiveId, { ...torn, completedBy: completing.archiveId });
      this.#archives.commit(completing.archiveId, completing);
    });
    this.#keys.flush();
  }

  /** The archive will never be good. Its entries are waiting again, its journal's rows are in no journal. */
  tearArchive(archiveId: number, ends: readonly MediumEnd[] = []): void {
    this.#mayHideWaiting = true;
    this.#archives.tear(archiveId, ends);
    this.#store.untie(archiveId);
  }

  /**
   * After a crash: archives in writing are torn, rows without content are dropped for the scan to find anew. What is stored
   * stays and is known, parts of files too (`adoptParts`). May be called twice.
   */
  resume(): void {
    this.#found.lose();
    for (const { archiveId, state } of this.#archives.ofJob(this.jobNumber)) {
      // Torn ones too: the crash may have come between tearing and untying.
      if (state === 'writing' || state === 'torn') this.tearArchive(archiveId);
    }
    dropWaiting(this.#catalog, this.jobNumber);
  }

  /** That a process before this one has told, with all that was found; undefined where something is untold. */
  journaledEnd(): JournaledEnd | undefined {
    for (const _ of this.entries('unjournaled')) return undefined;
    return this.#archives.endOf(this.jobNumber);
  }

  /** The seconds `finish` will give the snapshot, unless another run is finished before. */
  proposeSeconds(timeMs: number): number {
    return proposeSeconds(this.#catalog, timeMs);
  }

  /**
   * Makes the snapshot: ready rows become versions, waiting ones are dropped. May be called again after a crash.
   */
  finish(options: FinishOptions): Snapshot {
    const isWriting = this.#archives.ofJob(this.jobNumber).some(({ state }) => state === 'writing');
    assert(!isWriting, 'an archive of this run is still being written');
    beginSnapshot(this.#catalog, this.jobNumber, options);
    completeSnapshots(this.#catalog);
    sweepRuns(this.#catalog);
    const snapshot = new Snapshots(this.#catalog).ofJob(this.jobNumber);
    assert(snapshot);
    return snapshot;
  }

  /** Nothing of it is kept but the archives it wrote, whose contents serve later runs. */
  discard(): void {
    for (const { archiveId, state } of this.#archives.ofJob(this.jobNumber))
      if (state === 'writing') this.tearArchive(archiveId);
    dropRun(this.#catalog, this.jobNumber);
  }

  /** Whether rows wait for content. Looks at the inodes of few where nearly all are in archives. */
  hasWaiting(): boolean {
    const isOpen = `p.archive IS NULL OR p.inode IN (SELECT inode FROM run_partials WHERE job = @job)`;
    const where = this.#mayHideWaiting ? WAITING : `(${isOpen}) AND ${WAITING}`;
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
