/**
 * Reading ahead: what lies on the loaded cartridge below the directories that somebody walks, in the order of the tape.
 *
 * It never takes the place of what is still to be read, and stops where the stage is full of that. It is gathered beside
 * the reading; until that has ended only what is waited for is read.
 */
import type { Clock } from '../base/clock.ts';
import type { Below, PlacedContent } from '../catalog/restore/below.ts';
import type { RunWants, Walk } from '../catalog/run-db/wants.ts';
import type { Bell } from './bell.ts';
import type { Stage } from './stage.ts';
import { WALK_KEPT_MS } from './walkers.ts';

type Gathering = { readonly stop: AbortController; done: Promise<void> };

export type AheadTools = {
  readonly below: Below;
  readonly wants: RunWants;
  readonly stage: Stage;
  readonly clock: Clock;
  /** Rung when there is more to read. */
  readonly bell: Bell;
};

/** A reader that waits farther ahead is not kept waiting for more than this lying before it. */
const BEFORE_READERS_BYTES = 2 ** 30;

export class Ahead {
  readonly #tools: AheadTools;
  #mediumId: number | undefined;
  /** The walks gathered, or being gathered. */
  #gathered = '';
  #gathering: Gathering | undefined;
  #isFull = false;
  #failure: unknown;

  constructor(tools: AheadTools) {
    this.#tools = tools;
  }

  /** Something may be read ahead now. */
  get hasMore(): boolean {
    return !this.#isFull && !this.#gathering && this.next(0) !== undefined;
  }

  /** Looks who walks; what they walk on this cartridge is gathered anew where that has changed. */
  refresh(mediumId: number | undefined): void {
    if (this.#failure !== undefined) throw this.#failure;
    const { wants, clock } = this.#tools;
    const sinceMs = clock.nowMs() - WALK_KEPT_MS;
    const walks =
      mediumId === undefined ? [] : wants.walks().filter((one) => one.sinceMs > sinceMs);
    const places = walks.map(({ directoryId, snapshotId }) => `${directoryId}@${snapshotId}`);
    const gathered = `${mediumId}: ${[...new Set(places)].toSorted().join()}`;
    if (gathered === this.#gathered) return;
    this.#gathered = gathered;
    this.#mediumId = mediumId;
    this.#isFull = false;
    void this.#gather(walks);
  }

  /** Resolves when all is gathered, or after so long. @throws the signal's reason */
  async settle(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const gathering = this.#gathering;
    if (!gathering) return;
    const isDone = new AbortController();
    const asked = AbortSignal.any([signal, isDone.signal]);
    const late = this.#tools.clock.sleepMs(timeoutMs, asked).catch((error: unknown) => {
      if (!isDone.signal.aborted) throw error;
    });
    try {
      await Promise.race([gathering.done, late]);
    } finally {
      isDone.abort();
    }
  }

  /** The next one there or behind; undefined also while nothing more may be read ahead. */
  next(fromByte: number): PlacedContent | undefined {
    if (this.#isFull || this.#gathering) return undefined;
    return this.#tools.below.next(fromByte);
  }

  /** Whether it is to be read before what somebody waits for. @param readerByte where that lies */
  isBefore({ startByte }: PlacedContent, readerByte: number): boolean {
    return startByte <= readerByte && readerByte - startByte <= BEFORE_READERS_BYTES;
  }

  taken(content: PlacedContent): void {
    this.#tools.below.remove(content);
  }

  /** The stage has no room that may be taken for it. */
  pause(): void {
    this.#isFull = true;
  }

  /** Readers have gone on: what they have read may make room. */
  resume(): void {
    this.#isFull = false;
  }

  async close(): Promise<void> {
    this.#gathering?.stop.abort();
    await this.#gathering?.done;
    this.#gathered = '';
    this.#tools.below.clear();
  }

  async #gather(walks: readonly Walk[]): Promise<void> {
    const before = this.#gathering;
    before?.stop.abort();
    const stop = new AbortController();
    const work = async () => {
      await before?.done;
      const { below, stage, bell } = this.#tools;
      const mediumId = this.#mediumId;
      try {
        below.clear();
        for (const walk of walks) {
          if (mediumId === undefined) break;
          const bytesMax = stage.limitBytes;
          await below.gather(walk, { mediumId, bytesMax }, stop.signal);
        }
      } catch (error) {
        if (!stop.signal.aborted) this.#failure ??= error;
      }
      if (this.#gathering === gathering) this.#gathering = undefined;
      if (below.next(0) !== undefined) bell.ring();
    };
    const gathering: Gathering = { stop, done: Promise.resolve() };
    this.#gathering = gathering;
    gathering.done = work();
    await gathering.done;
  }
}
