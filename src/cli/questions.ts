/** Questions that jobs ask, as a list. */
import type { Question } from '../domain/question.ts';
import { wordsOf } from '../domain/question-words.ts';
import { documentTime } from './format.ts';

/** Undefined where nothing is asked. */
export function formatQuestions(questions: readonly Question[]): string | undefined {
  if (questions.length === 0) return undefined;
  return questions
    .map((question) => {
      const { subject, lines, commands } = wordsOf({ kind: 'asked', question });
      const answers = commands.map(({ command, does }) => `    ${command}   ${does}`);
      return [`${question.id}: ${subject}`, ...lines.map((line) => `  ${line}`), ...answers].join(
        '\n',
      );
    })
    .join('\n');
}

export function documentQuestion(question: Question) {
  const { id, about, reason, waiting, choices, byDefault, askedMs, deadlineMs } = question;
  return {
    id,
    about,
    reason,
    waiting,
    choices,
    default: byDefault,
    asked: documentTime(askedMs),
    deadline: documentTime(deadlineMs),
  };
}
