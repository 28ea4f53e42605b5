/** `shelfs answer`: an answer to what a job asks. */
import { CodedError } from '../base/errors.ts';
import { subjectOf } from '../domain/question-words.ts';
import { command, type OpenContext } from './context.ts';

export const answer = (open: OpenContext) =>
  command(
    {
      command: 'answer <id> <choice>',
      describe: 'Answer a question that a job asks: retry, bad, clean, abort or decline',
      builder: (yargs) =>
        yargs
          .positional('id', {
            type: 'string',
            demandOption: true,
            describe: 'number of the question; `shelfs wanted` lists them',
          })
          .positional('choice', {
            type: 'string',
            demandOption: true,
            describe: 'one of what the question offers, or the barcode that it asks for',
          }),
      run: async ({ app, output }, args) => {
        const id = numberArgument(args.id);
        const { question, answer: taken } = await app.answer(id, args.choice);
        const document = { question: id, answer: taken, about: question.about };
        output.result(document, () => `${id}: ${subjectOf(question)}: ${taken}`);
      },
    },
    open,
  );

/** @throws CodedError USAGE */
function numberArgument(text: string): number {
  const number = Number(text);
  if (/^\d{1,15}$/.test(text) && number > 0) return number;
  throw new CodedError('USAGE', `"${text}" is no number of a question`);
}
