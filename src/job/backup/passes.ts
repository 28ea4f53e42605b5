/**
 * How often a row is tried: what changed while it was read, or could not be read, is looked at once more, and then given up.
 */
import { rawText } from '../../base/raw.ts';
import type { PendingEntry, UsualRows } from '../../catalog/pending/rows.ts';
import type { Outstanding, Run } from '../../catalog/run/run.ts';
import type { EntryOutcome } from './member-writer.ts';
import type { Outgoing } from './outgoing.ts';
import type { OutgoingEntry } from './outgoing-entry.ts';
import type { SpanPlace } from './outgoing-span.ts';
import type { RunEnd } from './run-journal.ts';
import type { Tally } from './tally.ts';
import type { Writer } from './write.ts';

export type PassesTools = {
  readonly run: Run;
  readonly tally: Tally;
  /** One for each pass: it knows which names it has met. */
  newOutgoing(): Outgoing;
};

export class Passes {
  readonly #tools: PassesTools;
  #outgoing: Outgoing;
  /** Of rows, in passes that are not repeated: stored or given up. */
  #settled = 0;
  #isLastPass = false;
  #isPartial = false;

  constructor(tools: PassesTools) {
    this.#tools = tools;
    this.#outgoing = tools.newOutgoing();
  }

  /** Some rows were given up. */
  get isPartial(): boolean {
    return this.#isPartial;
  }

  /** What an archive of this pass has of a row; undefined where it is passed over. */
  outgoing(row: PendingEntry): OutgoingEntry | undefined {
    return this.#outgoing.of(row, { isFinal: this.#isLastPass });
  }

  /** Where an archive of this pass reads the rows of a span; undefined where each is to be asked for by itself. */
  spanPlace(rows: UsualRows): SpanPlace | undefined {
    return this.#isLastPass ? undefined : this.#outgoing.spanPlace(rows);
  }

  close(): void {
    this.#outgoing.close();
  }

  /**
   * What changed while it was read, or could not be read, is looked at once more and then given up. Names and duplicates
   * that waited for its bytes get a turn of their own.
   * @param order.outstanding as it is now
   * @param order.endOfRun asked for when nothing waits any more
   * @throws as `Writer.store`
   */
  async store(
    writer: Writer,
    order: { readonly outstanding: Outstanding; readonly endOfRun: () => RunEnd },
    signal: AbortSignal,
  ): Promise<void> {
    const { outstanding, endOfRun } = order;
    this.#tools.tally.expect(outstanding);
    // Moves, deletions and attributes alone cost no tape: the next archive's journal tells of them.
    if (!outstanding.needsMedium) return;
    const end = () => (this.#tools.run.hasWaiting() ? undefined : endOfRun());
    await writer.store(end, signal);
    this.#isLastPass = true;
    for (let before = -1; this.#tools.run.hasWaiting() && this.#settled > before; ) {
      before = this.#settled;
      this.#outgoing.close();
      this.#outgoing = this.#tools.newOutgoing();
      for (const row of this.#tools.run.waiting()) this.#lookAgain(row);
      // Lines alone stand in the archive that ends the run.
      if (this.#tools.run.outstanding().needsMedium) await writer.store(end, signal);
    }
    if (this.#tools.run.hasWaiting()) this.#isPartial = true;
  }

  #lookAgain(row: PendingEntry): void {
    const { directoryId, name, inode } = row;
    const found = this.#outgoing.lookAgain(row);
    if (found === 'same') return;
    if (inode) this.#tools.run.candidates.forgetHash(inode.inodeId);
    if (found === 'gone') {
      this.#giveUp(row, 'it vanished while it was being backed up');
      return;
    }
    const change = row.change === 'new' ? 'new' : 'changed';
    this.#tools.run.add([{ directoryId, name, change, ...found }]);
  }

  /** What was known of it before stays; the next scan finds it as it is then. */
  #giveUp({ directoryId, name, path }: PendingEntry, reason: string): void {
    this.#tools.run.forget(directoryId, name);
    this.#tools.tally.damage({ path: rawText(path), reason });
    this.#tools.tally.files.unreadable += 1;
    this.#settled += 1;
  }

  /** What became of an entry in an archive of this pass. */
  onEntry(told: EntryOutcome): void {
    const { entry, outcome } = told;
    this.#tools.tally.stored(told);
    if (outcome !== 'stored') this.#tools.run.candidates.forgetHash(entry.inode.inodeId);
    if (this.#isLastPass && told.isLast) this.#settleLast(told);
  }

  /** In a pass that is not repeated. */
  #settleLast({ entry, outcome, errno }: EntryOutcome): void {
    if (outcome === 'unreadable' || outcome === 'changed-before') {
      this.#isPartial = true;
      const isUnreadable = outcome === 'unreadable';
      const reason = isUnreadable
        ? `it cannot be read (${errno ?? 'error'})`
        : 'it is changed too often to be read';
      this.#giveUp(entry.row, reason);
      return;
    }
    this.#settled += 1;
    if (outcome !== 'changed-while-read') return;
    const path = rawText(entry.row.path);
    this.#tools.tally.damage({
      path,
      reason: 'it was changed while it was read; stored as it was read',
    });
  }
}
