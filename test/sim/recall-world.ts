/** Recalls over a world with backups: as many processes as wanted share its run.db, its stage and its library. */
import { fstatSync, readdirSync, readSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { noInhibitor } from '../../src/base/inhibitor.ts';
import { rawOf } from '../../src/base/raw.ts';
import { Catalog } from '../../src/catalog/catalog.ts';
import { RunRoles } from '../../src/catalog/run-db/roles.ts';
import { type Processes, RunDb } from '../../src/catalog/run-db/run-db.ts';
import { RunStage } from '../../src/catalog/run-db/stage.ts';
import { Archives } from '../../src/catalog/shelf/archives.ts';
import { Media } from '../../src/catalog/shelf/media.ts';
import { Tree } from '../../src/catalog/tree/tree.ts';
import { HashPool } from '../../src/hash/pool.ts';
import type { OpenContent } from '../../src/mount/content.ts';
import { decliningAsker, type MediumAsker } from '../../src/recall/asker.ts';
import { REFUSED_DEFAULT } from '../../src/recall/guard.ts';
import { openRecall } from '../../src/recall/open.ts';
import type { Recall } from '../../src/recall/recall.ts';
import { BackupWorld, type BackupWorldOptions, HOST } from './backup-world.ts';

const go = new AbortController().signal;
const BOOT = '11111111-2222-4333-8444-555555555555';

export type ProcessOptions = {
  readonly stageBytes?: number;
  readonly asker?: MediumAsker;
  readonly policy?: 'block' | 'fail';
  readonly budgetBytes?: number;
  /** By pid. */
  readonly programs?: ReadonlyMap<number, string>;
  readonly holdMs?: number;
  readonly isFirst?: boolean;
  readonly attemptsMax?: number;
};

/** A process of the simulation that recalls. */
export type SimProcess = {
  readonly recall: Recall;
  /** Cartridges it has attached, in order. */
  readonly media: string[];
  readonly warnings: string[];
  readonly name: string;
  close(): Promise<void>;
  /** Gone without a word: what it holds stays behind, but for its drive. */
  kill(): Promise<void>;
};

export class RecallWorld {
  readonly backup: BackupWorld;
  /** Names of processes that live. */
  readonly alive = new Set<string>();
  #boot = BOOT;
  #started = 0;

  private constructor(backup: BackupWorld) {
    this.backup = backup;
  }

  static async make(options: BackupWorldOptions = {}): Promise<RecallWorld> {
    return new RecallWorld(await BackupWorld.make(options));
  }

  get stageDirectory(): string {
    return join(this.backup.state, 'stage');
  }

  get runDbPath(): string {
    return join(this.backup.state, 'run.db');
  }

  /** The machine is started anew. */
  restart(): void {
    this.#boot = BOOT.replace(
      /^1+/,
      String(this.#started + 2)
        .repeat(8)
        .slice(0, 8),
    );
    this.alive.clear();
  }

  start(options: ProcessOptions = {}): SimProcess {
    this.#started += 1;
    const name = `${this.#boot}:${this.#started}:1`;
    this.alive.add(name);
    const isAlive = (other: string) => this.alive.has(other);
    const processes: Processes = { own: name, isAlive, isGone: (other) => !isAlive(other) };
    const { clock } = this.backup.sim;
    const path = join(this.backup.state, 'catalog.sqlite');
    const catalog = Catalog.open(path, { mode: 'read', clock });
    const runDb = RunDb.open(this.runDbPath);
    const media: string[] = [];
    const warnings: string[] = [];
    const hashes = new HashPool({ workers: 0 });
    const recall = openRecall({
      catalog,
      runDb,
      stage: { directory: this.stageDirectory, limitBytes: options.stageBytes ?? 2 ** 30 },
      library: async () => this.backup.tools.library,
      asker: options.asker ?? decliningAsker,
      hashes,
      inhibitor: noInhibitor,
      programs: { nameOf: (pid) => options.programs?.get(pid) ?? 'cp' },
      processes,
      clock,
      policy: options.policy ?? 'block',
      settings: {
        attemptsMax: options.attemptsMax ?? 5,
        holdMs: options.holdMs ?? 30_000,
        isFirst: options.isFirst ?? false,
        refused: REFUSED_DEFAULT,
        budgetBytes: options.budgetBytes ?? Number.POSITIVE_INFINITY,
      },
      record: (work) => work(new Archives(this.backup.catalog)),
      onMedium: (barcode) => media.push(barcode),
      warn: (message) => warnings.push(message),
    });
    let isOpen = true;
    const close = async () => {
      if (!isOpen) return;
      isOpen = false;
      await recall.close();
      this.alive.delete(name);
      runDb.close();
      catalog.close();
    };
    onTestFinished(close);
    return { recall, media, warnings, name, close, kill: close };
  }

  /** Nothing more is written to it. */
  fill(barcode: string): void {
    const media = new Media(this.backup.catalog);
    const medium = media.find(barcode);
    if (medium) media.setState(medium.id, 'full');
  }

  /** A person takes it out of the library, from wherever it stands. */
  async takeAway(barcode: string): Promise<void> {
    const changer = await this.backup.sim.openChanger();
    const element = (await changer.elements(go)).find((one) => one.barcode === barcode);
    if (!element) throw new Error(`${barcode} is not in the library`);
    if (element.type === 'drive')
      await this.backup.tools.library.unload({ kind: 'drive', number: 0 }, undefined, go);
    const now = (await changer.elements(go)).find((one) => one.barcode === barcode);
    await this.backup.sim.library.removeByHand(now?.address ?? -1);
  }

  /** Into the first empty slot. */
  async bringBack(barcode: string): Promise<void> {
    const changer = await this.backup.sim.openChanger();
    const elements = await changer.elements(go);
    const slot = elements.find(({ type, full }) => type === 'slot' && !full);
    await this.backup.sim.library.insertByHand(barcode, slot?.address ?? -1);
  }

  /** Each has the other's sticker from now on. */
  async exchangeTapes(a: string, b: string): Promise<void> {
    const { directory } = this.backup.sim;
    for (const ending of readdirSync(directory).flatMap((name) =>
      name.startsWith(a) ? name.slice(a.length) : [],
    )) {
      const paths = [a, b, 'exchange'].map((name) => join(directory, `${name}${ending}`));
      const [pathA = '', pathB = '', between = ''] = paths;
      renameSync(pathA, between);
      renameSync(pathB, pathA);
      renameSync(between, pathB);
    }
  }

  /** Nobody recalls any more: the drive was let go. */
  async whenIdle(): Promise<void> {
    const db = RunDb.open(this.runDbPath);
    const roles = new RunRoles(db, { own: '', isAlive: (name) => this.alive.has(name) });
    while (roles.recalls() !== undefined) await this.backup.sim.clock.sleepMs(1000, go);
    db.close();
  }

  /** As if all had been evicted. */
  emptyStage(): void {
    const db = RunDb.open(this.runDbPath);
    const rows = db.prepare<[Buffer]>('SELECT hash FROM stage').all();
    for (const [hash] of rows) {
      rmSync(join(this.stageDirectory, hash.toString('hex')));
      new RunStage(db).remove(hash);
    }
    db.close();
  }

  /** Of a path below the source, in the newest snapshot. */
  contentId(path: string): number {
    const tree = new Tree(this.backup.catalog);
    const host = tree.directories.ensureHost(HOST);
    const snapshot = tree.resolveSnapshot(undefined);
    const entry = tree.lookup(host.id, rawOf(join(this.backup.source, path)), snapshot.id);
    if (entry?.inode.contentId === undefined) throw new Error(`${path} has no content`);
    return entry.inode.contentId;
  }
}

export const CALLER = { pid: 4711, uid: 0 };

/** All bytes of an open content, as a reader gets them. */
export async function readAll(
  opened: OpenContent,
  sizeBytes: number,
  options: { signal?: AbortSignal; pid?: number; stepBytes?: number } = {},
): Promise<Buffer> {
  const { signal = go, pid = CALLER.pid, stepBytes = 2 ** 20 } = options;
  const bytes = Buffer.alloc(sizeBytes);
  for (let offset = 0; offset < sizeBytes; offset += stepBytes) {
    const lengthBytes = Math.min(stepBytes, sizeBytes - offset);
    const descriptor = await opened.read(
      { offset, lengthBytes },
      { isNonBlocking: false, caller: { pid, uid: 0 }, signal },
    );
    if (fstatSync(descriptor).size !== sizeBytes)
      throw new Error('the file is as long as its content');
    readSync(descriptor, bytes, offset, lengthBytes, offset);
  }
  return bytes;
}
