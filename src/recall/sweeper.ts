/** One cartridge read forward, for all who want something of it: bytes go into the stage, what cannot be read marks its copy. */
import type { Clock } from '../base/clock.ts';
import { CodedError } from '../base/errors.ts';
import type { Medium } from '../catalog/shelf/media.ts';
import { type GenerationName, parseGeneration } from '../domain/generation.ts';
import type { Tape } from '../storage/tape.ts';
import { type PieceBytes, TapeReader, type WantedPiece } from '../storage/tape-reader.ts';
import { advisedOrder } from './advice.ts';
import type { Ahead } from './ahead.ts';
import type { Board } from './board.ts';
import type { RecallRun } from './item.ts';
import { bestOrder, type TapeShape, tapeShape } from './order.ts';
import type { Sweep } from './queue.ts';

export type SweeperTools = {
  readonly board: Board;
  readonly ahead: Ahead;
  readonly clock: Clock;
  /** What came meanwhile, from other processes too. */
  refresh(): Promise<void>;
  /** Whether somebody else's turn has come. */
  isOver(mediumId: number): boolean;
};

/** Contents that are being proven, synced and entered while the tape runs on. */
const FINISHING_MAX = 64;
/** How often run.db is looked at while the tape runs. */
const LOOK_MS = 1000;
const GENERATION_DEFAULT: GenerationName = 'LTO-9';

export class Sweeper {
  readonly #tools: SweeperTools;
  readonly #tape: Tape;
  readonly #mediumId: number;
  readonly #reader: TapeReader;
  readonly #shape: TapeShape;
  readonly #signal: AbortSignal;
  readonly #finishing = new Set<Promise<void>>();
  #onLess: (() => void) | undefined;
  /** What it will not be read on: its copy has failed. */
  readonly #broken = new Set<RecallRun>();
  #lookedMs: number;
  /** When it was last asked whether others' turn has come. */
  #judgedMs = Number.NEGATIVE_INFINITY;

  constructor(tools: SweeperTools, tape: Tape, at: { medium: Medium; signal: AbortSignal }) {
    this.#tools = tools;
    this.#tape = tape;
    this.#mediumId = at.medium.id;
    this.#signal = at.signal;
    this.#reader = new TapeReader(tape, at.signal);
    const generation = parseGeneration(at.medium.generation ?? '')?.name ?? GENERATION_DEFAULT;
    this.#shape = tapeShape(generation, Math.max(1, at.medium.capacityBytes));
    this.#lookedMs = tools.clock.monotonicMs();
  }

  /** Where the head stands, in bytes of data before it. */
  get headByte(): number {
    const { position } = this.#tape.drive;
    return position.proven ? position.block * this.#tape.blockBytes : 0;
  }

  /**
   * Until nothing of this cartridge is wanted, or others' turn has come. May be called again.
   * @throws the drive's failures; the signal's reason
   */
  async run(): Promise<void> {
    const { board } = this.#tools;
    const { queue } = board;
    const sweep = queue.sweep(this.#mediumId, await this.#order());
    try {
      for (;;) {
        for await (const piece of this.#reader.read(this.#pieces(sweep))) {
          if ('failure' in piece) this.#isBad(piece.key, piece.failure);
          else await this.#take(piece);
          await this.#look();
          if (this.#finishing.size >= FINISHING_MAX) await this.#oneLess();
        }
        await this.#tools.refresh();
        const isMore = sweep.peek() ?? this.#tools.ahead.next(sweep.headByte);
        if (!isMore || this.#isOver()) break;
      }
    } finally {
      queue.endSweep();
      await Promise.all(this.#finishing);
    }
  }

  /** As the drive would read it, where it says so; else as the model of the tape has it. */
  async #order(): Promise<(runs: readonly RecallRun[]) => readonly RecallRun[]> {
    const { queue } = this.#tools.board;
    const { drive } = this.#tape;
    const advised = await advisedOrder(queue.runsOn(this.#mediumId), this.#shape, (segments) =>
      drive.accessOrder(segments, this.#signal),
    );
    const asked = new Set(advised);
    return (runs) => {
      // What came meanwhile the drive was not asked for.
      if (advised && runs.every((run) => asked.has(run))) return advised;
      return bestOrder(this.#shape, this.headByte, runs);
    };
  }

  *#pieces(sweep: Sweep<RecallRun>): Generator<WantedPiece<RecallRun>> {
    const { board, ahead } = this.#tools;
    for (let run = this.#next(sweep); run; run = this.#next(sweep)) {
      const item = board.begin(run.contentId, this.#signal);
      // Of what somebody else has begun, less may be left to be read than was thought.
      if (!item || this.#broken.has(run) || !board.queue.isPlaced(run)) continue;
      if (!item.isAhead) ahead.resume();
      const { offset, lengthBytes, copy } = run;
      yield { key: run, startBlock: copy.startBlock, offset, lengthBytes };
      if (this.#isOver()) return;
    }
  }

  /** What is read next, with what may be read ahead before it. */
  #next(sweep: Sweep<RecallRun>): RecallRun | undefined {
    const { board, ahead, clock } = this.#tools;
    for (;;) {
      const waiting = sweep.peek();
      const next = ahead.next(sweep.headByte);
      if (!next || (waiting && !ahead.isBefore(next, waiting.startByte))) break;
      ahead.taken(next);
      if (!board.admitAhead(next.contentId, clock.nowMs(), this.#signal)) ahead.pause();
      // One at a time: who waits may have come meanwhile.
      else if (board.queue.has(next.contentId)) break;
    }
    return sweep.next();
  }

  async #take({ key: run, at, bytes }: PieceBytes<RecallRun>): Promise<void> {
    const { board } = this.#tools;
    const fill = board.item(run.contentId)?.fill;
    if (!fill || this.#broken.has(run)) return;
    try {
      const from = run.unfolding.reached;
      const placed = run.unfolding.take(bytes);
      await fill.take(placed, { from, reached: run.unfolding.reached });
    } catch (error) {
      this.#isBad(run, error);
      return;
    }
    if (at + bytes.length < run.lengthBytes) return;
    board.item(run.contentId)?.came(run);
    board.queue.done(run);
    if (board.queue.runsOf(run.contentId).length === 0) this.#finish(run.contentId);
  }

  #finish(contentId: number): void {
    const finishing = this.#tools.board.finish(contentId).finally(() => {
      this.#finishing.delete(finishing);
      this.#onLess?.();
    });
    this.#finishing.add(finishing);
  }

  #oneLess(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onLess = resolve;
    return promise;
  }

  /** The copy's fault, or the stage's. @throws what is neither */
  #isBad(run: RecallRun, error: unknown): void {
    if (!(error instanceof CodedError)) throw error;
    this.#broken.add(run);
    // What came before the failure may yet prove wrong: then it is known from whom it was.
    this.#tools.board.item(run.contentId)?.came(run);
    if (error.failure.retry === 'other-copy') this.#tools.board.isBad(run, error.message);
    else this.#tools.board.fail(run.contentId, error);
  }

  async #look(): Promise<void> {
    const nowMs = this.#tools.clock.monotonicMs();
    if (nowMs - this.#lookedMs < LOOK_MS) return;
    this.#lookedMs = nowMs;
    await this.#tools.refresh();
  }

  /** Looked at once a second: it goes over all that is wanted. */
  #isOver(): boolean {
    if (this.#signal.aborted) return true;
    const nowMs = this.#tools.clock.monotonicMs();
    if (nowMs - this.#judgedMs < LOOK_MS) return false;
    this.#judgedMs = nowMs;
    return this.#tools.isOver(this.#mediumId);
  }
}
