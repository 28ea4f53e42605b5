/** Joins the parts of recall: the queue of all processes, the loop that serves it, and what readers see of it. */
import type { Clock } from '../base/clock.ts';
import type { Inhibitor } from '../base/inhibitor.ts';
import { rawOf } from '../base/raw.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { Contents } from '../catalog/content/contents.ts';
import { Below } from '../catalog/restore/below.ts';
import { RunRoles } from '../catalog/run-db/roles.ts';
import type { Processes, RunDb } from '../catalog/run-db/run-db.ts';
import { RunStage } from '../catalog/run-db/stage.ts';
import { RunWants } from '../catalog/run-db/wants.ts';
import type { Archives } from '../catalog/shelf/archives.ts';
import { Media } from '../catalog/shelf/media.ts';
import type { HashPool } from '../hash/pool.ts';
import type { Library } from '../storage/library.ts';
import { Ahead } from './ahead.ts';
import type { MediumAsker } from './asker.ts';
import { Bell } from './bell.ts';
import { Board } from './board.ts';
import type { Prover } from './fill.ts';
import { type Programs, StormGuard } from './guard.ts';
import { Loop, type LoopSettings } from './loop.ts';
import { Presence } from './presence.ts';
import { Recall } from './recall.ts';
import { Stage } from './stage.ts';
import { States } from './state.ts';
import { Walkers } from './walkers.ts';

export type RecallParts = {
  /** Open for reading is enough. */
  readonly catalog: Catalog;
  readonly runDb: RunDb;
  readonly stage: { readonly directory: string; readonly limitBytes: number };
  readonly library: () => Promise<Library>;
  readonly asker: MediumAsker;
  readonly hashes: HashPool;
  readonly programs: Programs;
  readonly processes: Processes;
  readonly clock: Clock;
  readonly inhibitor: Inhibitor;
  readonly policy: 'block' | 'fail';
  readonly settings: LoopSettings & {
    readonly refused: readonly string[];
    readonly budgetBytes: number;
  };
  /** Writes to the catalog what was found bad; for a moment only. */
  record(work: (archives: Archives) => void): void;
  onMedium(barcode: string): void;
  warn(message: string): void;
};

/** Everything of it is closed with `close`. @throws CodedError STAGE_FAILED */
export function openRecall(parts: RecallParts): Recall {
  const { catalog, runDb, library, clock, processes, programs, policy, settings, warn } = parts;
  const { inhibitor } = parts;
  const wants = new RunWants(runDb);
  const roles = new RunRoles(runDb, processes);
  const contents = new Contents(catalog);
  const bell = new Bell(clock);
  const prover = proverOf(parts.hashes);
  const rows = new RunStage(runDb);
  const stage = new Stage({ ...parts.stage, rows, clock, processes });
  const { refused, budgetBytes } = settings;
  const guard = new StormGuard({ refused, budgetBytes, clock });
  const below = new Below(catalog);
  const presence = new Presence(library, clock);
  const walkers = new Walkers({ below, wants, process: processes.own, programs, clock });
  const shared = { contents, wants, stage, prover, processes, presence, warn };
  const recall = new Recall({
    ...shared,
    inhibitor,
    roles,
    guard,
    walkers,
    programs,
    clock,
    bell,
    policy,
  });
  const board = new Board({
    ...shared,
    clock,
    record: parts.record,
    onProven: (fill) => recall.onProven(fill),
    onThere: (hash) => recall.onThere(hash),
    onFailure: (contentId, error) => recall.onFailure(contentId, error),
  });
  const { asker, onMedium } = parts;
  const media = new Media(catalog);
  const ahead = new Ahead({ below, wants, stage, clock, bell });
  const used = { board, ahead, presence, media, roles, library, asker, clock, bell, settings };
  const loop = new Loop({ ...used, onMedium, warn });
  const states = new States({ contents, media, stage, presence, loop });
  recall.server = { loop, states, filling: (contentId) => board.item(contentId)?.fill };
  return recall;
}

function proverOf(hashes: HashPool): Prover {
  return {
    async hashOf(path, span, signal) {
      const [found] = await hashes.hash([{ path: rawOf(path), span }], signal);
      return found && 'hash' in found && !found.changed ? found.hash : undefined;
    },
  };
}
