import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { CodedError } from '../../../src/base/errors.ts';
import { seededRandom } from '../../../src/base/random.ts';
import { Catalog } from '../../../src/catalog/catalog.ts';
import { Media } from '../../../src/catalog/shelf/media.ts';
import { loadConfig } from '../../../src/config.ts';
import { parseBarcode } from '../../../src/domain/barcode.ts';
import { GENERATIONS } from '../../../src/domain/generation.ts';
import type { LibraryShape } from '../../../src/domain/library-shape.ts';
import { type InitRequest, type InitTools, initialize } from '../../../src/job/init.ts';
import { memoryLocks } from '../../sim/locks.ts';
import { scratchDirectory } from '../../sim/scratch.ts';

const VIRTUAL: Extract<InitRequest, { kind: 'virtual' }> = {
  kind: 'virtual',
  cartridges: 4,
  drives: 2,
  generation: 'LTO-9',
  capacityBytes: 2e9,
};

/** Tools that only write down what was asked of them. */
function tools(change: Partial<InitTools> = {}) {
  const asked: string[] = [];
  const shapes: LibraryShape[] = [];
  const made: InitTools = {
    random: seededRandom(1),
    clock: systemClock,
    checkChanger: async (path) => void asked.push(`changer ${path}`),
    checkDrive: async (path) => void asked.push(`drive ${path}`),
    createLibrary: async (directory, shape) => {
      asked.push(`library ${directory}`);
      shapes.push(shape);
      await mkdir(directory);
    },
    lock: memoryLocks(),
    ...change,
  };
  return { made, asked, shapes };
}

const MADE = ['catalog.sqlite', 'config.toml', 'virtual'];

function mediaOf(directory: string) {
  const path = join(directory, 'catalog.sqlite');
  const catalog = Catalog.open(path, { mode: 'read', clock: systemClock });
  try {
    return new Media(catalog).list();
  } finally {
    catalog.close();
  }
}

async function state(): Promise<string> {
  return join(await scratchDirectory(), 'a', 'state');
}

describe('a virtual library', () => {
  test('a directory for the owner alone, a library, a config', async () => {
    const directory = await state();
    const { made, asked, shapes } = tools();
    expect(await initialize(directory, VIRTUAL, made)).toEqual({
      stateDirectory: directory,
      config: join(directory, 'config.toml'),
      catalog: join(directory, 'catalog.sqlite'),
      barcodes: ['VIR001L9', 'VIR002L9', 'VIR003L9', 'VIR004L9'],
    });
    expect(asked).toEqual([`library ${join(directory, 'virtual')}`]);
    expect(shapes).toEqual([
      {
        generation: 'LTO-9',
        capacityBytes: 2e9,
        drives: 2,
        slots: 8,
        ports: 1,
        barcodes: ['VIR001L9', 'VIR002L9', 'VIR003L9', 'VIR004L9'],
      },
    ]);
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    for (const name of ['config.toml', 'catalog.sqlite'])
      expect((await stat(join(directory, name))).mode & 0o777).toBe(0o600);
    expect((await loadConfig(directory)).library).toEqual({
      kind: 'virtual',
      directory: 'virtual',
      speed: 'model',
    });
  });

  test.each([
    [0, 8, undefined, undefined],
    [1, 8, 'VIR001L9', 'VIR001L9'],
    [8, 8, 'VIR001L9', 'VIR008L9'],
    [9, 16, 'VIR001L9', 'VIR009L9'],
    [999, 1000, 'VIR001L9', 'VIR999L9'],
    [1000, 1000, 'VI0001L9', 'VI1000L9'],
    [10_000, 10_000, 'V00001L9', 'V10000L9'],
  ])('%i cartridges stand in %i slots', async (cartridges, slots, first, last) => {
    const { made, shapes } = tools();
    await initialize(await state(), { ...VIRTUAL, cartridges }, made);
    expect(shapes[0]?.slots).toBe(slots);
    expect([shapes[0]?.barcodes[0], shapes[0]?.barcodes.at(-1)]).toEqual([first, last]);
  });

  test('as many barcodes as asked for, all valid, all different, of the generation', () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 1200 }),
        fc.constantFrom('LTO-5', 'LTO-6', 'LTO-7', 'LTO-8', 'LTO-9', 'LTO-10'),
        async (cartridges, generation) => {
          const { made, shapes } = tools();
          await initialize(await state(), { ...VIRTUAL, cartridges, generation }, made);
          const barcodes = shapes[0]?.barcodes ?? [];
          expect(new Set(barcodes).size).toBe(cartridges);
          for (const barcode of barcodes.slice(0, 20)) {
            expect(parseBarcode(barcode)).toMatchObject({
              kind: 'data',
              generation: GENERATIONS[generation],
            });
          }
        },
      ),
      { numRuns: 12 },
    ));

  test('its cartridges are media, blank ones', async () => {
    const directory = await state();
    await initialize(directory, VIRTUAL, tools().made);
    const media = mediaOf(directory);
    expect(media.map(({ barcode }) => barcode)).toEqual([
      ...['VIR001L9', 'VIR002L9', 'VIR003L9', 'VIR004L9'],
    ]);
    for (const medium of media)
      expect(medium).toMatchObject({
        ...{ kind: 'tape', state: 'unlabelled', pool: 'main', generation: 'LTO-9' },
        capacityBytes: 2e9,
      });
  });

  test('without a capacity, that of the generation', async () => {
    const { made, shapes } = tools();
    const directory = await state();
    await initialize(directory, { ...VIRTUAL, capacityBytes: undefined }, made);
    expect(mediaOf(directory)[0]).toMatchObject({ capacityBytes: 18e12 });
    expect(shapes[0]).not.toHaveProperty('capacityBytes');
  });
});

describe('hardware', () => {
  test('every device is looked at before anything is made', async () => {
    const directory = await state();
    const { made, asked } = tools();
    const request: InitRequest = {
      kind: 'hardware',
      changer: '/dev/sch0',
      drives: ['/dev/nst0', '/dev/nst1'],
    };
    expect(await initialize(directory, request, made)).toMatchObject({ barcodes: [] });
    expect(asked).toEqual(['changer /dev/sch0', 'drive /dev/nst0', 'drive /dev/nst1']);
    expect((await loadConfig(directory)).library).toEqual(request);
    expect((await readdir(directory)).sort()).toEqual(['catalog.sqlite', 'config.toml']);
    expect(mediaOf(directory)).toEqual([]);
  });

  test('a person as the changer', async () => {
    const directory = await state();
    const { made, asked } = tools();
    await initialize(
      directory,
      { kind: 'hardware', changer: undefined, drives: ['/dev/nst0'] },
      made,
    );
    expect(asked).toEqual(['drive /dev/nst0']);
    expect((await loadConfig(directory)).library).toEqual({
      kind: 'hardware',
      drives: ['/dev/nst0'],
    });
  });

  test('a device that is unsuitable: nothing is made', async () => {
    const directory = await state();
    const { made } = tools({
      checkDrive: async (path) => {
        throw new CodedError('DEVICE_UNSUITABLE', path);
      },
    });
    await expect(
      initialize(directory, { kind: 'hardware', changer: undefined, drives: ['/dev/null'] }, made),
    ).rejects.toMatchObject({ code: 'DEVICE_UNSUITABLE' });
    await expect(stat(directory)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('what is there stays', () => {
  test('a state', async () => {
    const directory = await state();
    await initialize(directory, VIRTUAL, tools().made);
    const { made, asked } = tools();
    await expect(initialize(directory, VIRTUAL, made)).rejects.toMatchObject({
      code: 'STATE_EXISTS',
      message: expect.stringContaining('holds a shelfs state already'),
    });
    expect(asked).toEqual([]);
  });

  test('anything else', async () => {
    const directory = await scratchDirectory();
    await writeFile(join(directory, 'thesis.txt'), '');
    await expect(initialize(directory, VIRTUAL, tools().made)).rejects.toMatchObject({
      code: 'STATE_EXISTS',
      message: expect.stringContaining('is not empty'),
    });
    expect(await readdir(directory)).toEqual(['thesis.txt']);
  });

  test('a file in its place', async () => {
    const path = join(await scratchDirectory(), 'file');
    await writeFile(path, 'x');
    await expect(initialize(path, VIRTUAL, tools().made)).rejects.toMatchObject({
      code: 'STATE_EXISTS',
    });
    await expect(initialize(join(path, 'below'), VIRTUAL, tools().made)).rejects.toMatchObject({
      code: 'STATE_EXISTS',
    });
  });

  test('an empty directory is taken', async () => {
    const directory = join(await scratchDirectory(), 'empty');
    await mkdir(directory);
    await initialize(directory, VIRTUAL, tools().made);
    expect((await readdir(directory)).sort()).toEqual(MADE);
  });
});

describe('an init that was cut short', () => {
  test.each(['library', 'config'])(
    'while making the %s, is begun anew by the next',
    async (step) => {
      const directory = await state();
      const { made } = tools({
        createLibrary: async (path) => {
          await mkdir(path);
          if (step === 'library') throw new Error('killed');
        },
      });
      if (step === 'library') {
        await expect(initialize(directory, VIRTUAL, made)).rejects.toThrow('killed');
      } else {
        await mkdir(join(directory, 'virtual'), { recursive: true });
        await writeFile(join(directory, 'config.toml.new'), '[libra');
        for (const name of ['catalog.sqlite', 'catalog.sqlite-wal', 'catalog.sqlite.new'])
          await writeFile(join(directory, name), 'SQLite format 3, or the half of it');
        await writeFile(join(directory, 'virtual', 'library.json'), '{}');
      }
      const again = tools();
      await initialize(directory, VIRTUAL, again.made);
      expect((await readdir(directory)).sort()).toEqual(MADE);
      expect(await readdir(join(directory, 'virtual'))).toEqual([]);
      expect(mediaOf(directory)).toHaveLength(4);
    },
  );

  test('what is not its own is refused all the same', async () => {
    const directory = await state();
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, 'config.toml.new'), '');
    await writeFile(join(directory, 'letter.txt'), 'dear');
    await expect(initialize(directory, VIRTUAL, tools().made)).rejects.toMatchObject({
      code: 'STATE_EXISTS',
    });
    expect(await readdir(directory)).toContain('letter.txt');
  });

  test('two at once: one makes it, the other is told by whom', async () => {
    const directory = await state();
    const lock = memoryLocks();
    const results = await Promise.allSettled(
      [0, 1].map(() => initialize(directory, VIRTUAL, tools({ lock }).made)),
    );
    const failures = results.flatMap((result) =>
      result.status === 'rejected' ? [result.reason] : [],
    );
    expect(failures).toHaveLength(1);
    expect(failures[0]).toMatchObject({ code: 'LIBRARY_BUSY', facts: { pid: process.pid } });
    expect((await readdir(directory)).sort()).toEqual(MADE);
  });
});
