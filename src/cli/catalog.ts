/** `shelfs catalog ...`: whether the catalog is whole, and copies of it for people to keep. */
import type { CommandModule } from 'yargs';
import { formatSize } from '../base/bytes.ts';
import { FAILURES } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import { checkAll } from '../job/catalog-check.ts';
import { command, type GlobalArgs, type OpenContext } from './context.ts';
import { Progress } from './progress.ts';

export const catalog = (open: OpenContext): CommandModule<GlobalArgs, GlobalArgs> => ({
  command: 'catalog',
  describe: 'The catalog itself: checked, and copied to where you keep it',
  builder: (yargs) =>
    yargs
      .command(check(open))
      .command(exportTo(open))
      .demandCommand(1, 'say what: check or export')
      .strict(),
  handler: () => {},
});

const check = (open: OpenContext) =>
  command(
    {
      command: 'check',
      describe:
        'Look at all of it: the file, references, versions, contents and their places, sums',
      builder: (yargs) => yargs,
      run: async ({ app, output, setExit }) => {
        const progress = new Progress(output, app.clock);
        const found = checkAll(await app.catalog('read'), (check) =>
          progress.show({ event: 'check', check }, () => `looking at ${check}`),
        );
        output.event({ event: 'end', findings: found });
        progress.end(
          found.length === 0
            ? 'the catalog is whole'
            : found.map(({ count, sentence }) => `${count}: ${printable(sentence)}`).join('\n'),
        );
        if (found.length > 0) setExit(FAILURES.CATALOG_DAMAGED.exit);
      },
    },
    open,
  );

const exportTo = (open: OpenContext) =>
  command(
    {
      command: 'export [path]',
      describe: 'Write a copy of it: SQLite, compressed; it replaces the one before',
      builder: (yargs) =>
        yargs.positional('path', {
          type: 'string',
          describe: 'a file; default: as [catalog] export in the config says',
        }),
      run: async ({ app, output }, args) => {
        const exported = await app.exportCatalog(args.path);
        output.result(exported, () => {
          const { path, lengthBytes, databaseBytes } = exported;
          return `${printable(path)}: ${formatSize(lengthBytes)}, ${formatSize(databaseBytes)} unpacked`;
        });
      },
    },
    open,
  );
