/**
 * The archives of one run: what each stores, and when it counts.
 *
 * Each is begun, filled by `store` any number of times, and committed or torn; before it is committed nothing of it counts.
 */
import type { Catalog } from '../catalog.ts';
import { Contents, type CopyPolicy } from '../content/contents.ts';
import { type ContentColumns, ContentKeys } from '../content/keys.ts';
import type { PendingEntry, PendingRows } from '../pending/rows.ts';
import {
  Archives,
  type FinishedArchive,
  type JournaledEnd,
  type MediumEnd,
  type NewArchive,
} from '../shelf/archives.ts';
import type { Found } from './found.ts';
import { Store } from './store.ts';
import type { StoredEntry, StoredRows } from './stored-rows.ts';

export class ArchivesOfRun {
  readonly #catalog: Catalog;
  readonly #job: number;
  readonly #rows: PendingRows;
  readonly #found: Found;
  readonly #contents: Contents;
  readonly #keys: ContentKeys;
  readonly #archives: Archives;
  readonly #store: Store;
  #hasTorn = false;

  constructor(
    catalog: Catalog,
    of: { readonly job: number; readonly rows: PendingRows; readonly found: Found },
  ) {
    this.#catalog = catalog;
    this.#job = of.job;
    this.#rows = of.rows;
    this.#found = of.found;
    this.#contents = new Contents(catalog);
    this.#keys = catalog.part(ContentKeys);
    this.#archives = new Archives(catalog);
    this.#store = new Store(catalog, of.job);
  }

  /** As `Archives.begin`. */
  begin(archive: NewArchive, ends: readonly MediumEnd[] = []): number {
    return this.#archives.begin(this.#job, archive, ends);
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
  commit(
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
  tear(archiveId: number, ends: readonly MediumEnd[] = []): void {
    this.#hasTorn = true;
    this.#archives.tear(archiveId, ends);
    this.#store.untie(archiveId);
  }

  /** That a process before this one has told, with all that was found; undefined where something is untold. */
  journaledEnd(): JournaledEnd | undefined {
    for (const _ of this.#rows.inOrder('unjournaled')) return undefined;
    return this.#archives.endOf(this.#job);
  }

  /** Since this process works on the run; rows that such an archive carried may wait again. */
  get hasTorn(): boolean {
    return this.#hasTorn;
  }

  get isWriting(): boolean {
    return this.#archives.ofJob(this.#job).some(({ state }) => state === 'writing');
  }

  /** All that are in one of these states. */
  tearAll(states: readonly ('writing' | 'torn')[]): void {
    for (const { archiveId, state } of this.#archives.ofJob(this.#job))
      if (states.some((one) => one === state)) this.tear(archiveId);
  }
}
