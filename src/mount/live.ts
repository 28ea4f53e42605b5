/**
 * Follows the catalog while others write it: which snapshot is the newest, and what of it the kernel should ask for again.
 *
 * Names of the live tree are believed for a second anyway; those of directories that were looked at lately are taken back at
 * once, so that a file manager shows what a backup has just stored.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../base/clock.ts';
import { CodedError } from '../base/errors.ts';
import { type Raw, rawBytes } from '../base/raw.ts';
import type { Nodes } from '../catalog/tree/nodes.ts';
import type { Snapshots } from '../catalog/tree/snapshots.ts';
import type { FusePort } from './port.ts';

const POLL_MS = 1000;
/** Who looks is not shown what is older than this; the look at the catalog takes microseconds. */
const FRESH_MS = 100;
/** Directories remembered, and changed names told of each. */
const LATELY_MAX = 1000;
const NAMES_MAX = 1000;
/** A million names take seconds to be told: so long at a time, and then who waits for an answer has his turn. */
const TELLING_MS = 2;
/** So many are told without a look at the clock. */
const NAMES_A_LOOK = 64;

export type LiveTools = {
  readonly nodes: Nodes;
  readonly snapshots: Snapshots;
  readonly clock: Clock;
  /** Grows when another process has written the catalog. */
  changeCount(): number;
  /** What a failing catalog threw, by its name; any other error as it is. */
  nameError(error: unknown): unknown;
};

type Forgets = Pick<FusePort, 'forgetName' | 'forgetNode'>;

export class Live {
  readonly #tools: LiveTools;
  #port: Forgets | undefined;
  #lookedMs: number;
  /** Node of a directory to its id in the catalog. */
  readonly #lately = new LRUCache<number, number>({ max: LATELY_MAX });
  /** Node of a directory to what the kernel has still to be told of it. */
  readonly #untold = new Map<number, { readonly directoryId: number; readonly after: number }>();
  #snapshotId: number;
  #changeCount: number;

  constructor(tools: LiveTools) {
    this.#tools = tools;
    this.#changeCount = tools.changeCount();
    this.#lookedMs = tools.clock.monotonicMs();
    this.#snapshotId = tools.snapshots.live()?.id ?? 0;
  }

  /** The newest finished snapshot; 0 while there is none. */
  get snapshotId(): number {
    return this.#snapshotId;
  }

  /** Another number once another process has written the catalog, a second later at most: what was read may be read anew. */
  get changeCount(): number {
    return this.#changeCount;
  }

  /** Somebody looks into a directory that may change. */
  looked(nodeId: number, directoryId: number): void {
    this.#lately.set(nodeId, directoryId);
    if (this.#tools.clock.monotonicMs() - this.#lookedMs > FRESH_MS) this.#look();
  }

  /** Until aborted, which is no failure. @param port is told what the kernel should forget */
  async follow(port: Forgets, signal: AbortSignal): Promise<void> {
    this.#port = port;
    while (!signal.aborted) {
      try {
        await this.#tools.clock.sleepMs(POLL_MS, signal);
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
      try {
        this.#look();
        await this.#tell(signal);
      } catch (thrown) {
        // Who asks meanwhile is told what is wrong; a second later it may be well again.
        if (!(this.#tools.nameError(thrown) instanceof CodedError)) throw thrown;
      }
    }
  }

  #look(): void {
    const { changeCount, snapshots, clock } = this.#tools;
    this.#lookedMs = clock.monotonicMs();
    const count = changeCount();
    if (count === this.#changeCount) return;
    this.#changeCount = count;
    const before = this.#snapshotId;
    this.#snapshotId = snapshots.live()?.id ?? 0;
    if (this.#snapshotId === before) return;
    for (const [nodeId, directoryId] of this.#lately.entries()) {
      const after = this.#untold.get(nodeId)?.after ?? before;
      this.#untold.set(nodeId, { directoryId, after });
    }
  }

  async #tell(signal: AbortSignal): Promise<void> {
    const { clock, nodes } = this.#tools;
    let sinceMs = clock.monotonicMs();
    const letOthers = async () => {
      if (clock.monotonicMs() - sinceMs < TELLING_MS) return;
      await turn();
      sinceMs = clock.monotonicMs();
    };
    for (const [nodeId, { directoryId, after }] of this.#untold) {
      this.#untold.delete(nodeId);
      const names: Raw[] = nodes.changedNames(directoryId, { after, limit: NAMES_MAX });
      await letOthers();
      for (const [index, name] of names.entries()) {
        if (index % NAMES_A_LOOK === 0) await letOthers();
        if (signal.aborted) return;
        this.#port?.forgetName(nodeId, rawBytes(name));
      }
      if (names.length > 0) this.#port?.forgetNode(nodeId);
    }
  }
}
