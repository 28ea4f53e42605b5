/** A question that a job asks, as a document. */
import type { Question } from '../domain/question.ts';
import { documentTime } from './format.ts';

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
