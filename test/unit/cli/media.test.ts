import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Media } from '../../../src/catalog/shelf/media.ts';
import { CommandLine } from '../../sim/command-line.ts';
import { begin, content, storeAll } from '../catalog/scratch.ts';

const ONE = 'VIR001L8';

const barcodes = (document: { media: { barcode: string }[] }) =>
  document.media.map(({ barcode }) => barcode);

describe('add, list, show', () => {
  test('what init made', async () => {
    const line = await CommandLine.make();
    const { media } = await line.json('media', 'list');
    expect(media).toHaveLength(4);
    expect(media[0]).toMatchObject({
      ...{ barcode: ONE, kind: 'tape', pool: 'main', state: 'unlabelled', generation: 'LTO-8' },
      capacityBytes: 100e6,
    });
    expect(await line.ok('media', 'list')).toMatch(
      /^VIR004L8 +unlabelled +main +LTO-8 +100 MB +\.{20}$/m,
    );
  });

  test('by barcode and by series, with the capacity of their generation', async () => {
    const line = await CommandLine.make();
    const added = await line.json(
      ...['media', 'add', 'abc001l9', 'XYZ123LA', '--count', '3', '--from', 'BUP009L8'],
      ...['--pool', 'films', '--location', 'Bank, box 2'],
    );
    expect(barcodes(added)).toEqual(['ABC001L9', 'XYZ123LA', 'BUP009L8', 'BUP010L8', 'BUP011L8']);
    expect(added.media.map((medium: { capacityBytes: number }) => medium.capacityBytes)).toEqual([
      ...[18e12, 30e12, 12e12, 12e12, 12e12],
    ]);
    const films = await line.json('media', 'list', '--pool', 'films');
    expect(barcodes(films)).toEqual(['ABC001L9', 'BUP009L8', 'BUP010L8', 'BUP011L8', 'XYZ123LA']);
    expect(films.media[0]).toMatchObject({ location: 'Bank, box 2', state: 'unlabelled' });
  });

  test('a virtual cartridge says itself what it holds', async () => {
    const line = await CommandLine.make();
    line.withCatalog((catalog) =>
      catalog.write(() => catalog.prepare("DELETE FROM media WHERE barcode = 'VIR002L8'").run()),
    );
    expect(await line.json('media', 'add', 'VIR002L8')).toMatchObject({
      media: [{ capacityBytes: 100e6, pool: 'main' }],
    });
  });

  test.each([
    [[], /say which/],
    [['ABC001'], /a barcode has 8 characters/],
    [['ABC001X9'], /media type X9/],
    [['CLN001L9'], /cleaning cartridge/],
    [['ABC001L9', 'abc001l9'], /named twice/],
    [['ABC001L9', 'VIR001L8'], /registered already/],
    [['--count', '3'], /go together/],
    [['--from', 'BUP001L8'], /go together/],
    [['--count', '0', '--from', 'BUP001L8'], /whole number from 1/],
    [['--count', '2', '--from', 'BUP999L8'], /count up/],
    [['--count', '1', '--from', 'ABCDEFL8'], /digits/],
    [['ABC001L9', '--pool', 'a b'], /--pool/],
  ])('add %j is refused, and nothing is added', async (argv, sentence) => {
    const line = await CommandLine.make();
    const { exit, stderr } = await line.fails('media', 'add', ...argv);
    expect([exit, stderr]).toEqual([2, expect.stringMatching(sentence)]);
    expect((await line.json('media', 'list')).media).toHaveLength(4);
  });

  test('by VOLSER; unknown and ambiguous ones', async () => {
    const line = await CommandLine.make();
    await line.ok('media', 'add', 'VIR001L9');
    expect(await line.ok('media', 'show', 'vir002')).toMatch(/^VIR002L8\n/);
    expect((await line.fails('media', 'show', 'VIR001')).stderr).toMatch(/several media/);
    expect((await line.fails('media', 'show', 'a\x1b')).stderr).toMatch(/a\\x1b is no medium/i);
  });
});

describe('label', () => {
  test('blank cartridges become scratch, one after the other', async () => {
    const line = await CommandLine.make();
    const { media } = await line.json('media', 'label', ONE, 'VIR002', '--pool', 'films');
    expect(media).toMatchObject([
      { barcode: ONE, state: 'scratch', pool: 'films', setNumber: 1, blockBytes: 524288 },
      { barcode: 'VIR002L8', state: 'scratch', setNumber: 2 },
    ]);
    const shown = await line.json('media', 'show', ONE);
    expect(shown).toMatchObject({
      archives: 0,
      label: {
        barcode: ONE,
        program: 'shelfs 1.2.3',
        host: 'here',
        serialNumber: expect.any(String),
      },
    });
    expect(await line.ok('media', 'show', ONE)).toMatch(/end of data +file 1, block 2/);
  });

  test('anew only with --force and the barcode typed once more', async () => {
    const line = await CommandLine.make();
    await line.ok('media', 'label', ONE);
    const { uuid } = await line.json('media', 'show', ONE);
    const refused: [string[], RegExp][] = [
      [[ONE], /labelled already; --force with --confirm VIR001L8/],
      [[ONE, '--force'], /--confirm VIR001L8 says that you mean it/],
      [[ONE, '--force', '--confirm', 'VIR002L8'], /--confirm VIR001L8 says/],
      [[ONE, '--confirm', ONE], /--confirm goes with --force/],
      [[ONE, 'VIR002L8', '--force', '--confirm', ONE], /one cartridge at a time/],
    ];
    for (const [argv, sentence] of refused) {
      const { exit, stderr } = await line.fails('media', 'label', ...argv);
      expect([exit, stderr]).toEqual([2, expect.stringMatching(sentence)]);
    }
    expect((await line.json('media', 'show', ONE)).uuid).toBe(uuid);
    await line.ok('media', 'label', ONE, '--force', '--confirm', 'vir001l8');
    expect((await line.json('media', 'show', ONE)).uuid).not.toBe(uuid);
  });

  test('never over archives of this catalog', async () => {
    const line = await CommandLine.make();
    await line.ok('media', 'label', ONE);
    line.withCatalog((catalog) => {
      const id = new Media(catalog).find(ONE)?.id ?? 0;
      storeAll(begin(catalog), [id], () => content('x'));
    });
    const { exit, stderr } = await line.fails('media', 'label', ONE, '--force', '--confirm', ONE);
    expect([exit, stderr]).toEqual([21, expect.stringMatching(/holds archives of this catalog/)]);
    expect(await line.json('media', 'show', ONE)).toMatchObject({ archives: 1, state: 'filling' });
  });

  test('one that the library does not hold', async () => {
    const line = await CommandLine.make();
    await line.ok('media', 'add', 'ABC001L8');
    expect((await line.fails('media', 'label', 'ABC001L8')).exit).toBe(20);
    expect((await line.fails('media', 'label', 'ABC002L8')).exit).toBe(2);
  });
});

test('moves are remembered', async () => {
  const line = await CommandLine.make();
  await line.ok('media', 'move', ONE, 'VIR002', '--location', 'Bank, box 2');
  await line.ok('media', 'move', ONE, '--location', 'Cellar\x1b');
  const shown = await line.json('media', 'show', ONE);
  expect(shown.moves).toMatchObject([
    { from: null, to: 'Bank, box 2' },
    { from: 'Bank, box 2', to: 'Cellar\x1b' },
  ]);
  expect(await line.ok('media', 'list')).toMatch(/VIR001L8 .*Cellar\\x1b$/m);
  expect(await line.ok('media', 'list')).toMatch(/VIR002L8 .*Bank, box 2$/m);
  await line.fails('media', 'move', 'VIR003', 'ZZZ001L8', '--location', 'Moon');
  expect(await line.ok('media', 'list')).not.toContain('Moon');
});

test('retired, it is written no more', async () => {
  const line = await CommandLine.make();
  expect(await line.ok('media', 'retire', ONE)).toBe('VIR001L8: retired\n');
  expect(await line.json('media', 'show', ONE)).toMatchObject({ state: 'retired' });
  const { exit, stderr } = await line.fails('media', 'label', ONE);
  expect([exit, stderr]).toEqual([2, expect.stringMatching(/is retired/)]);
});

test('without a catalog there is nothing to be asked', async () => {
  const line = await CommandLine.make();
  await rm(join(line.state, 'catalog.sqlite'));
  expect((await line.fails('media', 'list')).exit).toBe(10);
  await rm(line.state, { recursive: true });
  const { exit, stderr } = await line.fails('media', 'list');
  expect([exit, stderr]).toEqual([10, expect.stringMatching(/shelfs init/)]);
});
