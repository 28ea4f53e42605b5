/** Questions to the operator, listed and answered by any process. */
import { CodedError } from '../base/errors.ts';
import type { Questions } from '../catalog/run-db/questions.ts';
import { type Answer, parseAnswer, type Question } from '../domain/question.ts';

/** @throws CodedError USAGE where it is no answer, was answered before, or nobody asks it any more */
export function answerQuestion(
  questions: Questions,
  id: number,
  { text, nowMs }: { readonly text: string; readonly nowMs: number },
): { readonly question: Question; readonly answer: Answer } {
  const question = questions.get(id);
  if (!question)
    throw new CodedError(
      'USAGE',
      `nobody asks question ${id}; \`shelfs wanted\` lists what is asked`,
    );
  const parsed = parseAnswer(question, text);
  if ('refused' in parsed) throw new CodedError('USAGE', `question ${id}: ${parsed.refused}`);
  const { answer } = parsed;
  if (questions.answer(id, answer, nowMs)) return { question, answer };
  const before = questions.answerOf(id);
  const how = before === undefined ? 'is not asked any more' : `was answered before: ${before}`;
  throw new CodedError('USAGE', `question ${id} ${how}`);
}
