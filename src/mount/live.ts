/**
 * Follows the catalog while others write it: which snapshot is the newest, and what of it the kernel should ask for again.
 *
 * Names of the live tree are believed for a second anyway; those of directories that were looked at lately are taken back at
 * once, so that a file manager shows what a backup has just stored.
 */
import { LRUCache } from 'lru-cache';
import type { Clock } from '../base/clock.ts';
import { type Raw, rawBytes } from '../base/raw.ts';
import type { Nodes } from '../catalog/nodes.ts';
import type { Snapshots } from '../catalog/snapshots.ts';
import type { FusePort } from './port.ts';

const POLL_MS = 1000;
/** Directories remembered, and changed names told of each. */
const LATELY_MAX = 1000;
const NAMES_MAX = 1000;

export type LiveTools = {
  readonly nodes: Nodes;
  readonly snapshots: Snapshots;
  readonly clock: Clock;
  /** Grows when another process has written the catalog. */
  changeCount(): number;
};

export class Live {
  readonly #tools: LiveTools;
  /** Node of a directory to its id in the catalog. */
  readonly #lately = new LRUCache<number, number>({ max: LATELY_MAX });
  #snapshotId: number;
  #changeCount: number;

  constructor(tools: LiveTools) {
    this.#tools = tools;
    this.#changeCount = tools.changeCount();
    this.#snapshotId = tools.snapshots.live()?.id ?? 0;
  }

  /** The newest finished snapshot; 0 while there is none. */
  get snapshotId(): number {
    return this.#snapshotId;
  }

  /** Somebody looked into a directory that may change. */
  looked(nodeId: number, directoryId: number): void {
    this.#lately.set(nodeId, directoryId);
  }

  /** Until aborted, which is no failure. */
  async follow(
    port: Pick<FusePort, 'forgetName' | 'forgetNode'>,
    signal: AbortSignal,
  ): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#tools.clock.sleepMs(POLL_MS, signal);
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
      this.poll(port);
    }
  }

  /** Looks once. */
  poll(port: Pick<FusePort, 'forgetName' | 'forgetNode'>): void {
    const { changeCount, snapshots } = this.#tools;
    const count = changeCount();
    if (count === this.#changeCount) return;
    this.#changeCount = count;
    const before = this.#snapshotId;
    this.#snapshotId = snapshots.live()?.id ?? 0;
    if (this.#snapshotId !== before) this.#tell(port, before);
  }

  #tell(port: Pick<FusePort, 'forgetName' | 'forgetNode'>, before: number): void {
    for (const [nodeId, directoryId] of this.#lately.entries()) {
      const names: Raw[] = this.#tools.nodes.changedNames(directoryId, {
        after: before,
        limit: NAMES_MAX,
      });
      if (names.length === 0) continue;
      for (const name of names) port.forgetName(nodeId, rawBytes(name));
      port.forgetNode(nodeId);
    }
  }
}
