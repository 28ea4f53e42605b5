/**
 * Cartridges that are counted on before another one is given up: each is looked at once in a job, whether it still is what the catalog
 * takes it for.
 *
 * A catalog that was set back to an older day believes in copies that were written over since, and nothing in it can tell. Its label
 * and the end of its data do: a label is new with each writing over, and data only grow behind the others.
 */
import type { Clock } from '../base/clock.ts';
import { CodedError } from '../base/errors.ts';
import { LiveContents, type Proof } from '../catalog/care/live.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { Media, type Medium } from '../catalog/shelf/media.ts';
import { attachAsking } from '../storage/attach.ts';
import type { Library } from '../storage/library.ts';
import { absentOperator, type Operator } from '../storage/operator.ts';
import { patiently } from '../storage/patience.ts';
import { Tape } from '../storage/tape.ts';
import { proven } from '../storage/tape-position.ts';

export type SurvivorTools = {
  readonly catalog: Catalog;
  readonly library: Library;
  readonly clock: Clock;
  /** Who brings cartridges where a person is the changer; left out: nobody. */
  readonly operator?: Operator | undefined;
  /** In questions: `groom (job 7)`. */
  readonly who: string;
  onWait(reason: string | undefined): void;
  warn(message: string): void;
};

export class Survivors implements Proof {
  readonly #tools: SurvivorTools;
  readonly #media: Media;
  readonly #proven = new Set<number>();
  /** To be looked at before anything is counted on. */
  readonly #awaited = new Set<number>();
  /** Not to be had, or not what they were: their copies do not count in this job. */
  readonly #refused = new Set<number>();

  constructor(tools: SurvivorTools) {
    this.#tools = tools;
    this.#media = new Media(tools.catalog);
  }

  isProven(mediumId: number): boolean {
    return this.#proven.has(mediumId);
  }

  awaits(holders: readonly number[]): boolean {
    const open = holders.filter((id) => !this.#proven.has(id) && !this.#refused.has(id));
    const [first] = open;
    if (first === undefined) return false;
    if (!open.some((id) => this.#awaited.has(id))) this.#awaited.add(first);
    return true;
  }

  /** Whether some are to be looked at. */
  get isAwaiting(): boolean {
    return this.#awaited.size > 0;
  }

  /** Label and end of data of this one were what the catalog knows. */
  note(barcode: string): void {
    const medium = this.#media.find(barcode);
    if (!medium) return;
    this.#proven.add(medium.id);
    this.#awaited.delete(medium.id);
  }

  /**
   * Looks at those awaited, one after the other; with one drive nothing may be held in it.
   * @throws the signal's reason; failures of the library that no other cartridge mends
   */
  async look(signal: AbortSignal): Promise<void> {
    for (const id of [...this.#awaited]) {
      this.#awaited.delete(id);
      const medium = this.#media.get(id);
      const why = await this.#whyNot(medium, signal);
      if (why === undefined) this.#proven.add(id);
      else {
        this.#refused.add(id);
        this.#tools.warn(`nothing is given up because of copies on ${medium.barcode}: ${why}`);
      }
    }
  }

  async #whyNot(medium: Medium, signal: AbortSignal): Promise<string | undefined> {
    const { uuid, barcode, nextFile, nextBlock } = medium;
    if (uuid === undefined) return 'it has no label';
    try {
      const tape = await patiently(
        () => this.#attach({ ...medium, uuid }, signal),
        this.#tools,
        signal,
      );
      try {
        await tape.drive.spaceToEndOfData(signal);
        const { file, block } = proven(tape.drive);
        if (file >= nextFile && block >= nextBlock) return undefined;
        return `its data end at block ${block}, but the catalog knows data up to ${nextBlock}`;
      } finally {
        await tape.close();
      }
    } catch (error) {
      if (!(error instanceof CodedError) || signal.aborted) throw error;
      return `${barcode} could not be looked at (${error.message})`;
    }
  }

  #attach(medium: Medium & { readonly uuid: string }, signal: AbortSignal): Promise<Tape> {
    const { library, operator = absentOperator, clock, who, onWait } = this.#tools;
    // A robot has it or has not: then what lies there is moved, and nobody is asked.
    if (!library.isByHand) return Tape.attach(library, medium, signal);
    const waiting = { who, contents: undefined, readers: undefined };
    return attachAsking({ medium, waiting, onWait }, { library, operator, clock }, signal);
  }
}

/**
 * What other cartridges are counted on for is there still, before this one is given up for good.
 * @throws CodedError MEDIUM_MISMATCH where some of what it holds was found on none of them; as `Survivors.look`
 */
export async function proveOthers(
  tools: Omit<SurvivorTools, 'onWait' | 'warn'>,
  { id, barcode }: Medium,
  signal: AbortSignal,
): Promise<void> {
  const warnings: string[] = [];
  const survivors = new Survivors({
    ...tools,
    onWait: () => {},
    warn: (message) => warnings.push(message),
  });
  const live = new LiveContents(tools.catalog, id);
  for (;;) {
    const [needed] = live.needing({ copies: 1, poolId: undefined }, survivors);
    if (needed)
      throw new CodedError(
        'MEDIUM_MISMATCH',
        `${barcode} holds what no other cartridge was proven to hold: ${warnings.join('; ')}; nothing was changed`,
        { volser: barcode.slice(0, 6) },
      );
    if (!survivors.isAwaiting) return;
    await survivors.look(signal);
  }
}
