/** `shelfs library ...`: the changer, by hand. */
import type { CommandModule } from 'yargs';
import { CodedError, FAILURES } from '../base/errors.ts';
import { formatTable, printable } from '../base/text.ts';
import { healthOfLibrary, type LibraryHealth } from '../job/media-health.ts';
import type { LibraryStatus } from '../storage/library-status.ts';
import type { Moved } from '../storage/places.ts';
import type { App } from '../wire.ts';
import { command, type GlobalArgs, type OpenContext, placeArgument } from './context.ts';

/** The exit status of failures of drives. */
const DRIVE_ERROR = FAILURES.DRIVE_FAILED.exit;

export const library = (open: OpenContext): CommandModule<GlobalArgs, GlobalArgs> => ({
  command: 'library',
  describe: 'The tape library: what stands where, and moving it by hand',
  builder: (yargs) =>
    yargs
      .command(status(open))
      .command(inventory(open))
      .command(load(open))
      .command(unload(open))
      .command(transfer(open))
      .command(exportCartridge(open))
      .command(clean(open))
      .demandCommand(1, 'say what: status, inventory, load, unload, transfer, export or clean')
      .strict(),
  handler: () => {},
});

const status = (open: OpenContext) =>
  command(
    {
      command: 'status',
      describe: 'Drives, slots, ports and the cartridges in them',
      builder: (yargs) => yargs,
      run: async ({ app, output, signal }) => {
        const found = await (await app.library()).status(signal);
        const health = await healthOf(app);
        output.result({ ...found, health }, () =>
          [formatStatus(found), ...formatHealth(health)].join('\n\n'),
        );
      },
    },
    open,
  );

const inventory = (open: OpenContext) =>
  command(
    {
      command: 'inventory',
      describe: 'Let the changer look at every place again',
      builder: (yargs) => yargs,
      run: async ({ app, output, signal }) => {
        const found = await (await app.library()).inventory(signal);
        output.result(found, () => formatStatus(found));
      },
    },
    open,
  );

const load = (open: OpenContext) =>
  command(
    {
      command: 'load <cartridge> [drive]',
      describe: 'Bring a cartridge into a drive and wait until it is ready',
      builder: (yargs) =>
        yargs
          .positional('cartridge', {
            type: 'string',
            demandOption: true,
            describe: 'barcode or place, such as ABC001L9 or slot3',
          })
          .positional('drive', {
            type: 'string',
            describe: 'drive0, drive1, ...; default: the first empty one',
          }),
      run: async ({ app, output, signal }, args) => {
        const drive = args.drive === undefined ? undefined : driveArgument(args.drive);
        const done = await (await app.library()).load(placeArgument(args.cartridge), drive, signal);
        output.result(done, () => formatMoved(done));
      },
    },
    open,
  );

const unload = (open: OpenContext) =>
  command(
    {
      command: 'unload [drive] [place]',
      describe: 'Take the cartridge out of a drive, back to its slot',
      builder: (yargs) =>
        yargs
          .positional('drive', {
            type: 'string',
            describe: 'drive0 or the barcode in it; default: the only loaded drive',
          })
          .positional('place', {
            type: 'string',
            describe: 'where to, such as slot3; default: where it came from',
          }),
      run: async ({ app, output, signal }, args) => {
        const what = args.drive === undefined ? undefined : placeArgument(args.drive);
        const to = args.place === undefined ? undefined : placeArgument(args.place);
        const done = await (await app.library()).unload(what, to, signal);
        output.result(done, () => formatMoved(done));
      },
    },
    open,
  );

const transfer = (open: OpenContext) =>
  command(
    {
      command: 'transfer <from> <to>',
      describe: 'Move a cartridge from one place to another',
      builder: (yargs) =>
        yargs
          .positional('from', { type: 'string', demandOption: true, describe: 'barcode or place' })
          .positional('to', { type: 'string', demandOption: true, describe: 'place' }),
      run: async ({ app, output, signal }, args) => {
        const done = await (await app.library()).transfer(
          placeArgument(args.from),
          placeArgument(args.to),
          signal,
        );
        output.result(done, () => formatMoved(done));
      },
    },
    open,
  );

const exportCartridge = (open: OpenContext) =>
  command(
    {
      command: 'export <cartridge> [port]',
      describe: 'Bring a cartridge to an import/export port',
      builder: (yargs) =>
        yargs
          .positional('cartridge', {
            type: 'string',
            demandOption: true,
            describe: 'barcode or place',
          })
          .positional('port', {
            type: 'string',
            describe: 'port1, port2, ...; default: the first empty one',
          }),
      run: async ({ app, output, signal }, args) => {
        const port = args.port === undefined ? undefined : portArgument(args.port);
        const done = await (await app.library()).export(
          placeArgument(args.cartridge),
          port,
          signal,
        );
        output.result(done, () => formatMoved(done));
      },
    },
    open,
  );

const OUTCOMES = {
  cleaned: 'cleaned',
  spent: 'not cleaned: the cleaning cartridge is used up; put a new one into the library',
  refused: 'not cleaned: that is no cleaning cartridge which it takes; put another one in',
  unknown: 'the cleaning cartridge did not end its work; it was taken out again',
} as const;

const clean = (open: OpenContext) =>
  command(
    {
      command: 'clean [drive]',
      describe:
        'Clean a drive with a cleaning cartridge of the library; what is in it goes to its slot',
      builder: (yargs) =>
        yargs.positional('drive', {
          type: 'string',
          describe: 'drive0, drive1, ...; default: the only one',
        }),
      run: async ({ app, output, signal, setExit }, args) => {
        const drive = args.drive === undefined ? undefined : driveArgument(args.drive);
        const done = await app.cleanDrive(drive, signal);
        const { cartridge, outcome } = done;
        output.result(done, () => `drive ${done.drive.number}, ${cartridge}: ${OUTCOMES[outcome]}`);
        if (outcome !== 'cleaned') setExit(DRIVE_ERROR);
      },
    },
    open,
  );

/** A bare number is a drive here. */
function driveArgument(text: string): number {
  return numbered('drive', text);
}

function portArgument(text: string): number {
  return numbered('port', text);
}

function numbered(kind: 'drive' | 'port', text: string): number {
  const place = placeArgument(/^\d+$/.test(text.trim()) ? `${kind}${text.trim()}` : text);
  if (place.kind === kind) return place.number;
  throw new CodedError('USAGE', `"${text}" is no ${kind}; say for instance ${kind}1`);
}

/** The library answers also where the catalog does not. */
async function healthOf(app: App): Promise<LibraryHealth> {
  try {
    return healthOfLibrary(await app.catalog('read'));
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    const sentence = error.message;
    const warnings = error.code === 'STATE_MISSING' ? [] : [{ about: 'the catalog', sentence }];
    return { drives: [], cleaners: [], warnings };
  }
}

function formatHealth({ warnings, cleaners }: LibraryHealth): string[] {
  const told = warnings.map(({ about, sentence }) => printable(`${about}: ${sentence}`));
  const left = cleaners.map(({ barcode, left }) => `${barcode}: good for ${left} more cleanings`);
  return [...told, ...left].length === 0 ? [] : [[...told, ...left].join('\n')];
}

function formatMoved({ barcode, from, to }: Moved): string {
  return `${printable(barcode ?? 'the cartridge')}: ${from} to ${to}`;
}

export function formatStatus(found: LibraryStatus): string {
  const drives = found.drives.map((drive) => [
    `drive ${drive.number}`,
    drive.heldBy === null ? drive.state : `held by process ${drive.heldBy}`,
    drive.barcode ?? '',
    drive.from ?? '',
    drive.model ?? '',
    drive.serial ?? '',
    drive.device ?? '(not configured)',
  ]);
  const places = [...found.slots, ...found.ports].map((place) => {
    const cartridge = found.cartridges.find(
      (candidate) => candidate.place === `${place.kind} ${place.number}`,
    );
    const medium = cartridge
      ? `${cartridge.generation ?? ''} ${cartridge.kind === 'data' ? '' : cartridge.kind}`.trim()
      : '';
    return [
      `${place.kind} ${place.number}`,
      place.full ? (place.barcode ?? '(unreadable)') : '',
      medium,
    ];
  });
  const parts = [
    found.changer
      ? `changer ${printable(found.changer.model)} at ${printable(found.changer.device)}`
      : 'no changer: cartridges are moved by hand',
    formatTable(['DRIVE', 'STATE', 'CARTRIDGE', 'FROM', 'MODEL', 'SERIAL', 'DEVICE'], drives),
  ];
  for (const { number, state, problem } of found.drives) {
    if (state === 'failed' && problem !== null)
      parts.push(`drive ${number}: ${printable(problem)}`);
  }
  if (places.length > 0) parts.push(formatTable(['PLACE', 'CARTRIDGE', 'MEDIUM'], places));
  return parts.join('\n\n');
}
