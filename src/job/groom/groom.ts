/**
 * Groom: what is still needed of cartridges that hold little else is moved to others, so that they may be written anew.
 *
 * A cartridge is given up last of all: when its contents are committed and read back elsewhere, its journals are told there,
 * and a copy of the catalog that knows all of it is (catalog/care/scratch.ts proves it once more). Until then nothing is taken
 * from it, so a groom that is cut anywhere has lost nothing, and the next one moves only what is not there yet.
 */
import { strict as assert } from 'node:assert';
import { resolve } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import { Spooled } from '../../catalog/care/spooled.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import type { PoolPolicy } from '../../catalog/content/copies-policy.ts';
import { sweepCopies } from '../../catalog/file/copy.ts';
import { Alarms } from '../../catalog/job/alarms.ts';
import { type Job, Jobs } from '../../catalog/job/jobs.ts';
import { Archives } from '../../catalog/shelf/archives.ts';
import { Media, type Medium } from '../../catalog/shelf/media.ts';
import type { ArchiveConfig, BackupConfig, GroomConfig } from '../../config.ts';
import type { DriveHandover } from '../../recall/handover.ts';
import type { Library } from '../../storage/library.ts';
import { usableDrives } from '../../storage/library-status.ts';
import { absentOperator, type Operator } from '../../storage/operator.ts';
import { Digester } from '../backup/digester.ts';
import type { MediaSet } from '../backup/media-set.ts';
import { takeLock } from '../state-lock.ts';
import { Survivors } from '../survivors.ts';
import { chooseMedia, planOf } from './choose.ts';
import { CopyMaker } from './copies.ts';
import { KeptTape } from './kept-tape.ts';
import { type GroomingTools, MediumGroom, moverOf } from './medium.ts';
import type {
  CopiedPool,
  GroomEvent,
  GroomedMedium,
  GroomPlan,
  GroomReport,
  LostFile,
} from './report.ts';
import { Spool } from './spool.ts';
import { storeAnew } from './store-anew.ts';
import { targetSet } from './target-set.ts';
import { tellAnew } from './tell.ts';

export type GroomRequest = {
  /** Named by a person; none: those with too little live on them. */
  readonly media: readonly Medium[];
  /** Default: as configured. */
  readonly belowPercent: number | undefined;
  /** Wait for drives, and for a run that is under way when a cartridge is to be given up. */
  readonly wait: boolean;
};

export type GroomTools = {
  /** Open for writing. */
  readonly catalog: Catalog;
  readonly library: Library;
  readonly clock: Clock;
  readonly random: Random;
  readonly archive: ArchiveConfig;
  readonly backup: BackupConfig;
  readonly groom: GroomConfig;
  readonly stateDirectory: string;
  readonly program: string;
  readonly host: { readonly name: string; readonly system: string };
  readonly pid: number;
  /** Whether the processor has instructions for SHA-256. */
  hasSha256(): boolean;
  /** Of pools whose missing copies are made where no media are named; left out: of none. */
  readonly policies?: readonly PoolPolicy[];
  /** Good copies that contents of a pool are to have. */
  copiesOf(pool: string): number;
  label(barcode: string, pool: string, signal: AbortSignal): Promise<Medium>;
  /** Takes a lock that ends with the process. @throws CodedError DRIVE_BUSY naming the holder's pid */
  lock(path: string): Promise<{ close(): Promise<void> }>;
  /** Who brings cartridges and decides about failures; left out: nobody is there. */
  readonly operator?: Operator | undefined;
  readonly handover?: DriveHandover;
};

export type Listen = (event: GroomEvent) => void;

const isWritable = (state: string | undefined) => state === 'filling' || state === 'scratch';

const LOST_TOLD_MAX = 1000;
/** A thread takes as long to begin as hashing so much. */
const MUCH_BYTES = 64 * 2 ** 20;

/** What is groomed, one after the other. */
type Groomed = { readonly job: Job; readonly media: readonly Medium[] };

type Shared = {
  readonly digester: Digester;
  readonly spool: Spool;
  readonly isSwapped: boolean;
  readonly survivors: Survivors;
};

/** What would be groomed. Nothing is read or written. */
export async function planGroom(
  request: GroomRequest,
  tools: Pick<GroomTools, 'catalog' | 'library' | 'groom'>,
  signal: AbortSignal,
): Promise<GroomPlan> {
  const drives = usableDrives(await tools.library.status(signal));
  const media = chosen(request, tools);
  return planOf(tools.catalog, media, { drives: drives.length, spoolBytes: tools.groom.spool });
}

function chosen(request: GroomRequest, tools: Pick<GroomTools, 'catalog' | 'groom'>): Medium[] {
  const belowPercent = request.belowPercent ?? tools.groom.below;
  return chooseMedia(tools.catalog, { named: request.media, belowPercent });
}

/**
 * @throws CodedError ALARM_OPEN while an alarm is not settled; SOURCE_BUSY naming a process that grooms; MEDIUM_FULL where no
 *   medium has room; the library's failures. What was moved by then counts
 */
export async function groom(
  request: GroomRequest,
  tools: GroomTools,
  listen: Listen,
  signal: AbortSignal,
): Promise<GroomReport> {
  const sentence = (who: string) => `${who} grooms just now`;
  const lock = await takeLock(tools, { name: 'groom', sentence });
  try {
    new Alarms(tools.catalog).refuseOpen();
    const media = chosen(request, tools);
    return await new GroomJob(request, tools, listen).run(media, signal);
  } finally {
    await lock.close();
  }
}

class GroomJob {
  readonly #request: GroomRequest;
  readonly #tools: GroomTools;
  readonly #listen: Listen;
  readonly #jobs: Jobs;
  readonly #startMs: number;
  #job: Job | undefined;
  readonly #lost: LostFile[] = [];
  #lostMore = 0;

  constructor(request: GroomRequest, tools: GroomTools, listen: Listen) {
    this.#request = request;
    this.#tools = tools;
    this.#listen = listen;
    this.#jobs = new Jobs(tools.catalog);
    this.#startMs = tools.clock.monotonicMs();
  }

  async run(media: readonly Medium[], signal: AbortSignal): Promise<GroomReport> {
    const job = this.#begin(media);
    this.#job = job;
    this.#listen({
      event: 'begin',
      job: job.number,
      media: media.map(({ barcode }) => barcode),
    });
    try {
      return await this.#groomAll(job, media, signal);
    } catch (error) {
      const isInterrupted = error instanceof CodedError && error.code === 'INTERRUPTED';
      this.#jobs.setState(job.number, isInterrupted || signal.aborted ? 'cancelled' : 'failed');
      if (error instanceof CodedError) this.#log('error', error.message);
      throw error;
    }
  }

  /** What a groom has left that ended badly counts for nothing; what it moved is in archives that are good. */
  #begin(media: readonly Medium[]): Job {
    const { catalog, random, host, pid } = this.#tools;
    const archives = new Archives(catalog);
    archives.abandonCopies();
    for (const { number } of this.#jobs.unfinished('groom')) {
      for (const { archiveId, state } of archives.ofJob(number))
        if (state === 'writing') archives.tear(archiveId);
      this.#jobs.setState(number, 'failed');
    }
    const number = this.#jobs.add({
      uuid: random.uuid(),
      verb: 'groom',
      host: host.name,
      os: host.system,
      pid,
      parameters: { media: media.map(({ barcode }) => barcode) },
    });
    const job = this.#jobs.get(number);
    assert(job, 'added a moment ago');
    return job;
  }

  async #groomAll(job: Job, media: readonly Medium[], signal: AbortSignal): Promise<GroomReport> {
    const { stateDirectory, groom: config, random, policies = [] } = this.#tools;
    const wanted =
      this.#request.media.length > 0 ? [] : policies.filter(({ copies }) => copies > 1);
    if (media.length + wanted.length === 0) return this.#end(job, { done: [], copied: [] });
    await sweepCopies(stateDirectory);
    const digester = new Digester();
    if (this.#isMuch()) digester.start();
    const spool = Spool.open({
      directory: resolve(stateDirectory, config['spool-directory']),
      name: `spool-${random.uuid()}`,
      bytesMax: config.spool,
    });
    try {
      const drives = usableDrives(await this.#tools.library.status(signal));
      const survivors = this.#survivors(job);
      const shared = { digester, spool, isSwapped: drives.length < 2, survivors };
      const done: GroomedMedium[] = [];
      for (const medium of media) {
        const one = await this.#groomOne({ job, medium, media }, shared, signal);
        done.push(one);
        this.#listen({ event: 'done', ...one });
      }
      const copied: CopiedPool[] = [];
      for (const policy of wanted)
        copied.push(await this.#copy({ job, policy, media }, shared, signal));
      return this.#end(job, { done, copied });
    } finally {
      spool.close();
      await digester.close();
    }
  }

  /** Whether a thread may have enough to hash. */
  #isMuch(): boolean {
    const media = new Media(this.#tools.catalog).list();
    return media.some(({ writtenBytes }) => writtenBytes > MUCH_BYTES);
  }

  /** What went to a medium that turned out to be bad meanwhile, with the last that was written perhaps, counts no more. */
  async #copy(
    order: Groomed & { readonly policy: PoolPolicy },
    shared: Shared,
    signal: AbortSignal,
  ): Promise<CopiedPool> {
    const known = new Media(this.#tools.catalog);
    const suspects = () => known.list().filter(({ state }) => state === 'suspect').length;
    let [archives, contents, bytes] = [0, 0, 0];
    for (;;) {
      const before = suspects();
      const pass = await this.#copyOnce(order, shared, signal);
      archives += pass.archives;
      contents += pass.contents;
      bytes += pass.bytes;
      if (suspects() <= before) return { ...pass, archives, contents, bytes };
    }
  }

  #copyOnce(
    { job, policy, media }: Groomed & { readonly policy: PoolPolicy },
    shared: Shared,
    signal: AbortSignal,
  ): Promise<CopiedPool> {
    const { pool } = policy;
    const { id: poolId } = new Media(this.#tools.catalog).ensurePool(pool);
    const who = `groom (job ${job.number})`;
    const blockBytes = this.#tools.archive.block;
    return this.#writing({ job, media, pool }, shared, async (tools) => {
      const { set } = tools;
      await set.rooms(signal);
      const maker = new CopyMaker({ ...tools, who, blockBytes });
      const whole = await maker.run({ ...policy, poolId }, signal);
      const spooled = new Spooled(this.#tools.catalog);
      let contents = 0;
      let bytes = whole.bytes;
      const onMoved = (_contentId: number, sizeBytes: number) => {
        contents += 1;
        bytes += sizeBytes;
      };
      const mover = moverOf(tools, { spooled, givenUp: new Set(), onMoved });
      const order = { policy: { ...policy, poolId }, mover: { ...mover, spooled } };
      const left = await storeAnew({ ...order, left: whole.left }, tools, signal);
      if (whole.archives + contents > 0) {
        await tellAnew({ mediumId: undefined, ...mover }, tools, signal);
        await set.verify(signal);
      }
      const missing = left.contents - left.onlyElsewhere;
      return { pool, archives: whole.archives, contents, bytes, missing };
    });
  }

  #groomOne(
    { job, medium, media }: Groomed & { readonly medium: Medium },
    shared: Shared,
    signal: AbortSignal,
  ): Promise<GroomedMedium> {
    const pool = medium.pool ?? this.#tools.backup.pool;
    const copies = this.#tools.copiesOf(pool);
    const onLost = (file: LostFile) => this.#loseFile(file);
    return this.#writing({ job, media, pool }, shared, (tools) =>
      new MediumGroom(medium, { ...tools, copies, onLost }).run(signal),
    );
  }

  /**
   * With media of the pool that are written to. Those that are groomed are not: one that is kept because something cannot be
   * had is to be looked at.
   */
  async #writing<T>(
    { job, media, pool }: Groomed & { readonly pool: string },
    shared: Shared,
    work: (tools: GroomingTools) => Promise<T>,
  ): Promise<T> {
    const { survivors } = shared;
    const avoid = new Set(media.map(({ barcode }) => barcode));
    const known = new Media(this.#tools.catalog);
    const kept = new KeptTape(
      (barcode) => !avoid.has(barcode) && isWritable(known.find(barcode)?.state),
    );
    const who = `groom (job ${job.number})`;
    const isPatient = this.#request.wait;
    const set = targetSet(
      { pool, avoid, who, isPatient, kept, survivors },
      { ...this.#tools, ...this.#listeners() },
    );
    try {
      return await work(this.#mediumTools(job, { set, pool, shared, kept }));
    } finally {
      await set.close();
    }
  }

  #mediumTools(
    job: Job,
    parts: {
      readonly set: MediaSet;
      readonly pool: string;
      readonly shared: Shared;
      readonly kept: KeptTape;
    },
  ) {
    const { set, pool, shared, kept } = parts;
    return {
      ...this.#tools,
      ...shared,
      job,
      set,
      pool,
      kept,
      isPatient: this.#request.wait,
      sha256: this.#wantsSha256(),
      operator: this.#tools.operator ?? absentOperator,
      listen: this.#listen,
      warn: (message: string) => this.#warn(message),
      onWait: (reason: string | undefined) => this.#onWait(reason),
    };
  }

  #listeners() {
    return {
      onWait: (reason: string | undefined) => this.#onWait(reason),
      onAttach: (barcode: string, drive: string) =>
        this.#listen({ event: 'medium', barcode, drive }),
      warn: (message: string) => this.#warn(message),
    };
  }

  #survivors(job: Job): Survivors {
    return new Survivors({
      ...this.#tools,
      ...this.#listeners(),
      who: `groom (job ${job.number})`,
    });
  }

  #end(
    job: Job,
    {
      done: media,
      copied,
    }: { readonly done: readonly GroomedMedium[]; readonly copied: readonly CopiedPool[] },
  ): GroomReport {
    const isWhole =
      media.every(({ state }) => state !== 'kept') && copied.every(({ missing }) => missing === 0);
    const report: GroomReport = {
      job: job.number,
      state: isWhole ? 'finished' : 'partial',
      media,
      copied,
      lost: this.#lost,
      lostMore: this.#lostMore,
      seconds: (this.#tools.clock.monotonicMs() - this.#startMs) / 1000,
    };
    this.#jobs.setReport(job.number, report);
    this.#jobs.setState(job.number, report.state);
    this.#listen({ event: 'end', ...report });
    return report;
  }

  #loseFile(file: LostFile): void {
    if (this.#lost.length < LOST_TOLD_MAX) this.#lost.push(file);
    else this.#lostMore += 1;
    this.#log('error', `${file.barcode}: ${file.reason}`, file.path);
  }

  #warn(message: string): void {
    this.#log('warning', message);
    this.#listen({ event: 'warning', message });
  }

  #onWait(reason: string | undefined): void {
    assert(this.#job);
    this.#jobs.setState(this.#job.number, reason === undefined ? 'running' : 'waiting');
    if (reason !== undefined) this.#listen({ event: 'waiting', reason });
  }

  #log(level: 'warning' | 'error', message: string, path?: string): void {
    assert(this.#job);
    const timeMs = this.#tools.clock.nowMs();
    this.#jobs.log([{ jobNumber: this.#job.number, timeMs, level, message, path }]);
  }

  #wantsSha256(): boolean {
    const { sha256 } = this.#tools.archive;
    return sha256 === 'always' || (sha256 === 'auto' && this.#tools.hasSha256());
  }
}
