/**
 * Who copies a tree, and from where on: so that the rest of it is read while its cartridge is loaded.
 *
 * One that waits for a second file walks below what the directories of both have in common. One that has listed the
 * directories above walks below the highest of them: it went down from there, and will come back for their other
 * children. Of file managers that means nothing: they list what a person looks at.
 */
import type { Clock } from '../base/clock.ts';
import type { Below, TreePlace } from '../catalog/restore/below.ts';
import type { RunWants } from '../catalog/run-db/wants.ts';
import type { Programs } from './guard.ts';

export type WalkerTools = {
  readonly below: Below;
  readonly wants: RunWants;
  readonly process: string;
  readonly programs: Programs;
  readonly clock: Clock;
};

type Walker = {
  snapshotId: number;
  /** Where it waited last, or what all those places have in common. */
  directoryId: number | undefined;
  /** The directory it waited in last. */
  lastId: number | undefined;
  readonly listed: Set<number>;
  seenMs: number;
  told: { readonly directoryId: number; readonly ms: number } | undefined;
};

/** Nobody walks on after so long without a look at a file. */
export const WALK_KEPT_MS = 5 * 60_000;
/** That it still walks is told so often. */
const TOLD_MS = 60_000;
const WALKERS_MAX = 1000;
/** Directories remembered of each: a walk needs those above where it is. */
const LISTED_MAX = 4096;
/** Going down two levels is no accident: the first file is enough. */
const LEVELS_MIN = 2;

/** Names as the kernel keeps them: the first 15 bytes. */
const BROWSERS: ReadonlySet<string> = new Set([
  ...[
    'nautilus',
    'nemo',
    'caja',
    'thunar',
    'Thunar',
    'pcmanfm',
    'pcmanfm-qt',
    'dolphin',
    'konqueror',
  ],
  ...[
    'krusader',
    'doublecmd',
    'spacefm',
    'mc',
    'ranger',
    'nnn',
    'lf',
    'vifm',
    'smbd',
    'gvfsd-fuse',
  ],
]);

export class Walkers {
  readonly #tools: WalkerTools;
  readonly #walkers = new Map<number, Walker>();

  constructor(tools: WalkerTools) {
    this.#tools = tools;
  }

  /** It read a directory. */
  listed(pid: number, { directoryId, snapshotId }: TreePlace): void {
    const walker = this.#of(pid, snapshotId);
    walker.listed.delete(directoryId);
    walker.listed.add(directoryId);
    const [first] = walker.listed;
    if (walker.listed.size > LISTED_MAX && first !== undefined) walker.listed.delete(first);
  }

  /** It opened something, perhaps staged already. */
  seen(pid: number): void {
    const walker = this.#walkers.get(pid);
    if (!walker) return;
    const nowMs = this.#tools.clock.nowMs();
    walker.seenMs = nowMs;
    if (walker.told && nowMs - walker.told.ms > TOLD_MS) this.#tell(pid, walker, walker.told);
  }

  /** It waits for a file in this directory. */
  waits(pid: number, { directoryId, snapshotId }: TreePlace): void {
    const walker = this.#of(pid, snapshotId);
    const { below } = this.#tools;
    if (walker.told && walker.lastId === directoryId) return;
    walker.lastId = directoryId;
    const isSecond = walker.directoryId !== undefined;
    const common =
      walker.directoryId === undefined
        ? directoryId
        : below.common(walker.directoryId, directoryId);
    walker.directoryId = common ?? directoryId;
    const { top, levels } = this.#listedAbove(pid, walker, directoryId);
    if (!isSecond && levels < LEVELS_MIN) return;
    const from = below.common(top, walker.directoryId) ?? walker.directoryId;
    if (walker.told?.directoryId !== from) this.#tell(pid, walker, { directoryId: from });
  }

  /** The highest directory from which down to this one all were listed. */
  #listedAbove(pid: number, { listed }: Walker, directoryId: number) {
    let [top, levels] = [directoryId, 0];
    if (BROWSERS.has(this.#tools.programs.nameOf(pid))) return { top, levels };
    const root = this.#tools.below.root(directoryId);
    for (let at = directoryId; listed.has(at); at = this.#tools.below.parent(at)) {
      [top, levels] = [at, levels + 1];
      if (at === root) break;
    }
    return { top, levels };
  }

  #tell(pid: number, walker: Walker, { directoryId }: { readonly directoryId: number }): void {
    const { wants, process, clock } = this.#tools;
    const sinceMs = clock.nowMs();
    walker.told = { directoryId, ms: sinceMs };
    const { snapshotId } = walker;
    wants.endWalks(process, sinceMs - WALK_KEPT_MS);
    wants.follow({ process, walker: String(pid), directoryId, snapshotId, sinceMs });
  }

  /** The one seen longest ago is forgotten first. */
  #of(pid: number, snapshotId: number): Walker {
    const nowMs = this.#tools.clock.nowMs();
    let walker = this.#walkers.get(pid);
    const isOn = walker?.snapshotId === snapshotId && nowMs - walker.seenMs < WALK_KEPT_MS;
    if (!walker || !isOn) {
      walker = {
        ...{ snapshotId, directoryId: undefined, lastId: undefined, told: undefined },
        ...{ listed: new Set<number>(), seenMs: nowMs },
      };
    }
    walker.seenMs = nowMs;
    this.#walkers.delete(pid);
    this.#walkers.set(pid, walker);
    const [oldest] = this.#walkers.keys();
    if (this.#walkers.size > WALKERS_MAX && oldest !== undefined) this.#walkers.delete(oldest);
    return walker;
  }
}
