/**
 * What is wanted now, by whomever: the queue with the contents behind it, kept equal to what run.db says.
 *
 * A content enters when somebody wants it and leaves when it is staged, lost, or wanted by nobody. Copies that fail are
 * marked in the catalog and others take their place; when none is left, all who wait are told why.
 */
import { strict as assert } from 'node:assert';
import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../base/clock.ts';
import { CodedError } from '../base/errors.ts';
import type { Contents } from '../catalog/content/contents.ts';
import type { Processes } from '../catalog/run-db/run-db.ts';
import type { RunWants } from '../catalog/run-db/wants.ts';
import type { Archives } from '../catalog/shelf/archives.ts';
import type { DataRange } from '../domain/entry.ts';
import { diskBytes } from './content.ts';
import { CopyChooser } from './copies.ts';
import { Fill, type Prover } from './fill.ts';
import { Item, type PlacedCopy, type RecallRun, storedRange } from './item.ts';
import type { Presence } from './presence.ts';
import { Queue } from './queue.ts';
import type { Stage } from './stage.ts';

export type BoardTools = {
  readonly contents: Contents;
  readonly wants: RunWants;
  readonly stage: Stage;
  readonly prover: Prover;
  readonly processes: Processes;
  readonly clock: Clock;
  readonly presence: Presence;
  /** Marks what was found bad; the catalog may be open for reading only. */
  record(work: (archives: Archives) => void): void;
  /** Some of it is proven, or all. */
  onProven(fill: Fill): void;
  /** Another process has staged all of it meanwhile; told to those of this process. */
  onThere(hash: Buffer): void;
  /** It is not to be had; told to those of this process. */
  onFailure(contentId: number, error: CodedError): void;
  warn(message: string): void;
};

/** Copies of so many contents are looked up without a turn for others: some 4 ms. */
const CONTENTS_A_TURN = 32;
/** Room in the stage is waited for so long, in ms. */
const ROOM_MS = 60_000;

export class Board {
  readonly queue = new Queue<RecallRun>();
  readonly #tools: BoardTools;
  readonly #items = new Map<number, Item>();
  /** Being filled by another process. */
  readonly #elsewhere = new Set<number>();
  /** Files that wait to be synced together. */
  #whole: Item[] = [];
  #flushing: Promise<void> | undefined;
  /** Barcodes asked for in vain, and why. */
  readonly offline = new Map<string, CodedError>();
  /** Barcodes of media whose drive gave up, while it is decided what becomes of them: others are read where there are any. */
  readonly doubted = new Set<string>();
  /** Something has to wait until there is room in the stage again; taken back by who waits. */
  isFull = false;
  /** The medium in the drive. */
  loaded: number | undefined;

  constructor(tools: BoardTools) {
    this.#tools = tools;
  }

  item(contentId: number): Item | undefined {
    return this.#items.get(contentId);
  }

  /** Nothing is wanted, by anybody. */
  get isEmpty(): boolean {
    return this.#items.size === 0 && this.#elsewhere.size === 0;
  }

  /** Takes in what came, lets go of what nobody wants any more. */
  async refresh(signal: AbortSignal): Promise<void> {
    const { wants, processes } = this.#tools;
    wants.forgetDead((process) => process === processes.own || processes.isAlive(process));
    const wanted = new Map<number, { sinceMs: number; readers: number }>();
    for (const { contentId, sinceMs, readers } of wants.list()) {
      const known = wanted.get(contentId);
      wanted.set(contentId, {
        sinceMs: Math.min(sinceMs, known?.sinceMs ?? sinceMs),
        readers: (known?.readers ?? 0) + Math.max(1, readers.length),
      });
    }
    for (const [contentId, item] of [...this.#items])
      if (!wanted.has(contentId) && !item.fill?.isWhole) await this.#unwanted(contentId, item);
    this.#elsewhere.clear();
    let looked = 0;
    for (const [contentId, { sinceMs, readers }] of wanted) {
      if (!this.#items.has(contentId)) {
        looked += 1;
        if (looked % CONTENTS_A_TURN === 0) {
          await turn();
          signal.throwIfAborted();
        }
        if (!this.#admit(contentId, sinceMs)) continue;
      }
      const item = this.#items.get(contentId);
      if (item) item.isAhead = false;
      const isNew = !this.queue.has(contentId);
      this.queue.want({ contentId, sinceMs, readers });
      if (isNew) this.place(contentId);
    }
  }

  /**
   * A content that nobody waits for yet, where all of it is on the medium that is loaded.
   * @returns false where the stage has no room for it
   */
  admitAhead(contentId: number, sinceMs: number, signal: AbortSignal): boolean {
    const { contents, stage } = this.#tools;
    const content = contents.getIfThere(contentId);
    if (!content || this.#items.has(contentId) || stage.has(content.hash)) return true;
    const item = new Item({ ...content, contentId }, contents, sinceMs);
    item.isAhead = true;
    this.#items.set(contentId, item);
    this.queue.want({ contentId, sinceMs, readers: 0 });
    this.place(contentId);
    if (!this.#items.has(contentId)) return true;
    if (this.queue.runsOf(contentId).every(({ mediumId }) => mediumId === this.loaded))
      return this.begin(contentId, signal) !== undefined || stage.has(content.hash);
    this.#forget(contentId);
    return true;
  }

  /**
   * Nobody waits for it any more, or nobody does yet. What is about to be whole is read to its end: the next who opens it has it at
   * once. Of what is not, the parts that are proven stay. No cartridge is loaded for either.
   */
  async #unwanted(contentId: number, item: Item): Promise<void> {
    const isHere = this.queue.runsOf(contentId).every(({ mediumId }) => mediumId === this.loaded);
    if (item.isAhead && isHere) return;
    if (!isHere || !item.isNearlyWhole) return this.#leave(contentId);
    item.isAhead = true;
    this.queue.want({ contentId, sinceMs: item.sinceMs, readers: 0 });
  }

  /** @returns whether it has to be read */
  #admit(contentId: number, sinceMs: number): boolean {
    const { contents, stage } = this.#tools;
    const content = contents.getIfThere(contentId);
    if (!content) {
      this.#tell(contentId, noCopy(contentId));
      return false;
    }
    if (stage.has(content.hash)) {
      this.#tools.onThere(content.hash);
      return false;
    }
    this.#items.set(contentId, new Item({ ...content, contentId }, contents, sinceMs));
    return true;
  }

  /** Chooses copies for what is still to be read of a content. */
  place(contentId: number): void {
    const item = this.#items.get(contentId);
    if (!item) return;
    const media = {
      isPresent: (barcode: string) =>
        this.#tools.presence.isPresent(barcode) && !this.doubted.has(barcode),
      isOffline: (barcode: string) => this.offline.has(barcode),
    };
    const loaded = this.loaded === undefined ? [] : [this.loaded];
    const runs = item.runs(new CopyChooser(media, loaded));
    if (runs) this.queue.place(contentId, runs);
    else if (item.isAhead) void this.abandon(contentId);
    else this.fail(contentId, this.#whyLost(item));
  }

  /** Nothing is being read: another cartridge is in the drive, or one is not to be had, and copies are chosen anew. */
  async placeAll(signal: AbortSignal): Promise<void> {
    let placed = 0;
    for (const contentId of this.queue.contents()) {
      this.place(contentId);
      placed += 1;
      if (placed % CONTENTS_A_TURN > 0) continue;
      await turn();
      signal.throwIfAborted();
    }
  }

  /**
   * The place in the stage for a content of which the first bytes are about to be read.
   * @returns undefined where it need not be read: it is there, or another process fills it, or it failed
   */
  begin(contentId: number, signal: AbortSignal): Item | undefined {
    const item = this.#items.get(contentId);
    if (!item || item.fill) return item;
    const { stage, prover } = this.#tools;
    try {
      const left = stage.takeOver(item.content);
      const claim = left ? 'mine' : stage.claim(item.content, { isAhead: item.isAhead });
      if (claim === 'mine') {
        const onProven = (fill: Fill) => this.#onProven(fill);
        item.fill = new Fill(item.content, { stage, prover, signal, onProven, left });
        if (left) this.#resume(contentId, item.fill);
        return item;
      }
      if (claim === 'full') return this.#waitForRoom(item);
      this.#forget(contentId);
      if (claim === 'theirs') this.#elsewhere.add(contentId);
    } catch (error) {
      // Nobody waits for it: that there is no room is no failure of anybody's.
      if (item.isAhead) this.#forget(contentId);
      else this.fail(contentId, asCoded(error));
    }
    return undefined;
  }

  /** Only what is missing is to be read now. */
  #resume(contentId: number, fill: Fill): void {
    fill.resume();
    this.place(contentId);
    if (this.queue.has(contentId) && this.queue.runsOf(contentId).length === 0)
      void this.finish(contentId);
  }

  /** What is in use may not be in a moment: it stays in the queue, but not for ever. */
  #waitForRoom(item: Item): undefined {
    const { contentId } = item.content;
    const nowMs = this.#tools.clock.monotonicMs();
    item.fullSinceMs ??= nowMs;
    if (item.isAhead) this.#forget(contentId);
    else if (nowMs - item.fullSinceMs > ROOM_MS) {
      this.fail(contentId, this.#tools.stage.full(diskBytes(item.content)));
    } else this.isFull = true;
    return undefined;
  }

  /** All its runs were read. @throws nothing of the content's own: who waits is told */
  async finish(contentId: number): Promise<void> {
    const item = this.#items.get(contentId);
    if (!item?.fill) return;
    try {
      const wrong = await item.fill.settle();
      if (this.#items.get(contentId) !== item) return;
      if (item.fill.isWhole) return await this.#complete(item);
      if (wrong.length > 0) this.#blame(item, wrong);
      this.place(contentId);
    } catch (error) {
      this.fail(contentId, asCoded(error));
    }
  }

  /** Bytes of a copy could not be read, or make no sense: another one is chosen. */
  isBad(run: RecallRun, reason: string): void {
    const item = this.#items.get(run.contentId);
    if (!item) return;
    item.addTry(run.copy);
    this.#mark(run.copy, { offset: run.from, lengthBytes: run.lengthBytes }, reason);
    this.place(run.contentId);
    // What came of it before may be all there is to be had: whatever is here has to be proven.
    if (this.queue.has(run.contentId) && this.queue.runsOf(run.contentId).length === 0)
      void this.finish(run.contentId);
  }

  /** It is not to be had: all who wait are told. */
  fail(contentId: number, error: CodedError): void {
    const item = this.#forget(contentId);
    if (item?.fill) void this.#drop(item);
    this.#tell(contentId, error);
  }

  /** Nobody wants it any more. */
  async abandon(contentId: number): Promise<void> {
    const item = this.#forget(contentId);
    if (item?.fill) await this.#drop(item);
  }

  /** Waits until all that is proven stands in the table. */
  async flush(): Promise<void> {
    while (this.#flushing) await this.#flushing;
  }

  /** The end: what is half done is removed, but for parts that are proven, with which somebody can go on. */
  async close(): Promise<void> {
    await this.flush();
    for (const contentId of [...this.#items.keys()]) await this.#leave(contentId);
  }

  /** Removes what is half done, but for parts that are proven. Nobody may want it again before this has ended. */
  async #leave(contentId: number): Promise<void> {
    if (!this.#items.get(contentId)?.fill?.hasProven) return this.abandon(contentId);
    const item = this.#forget(contentId);
    await item?.fill?.close();
    if (item) this.#tools.stage.leave(item.content.hash);
  }

  /** Told to other processes too, but for what is whole in a moment. */
  #onProven(fill: Fill): void {
    if (!fill.isWhole) this.#tools.stage.setProven(fill.content.hash, fill.parts);
    this.#tools.onProven(fill);
  }

  #forget(contentId: number): Item | undefined {
    const item = this.#items.get(contentId);
    this.#items.delete(contentId);
    this.queue.remove(contentId);
    return item;
  }

  async #drop(item: Item): Promise<void> {
    const { fill, content } = item;
    const { stage } = this.#tools;
    item.fill = undefined;
    // At once: it may be wanted again before what is under way has ended.
    stage.abandon(content.hash);
    await fill?.close();
    stage.removeLeftover(content.hash);
  }

  /** Files that end about the same time are synced together: each alone would wait for the disk. */
  #complete(item: Item): Promise<void> {
    this.#whole.push(item);
    this.#flushing ??= turn().then(() => this.#flush());
    return this.#flushing;
  }

  async #flush(): Promise<void> {
    const items = this.#whole;
    this.#whole = [];
    this.#flushing = undefined;
    try {
      const files = items.flatMap(({ content: { hash }, fill }) =>
        fill?.file ? [{ hash, file: fill.file }] : [],
      );
      await this.#tools.stage.complete(files);
      for (const { content, fill } of items) {
        await fill?.close();
        if (this.#items.get(content.contentId)?.fill === fill) this.#forget(content.contentId);
      }
    } catch (error) {
      for (const { content } of items) this.fail(content.contentId, asCoded(error));
    }
  }

  #blame(item: Item, wrong: readonly DataRange[]): void {
    const blamed = item.blame(wrong);
    assert(blamed.length > 0, 'bytes that prove wrong came from somewhere');
    for (const { copy, range } of blamed)
      this.#mark(copy, range, 'its bytes are not what was written');
  }

  #mark(copy: PlacedCopy, range: DataRange, reason: string): void {
    const { offset, lengthBytes } = storedRange(copy, range);
    const { archiveId, mediumId, barcode } = copy;
    this.#tools.record((archives) =>
      archives.addDamage({ archiveId, mediumId, position: offset, lengthBytes }),
    );
    this.#tools.warn(`${barcode}: ${reason}; another copy is used where there is one`);
  }

  #whyLost(item: Item): CodedError {
    for (const barcode of item.media) {
      const cause = this.offline.get(barcode);
      if (cause) return cause;
    }
    return noCopy(item.content.contentId);
  }

  #tell(contentId: number, error: CodedError): void {
    const { wants, processes, onFailure } = this.#tools;
    wants.fail(contentId, processes.own, { code: error.code, message: error.message });
    onFailure(contentId, error);
  }
}

function noCopy(contentId: number): CodedError {
  return new CodedError(
    'MEDIUM_UNREADABLE',
    `no good copy is left of content ${contentId}; \`shelfs stat\` shows what became of each`,
  );
}

/** @throws what is a bug */
function asCoded(error: unknown): CodedError {
  if (error instanceof CodedError) return error;
  throw error;
}
