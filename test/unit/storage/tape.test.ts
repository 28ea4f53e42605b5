import { expect, onTestFinished, test } from 'vitest';
import type { Label } from '../../../src/archive/label.ts';
import { CodedError } from '../../../src/base/errors.ts';
import { labelTape } from '../../../src/storage/label-tape.ts';
import type { Library } from '../../../src/storage/library.ts';
import { Tape } from '../../../src/storage/tape.ts';
import { inTapeOrder, readPieces } from '../../../src/storage/tape-reader.ts';
import { libraryOf } from '../../sim/library-of.ts';
import { SimWorld } from '../../sim/world.ts';

const go = new AbortController().signal;
const BLOCK_BYTES = 4096;
const LABEL: Label = {
  barcode: 'AAA001L8',
  uuid: '00000000-0000-4000-8000-000000000001',
  pool: 'main',
  set: { uuid: '00000000-0000-4000-8000-00000000000f', number: 1 },
  generation: 'LTO-8',
  blockBytes: BLOCK_BYTES,
  created: '2026-01-01T00:00:00Z',
  program: 'shelfs 0.1.0',
  host: 'here',
  writeGeneration: 1,
};
const MEDIUM = { barcode: LABEL.barcode, uuid: LABEL.uuid };

const refuseAll = () => {
  throw new CodedError('MEDIUM_MISMATCH', 'not over this');
};

async function labelled() {
  const world = await SimWorld.make();
  const library = await libraryOf(world);
  const { end } = await labelTape(library, LABEL, refuseAll, go);
  return { world, library, end };
}

async function attached(library: Library): Promise<Tape> {
  const tape = await Tape.attach(library, MEDIUM, go);
  onTestFinished(() => tape.close());
  return tape;
}

const block = (fill: number) => Buffer.alloc(BLOCK_BYTES, fill);

async function writeArchive(tape: Tape, ...fills: number[]) {
  const archive = await tape.beginArchive(go);
  for (const fill of fills) await archive.writeBlock(block(fill), go);
  const written = await archive.finish(go);
  await tape.countArchive(go);
  return written;
}

test('a label, an archive behind it, and both read back', async () => {
  const { library, end } = await labelled();
  const tape = await attached(library);
  expect(tape.label).toMatchObject(LABEL);
  const known = { ...end, writeGeneration: 1 };
  expect(await tape.prepareToAppend(known, go)).toEqual({ unknownFiles: 0 });
  const written = await writeArchive(tape, 1, 2, 3);
  expect(written).toEqual({ fileNumber: 1, startBlock: end.block, lengthBlocks: 3 });
  const found: number[] = [];
  for await (const bytes of tape.blocks(end.block, Buffer.alloc(BLOCK_BYTES), go)) {
    found.push(bytes.readUInt8(0));
  }
  expect(found).toEqual([1, 2, 3]);
  expect(tape.writeGeneration).toBe(2);
  await tape.close();
  const again = await attached(library);
  expect(again.memory.writeGeneration).toBe(2);
  expect(await again.prepareToAppend({ ...known, writeGeneration: 2 }, go)).toEqual({
    unknownFiles: 1,
  });
});

test('archives of a later state of the catalog are refused by the count on the chip, before anything is written', async () => {
  const { library, end } = await labelled();
  const tape = await attached(library);
  const known = { ...end, writeGeneration: 1 };
  await tape.prepareToAppend(known, go);
  await writeArchive(tape, 1);
  await tape.close();
  const again = await attached(library);
  const refused = await again.prepareToAppend(known, go).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: 'MEDIUM_MISMATCH' });
  expect((refused as CodedError).message).toMatch(/AAA001L8.*1 archive more.*nothing was written/);
});

test('what stands behind the known end is closed only where that is permitted', async () => {
  const { library, end } = await labelled();
  const known = { ...end, writeGeneration: 1 };
  const tape = await attached(library);
  await tape.prepareToAppend(known, go);
  await (await tape.beginArchive(go)).writeBlock(block(9), go);
  await tape.close();
  const again = await attached(library);
  const permits = (unknownFiles: number) => {
    throw new CodedError('MEDIUM_MISMATCH', `${unknownFiles} too many`);
  };
  for (const _ of [1, 2]) {
    await expect(again.prepareToAppend({ ...known, permits }, go)).rejects.toThrow('1 too many');
    await again.drive.spaceToEndOfData(go);
    expect(again.drive.position).toMatchObject({ block: end.block + 1, file: end.file });
  }
});

test('a cartridge with a label is labelled again only where that is permitted', async () => {
  const { library } = await labelled();
  await expect(labelTape(library, LABEL, refuseAll, go)).rejects.toMatchObject({
    code: 'MEDIUM_MISMATCH',
  });
  const other = { ...LABEL, uuid: '00000000-0000-4000-8000-000000000002' };
  const seen: string[] = [];
  await labelTape(library, other, (found) => void seen.push(found.kind), go);
  expect(seen).toEqual(['label']);
  await expect(Tape.attach(library, MEDIUM, go)).rejects.toMatchObject({ code: 'MEDIUM_MISMATCH' });
});

test('a blank cartridge is not what the catalog means', async () => {
  const world = await SimWorld.make();
  const library = await libraryOf(world);
  const error = await Tape.attach(library, MEDIUM, go).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'MEDIUM_MISMATCH' });
  expect((error as CodedError).message).toMatch(/AAA001L8.*blank.*nothing was written/);
});

test('what a cut run left is closed with a filemark and not continued', async () => {
  const { library, end } = await labelled();
  const tape = await attached(library);
  await tape.prepareToAppend({ ...end, writeGeneration: 1 }, go);
  const torn = await tape.beginArchive(go);
  await torn.writeBlock(block(9), go);
  await tape.close();
  const again = await attached(library);
  expect(await again.prepareToAppend({ ...end, writeGeneration: 1 }, go)).toEqual({
    unknownFiles: 1,
  });
  const written = await writeArchive(again, 1);
  expect(written).toEqual({ fileNumber: 2, startBlock: end.block + 2, lengthBlocks: 1 });
});

test('a tape shorter than the catalog knows is not written to', async () => {
  const { library, end } = await labelled();
  const tape = await attached(library);
  const known = { block: end.block + 10, file: end.file + 2, writeGeneration: 5 };
  await expect(tape.prepareToAppend(known, go)).rejects.toMatchObject({ code: 'MEDIUM_MISMATCH' });
});

test('a reset between archives, swallowed by somebody, does not move the next archive', async () => {
  const { world, library, end } = await labelled();
  const tape = await attached(library);
  await tape.prepareToAppend({ ...end, writeGeneration: 1 }, go);
  await writeArchive(tape, 1);
  const effect = { kind: 'reset', swallowed: true } as const;
  world.faults.add({ note: 'reset', on: 'position', effect });
  const outcome = await writeArchive(tape, 2).catch((error: unknown) => error);
  expect(outcome).toMatchObject({ code: 'POSITION_LOST' });
  await tape.close();
  const again = await attached(library);
  const { unknownFiles } = await again.prepareToAppend({ ...end, writeGeneration: 2 }, go);
  expect(unknownFiles).toBe(1);
  expect(await writeArchive(again, 3)).toMatchObject({ fileNumber: 2 });
});

test('pieces are read in one pass, neighbours in one block too, and across archives', async () => {
  const { library, end } = await labelled();
  const tape = await attached(library);
  await tape.prepareToAppend({ ...end, writeGeneration: 1 }, go);
  const first = await writeArchive(tape, 1, 2, 3);
  const second = await writeArchive(tape, 4);
  const pieces = inTapeOrder([
    { key: 'd', startBlock: second.startBlock, offset: 10, lengthBytes: 5 },
    { key: 'a', startBlock: first.startBlock, offset: 0, lengthBytes: 3 },
    {
      key: 'c',
      startBlock: first.startBlock,
      offset: BLOCK_BYTES - 2,
      lengthBytes: BLOCK_BYTES + 4,
    },
    { key: 'b', startBlock: first.startBlock, offset: 3, lengthBytes: 1 },
  ]);
  const found = new Map<string, Buffer>();
  for await (const piece of readPieces(tape, pieces, go)) {
    if ('failure' in piece) throw piece.failure;
    found.set(piece.key, Buffer.concat([found.get(piece.key) ?? Buffer.alloc(0), piece.bytes]));
  }
  expect(Object.fromEntries(found)).toEqual({
    a: Buffer.alloc(3, 1),
    b: Buffer.alloc(1, 1),
    c: Buffer.concat([Buffer.alloc(2, 1), block(2), Buffer.alloc(2, 3)]),
    d: Buffer.alloc(5, 4),
  });
});

test('a block that cannot be read fails its piece and no other', async () => {
  const { world, library, end } = await labelled();
  const tape = await attached(library);
  await tape.prepareToAppend({ ...end, writeGeneration: 1 }, go);
  const { startBlock } = await writeArchive(tape, 1, 2, 3);
  world.faults.add({
    note: 'bad block',
    on: 'read',
    effect: { kind: 'sense', key: 3, code: 0x1100, deferred: false },
  });
  const pieces = [0, 1, 2].map((index) => ({
    key: index,
    startBlock,
    offset: index * BLOCK_BYTES,
    lengthBytes: 100,
  }));
  const results: [number, string][] = [];
  for await (const piece of readPieces(tape, pieces, go)) {
    results.push([piece.key, 'failure' in piece ? piece.failure.code : 'bytes']);
  }
  expect(results).toEqual([
    [0, 'MEDIUM_UNREADABLE'],
    [1, 'bytes'],
    [2, 'bytes'],
  ]);
});
