/** A message as a JSON document, for webhooks and commands. All text in it is printable. */
import { printable } from '../base/text.ts';
import type { QuestionAbout } from '../domain/question.ts';
import { wordsOf } from '../domain/question-words.ts';
import type { Message } from './channel.ts';

/** `type`, `timestamp` and `data`, as Standard Webhooks wants a body. */
export function documentOf({ timeMs, host, notice }: Message) {
  const { subject, lines, commands } = wordsOf(notice);
  const head = { type: `operator.${notice.kind}`, timestamp: new Date(timeMs).toISOString() };
  const words = { host: printable(host), subject, text: lines.join('\n') };
  const typed = commands.map(({ command }) => command);
  if (notice.kind === 'warned') return { ...head, data: { ...words, commands: typed } };
  const { id, about, reason, waiting, choices, attempt, byDefault, deadlineMs } = notice.question;
  return {
    ...head,
    data: {
      ...words,
      question: id,
      about: printableOf(about),
      reason: printable(reason),
      waiting: { ...waiting, who: printable(waiting.who) },
      attempt,
      choices,
      default: byDefault,
      deadline: new Date(deadlineMs).toISOString(),
      commands: typed,
      ...(notice.kind === 'answered' && { answer: notice.answer }),
    },
  };
}

function printableOf(about: QuestionAbout): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(about).map(([key, value]) => [
      key,
      typeof value === 'string' ? printable(value) : value,
    ]),
  );
}
