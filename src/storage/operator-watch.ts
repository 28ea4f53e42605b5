/**
 * Noticing that a cartridge was put in: by its barcode where a changer scans it, else by the label on the tape.
 *
 * Without a changer a cartridge that nobody asked for is ejected, so that the right one can be put in; one that another
 * question is about stays.
 */
import { CodedError } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import type { Question } from '../domain/question.ts';
import type { HeldDrive, Library } from './library.ts';
import type { Operator, Seen, Watch } from './operator.ts';
import { type Beginning, readBeginning } from './tape.ts';
import { readCartridgeMemory } from './write-generation.ts';

/** Which cartridges help. */
export interface Wish {
  /** Whether what the library holds now suffices, by barcodes. */
  isThere(present: ReadonlySet<string>): boolean;
  /** Undefined: it helps; else what it is, for a sentence: `ABC001L9 of pool main`. */
  refuse(found: Beginning): string | undefined;
  /** What was asked for, for the same sentence. */
  readonly wanted: string;
}

export type WatchTools = {
  readonly library: Library;
  /** To leave alone what another question is about. */
  readonly operator: Pick<Operator, 'open'>;
};

const NOTHING: Seen = { kind: 'nothing' };
const INSERTED: Seen = { kind: 'answer', answer: 'inserted' };

export function watchFor(wish: Wish, tools: WatchTools): Watch {
  return tools.library.isByHand ? new DriveWatch(wish, tools) : new ChangerWatch(wish, tools);
}

/** What a label on a tape is called. */
export function nameOf(found: Beginning): string {
  if (found.kind === 'blank') return 'blank';
  if (found.kind === 'foreign') return 'not one of shelfs';
  return `${printable(found.label.barcode)} of pool ${printable(found.label.pool)}`;
}

/** A changer scans what is put into a port or a slot. */
class ChangerWatch implements Watch {
  readonly #wish: Wish;
  readonly #tools: WatchTools;
  /** It was not there at some time: what is there from the beginning has not helped. */
  #wasMissing = false;
  #known: ReadonlySet<string> | undefined;

  constructor(wish: Wish, tools: WatchTools) {
    this.#wish = wish;
    this.#tools = tools;
  }

  async look(question: Question | undefined, signal: AbortSignal): Promise<Seen> {
    const { library, operator } = this.#tools;
    const { cartridges } = await library.status(signal);
    const present = new Set(cartridges.flatMap(({ barcode }) => barcode ?? []));
    const known = this.#known ?? present;
    this.#known = present;
    if (this.#wish.isThere(present)) return this.#wasMissing ? INSERTED : NOTHING;
    this.#wasMissing = true;
    if (!question) return NOTHING;
    const fresh = cartridges.find(
      ({ barcode }) =>
        barcode !== null && !known.has(barcode) && !isAboutBarcode(operator, question, barcode),
    );
    if (!fresh) return NOTHING;
    const what = `${printable(fresh.barcode ?? '')} was put into ${fresh.place}`;
    return { kind: 'wrong', sentence: `${what}, which is not ${this.#wish.wanted}.` };
  }
}

/** Drives that a person loads. */
class DriveWatch implements Watch {
  readonly #wish: Wish;
  readonly #tools: WatchTools;
  /** Cartridges that were looked at, by drive: a tape is rewound and read once for each time it is put in. */
  readonly #judged = new Map<number, string>();

  constructor(wish: Wish, tools: WatchTools) {
    this.#wish = wish;
    this.#tools = tools;
  }

  async look(question: Question | undefined, signal: AbortSignal): Promise<Seen> {
    const { library, operator } = this.#tools;
    const names = library.driveNames;
    const refused = new Map<number, string>();
    let isAnyEmpty = false;
    for (const number of names.keys()) {
      const found = await this.#read(number, signal);
      isAnyEmpty ||= found === 'empty';
      if (found === 'empty' || found === 'known') continue;
      const why = this.#wish.refuse(found);
      if (why === undefined) return INSERTED;
      if (!isAbout(operator, question, found)) refused.set(number, why);
    }
    // What stood there before anybody was asked is in nobody's way while another drive is empty.
    if (!question && isAnyEmpty) return NOTHING;
    let seen: Seen = NOTHING;
    for (const [number, why] of refused) {
      const ejected = await this.#eject(number, signal);
      const sentence = `The cartridge in ${names[number]} is ${why}, not ${this.#wish.wanted}; ${ejected}.`;
      if (question) seen = { kind: 'wrong', sentence };
    }
    return seen;
  }

  /** What stands at the start of a tape that was put in since; `known`: nothing new, or others have the drive. */
  async #read(number: number, signal: AbortSignal): Promise<Beginning | 'empty' | 'known'> {
    let held: HeldDrive | undefined;
    try {
      held = await this.#tools.library.attachDrive(number, signal);
    } catch (error) {
      if (error instanceof CodedError && error.code === 'DRIVE_BUSY') return 'known';
      throw error;
    }
    if (!held) {
      this.#judged.delete(number);
      return 'empty';
    }
    try {
      const { serialNumber = '' } = await readCartridgeMemory(held.drive.unit, signal);
      if (this.#judged.get(number) === serialNumber) return 'known';
      const found = await readBeginning(held.drive, signal);
      this.#judged.set(number, serialNumber);
      return found;
    } finally {
      await held.close();
    }
  }

  /** @returns what became of it */
  async #eject(number: number, signal: AbortSignal): Promise<string> {
    try {
      await this.#tools.library.unload({ kind: 'drive', number }, undefined, signal);
      return 'it was ejected';
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      return `take it out (${printable(error.message)})`;
    }
  }
}

/** Whether another question waits for this cartridge. */
function isAbout(
  operator: WatchTools['operator'],
  own: Question | undefined,
  found: Beginning,
): boolean {
  const others = operator.open().filter(({ id }) => id !== own?.id);
  const label = found.kind === 'label' ? found.label : undefined;
  return others.some(({ about }) => {
    if (about.kind === 'medium') return about.barcode === label?.barcode;
    if (about.kind === 'failure') return about.barcode === label?.barcode;
    // Whoever asked for a cartridge to write to judges it; a blank one may be what is asked about.
    return about.kind === 'scratch' ? label?.pool === about.pool || !label : !label;
  });
}

function isAboutBarcode(operator: WatchTools['operator'], own: Question, barcode: string): boolean {
  return operator
    .open()
    .some(
      ({ id, about }) =>
        id !== own.id &&
        (about.kind === 'scratch' || (about.kind === 'medium' && about.barcode === barcode)),
    );
}
