/** Init: makes the state directory, its config and, where no hardware is named, a virtual library. */
import { strict as assert } from 'node:assert';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from '../base/durable.ts';
import { CodedError, errnoOf } from '../base/errors.ts';
import type { Random } from '../base/random.ts';
import { CONFIG_FILE, formatConfig, type LibraryConfig } from '../config.ts';
import { type Barcode, barcodeSeries } from '../domain/barcode.ts';
import { type DriveGeneration, GENERATIONS } from '../domain/generation.ts';

export type InitRequest =
  | {
      readonly kind: 'virtual';
      readonly cartridges: number;
      readonly drives: number;
      readonly generation: DriveGeneration;
      /** Default: the generation's native capacity. */
      readonly capacityBytes: number | undefined;
    }
  | {
      readonly kind: 'hardware';
      readonly changer: string | undefined;
      readonly drives: readonly string[];
    };

export type InitResult = {
  readonly stateDirectory: string;
  readonly config: string;
  readonly barcodes: readonly string[];
};

/** What a virtual library is to look like. */
export type VirtualShape = {
  readonly generation: DriveGeneration;
  readonly capacityBytes?: number;
  readonly drives: number;
  readonly slots: number;
  readonly ports: number;
  readonly barcodes: readonly Barcode[];
};

export type InitTools = {
  readonly random: Random;
  /** @throws CodedError when it is no changer */
  checkChanger(path: string): Promise<void>;
  /** @throws CodedError when it is no tape drive */
  checkDrive(path: string): Promise<void>;
  createLibrary(directory: string, shape: VirtualShape): Promise<void>;
};

/** Small autoloaders have eight slots a row. */
const SLOTS_PER_ROW = 8;
const VIRTUAL_DIRECTORY = 'virtual';

/**
 * The config is written last: a directory with a config is complete. What an interrupted init left is refused, not
 * written over.
 * @throws CodedError STATE_EXISTS when the directory has content; a device's failure before anything is made
 */
export async function initialize(
  stateDirectory: string,
  request: InitRequest,
  tools: InitTools,
): Promise<InitResult> {
  await expectEmpty(stateDirectory);
  const library = await describeLibrary(request, tools);
  // Paths of everything ever backed up will lie here: for the owner only.
  await mkdir(stateDirectory, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
    const why = errnoOf(cause) ?? 'error';
    throw new CodedError('FAILED', `${stateDirectory} cannot be made (${why})`, {
      path: stateDirectory,
      cause,
    });
  });
  let barcodes: readonly Barcode[] = [];
  if (request.kind === 'virtual') {
    const shape = virtualShape(request);
    barcodes = shape.barcodes;
    await tools.createLibrary(join(stateDirectory, VIRTUAL_DIRECTORY), shape);
  }
  const config = join(stateDirectory, CONFIG_FILE);
  await replaceFile(config, formatConfig(library), { mode: 0o600 });
  return { stateDirectory, config, barcodes };
}

async function describeLibrary(request: InitRequest, tools: InitTools): Promise<LibraryConfig> {
  if (request.kind === 'virtual')
    return { kind: 'virtual', directory: VIRTUAL_DIRECTORY, speed: 'model' };
  if (request.changer !== undefined) await tools.checkChanger(request.changer);
  for (const drive of request.drives) await tools.checkDrive(drive);
  const { changer, drives } = request;
  return { kind: 'hardware', drives: [...drives], ...(changer !== undefined && { changer }) };
}

function virtualShape(request: Extract<InitRequest, { kind: 'virtual' }>): VirtualShape {
  const { cartridges, drives, generation, capacityBytes } = request;
  const digits = Math.max(3, String(cartridges).length);
  const volser = `${'VIR'.slice(0, 6 - digits)}${'1'.padStart(digits, '0')}`;
  const barcodes = barcodeSeries(
    `${volser}${GENERATIONS[generation].suffix}` as Barcode,
    cartridges,
  );
  assert(barcodes, 'the digits are as many as the count needs');
  return {
    generation,
    ...(capacityBytes !== undefined && { capacityBytes }),
    drives,
    slots: Math.ceil(Math.max(cartridges, 1) / SLOTS_PER_ROW) * SLOTS_PER_ROW,
    ports: 1,
    barcodes,
  };
}

async function expectEmpty(directory: string): Promise<void> {
  const names = await readdir(directory).catch((error: unknown): string[] => {
    if (errnoOf(error) === 'ENOENT') return [];
    const why = errnoOf(error) ?? 'error';
    throw new CodedError(
      'STATE_EXISTS',
      `${directory} cannot be used as state directory (${why})`,
      { cause: error },
    );
  });
  if (names.length === 0) return;
  const what = names.includes(CONFIG_FILE) ? 'holds a shelfs state already' : 'is not empty';
  throw new CodedError(
    'STATE_EXISTS',
    `${directory} ${what}; nothing was changed; name another with --state`,
    {
      path: directory,
    },
  );
}
