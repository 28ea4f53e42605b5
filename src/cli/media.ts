/** `shelfs media ...`: the inventory of cartridges. */
import type { CommandModule } from 'yargs';
import { formatSize } from '../base/bytes.ts';
import { CodedError } from '../base/errors.ts';
import { formatTable, printable } from '../base/text.ts';
import { addMedia, type MediumDetails, moveMedia, retireMedia, showMedium } from '../job/media.ts';
import { command, type GlobalArgs, type OpenContext } from './context.ts';
import { countOf, documentTime, formatTime } from './format.ts';
import { due } from './media-due.ts';
import { expire } from './media-expire.ts';
import { importForeign } from './media-import.ts';
import { labels } from './media-labels.ts';
import { list } from './media-list.ts';
import { found, hold, location, lost, release } from './media-state.ts';
import { BARCODES, documentMedium, formatMedia, word } from './media-words.ts';

export const media = (open: OpenContext): CommandModule<GlobalArgs, GlobalArgs> => ({
  command: 'media',
  describe: 'The inventory of cartridges: what each holds and where it is',
  builder: (yargs) =>
    yargs
      .command(list(open))
      .command(add(open))
      .command(show(open))
      .command(label(open))
      .command(importForeign(open))
      .command(due(open))
      .command(labels(open))
      .command(move(open))
      .command(location(open))
      .command(hold(open))
      .command(release(open))
      .command(lost(open))
      .command(found(open))
      .command(retire(open))
      .command(erase(open))
      .command(expire(open))
      .demandCommand(1, 'say what: list, show, hold, ...; `shelfs media --help` lists them')
      .strict(),
  handler: () => {},
});

const add = (open: OpenContext) =>
  command(
    {
      command: 'add [barcodes..]',
      describe: 'Register cartridges; they are labelled later',
      builder: (yargs) =>
        yargs
          .positional('barcodes', { ...BARCODES, demandOption: false })
          .option('count', {
            type: 'number',
            requiresArg: true,
            describe: 'a series of so many, with --from',
          })
          .option('from', word('first barcode of the series; digits before the media type count'))
          .option('pool', word('default: that of the config'))
          .option('location', word('where they are, such as "Bank, box 2"')),
      run: async ({ app, output }, args) => {
        const { count, from, location } = args;
        if ((count === undefined) !== (from === undefined))
          throw new CodedError(
            'USAGE',
            '--count and --from go together: --count 10 --from BUP011L8',
          );
        const added = await addMedia(
          await app.catalog('write'),
          {
            barcodes: args.barcodes ?? [],
            series: count !== undefined && from !== undefined ? { count, from } : undefined,
            pool: poolArgument(args.pool) ?? (await app.config()).backup.pool,
            location,
          },
          (barcode) => app.capacityOf(barcode),
        );
        output.result({ media: added.map(documentMedium) }, () => formatMedia(added));
      },
    },
    open,
  );

const show = (open: OpenContext) =>
  command(
    {
      command: 'show <barcode>',
      describe: 'All that is known of a medium',
      builder: (yargs) =>
        yargs.positional('barcode', {
          type: 'string',
          demandOption: true,
          describe: BARCODES.describe,
        }),
      run: async ({ app, output }, args) => {
        const found = showMedium(await app.catalog('read'), args.barcode);
        const { medium, archives, moves, fill, health, catalogCopies } = found;
        const document = {
          ...documentMedium(medium),
          ...fill,
          warnings: health.warnings,
          health: health.readings.map(({ timeMs, ...reading }) => ({
            time: documentTime(timeMs),
            ...reading,
          })),
          label: medium.label ?? null,
          archives,
          moves: moves.map(({ timeMs, from, to }) => ({
            time: documentTime(timeMs),
            from: from ?? null,
            to: to ?? null,
          })),
          catalogCopies: catalogCopies.map(({ takenMs, ...copy }) => ({
            ...copy,
            taken: documentTime(takenMs),
          })),
        };
        output.result(document, () => formatDetails(found));
      },
    },
    open,
  );

const label = (open: OpenContext) =>
  command(
    {
      command: 'label <barcodes..>',
      describe: 'Write the label onto blank cartridges',
      builder: (yargs) =>
        yargs
          .positional('barcodes', BARCODES)
          .option('pool', word('to which they belong from now on'))
          .option('force', { type: 'boolean', describe: 'also over what stands on a cartridge' })
          .option('confirm', word('its barcode once more, with --force'))
          .option('yes', { type: 'boolean', describe: 'you mean it, with --force' }),
      run: async ({ app, output, signal }, args) => {
        const labelled = await app.labelMedia(
          {
            barcodes: args.barcodes,
            pool: poolArgument(args.pool),
            force: args.force ?? false,
            confirm: args.confirm ?? (args.yes ? args.barcodes[0] : undefined),
          },
          signal,
        );
        output.result({ media: labelled.map(documentMedium) }, () => formatMedia(labelled));
      },
    },
    open,
  );

const move = (open: OpenContext) =>
  command(
    {
      command: 'move <barcodes..>',
      describe: 'Record where cartridges are from now on',
      builder: (yargs) =>
        yargs
          .positional('barcodes', BARCODES)
          .option('location', { ...word('such as "Bank, box 2"'), demandOption: true }),
      run: async ({ app, output }, args) => {
        const moved = moveMedia(await app.catalog('write'), args.barcodes, args.location);
        output.result({ media: moved.map(documentMedium) }, () => formatMedia(moved));
      },
    },
    open,
  );

const retire = (open: OpenContext) =>
  command(
    {
      command: 'retire <barcodes..>',
      describe: 'Take media out of use; what lies on them alone is stored anew by the next backup',
      builder: (yargs) => yargs.positional('barcodes', BARCODES),
      run: async ({ app, output }, args) => {
        const retired = retireMedia(await app.catalog('write'), args.barcodes);
        const document = retired.map(({ medium, holdsArchives }) => ({
          ...documentMedium(medium),
          holdsArchives,
        }));
        output.result({ media: document }, () =>
          retired
            .map(({ medium, holdsArchives }) => {
              const copies = holdsArchives ? '; its copies no longer count' : '';
              return `${printable(medium.barcode)}: retired${copies}`;
            })
            .join('\n'),
        );
      },
    },
    open,
  );

const erase = (open: OpenContext) =>
  command(
    {
      command: 'erase <barcode>',
      describe: 'Make a cartridge scratch again that no snapshot needs',
      builder: (yargs) =>
        yargs
          .positional('barcode', {
            type: 'string',
            demandOption: true,
            describe: BARCODES.describe,
          })
          .option('confirm', word('its barcode once more'))
          .option('yes', { type: 'boolean', describe: 'you mean it; the barcode is whole then' })
          .option('force', {
            type: 'boolean',
            describe: 'also where snapshots need what others hold too',
          }),
      run: async ({ app, output, signal }, args) => {
        const { barcode, force = false } = args;
        const confirm = args.confirm ?? (args.yes ? barcode : undefined);
        const erased = await app.eraseMedium(barcode, { confirm, force }, signal);
        output.result(documentMedium(erased), () => formatMedia([erased]));
      },
    },
    open,
  );

/** @throws CodedError USAGE where it could not stand in a config */
function poolArgument(pool: string | undefined): string | undefined {
  if (pool === undefined || /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/.test(pool)) return pool;
  throw new CodedError(
    'USAGE',
    `--pool "${printable(pool)}": letters, digits, dot, dash; 32 at most`,
  );
}

function formatDetails(found: MediumDetails): string {
  const { medium, archives, moves, fill, health, catalogCopies } = found;
  const { setUuid, setNumber, nextFile, nextBlock, writeGeneration } = medium;
  const facts: [string, string | undefined][] = [
    ['state', medium.state],
    ['kind', medium.kind],
    ['pool', medium.pool],
    ['set', setUuid === undefined ? undefined : `${setNumber} of ${setUuid}`],
    ['uuid', medium.uuid],
    ['generation', medium.generation],
    ['capacity', formatSize(medium.capacityBytes)],
    [
      'written',
      `${formatSize(medium.writtenBytes)}: ${formatSize(fill.liveBytes)} live, ${formatSize(fill.staleBytes)} stale`,
    ],
    ['archives', countOf(archives, 'archive')],
    ['end of data', `file ${nextFile}, block ${nextBlock}, write generation ${writeGeneration}`],
    ['location', medium.location],
    ['registered', formatTime(medium.createdMs)],
    ...wearOf(health),
  ];
  const rows = facts.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
  const parts = [formatTable([medium.barcode, ''], rows)];
  if (health.warnings.length > 0) parts.push(health.warnings.map(printable).join('\n'));
  if (catalogCopies.length > 0) {
    const copies = catalogCopies.map(({ takenMs, fileNumber, startBlock, lengthBytes, isGood }) => [
      formatTime(takenMs),
      `${fileNumber}:${startBlock}`,
      formatSize(lengthBytes),
      isGood ? '' : 'does not count',
    ]);
    parts.push(formatTable(['CATALOG AS OF', 'FILE:BLOCK', 'SIZE', ''], copies));
  }
  if (moves.length > 0) {
    const known = moves.map(({ timeMs, from, to }) => [formatTime(timeMs), from ?? '', to ?? '']);
    parts.push(formatTable(['MOVED', 'FROM', 'TO'], known));
  }
  return parts.join('\n\n');
}

/** As of its last stay in a drive. */
function wearOf({ readings }: MediumDetails['health']): [string, string | undefined][] {
  const last = readings.at(-1);
  if (!last) return [];
  const { loads, writtenMib, readMib } = last;
  const life = (mib: number | undefined) => (mib === undefined ? '?' : formatSize(mib * 2 ** 20));
  const errors = (of: 'corrected' | 'uncorrected') =>
    readings.reduce((sum, one) => sum + (one[`${of}Writes`] ?? 0) + (one[`${of}Reads`] ?? 0), 0);
  return [
    ['last in a drive', formatTime(last.timeMs)],
    ['loads', loads === undefined ? undefined : loads.toLocaleString('en-US')],
    ['in its life', `${life(writtenMib)} written, ${life(readMib)} read`],
    [
      'errors',
      `${errors('corrected')} corrected, ${errors('uncorrected')} not, in ${countOf(readings.length, 'load')} here`,
    ],
  ];
}
