/** Recall as this machine has it: the catalog open for reading, run.db and the stage where the config says. */
import { mkdirSync, statfsSync } from 'node:fs';
import { resolve } from 'node:path';
import { CodedError } from '../base/errors.ts';
import { systemdInhibitor } from '../base/inhibitor.ts';
import { systemMachine } from '../base/machine.ts';
import type { Raw } from '../base/raw.ts';
import { printable } from '../base/text.ts';
import { Catalog } from '../catalog/catalog.ts';
import { Questions } from '../catalog/run-db/questions.ts';
import { RunRoles } from '../catalog/run-db/roles.ts';
import { RunDb, systemProcesses } from '../catalog/run-db/run-db.ts';
import { RunStage } from '../catalog/run-db/stage.ts';
import { RunWants } from '../catalog/run-db/wants.ts';
import { Archives } from '../catalog/shelf/archives.ts';
import { Tree } from '../catalog/tree/tree.ts';
import { isAlive } from '../catalog/writers.ts';
import { CATALOG_FILE, type Config, RUN_DB_FILE } from '../config.ts';
import { listOf } from '../domain/question-words.ts';
import { HashPool } from '../hash/pool.ts';
import { type RecallEvent, type RecallReport, recallPaths } from '../job/recall.ts';
import { formatWanted, listWanted, type WantedMedium } from '../job/wanted.ts';
import { decliningAsker, type MediumAsker, watchingAsker } from '../recall/asker.ts';
import { REFUSED_DEFAULT, systemPrograms } from '../recall/guard.ts';
import { BackupHandover, type DriveHandover } from '../recall/handover.ts';
import { openRecall } from '../recall/open.ts';
import { Presence } from '../recall/presence.ts';
import type { Recall } from '../recall/recall.ts';
import type { Surroundings } from './surroundings.ts';

export type RecallOptions = {
  /** `fail`: what is not staged is refused at once; `first`: goes before backups. */
  readonly policy: 'block' | 'fail' | 'first';
  /** Who brings a medium that is not there. Default: it is waited for as long as the config says, and nobody is asked. */
  readonly asker?: MediumAsker | undefined;
  /** Left out, programs that move no tape are refused. */
  readonly isUnguarded?: boolean;
  onMedium(barcode: string): void;
  warn(message: string): void;
};

export type OpenRecall = {
  readonly recall: Recall;
  /** What is waited for by all processes, for people. */
  wantedText(): string;
  close(): Promise<void>;
};

/** What `recall` asks for, as the command says it. */
export type RecallOrder = {
  /** Absolute and normal. */
  readonly paths: readonly Raw[];
  /** Undefined: this host. */
  readonly host: string | undefined;
  /** A snapshot or a time; undefined: the newest. */
  readonly at: string | undefined;
};

/** As many as a disk of its own would keep, a tenth of one that is shared. */
const STAGE_BYTES_MAX = 50e9;
const STAGE_SHARE = 0.1;
const STAGE_SHARE_SMALL = 0.5;
const HASH_THREADS = 1;

/** What of the application recall needs. */
export type RecallSurroundings = Pick<
  Surroundings,
  'stateDirectory' | 'clock' | 'config' | 'catalog' | 'library'
>;

export async function wireRecall(
  app: RecallSurroundings,
  options: RecallOptions,
): Promise<OpenRecall> {
  const config = await app.config();
  const { clock, stateDirectory } = app;
  const path = resolve(stateDirectory, CATALOG_FILE);
  const catalog = await app.catalog('read');
  const runDb = RunDb.open(resolve(stateDirectory, RUN_DB_FILE));
  const hashes = new HashPool({ workers: HASH_THREADS });
  const { attempts, hold, refuse, budget, wait } = config.recall;
  const library = () => app.library();
  const timeoutMs = wait * 1000;
  const asker =
    options.asker ?? (wait === 0 ? decliningAsker : watchingAsker({ library, clock, timeoutMs }));
  const recall = openRecall({
    ...options,
    policy: options.policy === 'fail' ? 'fail' : 'block',
    catalog,
    runDb,
    stage: stageOf(config, new RunStage(runDb).totalBytes),
    library,
    asker,
    hashes,
    programs: systemPrograms,
    processes: systemProcesses(),
    inhibitor: systemdInhibitor(await systemMachine.findProgram('systemd-inhibit')),
    clock,
    settings: {
      attemptsMax: attempts,
      holdMs: hold * 1000,
      isFirst: options.policy === 'first',
      refused: options.isUnguarded ? [] : (refuse ?? REFUSED_DEFAULT),
      budgetBytes: (options.isUnguarded ? undefined : budget) ?? Number.POSITIVE_INFINITY,
    },
    record: (work) => {
      const writer = Catalog.open(path, { mode: 'write', clock });
      try {
        work(new Archives(writer));
      } finally {
        writer.close();
      }
    },
  });
  const wants = new RunWants(runDb);
  const questions = new Questions(runDb, systemProcesses());
  const isPresent = (barcode: string) => recall.isPresent(barcode);
  return {
    recall,
    wantedText: () => {
      const wanted = formatWanted(listWanted({ catalog, wants, isAlive, isPresent }));
      return `${listOf(questions.open())}${wanted}`;
    },
    async close() {
      await recall.close();
      await hashes.close();
      runDb.close();
    },
  };
}

/** Brings whole trees into the stage. @throws CodedError USAGE, PATH_UNKNOWN; as `recallPaths` */
export async function wireRecallPaths(
  app: RecallSurroundings & {
    readonly host: Surroundings['host'];
    recall(options: RecallOptions): Promise<OpenRecall>;
  },
  order: RecallOrder,
  listen: (event: RecallEvent) => void,
  signal: AbortSignal,
): Promise<RecallReport> {
  const catalog = await app.catalog('read');
  const tree = new Tree(catalog);
  const hostName = order.host ?? app.host.name;
  const host = tree.directories.hosts().find(({ name }) => name === hostName);
  if (!host) {
    const sentence = `nothing of host ${printable(hostName)} is known; \`shelfs backup\` makes a snapshot`;
    throw new CodedError('USAGE', sentence);
  }
  const snapshot = tree.resolveSnapshot(order.at);
  const { recall, close } = await app.recall({
    policy: 'block',
    isUnguarded: true,
    onMedium: (barcode) => listen({ event: 'medium', barcode }),
    warn: (message) => listen({ event: 'warning', message }),
  });
  try {
    const caller = { pid: process.pid, uid: process.getuid?.() ?? 0 };
    const request = { paths: order.paths, hostId: host.id, snapshot };
    return await recallPaths(request, { catalog, recall, caller }, listen, signal);
  } finally {
    await close();
  }
}

/** A job that holds drives and lets recalls have them between its archives. */
export async function withHandover<T>(
  app: Pick<RecallSurroundings, 'stateDirectory' | 'clock'>,
  job: (handover: DriveHandover) => Promise<T>,
): Promise<T> {
  const runDb = RunDb.open(resolve(app.stateDirectory, RUN_DB_FILE));
  try {
    const handover = new BackupHandover(new RunRoles(runDb, systemProcesses()), app.clock);
    try {
      return await job(handover);
    } finally {
      handover.end();
    }
  } finally {
    runDb.close();
  }
}

/** What is waited for by all processes; the library is asked what it holds. */
export async function wireWanted(
  app: RecallSurroundings,
  signal: AbortSignal,
): Promise<WantedMedium[]> {
  const catalog = await app.catalog('read');
  const presence = new Presence(() => app.library(), app.clock);
  await presence.look(signal);
  const runDb = RunDb.open(resolve(app.stateDirectory, RUN_DB_FILE));
  try {
    const isPresent = (barcode: string) => presence.isPresent(barcode);
    return listWanted({ catalog, wants: new RunWants(runDb), isAlive, isPresent });
  } finally {
    runDb.close();
  }
}

export function stageDirectory({ stateDirectory, stage }: Config): string {
  return resolve(stateDirectory, stage.directory);
}

/** @param heldBytes what lies there already: it may go again */
function stageOf(config: Config, heldBytes: number): { directory: string; limitBytes: number } {
  const directory = stageDirectory(config);
  const { size } = config.stage;
  if (size !== undefined) return { directory, limitBytes: size };
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { bavail, bsize } = statfsSync(directory);
  const freeBytes = bavail * bsize + heldBytes;
  const limitBytes = Math.max(
    freeBytes * STAGE_SHARE,
    Math.min(STAGE_BYTES_MAX, freeBytes * STAGE_SHARE_SMALL),
  );
  return { directory, limitBytes: Math.floor(limitBytes) };
}
