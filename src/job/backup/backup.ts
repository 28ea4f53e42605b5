import { resolve } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import type { Random } from '../../base/random.ts';
import { type Raw, rawText } from '../../base/raw.ts';
import { Archives } from '../../catalog/archives.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { Contents, type CopyPolicy } from '../../catalog/contents.ts';
import { sweepCopies } from '../../catalog/copy.ts';
import { type Job, Jobs } from '../../catalog/jobs.ts';
import { Media, type Medium } from '../../catalog/media.ts';
import type { PendingEntry } from '../../catalog/pending.ts';
import { Run } from '../../catalog/run.ts';
import { snapshotName } from '../../catalog/snapshots.ts';
import type { Source } from '../../catalog/sources.ts';
import type { ArchiveConfig, BackupConfig } from '../../config.ts';
import { HashPool } from '../../hash/pool.ts';
import { FORMAT_BOUNDS, type PlanLimits, planLimits, roundUp } from '../../pack/limits.ts';
import type { Library } from '../../storage/library.ts';
import { changePolicyOf, filterOf, parseSourceOptions } from '../source-options.ts';
import { beginDryRun, beginJob } from './begin.ts';
import { closingReserve } from './closing-reserve.ts';
import { deduplicate } from './deduplicate.ts';
import { Digester } from './digester.ts';
import { type DryRunReport, entriesOf, forecastRun } from './dry-run.ts';
import { SLAB_BYTES } from './fragment.ts';
import { MediaSet } from './media-set.ts';
import type { EntryOutcome } from './member-writer.ts';
import { Outgoing } from './outgoing.ts';
import { ReadAhead } from './read-ahead.ts';
import type { BackupReport, Listen } from './report.ts';
import type { RunEnd } from './run-journal.ts';
import { scan } from './scan.ts';
import { Tally } from './tally.ts';
import { Writer, type WrittenArchive } from './write.ts';

export type BackupRequest = {
  /** In order of name; all have been locked. */
  readonly sources: readonly Source[];
  /** Copies written at once, each in a drive of its own. */
  readonly copies: number;
  /** Contents with fewer good copies than this are stored, however many are there. */
  readonly copiesWanted: number;
  /** Barcodes of media not to be written: they hold the copies there are. */
  readonly avoid: readonly string[];
  readonly pool: string;
  readonly allowEmpty: boolean;
  /** Read back what was written. */
  readonly verify: boolean;
  /** Wait for drives that other processes have. */
  readonly wait: boolean;
  /** Threads that hash, and as many that read; 0: all in the process itself. */
  readonly workers: number;
};

export type BackupTools = {
  /** Open for writing. */
  readonly catalog: Catalog;
  readonly library: Library;
  readonly clock: Clock;
  readonly random: Random;
  readonly archive: ArchiveConfig;
  readonly backup: BackupConfig;
  readonly stateDirectory: string;
  /** Directories of our own: state, virtual cartridges, mounts. */
  readonly ownDirectories: readonly Raw[];
  readonly program: string;
  readonly host: { readonly name: string; readonly system: string };
  readonly pid: number;
  /** CPU seconds and peak resident memory of this process so far. */
  usage(): { readonly cpuSeconds: number; readonly peakRssBytes: number };
  /** Whether the processor has instructions for SHA-256. */
  hasSha256(): boolean;
  label(barcode: string, pool: string, signal: AbortSignal): Promise<Medium>;
};

/** Archives that the clock or a warning ends early: their openings and digests, which the plan does not know of. */
const EXTRA_ARCHIVES = 4;
/** Slabs take a part of the memory limit; the catalog's cache, heads and the program itself the rest. */
const SLABS_SHARE = 0.0625;

/** @throws CodedError as the first failure that ends the run; it can be gone on with */
export async function backup(
  request: BackupRequest,
  tools: BackupTools,
  listen: Listen,
  signal: AbortSignal,
): Promise<BackupReport> {
  const { job, isResumed } = beginJob(request, tools);
  const running = new BackupJob(job, request, tools, listen);
  listen({
    event: 'begin',
    job: job.number,
    resumed: isResumed,
    sources: request.sources.map(({ name }) => name),
  });
  return running.run(isResumed, signal);
}

/** What a backup would do. Sources are scanned and files that may be duplicates hashed; nothing is kept or written. */
export async function dryRun(
  request: BackupRequest,
  tools: BackupTools,
  signal: AbortSignal,
): Promise<DryRunReport> {
  const job = beginDryRun(request, tools);
  return new BackupJob(job, request, tools, () => {}).dryRun(signal);
}

class BackupJob {
  readonly #job: Job;
  readonly #request: BackupRequest;
  readonly #tools: BackupTools;
  readonly #listen: Listen;
  readonly #run: Run;
  readonly #jobs: Jobs;
  readonly #tally: Tally;
  readonly #startUsage;
  /** Of rows, in passes that are not repeated: stored or given up. */
  #settled = 0;
  #isLastPass = false;
  #isPartial = false;
  #outgoing: Outgoing;

  constructor(job: Job, request: BackupRequest, tools: BackupTools, listen: Listen) {
    this.#job = job;
    this.#request = request;
    this.#tools = tools;
    this.#listen = listen;
    this.#jobs = new Jobs(tools.catalog);
    this.#run = new Run(tools.catalog, job.number);
    const { clock } = tools;
    this.#tally = new Tally({ jobs: this.#jobs, jobNumber: job.number, clock, listen });
    this.#startUsage = tools.usage();
    this.#outgoing = this.#newOutgoing();
  }

  async run(isResumed: boolean, signal: AbortSignal): Promise<BackupReport> {
    if (isResumed) this.#run.resume();
    await sweepCopies(this.#tools.stateDirectory);
    try {
      await this.#scanAll(signal);
      await this.#deduplicate(signal);
      return await this.#write(signal);
    } finally {
      this.#tally.flush();
    }
  }

  async #write(signal: AbortSignal): Promise<BackupReport> {
    const { catalog } = this.#tools;
    const media = this.#mediaSet();
    const digester = new Digester();
    const readAhead = new ReadAhead({ workers: this.#request.workers, slabs: this.#slabs() });
    try {
      await media.rooms(signal); // registers what the library holds
      this.#limits(media); // sizes that cannot be are refused before anything is moved
      const before = new Archives(catalog).ofJob(this.#job.number).length;
      const writer = new Writer(
        {
          catalog,
          run: this.#run,
          job: this.#job,
          program: this.#tools.program,
          clock: this.#tools.clock,
          random: this.#tools.random,
          media,
          readAhead,
          digester,
          sha256: this.#wantsSha256(),
          spoolDirectory: this.#tools.stateDirectory,
          staging: stagingOf(this.#tools),
          limits: () => this.#limits(media),
          copies: this.#request.copies,
          policy: this.#policy(),
          archiveMsMax: this.#tools.archive.minutes * 60_000,
          outgoing: (row) => this.#outgoing.of(row, { isFinal: this.#isLastPass }),
          onEntry: (outcome) => this.#onEntry(outcome),
          onProgress: (feed) => this.#tally.progress(feed, media.fill()),
          onArchive: (archive) => this.#onArchive(archive, media),
          warn: (message) => this.#tally.warn(message),
        },
        before,
      );
      await this.#store(writer, signal);
      return await this.#finish(writer, media, signal);
    } finally {
      this.#outgoing.close();
      await readAhead.close();
      await digester.close();
      await media.close();
    }
  }

  async dryRun(signal: AbortSignal): Promise<DryRunReport> {
    const outgoing = this.#newOutgoing();
    try {
      await this.#scanAll(signal);
      await this.#deduplicate(signal);
      const media = this.#mediaSet();
      const forecast = forecastRun({
        entries: entriesOf(this.#run, outgoing),
        rooms: await media.rooms(signal),
        limits: this.#limits(media),
        copies: this.#request.copies,
        drives: (await this.#tools.library.status(signal)).drives.length,
        generation: media.generation(),
      });
      return {
        files: this.#tally.files,
        bytes: this.#tally.bytes,
        unreadable: this.#tally.told.unreadable,
        excluded: this.#tally.excluded,
        forecast,
      };
    } finally {
      outgoing.close();
      this.#tally.flush();
      this.#run.discard();
      this.#jobs.setState(this.#job.number, 'finished');
    }
  }

  async #scanAll(signal: AbortSignal): Promise<void> {
    const { catalog, ownDirectories } = this.#tools;
    const isWeak = new Contents(catalog).weakness(this.#policy());
    for (const source of this.#request.sources) {
      const options = parseSourceOptions(source.options);
      await scan(
        {
          source,
          options,
          filter: filterOf(catalog, source),
          policy: changePolicyOf(options),
          ownDirectories,
          allowEmpty: this.#request.allowEmpty,
          isWeak,
        },
        {
          run: this.#run,
          counts: this.#tally.files,
          onScanned: (entries, bytes) => this.#tally.scanned(source.name, entries, bytes),
          onExcluded: (entry, reason) => this.#tally.leftOut(entry, reason),
          onUnreadable: (damage) => this.#tally.damage(damage),
        },
        signal,
      );
    }
  }

  async #deduplicate(signal: AbortSignal): Promise<void> {
    const pool = new HashPool({ workers: this.#request.workers });
    const outgoing = this.#newOutgoing();
    try {
      await deduplicate(
        {
          catalog: this.#tools.catalog,
          run: this.#run,
          pool,
          policy: this.#policy(),
          placeOf: (row) => outgoing.placeOf(row),
          onHashed: ({ bytes }) => this.#tally.hashed(bytes),
          onFound: (file) => this.#tally.found(file),
        },
        signal,
      );
    } finally {
      outgoing.close();
      await pool.close();
    }
  }

  #newOutgoing(): Outgoing {
    const { catalog, host } = this.#tools;
    return new Outgoing(this.#request.sources, catalog, host.name);
  }

  /**
   * What changed while it was read, or could not be read, is looked at once more and then given up. Names and duplicates
   * that waited for its bytes get a turn of their own.
   */
  async #store(writer: Writer, signal: AbortSignal): Promise<void> {
    const outstanding = this.#run.outstanding();
    this.#tally.expect(outstanding);
    // Moves, deletions and attributes alone cost no tape: the next archive's journal tells of them.
    if (!outstanding.needsMedium) return;
    const end = () => (this.#run.hasWaiting() ? undefined : this.#end());
    await writer.store(end, signal);
    this.#isLastPass = true;
    for (let before = -1; this.#run.hasWaiting() && this.#settled > before; ) {
      before = this.#settled;
      this.#outgoing.close();
      this.#outgoing = this.#newOutgoing();
      for (const row of this.#run.waiting()) this.#lookAgain(row);
      // Lines alone stand in the archive that ends the run.
      if (this.#run.outstanding().needsMedium) await writer.store(end, signal);
    }
    if (this.#run.hasWaiting()) this.#isPartial = true;
  }

  #lookAgain(row: PendingEntry): void {
    const { directoryId, name, inode } = row;
    const found = this.#outgoing.lookAgain(row);
    if (found === 'same') return;
    if (inode) this.#run.forgetHash(inode.inodeId);
    if (found === 'gone') {
      this.#giveUp(row, 'it vanished while it was being backed up');
      return;
    }
    const change = row.change === 'new' ? 'new' : 'changed';
    this.#run.add([{ directoryId, name, change, ...found }]);
  }

  /** What was known of it before stays; the next scan finds it as it is then. */
  #giveUp({ directoryId, name, path }: PendingEntry, reason: string): void {
    this.#run.forget(directoryId, name);
    this.#tally.damage({ path: rawText(path), reason });
    this.#tally.files.unreadable += 1;
    this.#settled += 1;
  }

  async #finish(writer: Writer, media: MediaSet, signal: AbortSignal): Promise<BackupReport> {
    if (writer.archives > 0 && !writer.journaledEnd) {
      await writer.writeEnd(this.#end(), signal);
    }
    await media.verify(signal);
    const end = writer.journaledEnd;
    const hasChanges = this.#run.base === undefined || this.#hasRows();
    const snapshot = hasChanges
      ? this.#run.finish({
          state: this.#isPartial ? 'partial' : 'finished',
          timeMs: this.#tools.clock.nowMs(),
          journaledSeconds: end?.seconds,
        })
      : undefined;
    if (!snapshot) this.#jobs.setState(this.#job.number, 'finished');
    const { cpuSeconds, peakRssBytes } = this.#tools.usage();
    const report: BackupReport = {
      job: this.#job.number,
      snapshot: snapshot ? snapshotName(snapshot) : null,
      state: this.#isPartial ? 'partial' : 'finished',
      ...this.#tally.told,
      media: media.used,
      seconds: this.#tally.seconds,
      cpuSeconds: cpuSeconds - this.#startUsage.cpuSeconds,
      peakRssBytes,
    };
    this.#jobs.setReport(this.#job.number, report);
    this.#listen({ event: 'end', ...report });
    return report;
  }

  #hasRows(): boolean {
    for (const _ of this.#run.entries('all')) return true;
    return false;
  }

  #end(): RunEnd {
    return {
      state: this.#isPartial ? 'partial' : 'finished',
      counts: { ...this.#tally.files },
      seconds: this.#run.proposeSeconds(this.#tools.clock.nowMs()),
    };
  }

  #onEntry(told: EntryOutcome): void {
    const { entry, outcome } = told;
    this.#tally.stored(told);
    if (outcome !== 'stored') this.#run.forgetHash(entry.inode.inodeId);
    if (this.#isLastPass && told.isLast) this.#settleLast(told);
  }

  /** In a pass that is not repeated. */
  #settleLast({ entry, outcome, errno }: EntryOutcome): void {
    if (outcome === 'unreadable' || outcome === 'changed-before') {
      this.#isPartial = true;
      const isUnreadable = outcome === 'unreadable';
      const reason = isUnreadable
        ? `it cannot be read (${errno ?? 'error'})`
        : 'it is changed too often to be read';
      this.#giveUp(entry.row, reason);
      return;
    }
    this.#settled += 1;
    if (outcome !== 'changed-while-read') return;
    const path = rawText(entry.row.path);
    this.#tally.damage({ path, reason: 'it was changed while it was read; stored as it was read' });
  }

  #onArchive({ uuid, media, entries, bytes }: WrittenArchive, set: MediaSet): void {
    set.grown();
    this.#listen({ event: 'archive', archive: uuid, media, entries, bytes });
  }

  #onWait(reason: string | undefined): void {
    this.#jobs.setState(this.#job.number, reason === undefined ? 'running' : 'waiting');
    if (reason !== undefined) this.#listen({ event: 'waiting', reason });
  }

  #mediaSet(): MediaSet {
    const { catalog, library, clock, backup, archive } = this.#tools;
    const { pool } = this.#request;
    return new MediaSet({
      library,
      clock,
      media: new Media(catalog),
      archives: new Archives(catalog),
      pool,
      avoid: new Set(this.#request.avoid),
      blockBytes: archive.block,
      autoLabel: backup.label === 'auto',
      verify: this.#request.verify,
      isPatient: this.#request.wait,
      onWait: (reason) => this.#onWait(reason),
      onDamage: () => {
        this.#isPartial = true;
      },
      label: (barcode, signal) => this.#tools.label(barcode, pool, signal),
      onAttach: (barcode, drive) => this.#listen({ event: 'medium', barcode, drive }),
      warn: (message) => this.#tally.warn(message),
    });
  }

  #policy(): CopyPolicy {
    return { copies: this.#request.copiesWanted, poolId: this.#poolId() };
  }

  #poolId(): number {
    return new Media(this.#tools.catalog).ensurePool(this.#request.pool).id;
  }

  #limits(media: MediaSet): PlanLimits {
    const { archive } = this.#tools;
    const freshRoomBytes = media.freshRoomBytes() ?? 0;
    const blockBytes = archive.block;
    const labelBytes = roundUp(FORMAT_BOUNDS.labelBytes, blockBytes);
    const perArchive = FORMAT_BOUNDS.archiveBytes + blockBytes;
    return planLimits({
      freshRoomBytes,
      configured: {
        ...(archive.size !== undefined && { archiveBytes: archive.size }),
        ...(archive.part !== undefined && { partBytes: archive.part }),
        entriesMax: archive.entries,
      },
      bounds: { ...FORMAT_BOUNDS, blockBytes, labelBytes },
      reserve: closingReserve(this.#tools.catalog, {
        jobNumber: this.#job.number,
        copies: this.#request.copies,
        freshRoomBytes,
        fixedBytes: EXTRA_ARCHIVES * perArchive,
      }),
    });
  }

  #wantsSha256(): boolean {
    const { sha256 } = this.#tools.archive;
    return sha256 === 'always' || (sha256 === 'auto' && this.#tools.hasSha256());
  }

  #slabs(): number {
    const slabs = Math.floor((this.#tools.backup.memory * SLABS_SHARE) / SLAB_BYTES);
    return Math.max(4, Math.min(64, slabs));
  }
}

function stagingOf({ backup, stateDirectory }: BackupTools) {
  const directory = resolve(stateDirectory, backup['staging-directory']);
  return { mode: backup.staging, directory, bytesMax: backup['staging-size'] };
}
