/**
 * A shelf through the years: each year a backup in three copies, now and then expiry, scrub, groom, new cartridges for bad ones;
 * and bytes that rot, blocks that no longer read, cartridges that are mislaid, drives that fail. Never more at once than the
 * copies are for. After each year every content that a snapshot needs is stored, and what is restored is what was.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CodedError } from '../../src/base/errors.ts';
import { type Random, seededRandom } from '../../src/base/random.ts';
import { Contents } from '../../src/catalog/content/contents.ts';
import { checkCatalog } from '../../src/catalog/file/check.ts';
import { Media, type Medium } from '../../src/catalog/shelf/media.ts';
import { Snapshots, snapshotName } from '../../src/catalog/tree/snapshots.ts';
import { createCartridge } from '../../src/device/virtual/library.ts';
import type { Barcode } from '../../src/domain/barcode.ts';
import { retireMedia } from '../../src/job/media.ts';
import { setMediaAside, takeMediaBack } from '../../src/job/media-state.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { expireWorld } from '../sim/expire-world.ts';
import { groomMedia } from '../sim/groom-world.ts';
import { randomFault } from '../sim/random-faults.ts';
import { randomBytes } from '../sim/rich-tree.ts';
import { scratchDirectory } from '../sim/scratch.ts';
import { scrubWorld } from '../sim/scrub-world.ts';
import { seedCount } from '../sim/seeds.ts';
import { breakOnTape, flipOnTape } from '../sim/tap-damage.ts';

const go = new AbortController().signal;
const YEARS = seedCount({ usual: 40, soak: 1000 });
const COPIES = 3;
const ON_SHELF = 20;
const CAPACITY_BYTES = 8 * 2 ** 20;
/** A block that no longer reads takes several files along. */
const BLOCK_BYTES = 2 ** 14;
const KEPT = { last: 3, yearly: 10 };
/** A little less than a year: after a longer silence no clock is believed. */
const YEAR_MS = 360 * 86_400_000;
const REPAIR_YEARS = 4;
/** Scrub and groom put things right before a third copy may fail. */
const DAMAGED_MAX = COPIES - 1;
const RETRIES_MAX = 5;

test(`${YEARS} years`, { timeout: 1_800_000 }, async () => {
  const shelf = await Shelf.make(seededRandom(4));
  for (let year = 0; year < YEARS; year += 1) await shelf.pass(year);
});

class Shelf {
  readonly #world: BackupWorld;
  readonly #random: Random;
  /** What was there at each snapshot, by name. */
  readonly #were = new Map<string, string>();
  /** Media that are not what they were, until they are repaired. */
  readonly #damaged = new Set<string>();
  #mislaid: string | undefined;
  #bought = 0;

  private constructor(world: BackupWorld, random: Random) {
    this.#world = world;
    this.#random = random;
  }

  static async make(random: Random): Promise<Shelf> {
    const world = await BackupWorld.make({
      drives: COPIES,
      cartridges: ON_SHELF,
      capacityBytes: CAPACITY_BYTES,
      config: `[archive]\nblock = "${BLOCK_BYTES / 1024}KiB"\nsize = "1MB"\n`,
    });
    mkdirSync(join(world.source, 'folder'));
    return new Shelf(world, random);
  }

  async pass(year: number): Promise<void> {
    this.#live(year);
    // Each planned fault is to fire before the end.
    const isCalm = year > YEARS - 5;
    if (!isCalm) this.#suffer();
    await this.#backup(year);
    await expireWorld(this.#world, `keep-last = ${KEPT.last}\nkeep-yearly = ${KEPT.yearly}`);
    if (year % REPAIR_YEARS === REPAIR_YEARS - 1) await this.#repair(year);
    this.#check(year);
    if (year % 10 === 9) await this.#restoreOne(year);
    await this.#world.sim.clock.sleepMs(YEAR_MS, go);
  }

  /** A few files are made, changed, moved and deleted. */
  #live(year: number): void {
    const { source } = this.#world;
    for (let change = 0; change <= this.#random.below(3); change += 1) {
      const path = join(
        source,
        this.#random.below(2) === 0 ? 'folder' : '',
        `${this.#random.below(6)}`,
      );
      if (this.#random.below(4) === 0) rmSync(path, { force: true });
      else writeFileSync(path, randomBytes(this.#random, 1 + this.#random.below(20_000)));
    }
    writeFileSync(join(source, 'year'), `${year}`);
  }

  #suffer(): void {
    const { catalog, sim } = this.#world;
    const kind = this.#random.below(24);
    if (kind === 0) sim.faults.add(randomFault(this.#random, this.#random.below(COPIES)));
    if (kind > 3 || this.#damaged.size >= DAMAGED_MAX) return;
    const written = new Media(catalog).list().filter(isInUse);
    const medium = written[this.#random.below(written.length)];
    if (!medium || medium.nextBlock < 2) return;
    const { barcode } = medium;
    this.#damaged.add(barcode);
    const block = this.#random.below(medium.nextBlock - 1);
    if (kind === 1 && this.#mislaid === undefined) {
      setMediaAside(catalog, [barcode], 'lost');
      this.#mislaid = barcode;
    } else if (kind === 2) {
      breakOnTape(sim.directory, barcode, [block]);
    } else {
      flipOnTape(sim.directory, barcode, { block, at: this.#random.below(BLOCK_BYTES) });
    }
  }

  /** Again after a failure of a drive, as a person would. */
  async #backup(year: number): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#world.backupCopies(COPIES);
        break;
      } catch (error) {
        if (!(error instanceof CodedError) || attempt === RETRIES_MAX) throw inYear(year, error);
      }
    }
    const live = new Snapshots(this.#world.catalog).live();
    if (live) this.#were.set(snapshotName(live), treeOf(this.#world.source));
  }

  /** Everything is read back; what is bad is replaced, what is missing copied. */
  async #repair(year: number): Promise<void> {
    const { catalog } = this.#world;
    const media = new Media(catalog);
    await scrubWorld(this.#world);
    const bad = media.list().filter(({ state }) => state === 'suspect');
    const policy = { pool: 'main', copies: COPIES, offsite: 0, readBackMs: undefined };
    await groomMedia(this.#world, [], {
      copies: COPIES,
      belowPercent: 30,
      tools: { policies: [policy] },
    });
    for (const { barcode } of bad) await this.#replace(barcode);
    if (this.#mislaid !== undefined) takeMediaBack(catalog, [this.#mislaid], 'lost');
    this.#mislaid = undefined;
    this.#damaged.clear();
    expect(this.#fewestCopies(), `copies in year ${year}`).toBeGreaterThanOrEqual(COPIES);
  }

  /** A bad cartridge goes, and a new one comes into its slot. */
  async #replace(barcode: string): Promise<void> {
    const { catalog, sim, tools } = this.#world;
    retireMedia(catalog, [barcode]);
    const changer = await sim.openChanger();
    const place = async () => (await changer.elements(go)).find((one) => one.barcode === barcode);
    if ((await place())?.type === 'drive')
      await tools.library.unload({ kind: 'cartridge', name: barcode }, undefined, go);
    const slot = await place();
    if (!slot) throw new Error(`no ${barcode}`);
    await sim.library.removeByHand(slot.address);
    for (const ending of ['tap', 'tap.index', 'json'])
      rmSync(join(sim.directory, `${barcode}.${ending}`), { force: true });
    this.#bought += 1;
    const fresh = `NEW${String(this.#bought).padStart(3, '0')}L8` as Barcode;
    const shape = { generation: 'LTO-8', capacityBytes: CAPACITY_BYTES } as const;
    await createCartridge(sim.directory, fresh, shape, this.#random);
    await sim.library.insertByHand(fresh, slot.address);
    new Media(catalog).add([{ barcode: fresh, kind: 'tape', pool: 'main', ...shape }]);
  }

  #check(year: number): void {
    const { catalog } = this.#world;
    const snapshots = new Snapshots(catalog).list();
    const names = snapshots.map(snapshotName);
    const newest = [...this.#were.keys()].slice(-KEPT.last);
    expect(names, `snapshots in year ${year}`).toEqual(expect.arrayContaining(newest));
    expect(snapshots.length).toBeLessThanOrEqual(KEPT.last + KEPT.yearly + 1);
    expect(this.#fewestCopies(), `copies in year ${year}`).toBeGreaterThan(0);
    if (year % 20 === 19) expect([...checkCatalog(catalog, () => {})]).toEqual([]);
  }

  /** Of all contents that a version has, some bytes of which stand on so few media. */
  #fewestCopies(): number {
    const { catalog } = this.#world;
    const contents = new Contents(catalog);
    const ids = catalog
      .prepare<[number]>(
        `SELECT DISTINCT i.content FROM versions v CROSS JOIN inodes i ON i.id = v.inode WHERE i.content > 1`,
      )
      .all()
      .flat();
    return Math.min(COPIES, ...ids.map((id) => contents.goodCopies(id)));
  }

  async #restoreOne(year: number): Promise<void> {
    const all = new Snapshots(this.#world.catalog).list();
    const one = all[this.#random.below(all.length)];
    if (!one) throw new Error('no snapshot');
    const name = snapshotName(one);
    const to = await scratchDirectory();
    const { tree } = await this.#world.restore({ at: name, to });
    expect(treeOf(tree), `${name} in year ${year}`).toBe(this.#were.get(name));
    rmSync(to, { recursive: true });
  }
}

function isInUse({ state }: Medium): boolean {
  return state === 'filling' || state === 'full';
}

/** Paths and hashes. */
function treeOf(root: string): string {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map(
      (path) =>
        `${path.slice(root.length)} ${createHash('sha1').update(readFileSync(path)).digest('hex')}`,
    )
    .toSorted()
    .join('\n');
}

function inYear(year: number, cause: unknown): Error {
  return new Error(`in year ${year}: ${String(cause)}`, { cause });
}
