/**
 * One run of a backup: scan, deduplicate, write, finish. A run of the same sources that was cut short is gone on with; what
 * it has stored counts.
 */
import { resolve } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import type { Random } from '../../base/random.ts';
import type { Raw } from '../../base/raw.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import type { CopyPolicy } from '../../catalog/content/contents.ts';
import { databaseBytes, sweepCopies } from '../../catalog/file/copy.ts';
import type { Alarm } from '../../catalog/job/alarms.ts';
import { type Job, Jobs } from '../../catalog/job/jobs.ts';
import type { Source } from '../../catalog/job/sources.ts';
import { Run } from '../../catalog/run/run.ts';
import { Archives, type JournaledEnd } from '../../catalog/shelf/archives.ts';
import { Media, type Medium } from '../../catalog/shelf/media.ts';
import { snapshotName } from '../../catalog/tree/snapshots.ts';
import type { ArchiveConfig, BackupConfig, GroomConfig } from '../../config.ts';
import type { PlanLimits } from '../../pack/limits.ts';
import type { DriveHandover } from '../../recall/handover.ts';
import type { Library } from '../../storage/library.ts';
import { usableDrives } from '../../storage/library-status.ts';
import type { Operator } from '../../storage/operator.ts';
import type { LockTools } from '../state-lock.ts';
import { beginDryRun, beginJob } from './begin.ts';
import { type DryRunReport, entriesOf, forecastRun } from './dry-run.ts';
import { type FurtherCopies, makeFurtherCopies } from './further-copies.ts';
import type { MediaSet } from './media-set.ts';
import { Outgoing } from './outgoing.ts';
import { Passes } from './passes.ts';
import type { BackupReport, Listen } from './report.ts';
import type { WrittenArchive } from './run-archives.ts';
import type { RunEnd } from './run-journal.ts';
import { limitsOf, mediaSetOf } from './run-media.ts';
import { RunWatch } from './run-watch.ts';
import { type SearchTools, search } from './search.ts';
import { Tally } from './tally.ts';
import { Threads } from './threads.ts';
import { Writer } from './write.ts';

export type BackupRequest = {
  /** In order of name; all have been locked. */
  readonly sources: readonly Source[];
  /** Copies written at once, each in a drive of its own. */
  readonly copies: number;
  /** Contents with fewer good copies than this are stored, however many are there. */
  readonly copiesWanted: number;
  /** Barcodes of media not to be written: they hold the copies there are. */
  readonly avoid: readonly string[];
  /** To be made of its archives when all is written; left out: none. */
  readonly further?: FurtherCopies | undefined;
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
  /** Where archives wait of which further copies are made. */
  readonly groom: GroomConfig;
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
  /** Who brings cartridges and decides about failures; left out: nobody is there. */
  readonly operator?: Operator | undefined;
  /** Tells people that a run looked like damage. */
  onAlarm?(alarm: Alarm): void;
  /** Lets recalls have the drives between archives; left out, nobody has them before the end. */
  readonly handover?: DriveHandover;
  /** As of `LockTools`; left out: nobody else makes copies. */
  readonly lock?: LockTools['lock'];
};

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
  readonly #passes: Passes;
  readonly #watch: RunWatch;
  /** A copy did not read back. */
  #isDamaged = false;

  constructor(job: Job, request: BackupRequest, tools: BackupTools, listen: Listen) {
    this.#job = job;
    this.#request = request;
    this.#tools = tools;
    this.#listen = listen;
    this.#jobs = new Jobs(tools.catalog);
    this.#run = new Run(tools.catalog, job.number);
    this.#watch = new RunWatch(request.sources);
    const { clock } = tools;
    this.#tally = new Tally({ jobs: this.#jobs, jobNumber: job.number, clock, listen });
    this.#startUsage = tools.usage();
    this.#passes = new Passes({
      run: this.#run,
      tally: this.#tally,
      newOutgoing: () => this.#newOutgoing(),
    });
  }

  get #state(): 'finished' | 'partial' {
    return this.#isDamaged || this.#passes.isPartial ? 'partial' : 'finished';
  }

  async run(isResumed: boolean, signal: AbortSignal): Promise<BackupReport> {
    if (isResumed) {
      this.#run.resume();
      this.#tally.files.gone += this.#run.countGone();
    }
    await sweepCopies(this.#tools.stateDirectory);
    const { workers } = this.#request;
    const threads = new Threads({ workers, memoryBytes: this.#tools.backup.memory });
    try {
      await this.#search(signal, (found) => threads.foresee(found));
      return await this.#write(threads, signal);
    } finally {
      await threads.close();
      this.#tally.flush();
    }
  }

  async #write(threads: Threads, signal: AbortSignal): Promise<BackupReport> {
    const { catalog } = this.#tools;
    const media = this.#mediaSet();
    const outstanding = this.#run.outstanding();
    try {
      threads.start(outstanding, databaseBytes(catalog));
      await media.rooms(signal); // registers what the library holds
      // Sizes that cannot be are refused before anything is moved.
      const limits = this.#limitsFrom(media);
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
          readAhead: threads.readAhead,
          digester: threads.digester,
          sha256: this.#wantsSha256(),
          spoolDirectory: this.#tools.stateDirectory,
          staging: stagingOf(this.#tools),
          limits,
          copies: this.#request.copies,
          policy: this.#policy(),
          archiveMsMax: this.#tools.archive.minutes * 60_000,
          outgoing: (row) => this.#passes.outgoing(row),
          spanPlace: (rows) => this.#passes.spanPlace(rows),
          onEntry: (outcome) => this.#passes.onEntry(outcome),
          onStored: (files) => this.#tally.storedAll(files),
          onFragment: (feed, fragment) => this.#watch.look(feed, fragment),
          onProgress: (feed) => this.#tally.progress(feed, media.fill()),
          onArchive: (archive) => this.#onArchive(archive, media),
          warn: (message) => this.#tally.warn(message),
        },
        before,
      );
      await this.#passes.store(writer, { outstanding, endOfRun: () => this.#end() }, signal);
      return await this.#finish(writer, media, signal);
    } finally {
      this.#passes.close();
      await media.close();
    }
  }

  async dryRun(signal: AbortSignal): Promise<DryRunReport> {
    const outgoing = this.#newOutgoing();
    try {
      await this.#search(signal);
      const media = this.#mediaSet();
      const forecast = forecastRun({
        entries: entriesOf(this.#run, outgoing),
        rooms: await media.rooms(signal),
        limits: this.#limits(media),
        copies: this.#request.copies,
        drives: usableDrives(await this.#tools.library.status(signal)).length,
        generation: media.room.generation(),
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

  #search(signal: AbortSignal, foresee?: SearchTools['foresee']): Promise<void> {
    const { sources, allowEmpty, workers } = this.#request;
    const { catalog, ownDirectories } = this.#tools;
    const newOutgoing = () => this.#newOutgoing();
    const found = { run: this.#run, tally: this.#tally, watch: this.#watch, newOutgoing };
    const order = { sources, allowEmpty, workers, policy: this.#policy(), foresee };
    return search({ catalog, ownDirectories, ...order, ...found }, signal);
  }

  #newOutgoing(): Outgoing {
    const { catalog, host } = this.#tools;
    return new Outgoing(this.#request.sources, catalog, host.name);
  }

  async #finish(writer: Writer, media: MediaSet, signal: AbortSignal): Promise<BackupReport> {
    const end = await this.#tellEnd(writer, signal);
    await media.verify(signal);
    const copied = await this.#makeFurther(media, signal);
    this.#judge();
    // Journals give the run this time; where they tell another end, the next archive has to tell it anew.
    const isTold = end?.state === this.#state;
    const hasChanges = this.#run.base === undefined || this.#hasRows();
    const snapshot = hasChanges
      ? this.#run.finish({
          state: this.#state,
          timeMs: isTold ? end.seconds * 1000 : this.#tools.clock.nowMs(),
          journaledSeconds: isTold ? end.seconds : undefined,
        })
      : undefined;
    if (!snapshot) this.#jobs.setState(this.#job.number, 'finished');
    const { cpuSeconds, peakRssBytes } = this.#tools.usage();
    const report: BackupReport = {
      job: this.#job.number,
      snapshot: snapshot ? snapshotName(snapshot) : null,
      state: this.#state,
      ...this.#tally.told,
      media: [...new Set([...media.used, ...copied])],
      seconds: this.#tally.seconds,
      cpuSeconds: cpuSeconds - this.#startUsage.cpuSeconds,
      peakRssBytes,
    };
    this.#jobs.setReport(this.#job.number, report);
    this.#listen({ event: 'end', ...report });
    return report;
  }

  /**
   * Of a run that has stored something. One that was cut behind its last archive has told its end already, and tells it once.
   * @returns what a journal says of it; undefined where none does
   */
  async #tellEnd(writer: Writer, signal: AbortSignal): Promise<JournaledEnd | undefined> {
    if (writer.archives === 0 || writer.journaledEnd) return writer.journaledEnd;
    const told = this.#run.archives.journaledEnd();
    if (told?.state === this.#state) return told;
    await writer.writeEnd(this.#end(), signal);
    return writer.journaledEnd;
  }

  /** @returns barcodes written to */
  async #makeFurther(media: MediaSet, signal: AbortSignal): Promise<readonly string[]> {
    const { further, pool, verify, wait } = this.#request;
    if (!further) return [];
    await media.close();
    const order = { ...further, run: this.#run, pool, verify, wait };
    const listeners = { ...this.#mediaListeners(), listen: this.#listen };
    return makeFurtherCopies(order, this.#tools, listeners, signal);
  }

  /** Damage to the sources is told and stops expiry; never the backup. */
  #judge(): void {
    const alarm = this.#watch.judge(this.#tools.catalog, this.#run);
    if (!alarm) return;
    const { id, signals } = alarm;
    this.#tally.warn(
      `this looks like damage to the sources: ${signals.join('; ')}. Nothing expires and nothing is groomed before \`shelfs alarms settle ${id}\``,
    );
    this.#tools.onAlarm?.(alarm);
  }

  #hasRows(): boolean {
    for (const _ of this.#run.entries('all')) return true;
    return false;
  }

  #end(): RunEnd {
    return {
      state: this.#state,
      counts: { ...this.#tally.files },
      seconds: this.#run.proposeSeconds(this.#tools.clock.nowMs()),
    };
  }

  #onArchive({ uuid, media, entries, bytes }: WrittenArchive, set: MediaSet): void {
    set.room.grown();
    this.#listen({ event: 'archive', archive: uuid, media, entries, bytes });
  }

  #onWait(reason: string | undefined): void {
    this.#jobs.setState(this.#job.number, reason === undefined ? 'running' : 'waiting');
    if (reason !== undefined) this.#listen({ event: 'waiting', reason });
  }

  #mediaSet(): MediaSet {
    const tools = { ...this.#tools, run: this.#run };
    return mediaSetOf(this.#request, tools, this.#mediaListeners());
  }

  #mediaListeners() {
    return {
      onWait: (reason: string | undefined) => this.#onWait(reason),
      onDamage: () => {
        this.#isDamaged = true;
      },
      onAttach: (barcode: string, drive: string) =>
        this.#listen({ event: 'medium', barcode, drive }),
      warn: (message: string) => this.#tally.warn(message),
    };
  }

  /** By what is there now; the first that asks is told without a further look, if the media are the same: it takes a while. */
  #limitsFrom(media: MediaSet): () => PlanLimits {
    const freshRoomBytes = media.room.freshBytes();
    let first: PlanLimits | undefined = this.#limits(media);
    return () => {
      const limits = media.room.freshBytes() === freshRoomBytes ? first : undefined;
      first = undefined;
      return limits ?? this.#limits(media);
    };
  }

  #limits(media: MediaSet): PlanLimits {
    const { jobNumber, untold } = this.#run;
    const { copies } = this.#request;
    return limitsOf(media, { ...this.#tools, jobNumber, copies, untold });
  }

  #policy(): CopyPolicy {
    return { copies: this.#request.copiesWanted, poolId: this.#poolId() };
  }

  #poolId(): number {
    return new Media(this.#tools.catalog).ensurePool(this.#request.pool).id;
  }

  #wantsSha256(): boolean {
    const { sha256 } = this.#tools.archive;
    return sha256 === 'always' || (sha256 === 'auto' && this.#tools.hasSha256());
  }
}

function stagingOf({ backup, stateDirectory }: BackupTools) {
  const directory = resolve(stateDirectory, backup['staging-directory']);
  return { mode: backup.staging, directory, bytesMax: backup['staging-size'] };
}
