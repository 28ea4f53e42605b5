import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { seededRandom } from '../../../src/base/random.ts';
import { Catalog } from '../../../src/catalog/catalog.ts';
import { planLabel } from '../../../src/catalog/shelf/label-plan.ts';
import { Media } from '../../../src/catalog/shelf/media.ts';
import { type LabelTools, writeLabel } from '../../../src/job/label.ts';
import { labelMedium } from '../../../src/job/label-media.ts';
import { readBeginning } from '../../../src/storage/beginning.ts';
import { Tape } from '../../../src/storage/tape.ts';
import { WRITING_MODE } from '../../../src/storage/writing-mode.ts';
import { SHAPE } from '../../contract/world.ts';
import { libraryOf } from '../../sim/library-of.ts';
import { scratchDirectory } from '../../sim/scratch.ts';
import { SimWorld } from '../../sim/world.ts';
import { begin, content, storeAll } from '../catalog/scratch.ts';

const go = new AbortController().signal;
const ONE = 'AAA001L8';
const TWO = 'AAA002L8';

async function bench() {
  const world = await SimWorld.make();
  const catalog = Catalog.create(join(await scratchDirectory(), 'catalog.sqlite'), world.clock);
  onTestFinished(() => catalog.close());
  const media = new Media(catalog);
  media.add(
    [ONE, TWO].map((barcode) => ({
      barcode,
      kind: 'tape',
      generation: 'LTO-8',
      capacityBytes: 12e12,
    })),
  );
  const library = await libraryOf(world);
  const tools: LabelTools = {
    catalog,
    library,
    clock: world.clock,
    random: seededRandom(1),
    host: 'here',
    program: 'shelfs 0.1.0',
    pool: 'main',
    blockBytes: 4096,
  };
  const medium = (barcode: string) => {
    const found = media.find(barcode);
    expect(found).toBeDefined();
    return found as NonNullable<typeof found>;
  };
  return { world, catalog, media, library, tools, medium };
}

type Bench = Awaited<ReturnType<typeof bench>>;

/** Writes these blocks at the start of a cartridge, or behind its label. */
async function writeBlocks({ library }: Bench, barcode: string, blocks: readonly Buffer[]) {
  const { drive, close } = await library.attach(barcode, go);
  await drive.setMode(WRITING_MODE, go);
  await drive.spaceToEndOfData(go);
  for (const block of blocks) await drive.write(block, go);
  await drive.writeFilemarks(1, { immediate: false }, go);
  await close();
}

async function beginning({ library }: Bench, barcode: string) {
  const { drive, close } = await library.attach(barcode, go);
  const found = await readBeginning(drive, go);
  await close();
  return found;
}

test('a blank cartridge becomes scratch: label, chip and catalog say the same', async () => {
  const it = await bench();
  const medium = await labelMedium(it.tools, ONE, go);
  expect(medium).toMatchObject({
    state: 'scratch',
    pool: 'main',
    setNumber: 1,
    blockBytes: 4096,
    nextFile: 1,
    writeGeneration: 1,
    capacityBytes: Math.floor(SHAPE.capacityBytes / 2 ** 20) * 2 ** 20,
  });
  expect(medium.uuid).toBeDefined();
  const tape = await Tape.attach(it.library, { barcode: ONE, uuid: medium.uuid ?? '' }, go);
  const known = { block: medium.nextBlock, file: medium.nextFile, writeGeneration: 1 };
  expect(await tape.prepareToAppend(known, go)).toEqual({ unknownFiles: 0 });
  expect(tape.label).toMatchObject({
    pool: 'main',
    set: { uuid: medium.setUuid, number: 1 },
    generation: 'LTO-8',
    host: 'here',
    writeGeneration: 1,
  });
  await tape.close();
  const second = await labelMedium(it.tools, TWO, go);
  expect(second).toMatchObject({ setUuid: medium.setUuid, setNumber: 2 });
});

test('pools have sets of their own', async () => {
  const it = await bench();
  const one = await writeLabel(it.tools, { barcode: ONE, pool: 'films', overwrite: false }, go);
  const two = await writeLabel(it.tools, { barcode: TWO, pool: 'photos', overwrite: false }, go);
  expect([one.setNumber, two.setNumber, one.pool]).toEqual([1, 1, 'films']);
  expect(one.setUuid).not.toBe(two.setUuid);
});

const VOL1 = Buffer.from('VOL1ABC001            LTFS'.padEnd(80));

describe('what is on a cartridge is named, and only written over by request', () => {
  test.each([
    ['LTFS', [VOL1], /formatted with LTFS/],
    ['zeros', [Buffer.alloc(4096)], /block of zeros/],
    ['foreign', [Buffer.from('anything at all')], /data of another program/],
  ])('%s', async (_, blocks, sentence) => {
    const it = await bench();
    await writeBlocks(it, ONE, blocks);
    const refused = { code: 'MEDIUM_MISMATCH', message: expect.stringMatching(sentence) };
    await expect(labelMedium(it.tools, ONE, go)).rejects.toMatchObject(refused);
    expect(await beginning(it, ONE)).toMatchObject({ kind: 'foreign' });
    expect(it.medium(ONE).state).toBe('unlabelled');
    const medium = await writeLabel(it.tools, { barcode: ONE, overwrite: true }, go);
    expect(medium.state).toBe('scratch');
    expect(await beginning(it, ONE)).toMatchObject({ label: { uuid: medium.uuid } });
  });

  test('a label of another catalog', async () => {
    const other = await bench();
    const it = await bench();
    await labelMedium({ ...it.tools, catalog: other.catalog, host: 'a\x1bb' }, ONE, go);
    await expect(labelMedium(it.tools, ONE, go)).rejects.toMatchObject({
      code: 'MEDIUM_MISMATCH',
      message: expect.stringMatching(/label of shelfs: AAA001L8 of pool main, written by a\\x1bb/),
    });
    const medium = await writeLabel(it.tools, { barcode: ONE, overwrite: true }, go);
    expect(await beginning(it, ONE)).toMatchObject({ label: { uuid: medium.uuid } });
  });
});

test('archives of this catalog are never labelled over', async () => {
  const it = await bench();
  const medium = await labelMedium(it.tools, ONE, go);
  const run = begin(it.catalog);
  storeAll(run, [medium.id], () => content('x'));
  for (const overwrite of [false, true])
    await expect(writeLabel(it.tools, { barcode: ONE, overwrite }, go)).rejects.toMatchObject({
      code: 'MEDIUM_MISMATCH',
      message: expect.stringMatching(/never labelled over/),
    });
  expect(it.medium(ONE)).toMatchObject({ uuid: medium.uuid, state: 'filling' });
});

test('a cartridge with the sticker of another is refused by its label', async () => {
  const it = await bench();
  const medium = await labelMedium(it.tools, ONE, go);
  storeAll(begin(it.catalog), [medium.id], () => content('x'));
  await it.library.unload(undefined, undefined, go);
  it.world.faults.add({
    note: 'sticker exchanged',
    on: 'move',
    effect: { kind: 'relabel', element: 1024, barcode: 'ZZZ003L8' },
  });
  await it.library.transfer({ kind: 'slot', number: 2 }, { kind: 'slot', number: 6 }, go);
  it.media.add([{ barcode: 'ZZZ003L8', kind: 'tape', capacityBytes: 1e12 }]);
  const request = { barcode: 'ZZZ003L8', overwrite: true };
  await expect(writeLabel(it.tools, request, go)).rejects.toMatchObject({
    code: 'MEDIUM_MISMATCH',
  });
  expect(await beginning(it, 'ZZZ003L8')).toMatchObject({ label: { uuid: medium.uuid } });
});

test('archives that the catalog does not know, being older, are not labelled over either', async () => {
  const it = await bench();
  await labelMedium(it.tools, ONE, go);
  await writeBlocks(it, ONE, [Buffer.alloc(4096, 1)]);
  const request = { barcode: ONE, overwrite: true };
  await expect(writeLabel(it.tools, request, go)).rejects.toMatchObject({
    code: 'MEDIUM_MISMATCH',
    message: expect.stringMatching(/does not know/),
  });
  expect(it.medium(ONE).state).toBe('scratch');
});

test('one that is labelled is labelled anew by request only, under a new identity', async () => {
  const it = await bench();
  const first = await labelMedium(it.tools, ONE, go);
  await expect(labelMedium(it.tools, ONE, go)).rejects.toMatchObject({ code: 'USAGE' });
  const second = await writeLabel(it.tools, { barcode: ONE, overwrite: true }, go);
  expect(second.uuid).not.toBe(first.uuid);
  expect(second).toMatchObject({ setNumber: 1, label: { writeGeneration: 2 } });
});

test('cut short between tape and catalog, the next labelling finishes it', async () => {
  const it = await bench();
  const plan = planLabel(it.catalog, it.medium(ONE).id, {
    pool: 'main',
    newUuid: () => it.tools.random.uuid(),
  });
  const early = await bench();
  planLabel(early.catalog, early.medium(ONE).id, {
    pool: 'main',
    newUuid: () => (early.medium(ONE).uuid === undefined ? plan.uuid : plan.setUuid),
  });
  // Another catalog with the same plan stands for the process that was killed behind the tape's last filemark.
  await labelMedium({ ...it.tools, catalog: early.catalog }, ONE, go);
  expect(it.medium(ONE)).toMatchObject({ state: 'unlabelled', uuid: plan.uuid });
  const medium = await labelMedium(it.tools, ONE, go);
  expect(medium).toMatchObject({ state: 'scratch', uuid: plan.uuid, setNumber: 1 });
});

test('the same, but something stands behind that label: refused', async () => {
  const it = await bench();
  const uuids = ['00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002'];
  const planned = (catalog: Catalog, id: number) => {
    const left = [...uuids];
    planLabel(catalog, id, { pool: 'main', newUuid: () => left.shift() ?? '' });
  };
  const early = await bench();
  planned(it.catalog, it.medium(ONE).id);
  planned(early.catalog, early.medium(ONE).id);
  await labelMedium({ ...it.tools, catalog: early.catalog }, ONE, go);
  await writeBlocks(it, ONE, [Buffer.alloc(4096, 1)]);
  await expect(labelMedium(it.tools, ONE, go)).rejects.toMatchObject({
    code: 'MEDIUM_MISMATCH',
    message: expect.stringMatching(/does not know/),
  });
});

test.each(['retired', 'suspect', 'lost', 'hold', 'full'] as const)(
  'not one that is %s',
  async (state) => {
    const it = await bench();
    it.media.setState(it.medium(ONE).id, state);
    await expect(writeLabel(it.tools, { barcode: ONE, overwrite: true }, go)).rejects.toMatchObject(
      { code: 'USAGE', message: expect.stringContaining(state) },
    );
  },
);

test('not one that nobody registered', async () => {
  const it = await bench();
  await expect(labelMedium(it.tools, 'ZZZ001L8', go)).rejects.toMatchObject({
    code: 'USAGE',
    message: expect.stringMatching(/media add ZZZ001L8/),
  });
});
