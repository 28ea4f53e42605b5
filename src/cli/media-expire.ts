/** `shelfs media expire`: what lies on a cartridge is given up by a person's word. */
import { tellLoss } from '../job/media-expire.ts';
import { command, type OpenContext } from './context.ts';

const WORD = { type: 'string', requiresArg: true } as const;

export const expire = (open: OpenContext) =>
  command(
    {
      command: 'expire <barcode>',
      describe: 'Give up what lies on a cartridge; says what would be lost, and is confirmed',
      builder: (yargs) =>
        yargs
          .positional('barcode', {
            type: 'string',
            demandOption: true,
            describe: 'such as ABC001L9, or its first six characters',
          })
          .option('yes', { type: 'boolean', describe: 'you mean it, with --confirm' })
          .option('confirm', { ...WORD, describe: 'its barcode once more' })
          .option('lose-last-copies', {
            type: 'boolean',
            describe: 'also what no other medium holds, or is not proven to hold',
          }),
      run: async ({ app, output, signal }, args) => {
        const request = {
          name: args.barcode,
          isMeant: args.yes ?? false,
          confirm: args.confirm,
          losesLast: args['lose-last-copies'] ?? false,
        };
        const { medium, loss } = await app.expireMedium(request, signal);
        const { barcode, state } = medium;
        const { lost, reduced } = loss;
        output.result(
          { barcode, state, lost, reduced },
          () => `${tellLoss(medium, loss)}: given up`,
        );
      },
    },
    open,
  );
