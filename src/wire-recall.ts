/** Recall as this machine has it: the catalog open for reading, run.db and the stage where the config says. */
import { mkdirSync, statfsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Clock } from './base/clock.ts';
import { Archives } from './catalog/archives.ts';
import { Catalog } from './catalog/catalog.ts';
import { RunDb, systemProcesses } from './catalog/run-db.ts';
import { RunStage } from './catalog/run-stage.ts';
import { CATALOG_FILE, type Config, RUN_DB_FILE } from './config.ts';
import { HashPool } from './hash/pool.ts';
import { decliningAsker, type MediumAsker, watchingAsker } from './recall/asker.ts';
import { REFUSED_DEFAULT, systemPrograms } from './recall/guard.ts';
import { openRecall } from './recall/open.ts';
import type { Recall } from './recall/recall.ts';
import type { Library } from './storage/library.ts';

export type RecallOptions = {
  /** `fail`: what is not staged is refused at once. */
  readonly policy: 'block' | 'fail';
  /** Who brings a medium that is not there. Default: it is waited for as long as the config says, and nobody is asked. */
  readonly asker?: MediumAsker | undefined;
  onMedium(barcode: string): void;
  warn(message: string): void;
};

export type OpenRecall = { readonly recall: Recall; close(): Promise<void> };

/** As many as a disk of its own would keep, a tenth of one that is shared. */
const STAGE_BYTES_MAX = 50e9;
const STAGE_SHARE = 0.1;
const STAGE_SHARE_SMALL = 0.5;
const HASH_THREADS = 1;

/** What of the application recall needs. */
export type RecallSurroundings = {
  readonly stateDirectory: string;
  readonly clock: Clock;
  config(): Promise<Config>;
  catalog(mode: 'read'): Promise<Catalog>;
  library(): Promise<Library>;
};

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
    catalog,
    runDb,
    stage: stageOf(config, new RunStage(runDb).totalBytes),
    library,
    asker,
    hashes,
    programs: systemPrograms,
    processes: systemProcesses(),
    clock,
    settings: {
      attemptsMax: attempts,
      holdMs: hold * 1000,
      refused: refuse ?? REFUSED_DEFAULT,
      budgetBytes: budget ?? Number.POSITIVE_INFINITY,
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
  return {
    recall,
    async close() {
      await recall.close();
      await hashes.close();
      runDb.close();
    },
  };
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
