/** The terminal of the process that asks: the question with a bell, and an answer typed there. */
import { printable } from '../base/text.ts';
import { wordsOf } from '../domain/question-words.ts';
import type { Channel } from './channel.ts';

export interface Terminal {
  write(text: string): void;
  /** Hands over lines that a person types, until closed; undefined where nobody can type. */
  lines?(onLine: (line: string) => void): { close(): void } | undefined;
}

/** @returns what became of it, in a sentence for the person who typed it */
export type TakeAnswer = (id: number, text: string) => string;

/** A line of progress may stand where the cursor is: carriage return, and erased to its end (ECMA-48 EL). */
const CLEAR = '\r\x1b[K';
const BELL = '\x07';

export function terminalChannel(
  terminal: Terminal,
  takeAnswer: TakeAnswer,
): Channel & { close(): void } {
  const open = new Set<number>();
  let reading: { close(): void } | undefined;
  const say = (lines: readonly string[]) => terminal.write(`${CLEAR}${lines.join('\n')}\n`);
  const onLine = (line: string) => {
    const parsed = parseLine(line, [...open]);
    if ('refused' in parsed) say([parsed.refused]);
    else say([printable(takeAnswer(parsed.id, parsed.text))]);
  };
  const stop = () => {
    reading?.close();
    reading = undefined;
  };
  return {
    name: 'terminal',
    async send({ notice }) {
      const { subject, lines, commands } = wordsOf(notice);
      if (notice.kind === 'warned') {
        const typed = commands.map(({ command, does }) => `  ${command}   ${does}`);
        say([`${BELL}${subject}`, ...lines.map((text) => `  ${text}`), ...typed]);
        return;
      }
      const { id } = notice.question;
      if (notice.kind === 'answered') {
        open.delete(id);
        if (open.size === 0) stop();
        say([`${id}: ${lines.join(' ')}`]);
        return;
      }
      open.add(id);
      reading ??= terminal.lines?.(onLine);
      const typed = reading ? ', or type it here' : '';
      const answers = commands.map(({ command, does }) => `  ${command}   ${does}`);
      say([
        `${BELL}${id}: ${subject}`,
        ...lines.map((text) => `  ${text}`),
        `Answers${typed}:`,
        ...answers,
      ]);
    },
    close: stop,
  };
}

/** `7 retry`, `shelfs answer 7 retry`, or `retry` where one question alone is open. */
function parseLine(
  line: string,
  open: readonly number[],
): { readonly id: number; readonly text: string } | { readonly refused: string } {
  const words = line
    .trim()
    .replace(/^shelfs\s+answer\s+/, '')
    .split(/\s+/);
  const [first = '', second] = words;
  const [only, other] = open;
  if (words.length === 2 && second !== undefined && /^\d{1,15}$/.test(first))
    return { id: Number(first), text: second };
  if (words.length === 1 && first !== '' && only !== undefined && other === undefined)
    return { id: only, text: first };
  return { refused: `say which and what, for instance: ${only ?? 1} decline` };
}
