/**
 * Cartridges that are not what they should be, met by every command that could write to one: a sentence, an exit status, and
 * not a byte of the cartridge changed, nor what the catalog knows of it.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { Drive } from '../../src/device/drive.ts';
import { createCartridge, VirtualLibrary } from '../../src/device/virtual/library.ts';
import type { Barcode } from '../../src/domain/barcode.ts';
import { WRITING_MODE } from '../../src/storage/writing-mode.ts';
import { CommandLine } from '../sim/command-line.ts';
import { memoryLocks } from '../sim/locks.ts';

const go = new AbortController().signal;
const ONE = 'VIR001L8';
const WORM = 'WRM001LY';
const OTHERS = ['VIR002L8', 'VIR003L8', 'VIR004L8'];
const VOL1 = Buffer.from('VOL1ABC001            LTFS'.padEnd(80));
const DATA = Buffer.alloc(65_536, 'data of another program ');

class BadWorld {
  readonly line: CommandLine;

  private constructor(line: CommandLine) {
    this.line = line;
  }

  /** One cartridge that may be written, `ONE`, and a tree. */
  static async make(): Promise<BadWorld> {
    const line = await CommandLine.make();
    const tree = join(line.directory, 'tree');
    mkdirSync(tree);
    writeFileSync(join(tree, 'file'), 'bytes of a file');
    await line.ok('source', 'add', tree);
    await line.ok('media', 'retire', ...OTHERS);
    return new BadWorld(line);
  }

  get #directory(): string {
    return join(this.line.state, 'virtual');
  }

  async #library<T>(use: (library: VirtualLibrary) => Promise<T>): Promise<T> {
    const { clock } = this.line;
    const options = { clock, speed: 'instant', lockFile: memoryLocks(), bootId: 'boot' } as const;
    return use(await VirtualLibrary.open(this.#directory, options));
  }

  /** Somebody else's program writes over the cartridge. */
  async overwrite(barcode: string, block: Buffer): Promise<void> {
    await this.line.say('library', 'load', barcode, 'drive0');
    await this.#library(async (library) => {
      const port = await library.openDrive(0);
      const drive = await Drive.open(port, this.line.clock, go);
      await drive.waitReady(go);
      await drive.setMode({ ...WRITING_MODE, appendOnly: false }, go);
      await drive.rewind(go);
      await drive.allowOverwrite(go).catch(() => drive.spaceToEndOfData(go));
      await drive.write(block, go);
      await drive.writeFilemarks(1, { immediate: false }, go);
      await port.close();
    });
    await this.line.ok('library', 'unload', 'drive0');
  }

  protect(barcode: string): void {
    const path = join(this.#directory, `${barcode}.json`);
    const chip = JSON.parse(readFileSync(path, 'utf8'));
    writeFileSync(path, JSON.stringify({ ...chip, writeProtected: true }));
  }

  async addWorm(): Promise<void> {
    const shape = { generation: 'LTO-8', capacityBytes: 100e6 } as const;
    await createCartridge(this.#directory, WORM as Barcode, shape, seededRandom(4));
    const { slots } = await this.line.json('library', 'status');
    const slot = slots.find(({ full }: { full: boolean }) => !full);
    await this.#library((library) => library.insertByHand(WORM, slot.address));
  }

  /** Of every tape, and what the catalog knows of the media. */
  marks(): Record<string, string> {
    // A blank cartridge has no file of bytes before it was in a drive, and an empty one afterwards.
    const tapes = readdirSync(this.#directory).filter(
      (name) => name.endsWith('.tap') && statSync(join(this.#directory, name)).size > 0,
    );
    const hashes = tapes.map((name) => [
      name,
      createHash('sha256')
        .update(readFileSync(join(this.#directory, name)))
        .digest('hex'),
    ]);
    const rows = this.line.withCatalog((catalog) =>
      catalog
        .prepare(
          `SELECT barcode, CASE next_file WHEN 0 THEN '' ELSE uuid END, next_file, next_block, write_generation, written_bytes FROM media`,
        )
        .all(),
    );
    return { ...Object.fromEntries(hashes), rows: JSON.stringify(rows) };
  }
}

type Case = {
  readonly what: string;
  readonly prepare: (world: BadWorld) => Promise<void>;
  /** Each: words, exit status, sentence. */
  readonly verbs: readonly (readonly [argv: string, exit: number, sentence: RegExp])[];
};

const backedUp = async ({ line }: BadWorld) => {
  await line.ok('backup');
};

const CASES: readonly Case[] = [
  {
    what: 'blank',
    prepare: async () => {},
    verbs: [
      [`media erase ${ONE} --confirm ${ONE}`, 2, /is unlabelled: there is nothing on it/],
      ['library load NOSUCH', 20, /cartridge NOSUCH is not in the library/],
      ['media label NOSUCH', 2, /is no medium of this catalog/],
      ['backup --pool nosuch', 24, /no (medium|room)/i],
    ],
  },
  {
    what: 'foreign',
    prepare: (world) => world.overwrite(ONE, DATA),
    verbs: [
      [
        `media label ${ONE}`,
        21,
        /is not blank: it carries data of another program; nothing was written/,
      ],
      [`media erase ${ONE} --confirm ${ONE}`, 2, /is unlabelled/],
      ['backup', 21, /is not blank: it carries data of another program/],
    ],
  },
  {
    what: 'LTFS',
    prepare: (world) => world.overwrite(ONE, VOL1),
    verbs: [
      [`media label ${ONE}`, 21, /is formatted with LTFS; nothing was written/],
      [`media erase ${ONE} --confirm ${ONE}`, 2, /is unlabelled/],
      ['backup', 21, /is formatted with LTFS/],
    ],
  },
  {
    what: 'foreign, where the catalog knows archives',
    prepare: async (world) => {
      await backedUp(world);
      await world.overwrite(ONE, DATA);
    },
    verbs: [
      [`media label ${ONE}`, 21, /holds archives of this catalog: it is never labelled over/],
      [`media label ${ONE} --force --confirm ${ONE}`, 21, /holds archives of this catalog/],
      [`media erase ${ONE} --confirm ${ONE} --force`, 21, /alone holds|carries no label/],
    ],
  },
  {
    what: 'write-protected and blank',
    prepare: async (world) => world.protect(ONE),
    verbs: [
      [`media label ${ONE}`, 21, /write.protected/],
      ['backup', 21, /write.protected/],
    ],
  },
  {
    what: 'write-protected with archives',
    prepare: async (world) => {
      await backedUp(world);
      world.protect(ONE);
      writeFileSync(join(world.line.directory, 'tree', 'more'), 'more');
    },
    verbs: [
      [`media erase ${ONE} --confirm ${ONE}`, 21, /alone holds|write.protected/],
      ['backup', 21, /write.protected/],
    ],
  },
  {
    what: 'write-once, with a label of somebody else',
    prepare: async (world) => {
      await world.addWorm();
      await world.line.ok('media', 'add', WORM, '--pool', 'worm');
      await world.overwrite(WORM, DATA);
    },
    verbs: [
      [`media label ${WORM}`, 21, /is not blank: .*it can be written once only/],
      [`media label ${WORM} --force --confirm ${WORM}`, 21, /it can be written once only/],
      [`media erase ${WORM} --confirm ${WORM}`, 2, /is unlabelled|written once/],
    ],
  },
  {
    what: 'a full library',
    prepare: async (world) => {
      await world.line.ok('library', 'load', ONE, 'drive0');
      await world.addWorm();
    },
    verbs: [
      ['library load VIR002L8', 23, /every drive has a cartridge; unload one first/],
      ['library load VIR002L8 drive0', 23, /full/],
      [`library transfer VIR002L8 slot1`, 23, /full/],
    ],
  },
];

for (const { what, prepare, verbs } of CASES) {
  describe(what, () => {
    test(verbs.map(([argv]) => argv).join('; '), async () => {
      const world = await BadWorld.make();
      await prepare(world);
      const before = world.marks();
      for (const [argv, exit, sentence] of verbs) {
        const said = await world.line.say(...argv.split(' '));
        expect([argv, said.exit, said.stderr]).toEqual([
          argv,
          exit,
          expect.stringMatching(sentence),
        ]);
        expect(world.marks(), argv).toEqual(before);
      }
    });
  });
}

test('all media are full: 24, and what is there stays', async () => {
  const world = await BadWorld.make();
  await backedUp(world);
  world.line.withCatalog((catalog) =>
    catalog.write(() =>
      catalog.prepare("UPDATE media SET state = 'full' WHERE barcode = ?").run(ONE),
    ),
  );
  writeFileSync(join(world.line.directory, 'tree', 'more'), 'more');
  const before = world.marks();
  const said = await world.line.fails('backup');
  expect(said).toEqual({ exit: 24, stderr: expect.stringMatching(/no (medium|room|cartridge)/i) });
  expect(world.marks()).toEqual(before);
});
