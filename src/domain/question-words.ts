/** Questions in words, the same for every channel. No control byte of a name or a sentence comes through. */
import { printable } from '../base/text.ts';
import type { Answer, Choice, Notice, Question, Waiting } from './question.ts';

/** Sentences come from drives and file names: no channel takes more. In characters. */
const SENTENCE_MAX = 600;

export type QuestionWords = {
  /** One line. */
  readonly subject: string;
  readonly lines: readonly string[];
  /** What may be typed to answer, each with what it does; none where nothing is to be answered. */
  readonly commands: readonly { readonly command: string; readonly does: string }[];
};

export function wordsOf(notice: Notice): QuestionWords {
  if (notice.kind === 'warned') {
    const { subject, sentences, commands } = notice.warning;
    return { subject: line(subject), lines: sentences.map(line), commands };
  }
  const { question } = notice;
  const subject = subjectOf(question);
  if (notice.kind === 'asked') {
    const lines = [requestOf(question), line(question.reason), waitingLine(question.waiting)];
    return { subject, lines: [...lines, defaultLine(question)], commands: commandsOf(question) };
  }
  if (notice.kind === 'told') {
    const lines = [line(notice.sentence), requestOf(question)];
    return { subject, lines, commands: commandsOf(question) };
  }
  const lines = [`Answered: ${meaningOf(notice.answer)}.`];
  return { subject: `${subject}: answered`, lines, commands: [] };
}

/** Questions as a list, with what answers each; empty where nothing is asked. Lines end with a newline. */
export function listOf(questions: readonly Question[]): string {
  return questions
    .flatMap((question) => {
      const { subject, lines, commands } = wordsOf({ kind: 'asked', question });
      const answers = commands.map(({ command, does }) => `    ${command}   ${does}`);
      return [`${question.id}: ${subject}`, ...lines.map((text) => `  ${text}`), ...answers];
    })
    .map((text) => `${text}\n`)
    .join('');
}

/** `ABC001L9 is wanted (Bank, box 2)` */
export function subjectOf({ about }: Pick<Question, 'about'>): string {
  switch (about.kind) {
    case 'medium':
      return `cartridge ${printable(about.barcode)} is wanted${place(about.location)}`;
    case 'scratch':
      return `a scratch cartridge of pool ${printable(about.pool)} is wanted (${countOf(about)})`;
    case 'blank':
      return `which barcode has the blank cartridge in ${printable(about.drive)}?`;
    case 'failure':
      return `cartridge ${printable(about.barcode)}: the drive gave up`;
  }
}

/** `backup (job 7) waits`, `recall waits: 40 files for 3 readers` */
export function waitingLine({ who, contents, readers }: Waiting): string {
  const what = [
    ...(contents === undefined ? [] : [counted(contents, 'file')]),
    ...(readers === undefined || readers === 0 ? [] : [`for ${counted(readers, 'reader')}`]),
  ].join(' ');
  return `${printable(who)} waits${what === '' ? '' : `: ${what}`}.`;
}

/** Every choice with the command that says it. */
export function commandsOf({ id, about, choices }: Question): QuestionWords['commands'] {
  const barcode = about.kind === 'blank' ? (about.offered ?? 'BARCODE') : undefined;
  const named = barcode && {
    command: `shelfs answer ${id} ${barcode}`,
    does:
      about.kind === 'blank' && about.offered
        ? 'labels it so; or say another barcode that is on its sticker'
        : 'the barcode on its sticker',
  };
  return [
    ...(named ? [named] : []),
    ...choices.map((choice) => ({
      command: `shelfs answer ${id} ${choice}`,
      does: MEANINGS[choice],
    })),
  ];
}

const MEANINGS: Readonly<Record<Choice, string>> = {
  retry: 'tries the same cartridge again',
  bad: 'marks it as suspect and takes another',
  clean: 'cleans the head of the drive with a cleaning cartridge of the library, then tries again',
  abort: 'ends the job; it can be gone on with',
  decline: 'it is not to be had: whoever waits goes without',
};

function meaningOf(answer: Answer): string {
  if (answer === 'inserted') return 'the cartridge is there';
  const meaning = Object.entries(MEANINGS).find(([choice]) => choice === answer)?.[1];
  return meaning === undefined ? `its barcode is ${printable(answer)}` : `${answer} (${meaning})`;
}

function requestOf({ about, attempt }: Question): string {
  const again = attempt > 1 ? ` (asked for the ${ordinal(attempt)} time)` : '';
  switch (about.kind) {
    case 'medium': {
      const where = about.location === undefined ? '' : `; it is at: ${line(about.location)}`;
      return `Insert cartridge ${printable(about.barcode)}${where}${again}.`;
    }
    case 'scratch':
      return `Insert a scratch cartridge of pool ${printable(about.pool)} (${countOf(about)})${again}.`;
    case 'blank':
      return `Say the barcode on the sticker of the cartridge in ${printable(about.drive)}${again}.`;
    case 'failure':
      return `Say what is to be done with cartridge ${printable(about.barcode)}${again}.`;
  }
}

function defaultLine({ byDefault, deadlineMs }: Question): string {
  const until = new Date(deadlineMs).toISOString().replace('T', ' ').slice(0, 16);
  return `Without an answer until ${until} UTC: ${meaningOf(byDefault)}.`;
}

function countOf({ number, expected }: { number: number; expected: number | undefined }): string {
  return `no. ${number}${expected === undefined ? '' : ` of about ${Math.max(number, expected)}`}`;
}

function place(location: string | undefined): string {
  return location === undefined ? '' : ` (${line(location)})`;
}

/** One line, of a length that every channel takes. */
function line(text: string): string {
  const safe = printable(text);
  return safe.length > SENTENCE_MAX ? `${safe.slice(0, SENTENCE_MAX)}...` : safe;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function ordinal(number: number): string {
  return ['', 'first', 'second', 'third'][number] ?? `${number}th`;
}
