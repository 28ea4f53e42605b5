/** `shelfs wanted`: which media are waited for, where they are, and who waits. */
import { formatWanted } from '../job/wanted.ts';
import { command, type OpenContext } from './context.ts';
import { documentTime } from './format.ts';

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
        output.result({ media }, () => formatWanted(found).trimEnd());
      },
    },
    open,
  );
