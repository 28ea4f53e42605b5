/**
 * Init: makes the state directory, its catalog, its config and, where no hardware is named, a virtual library, whose
 * cartridges are registered as media.
 */
import { strict as assert } from 'node:assert';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { replaceFile, syncDirectory } from '../base/durable.ts';
import { CodedError, errnoOf } from '../base/errors.ts';
import type { Random } from '../base/random.ts';
import { Catalog } from '../catalog/catalog.ts';
import { Media } from '../catalog/shelf/media.ts';
import {
  CATALOG_FILE,
  CONFIG_FILE,
  formatConfig,
  type LibraryConfig,
  parseConfig,
} from '../config.ts';
import { type Barcode, barcodeSeries } from '../domain/barcode.ts';
import { type DriveGeneration, GENERATIONS } from '../domain/generation.ts';
import type { LibraryShape } from '../domain/library-shape.ts';

export type InitRequest =
  | {
      readonly kind: 'virtual';
      readonly cartridges: number;
      readonly drives: number;
      readonly generation: DriveGeneration;
      /** Default: the generation's native capacity. */
      readonly capacityBytes: number | undefined;
      /** A person moves the cartridges. */
      readonly isByHand?: boolean;
    }
  | {
      readonly kind: 'hardware';
      readonly changer: string | undefined;
      readonly drives: readonly string[];
    };

export type InitResult = {
  readonly stateDirectory: string;
  readonly config: string;
  readonly catalog: string;
  /** Of the virtual library's cartridges. */
  readonly barcodes: readonly string[];
};

export type InitTools = {
  readonly random: Random;
  readonly clock: Clock;
  /** @throws CodedError when it is no changer */
  checkChanger(path: string): Promise<void>;
  /** @throws CodedError when it is no tape drive */
  checkDrive(path: string): Promise<void>;
  createLibrary(directory: string, shape: LibraryShape): Promise<void>;
  /** Takes a lock that ends with the process. @throws CodedError DRIVE_BUSY naming the holder's pid */
  lock(path: string): Promise<{ close(): Promise<void> }>;
};

/** Small autoloaders have eight slots a row. */
const SLOTS_PER_ROW = 8;
const VIRTUAL_DIRECTORY = 'virtual';

/** The config before it counts: written first, renamed last. While it stands alone, what lies beside it was never used. */
const UNFINISHED = `${CONFIG_FILE}.new`;
const LOCK = 'init.lock';
/** With what SQLite keeps beside it while it is open, or when it was not closed. */
const CATALOG_FILES = ['', '-wal', '-shm', '-journal'].map((ending) => `${CATALOG_FILE}${ending}`);

/**
 * A directory with a config is complete: the config comes last. What an interrupted init left is cleared away by the
 * next one; anything else is refused, not written over.
 * @throws CodedError STATE_EXISTS when the directory has content; LIBRARY_BUSY when another process makes it just now; a
 * device's failure before anything is made
 */
export async function initialize(
  stateDirectory: string,
  request: InitRequest,
  tools: InitTools,
): Promise<InitResult> {
  await expectEmpty(stateDirectory);
  const library = await describeLibrary(request, tools);
  try {
    // Paths of everything ever backed up will lie here: for the owner only.
    await mkdir(stateDirectory, { recursive: true, mode: 0o700 });
    const lock = await lockAlone(stateDirectory, tools);
    try {
      await expectEmpty(stateDirectory);
      return await build(stateDirectory, request, library, tools);
    } finally {
      await rm(join(stateDirectory, LOCK), { force: true });
      await lock.close();
    }
  } catch (cause) {
    if (cause instanceof CodedError || errnoOf(cause) === undefined) throw cause;
    const sentence = `${stateDirectory} cannot be made (${errnoOf(cause)})`;
    throw new CodedError('FAILED', sentence, { path: stateDirectory, cause });
  }
}

async function build(
  stateDirectory: string,
  request: InitRequest,
  library: LibraryConfig,
  tools: InitTools,
): Promise<InitResult> {
  const unfinished = join(stateDirectory, UNFINISHED);
  const config = join(stateDirectory, CONFIG_FILE);
  const directory = join(stateDirectory, VIRTUAL_DIRECTORY);
  await rm(directory, { recursive: true, force: true });
  for (const name of CATALOG_FILES) await rm(join(stateDirectory, name), { force: true });
  const text = formatConfig(library);
  await replaceFile(unfinished, text, { mode: 0o600 });
  const shape = request.kind === 'virtual' ? virtualShape(request) : undefined;
  if (shape) await tools.createLibrary(directory, shape);
  const catalog = join(stateDirectory, CATALOG_FILE);
  const { pool } = parseConfig(text, config).backup;
  await createCatalog(catalog, { clock: tools.clock, shape, pool });
  await rename(unfinished, config);
  await syncDirectory(stateDirectory);
  return { stateDirectory, config, catalog, barcodes: shape?.barcodes ?? [] };
}

/** Cartridges of a virtual library are known from the beginning; of real ones `media add` tells. */
async function createCatalog(
  path: string,
  options: {
    readonly clock: Clock;
    readonly shape: LibraryShape | undefined;
    readonly pool: string;
  },
): Promise<void> {
  const { clock, shape, pool } = options;
  // Made by hand first: SQLite would let others read it, as far as the umask does.
  await replaceFile(path, '', { mode: 0o600 });
  const catalog = Catalog.create(path, clock);
  try {
    if (!shape) return;
    const { generation, capacityBytes = GENERATIONS[generation].nativeBytes } = shape;
    new Media(catalog).add(
      shape.barcodes.map((barcode) => ({ barcode, kind: 'tape', pool, generation, capacityBytes })),
    );
  } finally {
    catalog.close();
  }
}

async function lockAlone(directory: string, tools: InitTools): Promise<{ close(): Promise<void> }> {
  try {
    return await tools.lock(join(directory, LOCK));
  } catch (cause) {
    if (!(cause instanceof CodedError)) throw cause;
    if (cause.code !== 'DRIVE_BUSY') {
      throw new CodedError('FAILED', `${directory} cannot be written to`, {
        path: directory,
        cause,
      });
    }
    const { pid } = cause.facts;
    const who = pid === undefined ? 'another process' : `process ${pid}`;
    throw new CodedError('LIBRARY_BUSY', `${directory} is being made by ${who} just now`, {
      path: directory,
      cause,
      ...(pid !== undefined && { pid }),
    });
  }
}

async function describeLibrary(request: InitRequest, tools: InitTools): Promise<LibraryConfig> {
  if (request.kind === 'virtual')
    return {
      kind: 'virtual',
      directory: VIRTUAL_DIRECTORY,
      speed: 'model',
      ...(request.isByHand && { changer: false }),
    };
  if (request.changer !== undefined) await tools.checkChanger(request.changer);
  for (const drive of request.drives) await tools.checkDrive(drive);
  const { changer, drives } = request;
  return { kind: 'hardware', drives: [...drives], ...(changer !== undefined && { changer }) };
}

function virtualShape(request: Extract<InitRequest, { kind: 'virtual' }>): LibraryShape {
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
  const isUnfinished = names.includes(UNFINISHED) && !names.includes(CONFIG_FILE);
  const unfinished = [UNFINISHED, `${UNFINISHED}.new`, LOCK, VIRTUAL_DIRECTORY, ...CATALOG_FILES];
  const ours = isUnfinished ? [...unfinished, `${CATALOG_FILE}.new`] : [LOCK];
  if (names.every((name) => ours.includes(name))) return;
  const what = names.includes(CONFIG_FILE) ? 'holds a shelfs state already' : 'is not empty';
  throw new CodedError(
    'STATE_EXISTS',
    `${directory} ${what}; nothing was changed; name another with --state`,
    {
      path: directory,
    },
  );
}
