/** `shelfs media import`: a cartridge that another program wrote, for browsing and restore. */
import { FAILURES } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import type { ImportEvent } from '../job/import/import.ts';
import { command, type OpenContext } from './context.ts';
import { countOf } from './format.ts';
import { word } from './media-words.ts';
import { Progress } from './progress.ts';

export const importForeign = (open: OpenContext) =>
  command(
    {
      command: 'import <barcode>',
      describe:
        'Read the tar archives of another program into the catalog; the cartridge is never written',
      builder: (yargs) =>
        yargs
          .positional('barcode', { type: 'string', demandOption: true, describe: 'on its sticker' })
          .option('as', word('name of the host whose files they become; default: the barcode')),
      run: async ({ app, output, signal, setExit }, args) => {
        const progress = new Progress(output, app.clock);
        const listen = (event: ImportEvent) => {
          if (event.event === 'file') progress.show(event, () => describe(event) ?? '');
          else progress.tell(event, describe(event));
        };
        try {
          const request = { barcode: args.barcode, as: args.as };
          const report = await app.importMedium(request, listen, signal);
          const { barcode, host, snapshot, archives, entries, leftOut } = report;
          const of = `${countOf(entries, 'entry')} in ${countOf(archives, 'archive')}`;
          const lines = [
            `${barcode}: ${of}, snapshot #${snapshot}, host ${printable(host)}`,
            ...(leftOut > 0 ? [`${countOf(leftOut, 'tape file')} left out`] : []),
            `next: shelfs ls --host ${printable(host)} /; in a mount below .shelfs/hosts/${printable(host)}`,
          ];
          progress.end(lines.join('\n'));
          if (leftOut > 0) setExit(FAILURES.SOURCE_UNREADABLE.exit);
        } catch (error) {
          progress.clear();
          throw error;
        }
      },
    },
    open,
  );

function describe(event: ImportEvent): string | undefined {
  if (event.event === 'file') return `tape file ${event.file}: ${event.entries} entries`;
  if (event.event === 'warning') return `warning: ${printable(event.message)}`;
  return undefined;
}
