/**
 * Stores what a run found: plan, archives, media. When something fails the plan begins anew with what the catalog says is
 * left, so there is one way only, and a resumed run goes it too.
 */
import { strict as assert } from 'node:assert';
import { CodedError } from '../../base/errors.ts';
import type { PendingEntry, UsualRows } from '../../catalog/pending/rows.ts';
import { PendingSpan } from '../../catalog/pending/span.ts';
import type { PlanItem } from '../../pack/item.ts';
import { FORMAT_BOUNDS, type PlanLimits } from '../../pack/limits.ts';
import { Planner } from '../../pack/plan.ts';
import type { ArchiveWriter } from './archive-writer.ts';
import { closeBehindWarning } from './behind-warning.ts';
import { Closing } from './closing.ts';
import { type Feed, Feeder } from './feed.ts';
import { planItem } from './items.ts';
import { counts, type EntryOutcome } from './member-writer.ts';
import type { CopyTarget } from './open-archive.ts';
import type { OutgoingEntry } from './outgoing-entry.ts';
import { OutgoingSpan, type SpanPlace, USUAL_BYTES_MAX } from './outgoing-span.ts';
import { nextOf, nextOrFull, PieceSource, type Step, type Steps, stepsOf } from './plan-steps.ts';
import type { Fragment, ReadAhead } from './read-ahead.ts';
import { RunArchives, type RunArchivesTools } from './run-archives.ts';
import { closeRun, endLine, type RunEnd } from './run-journal.ts';
import { Setbacks } from './setbacks.ts';
import { SplitFiles } from './split-files.ts';

export type WriteTools = RunArchivesTools & {
  readonly readAhead: ReadAhead;
  /** By the media there are now. */
  limits(): PlanLimits;
  readonly copies: number;
  readonly archiveMsMax: number;
  /** What an archive has of a row; undefined where it is passed over. */
  outgoing(row: PendingEntry): OutgoingEntry | undefined;
  /** Where it reads the rows of a span; undefined where each is to be asked for by itself. */
  spanPlace(rows: UsualRows): SpanPlace | undefined;
  onEntry(outcome: EntryOutcome): void;
  /** A fragment is about to be put into the archive: its bytes are at hand during the call. */
  onFragment(feed: Feed, fragment: Fragment): void;
  /** A fragment is in the archive. */
  onProgress(feed: Feed): void;
};

/** Says, when the last planned archive is about to be closed, how the run ends; undefined where more is to come. */
export type EndOfRun = () => RunEnd | undefined;

type Filling = {
  readonly writer: ArchiveWriter;
  readonly pieces: PieceSource;
};

/** An archive with its opening alone. */
type Begun = {
  readonly writer: ArchiveWriter;
  readonly steps: Steps;
  readonly targets: readonly CopyTarget[];
};

type EndedPlan = {
  /** The media that hold the archive. */
  readonly written: readonly CopyTarget[];
  readonly next: Step | undefined;
  /** All that was planned for the archive is in it, and there is room for what follows. */
  readonly isPlanned: boolean;
  /** The run has ended with it. */
  readonly isEnd: boolean;
};

export class Writer {
  readonly #tools: WriteTools;
  readonly #split: SplitFiles;
  readonly #setbacks: Setbacks;
  /** Files that failed in this pass: their further parts are passed over. */
  readonly #failed = new Set<number>();
  readonly #feeder = new Feeder();
  readonly #closing: Closing;
  readonly #archives: RunArchives;
  #end: RunEnd | undefined;

  /** @param archivesBefore of the run, that a cut process has written */
  constructor(tools: WriteTools, archivesBefore: number) {
    this.#tools = tools;
    this.#setbacks = new Setbacks(tools);
    this.#split = new SplitFiles(tools.run.adoptParts(tools.policy));
    this.#closing = new Closing(tools);
    const onEntry = (outcome: EntryOutcome) => this.#onEntry(outcome);
    const parts = { tools, setbacks: this.#setbacks, split: this.#split, onEntry };
    this.#archives = new RunArchives(parts, archivesBefore);
  }

  /** Archives of the run by now. */
  get archives(): number {
    return this.#archives.count;
  }

  /** What the last journal says of the run's end; undefined where none does. */
  get journaledEnd(): RunEnd | undefined {
    return this.#end;
  }

  /**
   * Stores all rows that are in no archive yet.
   * @throws CodedError MEDIUM_FULL where no medium has room; the failure of the last drive
   */
  async store(endOfRun: EndOfRun, signal: AbortSignal): Promise<void> {
    this.#failed.clear();
    while ((await this.#plan(endOfRun, signal)) === 'again');
  }

  /**
   * An archive of nothing but a journal: the run stored something, and its end stands on no medium yet. Where none takes it,
   * the next run's archive tells of this end too.
   */
  async writeEnd(end: RunEnd, signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        return await this.#writeEnd(end, signal);
      } catch (error) {
        const left = await this.#setbacks.helpOrTell(error, signal);
        if (!left) continue;
        if (left.code === 'INTERRUPTED') throw left;
        this.#tools.warn(`the end of the run stands on no medium yet: ${left.message}`);
        return;
      }
    }
  }

  async #writeEnd(end: RunEnd, signal: AbortSignal): Promise<void> {
    const rooms = await this.#tools.media.roomsToWrite(signal);
    const attached = this.#tools.media.attached.map(({ tape }) => tape.barcode);
    const barcodes = attached.length > 0 ? attached : rooms.slice(0, 1).map(({ key }) => key);
    if (barcodes.length === 0) throw new CodedError('MEDIUM_FULL', 'no medium has room for it');
    const targets = await this.#tools.media.attach(barcodes, signal);
    if (this.#tools.media.isOtherwise) return this.#writeEnd(end, signal);
    const writer = await this.#archives.begin(targets);
    try {
      this.#closeRun(writer, end);
      await this.#close(writer, { targets, isEnd: true, next: undefined });
      await this.#archives.finish(writer, targets);
    } catch (error) {
      await this.#abandon(writer);
      throw error;
    } finally {
      writer.close();
    }
  }

  /** One plan from the catalog to its end, or to a failure that another medium or another try can help. */
  async #plan(endOfRun: EndOfRun, signal: AbortSignal): Promise<'done' | 'again'> {
    signal.throwIfAborted();
    const rooms = await this.#tools.media.roomsToWrite(signal);
    const limits = this.#tools.limits();
    const { copies } = this.#setbacks;
    const planner = new Planner<OutgoingEntry>({ media: rooms, copies, limits });
    const steps = stepsOf(planner, this.#split.itemsOf(this.#items(limits.partBytes)));
    try {
      let step = nextOf(steps);
      while (step) {
        assert(
          !(step instanceof OutgoingSpan) && step.kind === 'begin',
          'archives follow each other',
        );
        signal.throwIfAborted();
        await this.#tools.media.handOver(signal);
        const outcome = await this.#archive(step.media, steps, { endOfRun, signal });
        if (outcome === 'again') return 'again';
        step = outcome;
      }
      return 'done';
    } catch (error) {
      await this.#setbacks.help(error, signal);
      return 'again';
    } finally {
      steps.return();
    }
  }

  /** @returns the step with which the next archive begins; undefined behind the last */
  async #archive(
    barcodes: readonly string[],
    steps: Steps,
    { endOfRun, signal }: { endOfRun: EndOfRun; signal: AbortSignal },
  ): Promise<Step | undefined | 'again'> {
    const targets = await this.#tools.media.attach(barcodes, signal);
    if (this.#tools.media.isOtherwise) return 'again';
    const putBack = this.#split.remember();
    const writer = await this.#archives.begin(targets);
    let ended: EndedPlan;
    try {
      ended = await this.#write({ writer, steps, targets }, endOfRun, signal);
    } catch (error) {
      await this.#abandon(writer);
      putBack();
      if (isMediumFull(error)) await this.#closeFull(nearEndOf(targets, writer), { isEnd: false });
      throw error;
    } finally {
      writer.close();
    }
    const { written, next, isPlanned, isEnd } = ended;
    const nearEnd = writer.mediaNearEnd;
    for (const mediumId of nearEnd) this.#tools.media.setFull(mediumId);
    await this.#closeFull(nearEndOf(written, writer), { isEnd });
    if (isPlanned && (nearEnd.length === 0 || next === undefined) && !this.#setbacks.isAny)
      return next;
    // It ended before its plan, or with fewer copies: the rest is planned anew.
    await this.#setbacks.dropLost();
    return 'again';
  }

  async #write(
    { writer, steps, targets }: Begun,
    endOfRun: EndOfRun,
    signal: AbortSignal,
  ): Promise<EndedPlan> {
    const pieces = new PieceSource(
      steps,
      (piece) => !this.#failed.has(piece.item.key.inode.inodeId),
    );
    const isWhole = await this.#fill({ writer, pieces }, signal);
    const { next, isFull } = isWhole ? nextOrFull(steps) : { next: undefined, isFull: false };
    writer.record();
    const end = isWhole && next === undefined && !isFull ? endOfRun() : undefined;
    if (end) this.#closeRun(writer, end);
    await this.#close(writer, { targets, isEnd: end !== undefined, next });
    const written = await this.#archives.finish(writer, targets);
    return { written, next, isPlanned: isWhole && !isFull, isEnd: end !== undefined };
  }

  /** Of media whose drives have warned, when what was written to them counts or is given up. */
  #closeFull(targets: readonly CopyTarget[], { isEnd }: { isEnd: boolean }): Promise<void> {
    const { media, warn } = this.#tools;
    return closeBehindWarning(targets, {
      isEnd,
      media,
      closing: this.#closing,
      begin: async (onFailure) => {
        const writer = await this.#archives.begin(targets, (_mediumId, error) => onFailure(error));
        // Told before, but a copy of the catalog that is made now does not know it, and who has the copy reads on from here.
        if (isEnd && this.#end) {
          writer.addLine(endLine(this.#tools.job, this.#end));
          writer.carries(this.#end, []);
        }
        return writer;
      },
      finish: (writer) => this.#archives.finish(writer, targets),
      warn,
    });
  }

  /**
   * What goes with the end of a cartridge or of the run. Where a drive has warned, the room behind it is for the archive's
   * own end first; see behind-warning.ts.
   */
  async #close(
    writer: ArchiveWriter,
    {
      targets,
      isEnd,
      next,
    }: {
      readonly targets: readonly CopyTarget[];
      readonly isEnd: boolean;
      readonly next: Step | undefined;
    },
  ): Promise<void> {
    if (writer.mediaNearEnd.length > 0) return;
    const { media } = this.#tools;
    const begins = next instanceof OutgoingSpan || next?.kind !== 'begin' ? undefined : next;
    const goesOn = begins?.media;
    const bytes = writer.lengthBytes + writer.journalBytes + FORMAT_BOUNDS.archiveBytes;
    const isClosing = targets.some(
      ({ mediumId, tape }) =>
        goesOn?.includes(tape.barcode) === false || media.room.isFullWith(mediumId, bytes),
    );
    const roomBytes =
      Math.min(...targets.map(({ mediumId }) => media.room.leftBytes(mediumId))) - bytes;
    const freshRoomBytes = media.room.freshBytes() ?? 0;
    await this.#closing.add(writer, { isEnd, isClosing, roomBytes, freshRoomBytes });
  }

  /** What the archive's journal says counts no more. */
  async #abandon(writer: ArchiveWriter): Promise<void> {
    this.#end = undefined;
    await writer.abandon();
  }

  /** @returns whether all that was planned for the archive is in it */
  async #fill({ writer, pieces }: Filling, signal: AbortSignal): Promise<boolean> {
    const { clock, readAhead, archiveMsMax } = this.#tools;
    const startMs = clock.monotonicMs();
    const fragments = readAhead.fragments(this.#feeder.tasks(pieces.take()));
    let added = 0;
    for await (const { item, fragment } of fragments) {
      this.#tools.onFragment(item, fragment);
      await writer.add(item, fragment);
      this.#split.note(item, (inodeId) => this.#failed.has(inodeId));
      this.#tools.onProgress(item);
      if (item.isLast) added += item.members.length;
      const isNearEnd = writer.mediaNearEnd.length > 0;
      if (isNearEnd && writer.ending !== 'not') break;
      if (writer.isInMember) continue;
      const isLate = clock.monotonicMs() - startMs > archiveMsMax;
      if (isLate || signal.aborted) break;
    }
    // Readers run ahead: what they have taken from the plan may not be in the archive.
    return pieces.isAtEnd && added === pieces.taken;
  }

  #onEntry(outcome: EntryOutcome): void {
    const { inodeId } = outcome.entry.inode;
    if (outcome.outcome !== 'stored') this.#failed.add(inodeId);
    if (!counts(outcome)) this.#split.forget(inodeId);
    this.#tools.onEntry(outcome);
  }

  #closeRun(writer: ArchiveWriter, end: RunEnd): void {
    const { catalog, run, program } = this.#tools;
    writer.carries(end, closeRun(writer, { catalog, run, end, program }));
    this.#end = end;
  }

  *#items(partBytes: number): Generator<PlanItem<OutgoingEntry> | OutgoingSpan> {
    const { run, copies } = this.#tools;
    // Where something has gone wrong, or was begun before, each row is looked at.
    const areUsual = this.#failed.size === 0 && this.#split.areNone;
    const usualBytesMax = areUsual ? Math.min(USUAL_BYTES_MAX, partBytes) : 0;
    for (const row of run.toPlan(usualBytesMax)) {
      if (!(row instanceof PendingSpan)) yield* this.#item(row);
      else {
        const place = this.#tools.spanPlace(row);
        if (place) yield new OutgoingSpan(row, place, copies);
        else for (const entry of row.entries()) yield* this.#item(entry);
      }
    }
  }

  *#item(row: PendingEntry): Generator<PlanItem<OutgoingEntry>> {
    const entry = this.#tools.outgoing(row);
    if (entry) yield planItem(entry, this.#tools.copies);
  }
}

function nearEndOf(targets: readonly CopyTarget[], writer: ArchiveWriter): CopyTarget[] {
  return targets.filter(({ mediumId }) => writer.mediaNearEnd.includes(mediumId));
}

function isMediumFull(error: unknown): boolean {
  return error instanceof CodedError && error.code === 'MEDIUM_FULL';
}
