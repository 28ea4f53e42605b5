/** `shelfs media labels`: stickers, to be printed and cut. */
import { CodedError } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import type { Paper } from '../domain/label-sheet.ts';
import { listMedia } from '../job/media.ts';
import { writeLabelSheets } from '../job/media-labels.ts';
import { command, type OpenContext } from './context.ts';
import { countOf } from './format.ts';
import { BARCODES, word } from './media-words.ts';

const paperNames = ['a4', 'letter'] as const satisfies readonly Paper[];

export const labels = (open: OpenContext) =>
  command(
    {
      command: 'labels [barcodes..]',
      describe: 'Sheets of barcode stickers for cartridges, to be printed without scaling',
      builder: (yargs) =>
        yargs
          .positional('barcodes', {
            ...BARCODES,
            demandOption: false,
            describe: 'all eight characters; default: all registered media',
          })
          .option('output', {
            ...word('file to be made: NAME.pdf, or NAME.svg (a file a page)'),
            demandOption: true,
          })
          .option('count', { type: 'number', requiresArg: true, describe: 'a series, with --from' })
          .option('from', word('first barcode of the series'))
          .option('paper', { ...word('size of the sheet'), choices: paperNames, default: 'a4' })
          .option('colours', { type: 'boolean', describe: 'a colour for each media type' }),
      run: async ({ app, output }, args) => {
        const { count, from, colours = false } = args;
        if ((count === undefined) !== (from === undefined))
          throw new CodedError('USAGE', '--count and --from go together');
        const series = count !== undefined && from !== undefined ? { count, from } : undefined;
        const named = args.barcodes ?? [];
        const isAll = named.length === 0 && !series;
        const media = isAll ? listMedia(await app.catalog('read')) : [];
        const paper = paperNames.find((name) => name === args.paper) ?? 'a4';
        const made = await writeLabelSheets({
          barcodes: isAll ? media.map(({ barcode }) => barcode) : named,
          ...{ series, path: args.output, paper, isColoured: colours },
        });
        output.result(made, () => {
          const files = made.paths.map(printable).join(', ');
          return `${files}: ${countOf(made.barcodes.length, 'label')}; print without scaling`;
        });
      },
    },
    open,
  );
