/** A recovery takes a library that no config names yet. */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { CodedError } from '../base/errors.ts';
import { systemMachine } from '../base/machine.ts';
import type { Random } from '../base/random.ts';
import { printable } from '../base/text.ts';
import { formatConfig, type LibraryConfig, parseConfig } from '../config.ts';
import { resolveDevice } from '../device/node.ts';
import type { RecoverEvent, RecoverReport } from '../job/recover/report.ts';
import type { Operator } from '../storage/operator.ts';
import type { Surroundings } from './surroundings.ts';

export type RecoverOrder = {
  /** Devices, or a directory of virtual cartridges; none, to merge: the library of the config. */
  readonly from: readonly string[];
  /** Barcodes; empty: all. */
  readonly media: readonly string[];
  /** `new`: there is no catalog; `merge`: there is one, and media know more. */
  readonly into: 'new' | 'merge';
};

type RecoverSurroundings = Pick<
  Surroundings,
  | 'stateDirectory'
  | 'clock'
  | 'random'
  | 'host'
  | 'terminal'
  | 'config'
  | 'warn'
  | 'libraryOf'
  | 'lock'
>;

export async function wireRecover(
  app: RecoverSurroundings,
  order: RecoverOrder,
  listen: (event: RecoverEvent) => void,
  signal: AbortSignal,
): Promise<RecoverReport> {
  const { recover, mergeMedia } = await import('../job/recover/recover.ts');
  const isMerge = order.into === 'merge';
  const from =
    isMerge && order.from.length === 0
      ? (await app.config()).library
      : await libraryConfig(app.stateDirectory, order.from, app.random);
  const { stateDirectory, clock, random, host } = app;
  return (isMerge ? mergeMedia : recover)(
    { from, media: order.media },
    {
      ...{ stateDirectory, clock, random, host },
      pid: process.pid,
      openLibrary: (config) => app.libraryOf(config),
      openOperator: () => openOperator(app, { from, isMerge }),
      lock: (path) => app.lock(path),
    },
    listen,
    signal,
  );
}

/** A person at the terminal is asked for cartridges, where somebody has to bring them. */
async function openOperator(
  app: RecoverSurroundings,
  { from, isMerge }: { readonly from: LibraryConfig; readonly isMerge: boolean },
): Promise<{ readonly operator: Operator; close(): Promise<void> }> {
  const isByHand = from.kind === 'virtual' ? from.changer === false : from.changer === undefined;
  if (!isByHand || app.terminal === undefined) {
    const { absentOperator } = await import('../storage/operator.ts');
    return { operator: absentOperator, close: async () => {} };
  }
  const { wireOperator } = await import('./operator.ts');
  const settings = isMerge ? await app.config() : parseConfig(formatConfig(from), 'config');
  return wireOperator({ ...app, config: async () => settings }, { warn: (text) => app.warn(text) });
}

/** The library that what a person named makes up. @throws CodedError USAGE, DEVICE_MISSING, DEVICE_UNSUITABLE */
export async function libraryConfig(
  stateDirectory: string,
  from: readonly string[],
  random: Random,
): Promise<LibraryConfig> {
  const paths = [...new Set(from.map((path) => resolve(path)))];
  const [first] = paths;
  if (first === undefined)
    throw new CodedError('USAGE', 'say where the cartridges are: devices, or a directory');
  if (await isVirtual(first, random)) {
    if (paths.length > 1)
      throw new CodedError('USAGE', 'one directory of virtual cartridges at a time');
    const inside = `${resolve(stateDirectory)}/`;
    const directory = first.startsWith(inside) ? first.slice(inside.length) : first;
    return { kind: 'virtual', directory, speed: 'model' };
  }
  const kinds = await Promise.all(paths.map((path) => stat(path).catch(() => undefined)));
  if (kinds.some((found) => !found?.isCharacterDevice()))
    throw new CodedError(
      'USAGE',
      `${printable(first)} is neither a device nor a directory of virtual cartridges (BARCODE.tap)`,
    );
  const nodes = await Promise.all(paths.map((path) => resolveDevice(path)));
  const changers = paths.filter((_, index) => nodes[index]?.kind === 'changer');
  const drives = paths.filter((_, index) => nodes[index]?.kind === 'tape');
  const [changer] = changers;
  if (changers.length > 1) throw new CodedError('USAGE', 'one changer at a time');
  if (drives.length === 0)
    throw new CodedError('USAGE', 'a changer needs a drive: name its devices too');
  return { kind: 'hardware', drives, ...(changer !== undefined && { changer }) };
}

/** What makes a directory a virtual library (device/virtual/state.ts). */
const VIRTUAL_LIBRARY = 'library.json';

/** Cartridges that were copied out of their library are made one. */
async function isVirtual(directory: string, random: Random): Promise<boolean> {
  if (await systemMachine.exists(resolve(directory, VIRTUAL_LIBRARY))) return true;
  if (directory.startsWith('/dev/')) return false;
  const { adoptCartridges } = await import('../device/virtual/adopt.ts');
  return adoptCartridges(directory, random);
}
