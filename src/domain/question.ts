/**
 * A question to the person who has the cartridges: what it is about, who waits, what may be answered, and what is taken
 * when nobody does.
 *
 * Any process may list questions and answer them; putting the right cartridge in answers too.
 */
import { type Barcode, parseBarcode } from './barcode.ts';

/** What a person can say. A question offers some of them. */
export const CHOICES = ['retry', 'bad', 'clean', 'abort', 'decline'] as const;
export type Choice = (typeof CHOICES)[number];

/** A choice; `inserted`: the cartridge is there; a barcode: that of a blank cartridge's sticker. */
export type Answer = Choice | 'inserted' | Barcode;

export type QuestionAbout =
  /** One cartridge, and no other. */
  | { readonly kind: 'medium'; readonly barcode: string; readonly location: string | undefined }
  /** Any that can be written: the `number`th of this job, of about `expected`. */
  | {
      readonly kind: 'scratch';
      readonly pool: string;
      readonly number: number;
      readonly expected: number | undefined;
    }
  /** A blank one is in a drive; its sticker says what it is to be called. */
  | {
      readonly kind: 'blank';
      readonly pool: string;
      readonly drive: string;
      /** The next of the series, where there is one. */
      readonly offered: Barcode | undefined;
    }
  /** A drive gave up on a cartridge. */
  | { readonly kind: 'failure'; readonly barcode: string };

export type Waiting = {
  /** `backup (job 7)`, `recall`. */
  readonly who: string;
  /** Files, or contents, that wait for it; undefined where nobody counts. */
  readonly contents: number | undefined;
  /** Programs that wait for these. */
  readonly readers: number | undefined;
};

export type NewQuestion = {
  readonly about: QuestionAbout;
  /** Why it is asked, in a sentence. */
  readonly reason: string;
  readonly waiting: Waiting;
  /** From 1: how often it has been asked by now. */
  readonly attempt: number;
  readonly choices: readonly Choice[];
  /** Taken at the deadline. */
  readonly byDefault: Choice | Barcode;
  /** Wall time, in ms since the epoch. */
  readonly deadlineMs: number;
};

export type Question = NewQuestion & {
  readonly id: number;
  readonly askedMs: number;
};

/** What channels are told. */
export type Notice =
  | { readonly kind: 'asked'; readonly question: Question }
  | { readonly kind: 'answered'; readonly question: Question; readonly answer: Answer }
  /** Something about a question that is still open: the wrong cartridge was put in. */
  | { readonly kind: 'told'; readonly question: Question; readonly sentence: string }
  /** Nobody waits for an answer. */
  | { readonly kind: 'warned'; readonly warning: Warning };

/** What a person should know, and what may be typed about it. */
export type Warning = {
  /** One line. */
  readonly subject: string;
  readonly sentences: readonly string[];
  readonly commands: readonly { readonly command: string; readonly does: string }[];
};

/** An answer that was written down; undefined where it is none. */
export function readAnswer(text: string): Answer | undefined {
  if (text === 'inserted') return text;
  const parsed = parseBarcode(text);
  if (parsed.kind !== 'refused') return parsed.barcode;
  return CHOICES.find((choice) => choice === text);
}

/**
 * What somebody typed, as an answer to this question.
 * @returns the answer; a sentence where it is none
 */
export function parseAnswer(
  { about, choices }: Pick<Question, 'about' | 'choices'>,
  text: string,
): { readonly answer: Answer } | { readonly refused: string } {
  const word = text.trim().toLowerCase();
  const choice = choices.find((candidate) => candidate === word);
  if (choice) return { answer: choice };
  if (about.kind === 'blank') {
    const parsed = parseBarcode(text);
    if (parsed.kind === 'data') return { answer: parsed.barcode };
    const why =
      parsed.kind === 'cleaning'
        ? `${parsed.barcode} is the barcode of a cleaning cartridge`
        : parsed.reason;
    return { refused: `${why}; or say ${choices.join(' or ')}` };
  }
  return { refused: `that is no answer to it; say ${choices.join(' or ')}` };
}
