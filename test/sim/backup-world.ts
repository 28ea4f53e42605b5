/** A whole product for one test: a state directory with a catalog, a virtual library, and a tree to be protected. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Clock } from '../../src/base/clock.ts';
import { systemRandom } from '../../src/base/random.ts';
import { rawOf } from '../../src/base/raw.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import { Sources } from '../../src/catalog/job/sources.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import { Directories } from '../../src/catalog/tree/directories.ts';
import { Tree } from '../../src/catalog/tree/tree.ts';
import { parseConfig } from '../../src/config.ts';
import type { ScsiPort } from '../../src/device/port.ts';
import type { Speed } from '../../src/device/virtual/usage.ts';
import type { Barcode } from '../../src/domain/barcode.ts';
import { type BackupRequest, type BackupTools, backup } from '../../src/job/backup/backup.ts';
import type { BackupEvent, BackupReport } from '../../src/job/backup/report.ts';
import { backupCopies } from '../../src/job/backup/start.ts';
import { labelMedium } from '../../src/job/label-media.ts';
import type { RestoreEvent, RestoreReport } from '../../src/job/restore/report.ts';
import { restore } from '../../src/job/restore/restore.ts';

import type { DriveHandover } from '../../src/recall/handover.ts';
import type { HealthKeeper } from '../../src/storage/health-watch.ts';
import type { Operator } from '../../src/storage/operator.ts';

import { libraryOf } from './library-of.ts';
import { libraryByHand } from './operator-world.ts';
import { scratchDirectory } from './scratch.ts';
import { SimWorld } from './world.ts';

const go = new AbortController().signal;
export const HOST = 'testhost';

export type BackupWorldOptions = {
  readonly cartridges?: number;
  readonly capacityBytes?: number;
  /** What the catalog takes the cartridges to hold; left out: what they hold. */
  readonly claimedBytes?: number;
  readonly drives?: number;
  /** How many of them are given to us; default: all. */
  readonly ownDrives?: number;
  /** Of drives and cartridges. */
  readonly generation?: 'LTO-8' | 'LTO-9';
  /** What stands between the product and each drive. */
  readonly between?: (port: ScsiPort) => ScsiPort;
  /** A person is the changer: test/sim/operator-world.ts has the hand. */
  readonly isByHand?: boolean;
  /** Cartridges that the catalog knows from the beginning; default: all. */
  readonly registered?: number;
  /** Who keeps the health of media and drives; default: nobody. */
  readonly keeper?: (catalog: Catalog) => HealthKeeper;
  /** Default: one of its own. */
  readonly clock?: Clock;
  /** Whether drives take their time, by the clock of the world; default: it is only added up. */
  readonly speed?: Speed;
  /** Lines of the config below [library]. */
  readonly config?: string;
};

export type BackupOptions = {
  readonly copies?: number;
  readonly workers?: number;
  readonly verify?: boolean;
  readonly wait?: boolean;
  readonly events?: BackupEvent[];
  /** Sees each event as it comes. */
  readonly listen?: (event: BackupEvent) => void;
  /** Called in the middle of the run, when it goes over to a cartridge that has no label yet. */
  readonly beforeLabel?: () => Promise<void>;
  readonly operator?: Operator;
  readonly signal?: AbortSignal;
  readonly handover?: DriveHandover;
};

export class BackupWorld {
  readonly sim: SimWorld;
  readonly catalog: Catalog;
  readonly tools: BackupTools;
  /** The tree to be protected. */
  readonly source: string;
  readonly state: string;

  private constructor(parts: {
    sim: SimWorld;
    catalog: Catalog;
    tools: BackupTools;
    source: string;
    state: string;
  }) {
    this.sim = parts.sim;
    this.catalog = parts.catalog;
    this.tools = parts.tools;
    this.source = parts.source;
    this.state = parts.state;
  }

  static async make(options: BackupWorldOptions = {}): Promise<BackupWorld> {
    const { cartridges = 4, capacityBytes = 200 * 2 ** 20, drives = 2 } = options;
    const { generation = 'LTO-8' } = options;
    const barcodes = Array.from(
      { length: cartridges },
      (_, index) => `BKP${String(index + 1).padStart(3, '0')}L${generation.at(-1)}` as Barcode,
    );
    const sim = await SimWorld.make({
      shape: { generation, barcodes, slots: cartridges + 2, drives, capacityBytes },
      speed: options.speed ?? 'model',
      ...(options.clock && { clock: options.clock }),
    });
    const root = await scratchDirectory();
    const state = join(root, 'state');
    const source = join(root, 'source');
    await mkdir(state);
    await mkdir(source);
    const { clock } = sim;
    const catalog = Catalog.create(join(state, 'catalog.sqlite'), clock);
    onTestFinished(() => catalog.close());
    new Media(catalog).add(
      barcodes.slice(0, options.registered).map((barcode) => ({
        barcode,
        kind: 'tape',
        pool: 'main',
        generation,
        capacityBytes: options.claimedBytes ?? capacityBytes,
      })),
    );
    const library = await (options.isByHand
      ? libraryByHand(sim, options.keeper?.(catalog))
      : libraryOf(sim, options.keeper?.(catalog), options));
    const config = parseConfig(`[library]\nkind = "virtual"\n${options.config ?? ''}`, 'config');
    const tools: BackupTools = {
      catalog,
      library,
      clock,
      random: systemRandom,
      archive: config.archive,
      backup: config.backup,
      groom: config.groom,
      stateDirectory: state,
      ownDirectories: [rawOf(state), rawOf(sim.directory)],
      program: 'shelfs test',
      host: { name: HOST, system: 'test' },
      pid: process.pid,
      usage: () => ({ cpuSeconds: 0, peakRssBytes: 0 }),
      hasSha256: () => true,
      label: (barcode, pool, signal) =>
        labelMedium(
          {
            catalog,
            library,
            clock,
            random: systemRandom,
            host: HOST,
            program: 'shelfs',
            pool,
            blockBytes: config.archive.block,
          },
          barcode,
          signal,
        ),
    };
    const { id } = new Directories(catalog).ensureHost(HOST);
    const path = rawOf(source);
    new Sources(catalog).add({ name: 'tree', hostId: id, path, original: path, options: {} });
    return new BackupWorld({ sim, catalog, tools, source, state });
  }

  /** The same world with another catalog, such as one that was recovered: what it does not know is registered anew. */
  withCatalog(catalog: Catalog, state: string): BackupWorld {
    const { sim, source, tools } = this;
    const media = new Media(catalog);
    for (const { barcode, generation, capacityBytes } of new Media(this.catalog).list())
      if (!media.find(barcode))
        media.add([{ barcode, kind: 'tape', pool: 'main', generation, capacityBytes }]);
    const { id } = new Directories(catalog).ensureHost(HOST);
    const path = rawOf(source);
    if (new Sources(catalog).list().length === 0)
      new Sources(catalog).add({ name: 'tree', hostId: id, path, original: path, options: {} });
    const { library, clock, archive } = tools;
    const identity = { host: HOST, program: 'shelfs', blockBytes: archive.block };
    const label: BackupTools['label'] = (barcode, pool, signal) =>
      labelMedium(
        { catalog, library, clock, random: systemRandom, pool, ...identity },
        barcode,
        signal,
      );
    const own = { ...tools, catalog, stateDirectory: state, label };
    return new BackupWorld({ sim, catalog, tools: own, source, state });
  }

  async backup(options: BackupOptions = {}): Promise<BackupReport> {
    const listen = (event: BackupEvent) => {
      options.events?.push(event);
      options.listen?.(event);
    };
    const label: BackupTools['label'] = async (...medium) => {
      await options.beforeLabel?.();
      return this.tools.label(...medium);
    };
    const { handover, operator, signal = go } = options;
    const tools = { ...this.tools, label, operator, ...(handover && { handover }) };
    return backup(this.#order(options), tools, listen, signal);
  }

  /** As the command does it: in as many runs as the drives make needful. */
  backupCopies(
    copies: number,
    { listen = () => {}, signal = go }: Pick<BackupOptions, 'listen' | 'signal'> = {},
  ): Promise<BackupReport[]> {
    return backupCopies(this.#order({ copies }), this.tools, listen, signal);
  }

  #order(options: BackupOptions): BackupRequest {
    const { copies = 1, workers = 0, verify = false, wait = true } = options;
    return {
      sources: new Sources(this.catalog).list(),
      copies,
      copiesWanted: copies,
      avoid: [],
      pool: 'main',
      allowEmpty: false,
      wait,
      verify,
      workers,
    };
  }

  /** Into a new directory. @returns where the source's tree is in it, and the report */
  async restore(
    options: {
      path?: string;
      host?: string;
      at?: string;
      to?: string;
      overwrite?: boolean;
      /** Default: the connection of the backups. */
      catalog?: Catalog;
      /** Sees each event as it comes. */
      listen?: (event: RestoreEvent) => void;
      operator?: Operator;
    } = {},
  ): Promise<{ to: string; tree: string; report: RestoreReport }> {
    const to = options.to ?? (await scratchDirectory());
    const { catalog = this.catalog } = options;
    const tree = new Tree(catalog);
    const host = tree.directories.ensureHost(options.host ?? HOST);
    const report = await restore(
      {
        paths: [rawOf(options.path ?? '/')],
        hostId: host.id,
        snapshot: tree.resolveSnapshot(options.at),
        to: rawOf(to),
        overwrite: options.overwrite ?? false,
      },
      { ...this.tools, catalog, operator: options.operator },
      options.listen ?? (() => {}),
      go,
    );
    return { to, tree: join(to, this.source), report };
  }
}
