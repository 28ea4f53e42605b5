/**
 * The one queue of all who wait for contents. Pure: it knows cartridges by number and places by byte, and no time of its own.
 *
 * Each content is in it once, however many wait for it, with the runs of bytes that have to be read for it and the medium of
 * each. The cartridge in the drive comes first, then the one that most wait for, then the one waited for longest; but one
 * that was passed over PASSES_MAX times, or whose reader has waited for PATIENCE_MS, goes before all of them. A sweep goes
 * over one cartridge; what arrives ahead of the head joins it, what lies behind waits for the next.
 */
import { strict as assert } from 'node:assert';
import type { Span } from './order.ts';

/** Bytes of one extent to be read without a break. */
export type Run = Span & { readonly contentId: number; readonly mediumId: number };

export type Waiting = {
  readonly contentId: number;
  /** Monotonic. */
  readonly sinceMs: number;
  /** How many wait; 0 where it is wanted ahead of anybody. */
  readonly readers: number;
};

/** What waits for one cartridge. */
export type Line = {
  readonly mediumId: number;
  readonly contents: number;
  readonly readers: number;
  readonly oldestMs: number;
  readonly passedOver: number;
};

/** Others may be served before a cartridge so often. */
export const PASSES_MAX = 4;
/** Who has waited as long is served next, whatever is in the drive. */
export const PATIENCE_MS = 15 * 60_000;

type Item<R extends Run> = Waiting & { readonly runs: readonly R[] };

export class Queue<R extends Run> {
  readonly #items = new Map<number, Item<R>>();
  /** Runs of each medium, in no order. */
  readonly #byMedium = new Map<number, Set<R>>();
  readonly #passedOver = new Map<number, number>();
  #sweep: Sweep<R> | undefined;

  get size(): number {
    return this.#items.size;
  }

  has(contentId: number): boolean {
    return this.#items.has(contentId);
  }

  contents(): number[] {
    return [...this.#items.keys()];
  }

  /** Wanted from now on, or wanted by others; what has to be read for it stays. */
  want(waiting: Waiting): void {
    const { runs = [] } = this.#items.get(waiting.contentId) ?? {};
    this.#items.set(waiting.contentId, { ...waiting, runs });
  }

  /** What has to be read for it, instead of what was said before. Joins the sweep under way where it lies ahead. */
  place(contentId: number, runs: readonly R[]): void {
    const item = this.#items.get(contentId);
    assert(item, `content ${contentId} is not wanted`);
    this.#unplace(item);
    this.#items.set(contentId, { ...item, runs });
    for (const run of runs) {
      assert(run.contentId === contentId);
      let line = this.#byMedium.get(run.mediumId);
      if (!line) {
        line = new Set();
        this.#byMedium.set(run.mediumId, line);
      }
      line.add(run);
      this.#sweep?.join(run);
    }
  }

  /** Brought, lost, or wanted by nobody any more. */
  remove(contentId: number): void {
    const item = this.#items.get(contentId);
    if (!item) return;
    this.#unplace(item);
    this.#items.delete(contentId);
  }

  /** One run was read. */
  done(run: R): void {
    const item = this.#items.get(run.contentId);
    if (!item) return;
    this.#take(run);
    this.#items.set(run.contentId, { ...item, runs: item.runs.filter((other) => other !== run) });
  }

  /** Whether it is still to be read. */
  isPlaced(run: R): boolean {
    return this.#isOpen(run);
  }

  runsOf(contentId: number): readonly R[] {
    return this.#items.get(contentId)?.runs ?? [];
  }

  /** All that is to be read of a cartridge, in no order. */
  runsOn(mediumId: number): readonly R[] {
    return [...(this.#byMedium.get(mediumId) ?? [])];
  }

  lines(): Line[] {
    return [...this.#byMedium].map(([mediumId, runs]) => this.#line(mediumId, runs));
  }

  /**
   * The cartridge to be served next; all others have been passed over once more.
   * @param at.loaded in the drive; `isUsable`: may be asked for now
   */
  choose(at: {
    readonly loaded: number | undefined;
    readonly nowMs: number;
    isUsable(mediumId: number): boolean;
  }): number | undefined {
    const lines = this.lines().filter(({ mediumId }) => at.isUsable(mediumId));
    const chosen = chooseLine(lines, at);
    if (!chosen) return undefined;
    for (const { mediumId, readers } of lines) {
      if (mediumId === chosen.mediumId) this.#passedOver.delete(mediumId);
      else if (readers > 0) {
        this.#passedOver.set(mediumId, (this.#passedOver.get(mediumId) ?? 0) + 1);
      }
    }
    return chosen.mediumId;
  }

  /** Whether somebody has waited for another cartridge for so long that this sweep should end. */
  isOverdue(at: {
    readonly mediumId: number;
    readonly nowMs: number;
    isUsable(mediumId: number): boolean;
  }): boolean {
    return this.lines().some(
      (line) =>
        line.mediumId !== at.mediumId &&
        line.readers > 0 &&
        at.nowMs - line.oldestMs > PATIENCE_MS &&
        at.isUsable(line.mediumId),
    );
  }

  /** Begins a pass over a cartridge. @param order of its runs; they are read in this one */
  sweep(mediumId: number, order: (runs: readonly R[]) => readonly R[]): Sweep<R> {
    this.#sweep = new Sweep(mediumId, order(this.runsOn(mediumId)), (run) => this.#isOpen(run));
    return this.#sweep;
  }

  endSweep(): void {
    this.#sweep = undefined;
  }

  #isOpen(run: R): boolean {
    return this.#byMedium.get(run.mediumId)?.has(run) === true;
  }

  #line(mediumId: number, runs: ReadonlySet<R>): Line {
    const contents = new Set<number>();
    let [readers, oldestMs] = [0, Number.POSITIVE_INFINITY];
    for (const { contentId } of runs) {
      const item = this.#items.get(contentId);
      if (contents.has(contentId) || !item) continue;
      contents.add(contentId);
      readers += item.readers;
      if (item.readers > 0) oldestMs = Math.min(oldestMs, item.sinceMs);
    }
    const passedOver = this.#passedOver.get(mediumId) ?? 0;
    return { mediumId, contents: contents.size, readers, oldestMs, passedOver };
  }

  #unplace({ runs }: Item<R>): void {
    for (const run of runs) this.#take(run);
  }

  #take(run: R): void {
    const line = this.#byMedium.get(run.mediumId);
    line?.delete(run);
    if (line?.size === 0) {
      this.#byMedium.delete(run.mediumId);
      this.#passedOver.delete(run.mediumId);
    }
  }
}

function chooseLine(
  lines: readonly Line[],
  { loaded, nowMs }: { readonly loaded: number | undefined; readonly nowMs: number },
): Line | undefined {
  const byAge = (a: Line, b: Line) => a.oldestMs - b.oldestMs || a.mediumId - b.mediumId;
  const overdue = lines.filter(
    ({ readers, oldestMs, passedOver }) =>
      readers > 0 && (passedOver >= PASSES_MAX || nowMs - oldestMs > PATIENCE_MS),
  );
  if (overdue.length > 0) return overdue.toSorted(byAge)[0];
  const inDrive = lines.find(({ mediumId }) => mediumId === loaded);
  return inDrive ?? lines.toSorted((a, b) => b.readers - a.readers || byAge(a, b))[0];
}

/** One pass over one cartridge. */
export class Sweep<R extends Run> {
  readonly mediumId: number;
  readonly #isOpen: (run: R) => boolean;
  /** In the order in which they are read; the last is next. */
  #left: R[];
  /** Nothing joins an order that is not the tape's own: it would be a pass without an end. */
  readonly #isAscending: boolean;
  #headByte = 0;

  constructor(mediumId: number, runs: readonly R[], isOpen: (run: R) => boolean) {
    this.mediumId = mediumId;
    this.#isOpen = isOpen;
    this.#left = runs.toReversed();
    this.#isAscending = runs.every(
      (run, index) => index === 0 || run.startByte >= (runs[index - 1]?.startByte ?? 0),
    );
  }

  /** Where the last run given out begins; 0 before the first. */
  get headByte(): number {
    return this.#headByte;
  }

  /** The run to be read next, if it is still wanted by then; undefined at the end. */
  peek(): R | undefined {
    for (let next = this.#left.at(-1); next; next = this.#left.at(-1)) {
      if (this.#isOpen(next)) return next;
      this.#left.pop();
    }
    return undefined;
  }

  next(): R | undefined {
    const run = this.peek();
    if (!run) return undefined;
    this.#left.pop();
    this.#headByte = run.startByte;
    return run;
  }

  /** @returns whether it is read in this pass */
  join(run: R): boolean {
    if (run.mediumId !== this.mediumId || !this.#isAscending) return false;
    if (run.startByte < this.#headByte) return false;
    let [low, high] = [0, this.#left.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#left[middle]?.startByte ?? 0) > run.startByte) low = middle + 1;
      else high = middle;
    }
    this.#left.splice(low, 0, run);
    return true;
  }
}
