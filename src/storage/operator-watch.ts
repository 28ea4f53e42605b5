/**
 * Noticing that a cartridge was put in: by its barcode where a changer scans it, else by the label on the tape.
 *
 * Without a changer a cartridge that nobody asked for is ejected, so that the right one can be put in; one that another
 * question is about stays.
 */
import { CodedError } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import type { Question } from '../domain/question.ts';
import { type Beginning, readBeginning } from './beginning.ts';
import type { HeldDrive } from './drives.ts';
import type { Library } from './library.ts';
import type { Operator, Seen, Watch } from './operator.ts';
import { readCartridgeMemory } from './write-generation.ts';

/** Which cartridges help. */
export interface Wish {
  /** Whether what the library holds now suffices, by barcodes. */
  isThere(present: ReadonlySet<string>): boolean;
  /** Undefined: it helps; else what it is, for a sentence: `ABC001L9 of pool main`. */
  refuse(found: Beginning, drive: number): string | undefined;
  /** What was asked for, for the same sentence. */
  readonly wanted: string;
}

export type WatchTools = {
  readonly library: Library;
  /** To leave alone what another question is about. */
  readonly operator: Pick<Operator, 'recent' | 'wasTaken'>;
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

/** A cartridge in a drive, as it was when its label was read. */
type Standing = { readonly serialNumber: string; readonly found: Beginning; isLeft: boolean };

/** Drives that a person loads. */
class DriveWatch implements Watch {
  readonly #wish: Wish;
  readonly #tools: WatchTools;
  /** By drive: a tape is rewound and read once for each time it is put in. */
  readonly #standing = new Map<number, Standing>();

  constructor(wish: Wish, tools: WatchTools) {
    this.#wish = wish;
    this.#tools = tools;
  }

  async look(question: Question | undefined, signal: AbortSignal): Promise<Seen> {
    const { library, operator } = this.#tools;
    const refused: { readonly number: number; readonly why: string; readonly isNew: boolean }[] =
      [];
    const others = operator.recent().filter(({ id }) => id !== question?.id);
    let isAnyEmpty = false;
    for (const number of library.driveNames.keys()) {
      const standing = await this.#read(number, signal);
      isAnyEmpty ||= standing === 'empty';
      if (standing === 'empty' || standing === 'busy') continue;
      const why = this.#wish.refuse(standing.found, number);
      if (why === undefined) return INSERTED;
      const isNew = !standing.isLeft && !wasTaken(operator, standing.found);
      standing.isLeft = true;
      if (!isAbout(others, standing.found)) refused.push({ number, why, isNew });
    }
    return this.#clear(refused, { question, isAnyEmpty }, signal);
  }

  /** Makes room for the right one. What stood there before anybody was asked is nobody's mistake. */
  async #clear(
    refused: readonly { readonly number: number; readonly why: string; readonly isNew: boolean }[],
    about: { readonly question: Question | undefined; readonly isAnyEmpty: boolean },
    signal: AbortSignal,
  ): Promise<Seen> {
    const { library } = this.#tools;
    let seen: Seen = NOTHING;
    for (const { number, why, isNew } of refused) {
      const isMistake = isNew && about.question !== undefined;
      if (!isMistake && about.isAnyEmpty) continue;
      const ejected = await this.#eject(number, signal);
      if (!isMistake) continue;
      const where = library.driveNames[number];
      const sentence = `The cartridge in ${where} is ${why}, not ${this.#wish.wanted}; ${ejected}.`;
      seen = { kind: 'wrong', sentence };
    }
    return seen;
  }

  /** What stands at the start of the tape in a drive; read once. */
  async #read(number: number, signal: AbortSignal): Promise<Standing | 'empty' | 'busy'> {
    let held: HeldDrive | undefined;
    try {
      held = await this.#tools.library.attachDrive(number, signal);
    } catch (error) {
      if (error instanceof CodedError && error.code === 'DRIVE_BUSY') return 'busy';
      throw error;
    }
    if (!held) {
      this.#standing.delete(number);
      return 'empty';
    }
    try {
      const { serialNumber = '' } = await readCartridgeMemory(held.drive.unit, signal);
      const known = this.#standing.get(number);
      if (known?.serialNumber === serialNumber) return known;
      const found = await readBeginning(held.drive, signal);
      const standing = { serialNumber, found, isLeft: false };
      this.#standing.set(number, standing);
      return standing;
    } finally {
      await held.close();
    }
  }

  /** @returns what became of it */
  async #eject(number: number, signal: AbortSignal): Promise<string> {
    try {
      await this.#tools.library.ejectDrive(number, signal);
      return 'it was ejected';
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      return `take it out (${printable(error.message)})`;
    }
  }
}

/** Whether one of the questions is about this cartridge. */
function isAbout(questions: readonly Question[], found: Beginning): boolean {
  const label = found.kind === 'label' ? found.label : undefined;
  return questions.some(({ about }) => {
    if (about.kind === 'medium' || about.kind === 'failure')
      return about.barcode === label?.barcode;
    // Whoever asked for a cartridge to write to judges it; a blank one may be what is asked about.
    return !label || (about.kind === 'scratch' && label.pool === about.pool);
  });
}

function wasTaken(operator: WatchTools['operator'], found: Beginning): boolean {
  return found.kind === 'label' && operator.wasTaken(found.label.barcode);
}

function isAboutBarcode(operator: WatchTools['operator'], own: Question, barcode: string): boolean {
  return operator
    .recent()
    .some(
      ({ id, about }) =>
        id !== own.id &&
        (about.kind === 'scratch' || (about.kind === 'medium' && about.barcode === barcode)),
    );
}
