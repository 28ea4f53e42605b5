/**
 * The application as commands see it. What each takes its parts from is wire/surroundings.ts; what a command does not ask for
 * is not even loaded.
 */
import { resolve } from 'node:path';
import { CodedError } from './base/errors.ts';
import { systemMachine } from './base/machine.ts';
import type { Questions } from './catalog/run-db/questions.ts';
import type { Medium } from './catalog/shelf/media.ts';
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
import type { MediaExpired, MediaExpireRequest } from './job/media-expire.ts';
import type { RecallEvent, RecallReport } from './job/recall.ts';
import type { RecoverEvent, RecoverReport } from './job/recover/report.ts';
import type { RestoreEvent, RestorePlan, RestoreReport } from './job/restore/report.ts';
import type { SourceCheck, SourceCheckEvent } from './job/scrub/against-source.ts';
import type { ScrubRequest } from './job/scrub/begin.ts';
import type { ScrubEvent, ScrubReport } from './job/scrub/report.ts';
import type { WantedMedium } from './job/wanted.ts';
import type { Cleaned } from './storage/health-watch.ts';
import { keepWhole } from './wire/ahead.ts';
import type { GroomOrder } from './wire/groom.ts';
import { expectKind, virtualCapacity } from './wire/library.ts';
import type { MountOrder } from './wire/mount.ts';
import type { OpenOperator } from './wire/operator.ts';
import type { OpenRecall, RecallOptions, RecallOrder } from './wire/recall.ts';
import type { RecoverOrder } from './wire/recover.ts';
import type { RestoreOrder } from './wire/restore.ts';
import { type Surroundings, surroundings, type WireOptions } from './wire/surroundings.ts';
import type { UmountOrder } from './wire/umount.ts';

export type { Terminal } from './notify/terminal.ts';
export type { WireOptions } from './wire/surroundings.ts';

export type App = Pick<
  Surroundings,
  | 'stateDirectory'
  | 'program'
  | 'clock'
  | 'random'
  | 'host'
  | 'config'
  | 'catalog'
  | 'ownDirectories'
  | 'library'
  | 'close'
> &
  Commands;

type Commands = {
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
  /** Gives up what lies on a cartridge, once what others hold of it is proven. @throws CodedError naming what would be lost */
  expireMedium(request: MediaExpireRequest, signal: AbortSignal): Promise<MediaExpired>;
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
  /** Takes away what another process has mounted, and waits until it has ended. @param onWait told its pid where that takes long */
  umount(order: UmountOrder, onWait: (pid: number) => void, signal: AbortSignal): Promise<void>;
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
  init(request: InitRequest, signal: AbortSignal): Promise<InitResult>;
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
  /** From now on the program may be replaced while the command runs. As `keepWhole` in wire/ahead.ts. */
  keepWhole(ended: AbortSignal): Promise<void>;
};

export function wire(options: WireOptions): App {
  const around = surroundings(options);
  const { stateDirectory, clock, random } = around;
  const recall = (asked: RecallOptions) => recallWithOperator(around, asked);
  const operator: App['operator'] = async (asked = {}) =>
    (await import('./wire/operator.ts')).openOperator(around, asked);
  const parts = { ...around, operator, recall };
  /** Around a job that changes the catalog; one that failed may have stored something too. */
  const exported = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } finally {
      if ((await around.config()).catalog.export !== undefined)
        await (await import('./wire/export.ts')).exportAfterJob(around);
    }
  };
  return {
    ...parts,
    ...media(around),
    ...questions(around),
    backup: async (request, listen, signal) => {
      const { wireBackup } = await import('./wire/backup.ts');
      return exported(() => wireBackup(parts, { request, listen }, signal));
    },
    expire: async (request, listen, signal) => {
      const { wireExpire } = await import('./wire/retention.ts');
      return exported(() => wireExpire(around, request, listen, signal));
    },
    dryRun: async (request, signal) =>
      (await import('./wire/backup.ts')).wireDryRun(parts, request, signal),
    planGroom: async (order, signal) =>
      (await import('./wire/groom.ts')).wireGroomPlan(around, order, signal),
    groom: async (order, listen, signal) => {
      const { wireGroom } = await import('./wire/groom.ts');
      return exported(() => wireGroom(parts, { order, listen }, signal));
    },
    planRestore: async (request, signal) =>
      (await import('./wire/restore.ts')).wireRestorePlan(around, request, signal),
    restore: async (request, listen, signal) =>
      (await import('./wire/restore.ts')).wireRestore(parts, { request, listen }, signal),
    scrub: async (request, listen, signal) => {
      const { wireScrub } = await import('./wire/scrub.ts');
      return exported(() => wireScrub(parts, request, listen, signal));
    },
    checkSources: async (names, listen, signal) => {
      const { wireSourceCheck } = await import('./wire/scrub.ts');
      return wireSourceCheck(around, names, listen, signal);
    },
    mount: async (order, tell, signal) => {
      const { wireMount } = await import('./wire/mount.ts');
      const user = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
      return wireMount({ ...parts, user }, order, tell, signal);
    },
    umount: async (order, onWait, signal) =>
      (await import('./wire/umount.ts')).wireUmount(order, { clock, onWait }, signal),
    recallPaths: async (order, listen, signal) => {
      const { wireRecallPaths } = await import('./wire/recall.ts');
      const report = await wireRecallPaths(parts, order, listen, signal);
      await around.cleanIdle(signal);
      return report;
    },
    wanted: async (signal) => (await import('./wire/recall.ts')).wireWanted(around, signal),
    unfinishedSources: async (jobNumber) => {
      const { resumable } = await import('./job/backup/start.ts');
      return resumable({ catalog: await around.catalog('read') }, jobNumber);
    },
    cancelJob: async (jobNumber, signal) => {
      const interrupt = (pid: number) => {
        process.kill(pid, 'SIGINT');
      };
      const catalog = await around.catalog('write');
      const { cancelJob } = await import('./job/jobs.ts');
      return cancelJob({ ...around, catalog, interrupt }, jobNumber, signal);
    },
    init: async (request, signal) => {
      const { initialize } = await import('./job/init.ts');
      const { VirtualLibrary } = await import('./device/virtual/library.ts');
      return initialize(stateDirectory, request, {
        ...{ random, clock, lock: around.lock },
        checkChanger: async (path) => {
          await expectKind(path, 'changer');
        },
        checkDrive: async (path) => {
          await expectKind(path, 'tape');
        },
        createLibrary: (directory, shape) =>
          VirtualLibrary.create(directory, shape, random, signal),
      });
    },
    recover: async (order, listen, signal) =>
      (await import('./wire/recover.ts')).wireRecover(around, order, listen, signal),
    importMedium: async (request, listen, signal) => {
      const { wireImport } = await import('./wire/import.ts');
      return exported(() => wireImport(around, request, listen, signal));
    },
    keepWhole: (ended) => keepWhole(around, options.trace, ended),
    exportCatalog: async (path) => (await import('./wire/export.ts')).wireExport(around, path),
    doctor: async () => {
      const { checkMachine } = await import('./job/doctor.ts');
      const found = await around.config().catch((error: unknown) => {
        if (error instanceof CodedError && error.code === 'STATE_MISSING') return undefined;
        throw error;
      });
      return checkMachine(systemMachine, { library: found?.library, loadDoor: around.openDoor });
    },
  };
}

/** What is done to single cartridges and drives. */
function media(
  around: Surroundings,
): Pick<App, 'capacityOf' | 'labelMedia' | 'eraseMedium' | 'expireMedium' | 'cleanDrive'> {
  return {
    capacityOf: async (barcode) => {
      const { library, stateDirectory } = await around.config();
      return library.kind === 'virtual'
        ? virtualCapacity(resolve(stateDirectory, library.directory), barcode)
        : undefined;
    },
    labelMedia: async (request, signal) =>
      (await import('./wire/backup.ts')).wireLabels(around, request, signal),
    eraseMedium: async (name, request, signal) =>
      (await import('./wire/backup.ts')).wireErase(around, { ...request, name }, signal),
    expireMedium: async (request, signal) => {
      const { expireProven } = await import('./job/media-expire.ts');
      const catalog = await around.catalog('write');
      const tools = { catalog, clock: around.clock, openLibrary: () => around.library() };
      return expireProven(tools, request, signal);
    },
    cleanDrive: async (drive, signal) => {
      const { cleanDrive } = await import('./storage/clean.ts');
      return cleanDrive(await around.library(), drive, { clock: around.clock, signal });
    },
  };
}

/** What jobs ask a person, and what a person answers. */
function questions(around: Surroundings): Pick<App, 'questions' | 'answer'> {
  const withQuestions = async <T>(work: (open: Questions) => T): Promise<T> => {
    await around.config();
    const { openQuestions } = await import('./wire/operator.ts');
    const { questions: open, close } = openQuestions(around);
    try {
      return work(open);
    } finally {
      close();
    }
  };
  return {
    questions: () => withQuestions((open) => open.open()),
    answer: async (id, text) => {
      const { answerQuestion } = await import('./job/questions.ts');
      const nowMs = around.clock.nowMs();
      return withQuestions((open) => answerQuestion(open, id, { text, nowMs }));
    },
  };
}

/** Where the config lets a reader wait, somebody is asked for what no library holds. */
async function recallWithOperator(around: Surroundings, asked: RecallOptions): Promise<OpenRecall> {
  const { wireRecall } = await import('./wire/recall.ts');
  const { wait } = (await around.config()).recall;
  if (asked.asker || wait === 0) return wireRecall(around, asked);
  const { openAsker } = await import('./wire/operator.ts');
  const { asker, close } = await openAsker(around, wait * 1000);
  const opened = await wireRecall(around, { ...asked, asker }).catch(async (error: unknown) => {
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
}
