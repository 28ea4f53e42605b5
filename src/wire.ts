/**
 * Builds every long-lived object once, and is the only place that picks implementations: the machine's clock or a
 * simulated one, the kernel's SCSI devices or a virtual library. What a command does not ask for is not even loaded.
 */
import { join, resolve } from 'node:path';
import { type Clock, systemClock } from './base/clock.ts';
import { CodedError } from './base/errors.ts';
import { type Host, systemHost, systemMachine } from './base/machine.ts';
import { type Random, systemRandom } from './base/random.ts';
import { type Raw, rawOf } from './base/raw.ts';
import type { Catalog, CatalogMode } from './catalog/catalog.ts';
import type { Medium } from './catalog/media.ts';
import { CATALOG_FILE, type Config, loadConfig } from './config.ts';
import { loadScsiDoor, lockFile, type ScsiDoor } from './device/native.ts';
import type { ScsiPort } from './device/port.ts';
import { tracePort } from './device/trace.ts';
import type { Answer, Question } from './domain/question.ts';
import type { DryRunReport } from './job/backup/dry-run.ts';
import type { BackupReport, Listen } from './job/backup/report.ts';
import type { StartRequest } from './job/backup/start.ts';
import type { ExportedCatalog } from './job/catalog-export.ts';
import type { Finding } from './job/doctor.ts';
import type { EraseRequest } from './job/erase.ts';
import type { ExpireEvent, ExpireReport, ExpireRequest } from './job/expire.ts';
import type { GroomEvent, GroomPlan, GroomReport } from './job/groom/report.ts';
import type { ImportEvent, ImportReport, ImportRequest } from './job/import/import.ts';
import type { InitRequest, InitResult } from './job/init.ts';
import type { LabelMediaRequest } from './job/label-media.ts';
import type { RecallEvent, RecallReport } from './job/recall.ts';
import type { RecoverEvent, RecoverReport } from './job/recover/report.ts';
import type { RestoreEvent, RestorePlan, RestoreReport } from './job/restore/report.ts';
import type { SourceCheck, SourceCheckEvent } from './job/scrub/against-source.ts';
import type { ScrubRequest } from './job/scrub/begin.ts';
import type { ScrubEvent, ScrubReport } from './job/scrub/report.ts';
import type { WantedMedium } from './job/wanted.ts';
import type { Terminal } from './notify/terminal.ts';
import type { DriveHandover } from './recall/handover.ts';
import type { Cleaned, HealthKeeper } from './storage/health-watch.ts';
import type { Library } from './storage/library.ts';
import { healthKeeper, withNotes } from './wire/care.ts';
import type { GroomOrder } from './wire/groom.ts';
import { expectKind, libraryDevices, virtualCapacity } from './wire/library.ts';
import type { MountOrder } from './wire/mount.ts';
import type { OpenOperator } from './wire/operator.ts';
import type { OpenRecall, RecallOptions, RecallOrder } from './wire/recall.ts';
import type { RecoverOrder } from './wire/recover.ts';
import type { RestoreOrder } from './wire/restore.ts';

export type { Terminal } from './notify/terminal.ts';

export type WireOptions = {
  readonly stateDirectory: string;
  readonly configPath?: string | undefined;
  /** Name and version, for labels and archives. */
  readonly program: string;
  /** Receives one line for each SCSI command (`-vv`). */
  readonly trace?: ((line: string) => void) | undefined;
  /** Where questions are shown and answers typed. */
  readonly terminal?: Terminal | undefined;
  /** Receives what goes wrong beside the work, such as a channel that cannot tell anybody. */
  readonly warn?: ((message: string) => void) | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  readonly host?: Host | undefined;
};

/** What the commands may ask for. Nothing is opened before it is asked for. */
export interface App {
  readonly stateDirectory: string;
  readonly program: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly host: Host;
  /** @throws CodedError STATE_MISSING, CONFIG_INVALID */
  config(): Promise<Config>;
  /**
   * The catalog, opened once and closed by `close`. What only reads or writes it takes it from here (src/job).
   * @throws CodedError STATE_MISSING; as `Catalog.open`
   */
  catalog(mode: CatalogMode): Promise<Catalog>;
  /** Directories that are never backed up: the state, the stage, virtual cartridges. */
  ownDirectories(): Promise<Raw[]>;
  /** What a virtual cartridge holds, in bytes; undefined for all others. */
  capacityOf(barcode: string): Promise<number | undefined>;
  /** Writes the labels of registered cartridges, in turn. */
  labelMedia(request: LabelMediaRequest, signal: AbortSignal): Promise<Medium[]>;
  /** Makes a cartridge scratch whose archives nobody needs. @throws CodedError naming what would be lost */
  eraseMedium(
    name: string,
    request: Omit<EraseRequest, 'medium'>,
    signal: AbortSignal,
  ): Promise<Medium>;
  /** Backs sources up; goes on with a run of theirs that was cut short. */
  backup(request: StartRequest, listen: Listen, signal: AbortSignal): Promise<BackupReport>;
  /** Gives up the snapshots that no rule keeps. */
  expire(
    request: ExpireRequest,
    listen: (event: ExpireEvent) => void,
    signal: AbortSignal,
  ): Promise<ExpireReport>;
  /** What a backup would do. */
  dryRun(request: StartRequest, signal: AbortSignal): Promise<DryRunReport>;
  /** What a groom would free. */
  planGroom(order: GroomOrder, signal: AbortSignal): Promise<GroomPlan>;
  /** Moves what is still needed off media, and gives them up. */
  groom(
    order: GroomOrder,
    listen: (event: GroomEvent) => void,
    signal: AbortSignal,
  ): Promise<GroomReport>;
  /** Names of the sources of an unfinished backup. @throws CodedError USAGE */
  unfinishedSources(jobNumber: number): Promise<readonly string[]>;
  planRestore(request: RestoreOrder, signal: AbortSignal): Promise<RestorePlan>;
  restore(
    request: RestoreOrder,
    listen: (event: RestoreEvent) => void,
    signal: AbortSignal,
  ): Promise<RestoreReport>;
  /** Reads media back against what was written. */
  scrub(
    request: ScrubRequest,
    listen: (event: ScrubEvent) => void,
    signal: AbortSignal,
  ): Promise<ScrubReport>;
  /** Compares live files with the newest snapshot. @param names of sources; none: all */
  checkSources(
    names: readonly string[],
    listen: (event: SourceCheckEvent) => void,
    signal: AbortSignal,
  ): Promise<SourceCheck>;
  /** Shows the catalog as a filesystem, until it is unmounted or the signal is aborted. */
  mount(
    order: MountOrder,
    tell: { onMounted(): void; warn(message: string): void },
    signal: AbortSignal,
  ): Promise<void>;
  /** Takes away what another process has mounted. `forced`: also while it is used. */
  umount(mountpoint: Raw, how: 'plain' | 'forced'): Promise<void>;
  /** Contents by way of the stage; closed by who opened it, before the application is. */
  recall(options: RecallOptions): Promise<OpenRecall>;
  /** Who brings cartridges; closed by who opened it. */
  operator(options?: { readonly timeoutMs?: number | undefined }): Promise<OpenOperator>;
  /** What jobs ask just now. */
  questions(): Promise<readonly Question[]>;
  /** @throws CodedError USAGE where it is no answer, or nobody asks any more */
  answer(
    id: number,
    text: string,
  ): Promise<{ readonly question: Question; readonly answer: Answer }>;
  /** Brings whole trees into the stage. */
  recallPaths(
    order: RecallOrder,
    listen: (event: RecallEvent) => void,
    signal: AbortSignal,
  ): Promise<RecallReport>;
  /** What is waited for by all processes. */
  wanted(signal: AbortSignal): Promise<WantedMedium[]>;
  /** Ends a backup, whether its process is still there or not. Resolves with the state it is in now. */
  cancelJob(jobNumber: number, signal: AbortSignal): Promise<string>;
  /** May be called twice. */
  close(): void;
  init(request: InitRequest, signal: AbortSignal): Promise<InitResult>;
  library(): Promise<Library>;
  /** Makes the state anew from what lies on cartridges, or merges that into it; closed catalogs only. @throws CodedError STATE_EXISTS */
  recover(
    order: RecoverOrder,
    listen: (event: RecoverEvent) => void,
    signal: AbortSignal,
  ): Promise<RecoverReport>;
  /** A cartridge that another program wrote, into the catalog. */
  importMedium(
    request: ImportRequest,
    listen: (event: ImportEvent) => void,
    signal: AbortSignal,
  ): Promise<ImportReport>;
  /** A copy of the catalog as a file. @param path default: as configured */
  exportCatalog(path: string | undefined): Promise<ExportedCatalog>;
  /** Cleans a drive with a cleaning cartridge of the library, and counts it. @param drive default: the only one */
  cleanDrive(drive: number | undefined, signal: AbortSignal): Promise<Cleaned>;
  doctor(): Promise<Finding[]>;
}

export function wire(options: WireOptions): App {
  const clock = options.clock ?? systemClock;
  const random = options.random ?? systemRandom;
  const host = options.host ?? systemHost();
  const traced = (port: ScsiPort) => (options.trace ? tracePort(port, options.trace, clock) : port);
  let door: ScsiDoor | undefined;
  const openDoor = () => {
    door ??= loadScsiDoor();
    return door;
  };
  const config = () => loadConfig(options.stateDirectory, options.configPath);
  const catalogs = new Map<CatalogMode, Catalog>();
  const warn = options.warn ?? (() => {});
  let keeper: HealthKeeper | undefined;
  /** When a job has ended its drives are idle. */
  const cleanIdle = async (signal: AbortSignal) => {
    if (!keeper?.cleans) return;
    const { cleanAsked } = await import('./storage/clean.ts');
    await cleanAsked(await app.library(), { clock, signal, warn });
  };
  /** Around a job that changes the catalog; one that failed may have stored something too. */
  const exported = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } finally {
      if ((await config()).catalog.export !== undefined)
        await (await import('./wire/recover.ts')).exportAfterJob(app, warn);
    }
  };
  const writing = async <T>(work: (catalog: Catalog) => T): Promise<T> => {
    await config();
    const known = catalogs.get('write');
    if (known) return work(known);
    const { Catalog } = await import('./catalog/catalog.ts');
    const path = join(options.stateDirectory, CATALOG_FILE);
    const opened = Catalog.open(path, { mode: 'write', clock });
    try {
      return work(opened);
    } finally {
      opened.close();
    }
  };
  const app: App = {
    stateDirectory: options.stateDirectory,
    program: options.program,
    clock,
    random,
    host,
    config,
    catalog: async (mode) => {
      await config();
      const known = catalogs.get('write') ?? catalogs.get(mode);
      if (known) return known;
      const { Catalog } = await import('./catalog/catalog.ts');
      const opened = Catalog.open(join(options.stateDirectory, CATALOG_FILE), { mode, clock });
      catalogs.set(mode, opened);
      return opened;
    },
    ownDirectories: async () => {
      const { library, stage, backup } = await config();
      const state = options.stateDirectory;
      const below = [stage.directory, backup['staging-directory']];
      const own = [state, ...below.map((directory) => resolve(state, directory))];
      if (library.kind === 'virtual') own.push(resolve(state, library.directory));
      return own.map(rawOf);
    },
    capacityOf: async (barcode) => {
      const { library } = await config();
      return library.kind === 'virtual'
        ? virtualCapacity(resolve(options.stateDirectory, library.directory), barcode)
        : undefined;
    },
    labelMedia: async (request, signal) =>
      (await import('./wire/backup.ts')).wireLabels(app, request, signal),
    eraseMedium: async (name, request, signal) =>
      (await import('./wire/backup.ts')).wireErase(app, { ...request, name }, signal),
    backup: async (request, listen, signal) => {
      const { wireBackup } = await import('./wire/backup.ts');
      return exported(() => wireBackup(inner, { request, listen }, signal));
    },
    expire: async (request, listen, signal) => {
      const { wireExpire } = await import('./wire/retention.ts');
      return exported(() => wireExpire(app, request, listen, signal));
    },
    dryRun: async (request, signal) =>
      (await import('./wire/backup.ts')).wireDryRun(inner, request, signal),
    planGroom: async (order, signal) =>
      (await import('./wire/groom.ts')).wireGroomPlan(app, order, signal),
    groom: async (order, listen, signal) => {
      const [{ wireGroom }, { withHandover }, { backupTools }] = await Promise.all([
        import('./wire/groom.ts'),
        import('./wire/recall.ts'),
        import('./wire/backup.ts'),
      ]);
      const parts = {
        ...app,
        backupTools: () => backupTools(inner),
        withHandover: <T>(work: (handover: DriveHandover) => Promise<T>) => withHandover(app, work),
      };
      return exported(() => wireGroom(parts, { order, listen }, signal));
    },
    unfinishedSources: async (jobNumber) => {
      const { resumable } = await import('./job/backup/start.ts');
      return resumable({ catalog: await app.catalog('read') }, jobNumber);
    },
    planRestore: async (request, signal) =>
      (await import('./wire/restore.ts')).wireRestorePlan(app, request, signal),
    restore: async (request, listen, signal) =>
      (await import('./wire/restore.ts')).wireRestore(inner, { request, listen }, signal),
    scrub: async (request, listen, signal) => {
      const { wireScrub } = await import('./wire/scrub.ts');
      return exported(() => wireScrub(app, request, listen, signal));
    },
    checkSources: async (names, listen, signal) => {
      const { wireSourceCheck } = await import('./wire/scrub.ts');
      return wireSourceCheck(app, names, listen, signal);
    },
    mount: async (order, tell, signal) => {
      const { wireMount } = await import('./wire/mount.ts');
      const user = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
      return wireMount({ ...app, user }, order, tell, signal);
    },
    umount: async (mountpoint, how) => {
      const [{ umountPath }, { loadFuseDoor }] = await Promise.all([
        import('./mount/mountpoint.ts'),
        import('./mount/door.ts'),
      ]);
      return umountPath(mountpoint, { door: loadFuseDoor(), clock, how });
    },
    recall: async (asked) => {
      const { wireRecall } = await import('./wire/recall.ts');
      const { wait } = (await config()).recall;
      if (asked.asker || wait === 0) return wireRecall(app, asked);
      const [{ askerOf }, { Media }] = await Promise.all([
        import('./wire/operator.ts'),
        import('./catalog/media.ts'),
      ]);
      const { operator, close } = await app.operator({ timeoutMs: wait * 1000 });
      const media = new Media(await app.catalog('read'));
      const asker = askerOf({ operator, media, clock, library: () => app.library() });
      const opened = await wireRecall(app, { ...asked, asker }).catch(async (error: unknown) => {
        await close();
        throw error;
      });
      return {
        ...opened,
        close: async () => {
          await opened.close();
          await close();
        },
      };
    },
    operator: async (asked = {}) => {
      const { wireOperator } = await import('./wire/operator.ts');
      const told = withNotes({ writing }, warn);
      const opened = await wireOperator(
        { ...app, terminal: options.terminal },
        { ...asked, warn: told.warn },
      );
      return {
        ...opened,
        close: async () => {
          await opened.close();
          await told.settled();
        },
      };
    },
    questions: async () => {
      await config();
      const { openQuestions } = await import('./wire/operator.ts');
      const { questions, close } = openQuestions(app);
      try {
        return questions.open();
      } finally {
        close();
      }
    },
    answer: async (id, text) => {
      await config();
      const [{ openQuestions }, { answerQuestion }] = await Promise.all([
        import('./wire/operator.ts'),
        import('./job/questions.ts'),
      ]);
      const { questions, close } = openQuestions(app);
      try {
        return answerQuestion(questions, id, { text, nowMs: clock.nowMs() });
      } finally {
        close();
      }
    },
    recallPaths: async (order, listen, signal) => {
      const { wireRecallPaths } = await import('./wire/recall.ts');
      const report = await wireRecallPaths(app, order, listen, signal);
      await cleanIdle(signal);
      return report;
    },
    wanted: async (signal) => {
      const { wireWanted } = await import('./wire/recall.ts');
      return wireWanted(app, signal);
    },
    cancelJob: async (jobNumber, signal) => {
      const { stateDirectory } = options;
      const tools = {
        catalog: await app.catalog('write'),
        clock,
        stateDirectory,
        lock: (path: string) => lockFile(openDoor(), path),
        interrupt: (pid: number) => {
          process.kill(pid, 'SIGINT');
        },
      };
      const { cancelJob } = await import('./job/jobs.ts');
      return cancelJob(tools, jobNumber, signal);
    },
    close: () => {
      for (const catalog of catalogs.values()) catalog.close();
      catalogs.clear();
    },
    init: async (request, signal) => {
      const { initialize } = await import('./job/init.ts');
      const { VirtualLibrary } = await import('./device/virtual/library.ts');
      return initialize(options.stateDirectory, request, {
        random,
        clock,
        checkChanger: async (path) => {
          await expectKind(path, 'changer');
        },
        checkDrive: async (path) => {
          await expectKind(path, 'tape');
        },
        createLibrary: (directory, shape) =>
          VirtualLibrary.create(directory, shape, random, signal),
        lock: (path) => lockFile(openDoor(), path),
      });
    },
    library: async () => {
      const { Library } = await import('./storage/library.ts');
      const devices = await libraryDevices(await config(), { clock, openDoor, traced });
      const { cleaning } = (await config()).drives;
      keeper ??= healthKeeper({ writing }, { cleans: cleaning === 'auto', warn });
      return new Library(devices, clock, keeper);
    },
    cleanDrive: async (drive, signal) => {
      const { cleanDrive } = await import('./storage/clean.ts');
      return cleanDrive(await app.library(), drive, { clock, signal });
    },
    recover: async (order, listen, signal) => {
      const { wireRecover } = await import('./wire/recover.ts');
      const { Library } = await import('./storage/library.ts');
      const libraryOf = async (path: string) => {
        const found = await loadConfig(options.stateDirectory, path);
        return new Library(await libraryDevices(found, { clock, openDoor, traced }), clock);
      };
      const lock = (path: string) => lockFile(openDoor(), path);
      const { terminal } = options;
      return wireRecover({ ...app, terminal, warn, libraryOf, lock }, order, listen, signal);
    },
    importMedium: async (request, listen, signal) => {
      const { wireImport } = await import('./wire/import.ts');
      return exported(() => wireImport(app, request, listen, signal));
    },
    exportCatalog: async (path) => (await import('./wire/recover.ts')).wireExport(app, path),
    doctor: async () => {
      const { checkMachine } = await import('./job/doctor.ts');
      const found = await config().catch((error: unknown) => {
        if (error instanceof CodedError && error.code === 'STATE_MISSING') return undefined;
        throw error;
      });
      return checkMachine(systemMachine, { library: found?.library, loadDoor: openDoor });
    },
  };
  const inner = { ...app, openDoor, cleanIdle };
  return app;
}
