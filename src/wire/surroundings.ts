/**
 * What every part of the application is built from, and the only place that picks implementations: the machine's clock or a
 * simulated one, the kernel's SCSI devices or a virtual library. Nothing is opened before it is asked for.
 */
import { join, resolve } from 'node:path';
import { type Clock, systemClock } from '../base/clock.ts';
import { type Host, systemHost } from '../base/machine.ts';
import { type Random, systemRandom } from '../base/random.ts';
import { type Raw, rawOf } from '../base/raw.ts';
import type { Catalog, CatalogMode } from '../catalog/catalog.ts';
import { CATALOG_FILE, type Config, loadConfig } from '../config.ts';
import { type FileLock, loadScsiDoor, lockFile, type ScsiDoor } from '../device/native.ts';
import { tracePort } from '../device/trace.ts';
import type { Terminal } from '../notify/terminal.ts';
import type { HealthKeeper } from '../storage/health-watch.ts';
import type { Library } from '../storage/library.ts';
import { libraryDevices } from './library.ts';
import { OpenCatalogs } from './open-catalogs.ts';

export type WireOptions = {
  readonly stateDirectory: string;
  readonly configPath?: string | undefined;
  /** Name and version, for labels and archives. */
  readonly program: string;
  /** Receives one line for each SCSI command, and what else only who looks for a mistake wants to know (`-vv`). */
  readonly trace?: ((line: string) => void) | undefined;
  /** Where questions are shown and answers typed. */
  readonly terminal?: Terminal | undefined;
  /** Receives what goes wrong beside the work, such as a channel that cannot tell anybody. */
  readonly warn?: ((message: string) => void) | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: Random | undefined;
  readonly host?: Host | undefined;
};

/** Each part names which of these it needs. */
export type Surroundings = {
  readonly stateDirectory: string;
  /** Name and version, for labels and archives. */
  readonly program: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly host: Host;
  /** Of this process, where it has one. */
  readonly terminal: Terminal | undefined;
  /** What goes wrong beside the work. */
  warn(message: string): void;
  /** @throws CodedError STATE_MISSING, CONFIG_INVALID */
  config(): Promise<Config>;
  /**
   * The catalog, opened once and closed by `close`.
   * @throws CodedError STATE_MISSING; as `Catalog.open`
   */
  catalog(mode: CatalogMode): Promise<Catalog>;
  /** The connection that this process writes with, else one for a moment. @throws CodedError as `catalog` */
  writing<T>(work: (catalog: Catalog) => T): Promise<T>;
  /** Directories that are never backed up: the state, the stage, virtual cartridges. */
  ownDirectories(): Promise<Raw[]>;
  /** The door to the kernel's SCSI devices. @throws CodedError FAILED where it is not built */
  openDoor(): ScsiDoor;
  /** @throws CodedError as `lockFile` */
  lock(path: string): Promise<FileLock>;
  library(): Promise<Library>;
  /** The library of the config at this path; nobody keeps its health. */
  libraryOf(configPath: string): Promise<Library>;
  /** A job has ended, so its drives are idle: those that ask for it are cleaned, where the config says so. */
  cleanIdle(signal: AbortSignal): Promise<void>;
  /** May be called twice. */
  close(): void;
};

export function surroundings(options: WireOptions): Surroundings {
  const { stateDirectory, program, configPath, terminal, warn = () => {} } = options;
  const { clock = systemClock, random = systemRandom, host = systemHost() } = options;
  const config = () => loadConfig(stateDirectory, configPath);
  const catalogs = new OpenCatalogs(join(stateDirectory, CATALOG_FILE), clock);
  const writing = async <T>(work: (catalog: Catalog) => T) => {
    await config();
    return catalogs.writing(work);
  };
  const { openDoor, libraryWith } = devices(options, clock);
  let keeper: HealthKeeper | undefined;
  const library = async () => {
    const found = await config();
    const { healthKeeper } = await import('./care.ts');
    keeper ??= healthKeeper({ writing }, { cleans: found.drives.cleaning === 'auto', warn });
    return libraryWith(found, keeper);
  };
  return {
    ...{ stateDirectory, program, clock, random, host, terminal },
    ...{ warn, config, writing, openDoor, library },
    catalog: async (mode) => {
      await config();
      return catalogs.of(mode);
    },
    ownDirectories: async () => directoriesOf(await config()),
    lock: (path) => lockFile(openDoor(), path),
    libraryOf: async (path) => libraryWith(await loadConfig(stateDirectory, path), undefined),
    cleanIdle: async (signal) => {
      if (!keeper?.cleans) return;
      const { cleanAsked } = await import('../storage/clean.ts');
      await cleanAsked(await library(), { clock, signal, warn });
    },
    close: () => catalogs.close(),
  };
}

function devices({ trace }: WireOptions, clock: Clock) {
  let door: ScsiDoor | undefined;
  const openDoor = () => {
    door ??= loadScsiDoor();
    return door;
  };
  const traced: Parameters<typeof libraryDevices>[1]['traced'] = (port) =>
    trace ? tracePort(port, trace, clock) : port;
  return {
    openDoor,
    libraryWith: async (config: Config, keeper: HealthKeeper | undefined) => {
      const { Library } = await import('../storage/library.ts');
      return new Library(await libraryDevices(config, { clock, openDoor, traced }), clock, keeper);
    },
  };
}

function directoriesOf({ stateDirectory, library, stage, backup }: Config): Raw[] {
  const below = [stage.directory, backup['staging-directory']];
  if (library.kind === 'virtual') below.push(library.directory);
  return [stateDirectory, ...below.map((directory) => resolve(stateDirectory, directory))].map(
    rawOf,
  );
}
