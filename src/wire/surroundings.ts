/** What of the application its parts are built from: each picks what it needs. */
import type { Clock } from '../base/clock.ts';
import type { Host } from '../base/machine.ts';
import type { Random } from '../base/random.ts';
import type { Raw } from '../base/raw.ts';
import type { Catalog, CatalogMode } from '../catalog/catalog.ts';
import type { Config } from '../config.ts';
import type { Library } from '../storage/library.ts';

export type Surroundings = {
  readonly stateDirectory: string;
  /** Name and version, for labels and archives. */
  readonly program: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly host: Host;
  config(): Promise<Config>;
  catalog(mode: CatalogMode): Promise<Catalog>;
  /** Directories that are never backed up. */
  ownDirectories(): Promise<Raw[]>;
  library(): Promise<Library>;
  /** A job has ended: drives may be cleaned. */
  cleanIdle(signal: AbortSignal): Promise<void>;
};
