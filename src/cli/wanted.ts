/** `shelfs wanted`: which media are waited for, where they are, and who waits. */

import { listOf } from '../domain/question-words.ts';
import { formatWanted } from '../job/wanted.ts';
import { command, type OpenContext } from './context.ts';
import { documentTime } from './format.ts';
import { documentQuestion } from './questions.ts';

export const wanted = (open: OpenContext) =>
  command(
    {
      command: 'wanted',
      describe: 'Which cartridges are waited for, where they are, and by whom',
      builder: (yargs) => yargs,
      run: async ({ app, output, signal }) => {
        const found = await app.wanted(signal);
        const media = found.map(({ sinceMs, ...medium }) => ({
          ...medium,
          since: documentTime(sinceMs),
        }));
        const asked = await app.questions();
        output.result({ media, questions: asked.map(documentQuestion) }, () =>
          `${listOf(asked)}${formatWanted(found)}`.trimEnd(),
        );
      },
    },
    open,
  );
