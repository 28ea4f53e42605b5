/** `shelfs init` */
import { resolve } from 'node:path';
import { parseSize } from '../base/bytes.ts';
import { usage } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import { isDriveGeneration, parseGeneration } from '../domain/generation.ts';
import { CAPACITY_BYTES_MIN } from '../domain/library-shape.ts';
import type { InitRequest } from '../job/init.ts';
import { command, type OpenContext } from './context.ts';

/** Element addresses have 16 bits; libraries of this size exist. */
const CARTRIDGES_MAX = 10_000;
const DRIVES_MAX = 64;

type Args = {
  virtual?: number | undefined;
  drives?: number | undefined;
  generation?: string | undefined;
  capacity?: string | undefined;
  changer?: string | undefined;
  'no-changer'?: boolean | undefined;
  drive?: string[] | undefined;
};

export const init = (open: OpenContext) =>
  command(
    {
      command: 'init',
      describe: 'Make the state directory; with no hardware named, a virtual library',
      builder: (yargs) =>
        yargs
          .option('virtual', {
            type: 'number',
            requiresArg: true,
            describe: 'virtual library with this many scratch cartridges',
          })
          .option('drives', {
            type: 'number',
            requiresArg: true,
            describe: 'drives of the virtual library; default 1',
          })
          .option('generation', {
            type: 'string',
            requiresArg: true,
            describe: 'of the virtual library; default LTO-9',
          })
          .option('capacity', {
            type: 'string',
            requiresArg: true,
            describe: 'of a virtual cartridge, such as 2GB; default as real',
          })
          .option('no-changer', {
            type: 'boolean',
            describe: 'virtual library whose cartridges you move: `library load` is your hand',
          })
          .option('changer', {
            type: 'string',
            requiresArg: true,
            describe: 'device of the changer, such as /dev/sch0',
          })
          .option('drive', {
            type: 'string',
            array: true,
            requiresArg: true,
            describe: 'device of a tape drive, such as /dev/nst0',
          }),
      run: async ({ app, output, signal }, args) => {
        const request = requestOf(args);
        const result = await app.init(request, signal);
        const library = await (await app.library()).status(signal);
        output.result({ ...result, library }, () => {
          const { drives, cartridges } = library;
          const what = `${count(drives.length, 'drive')}, ${count(cartridges.length, 'cartridge')}`;
          return `made ${printable(result.config)} (${request.kind} library: ${what})\nnext: shelfs library status`;
        });
      },
    },
    open,
  );

/** @throws CodedError USAGE */
export function requestOf(args: Args): InitRequest {
  // Relative names would mean something else from another directory.
  const changer = args.changer === undefined ? undefined : resolve(args.changer);
  const drive = (args.drive ?? []).map((path) => resolve(path));
  const repeated = drive.find((path, index) => drive.indexOf(path) !== index);
  if (repeated !== undefined) throw usage(`--drive ${printable(repeated)} is given twice`);
  const isByHand = args['no-changer'];
  const isVirtual = [args.virtual, args.drives, args.generation, args.capacity, isByHand].some(
    (value) => value !== undefined,
  );
  if (changer !== undefined || drive.length > 0) {
    if (isVirtual)
      throw usage(
        '--changer and --drive name hardware; they do not go with the options of a virtual library',
      );
    if (drive.length === 0) throw usage('a changer needs a drive: name it with --drive');
    return { kind: 'hardware', changer, drives: drive };
  }
  const generation = parseGeneration(args.generation ?? 'LTO-9');
  if (!generation || !isDriveGeneration(generation.name)) {
    throw usage(`--generation ${args.generation}: say LTO-5, LTO-6, LTO-7, LTO-8, LTO-9 or LTO-10`);
  }
  const capacityBytes = args.capacity === undefined ? undefined : parseSize(args.capacity);
  if (
    args.capacity !== undefined &&
    (capacityBytes === undefined || capacityBytes < CAPACITY_BYTES_MIN)
  ) {
    throw usage(`--capacity ${args.capacity}: say a size of at least 8 MiB, such as 2GB`);
  }
  return {
    kind: 'virtual',
    cartridges: whole('--virtual', args.virtual ?? 4, { min: 0, max: CARTRIDGES_MAX }),
    drives: whole('--drives', args.drives ?? 1, { min: 1, max: DRIVES_MAX }),
    generation: generation.name,
    capacityBytes,
    ...(isByHand && { isByHand }),
  };
}

function whole(option: string, value: number, range: { min: number; max: number }): number {
  if (Number.isInteger(value) && value >= range.min && value <= range.max) return value;
  throw usage(`${option}: say a whole number from ${range.min} to ${range.max}`);
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
