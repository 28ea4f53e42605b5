/** The virtual drive's own recommended access order, as the product asks for it and as others may. */
import { describe, expect, test } from 'vitest';
import { fromHex } from '../../../../src/base/bytes.ts';
import { segmentList } from '../../../../src/device/access-order.ts';
import { nearestFirst } from '../../../../src/device/virtual/access-order.ts';
import { MECHANICS } from '../../../../src/device/virtual/mechanics.ts';
import { Motion } from '../../../../src/device/virtual/motion.ts';
import type { Barcode } from '../../../../src/domain/barcode.ts';
import { WRITING_MODE } from '../../../../src/storage/writing-mode.ts';
import { SimWorld } from '../../../sim/world.ts';

const go = new AbortController().signal;
const CAPACITY = 18e12;
const WRAP = CAPACITY / MECHANICS['LTO-9'].wraps;
const BLOCKS = 40;

/** A drive with a cartridge of 40 blocks, at its beginning. */
async function loaded(generation: 'LTO-8' | 'LTO-9') {
  const barcode = `AAA001L${generation.at(-1)}` as Barcode;
  const world = await SimWorld.make({ shape: { generation, barcodes: [barcode] } });
  const changer = await world.openChanger();
  await changer.move(1024, 256, go);
  const drive = await world.openDrive(0);
  await drive.waitReady(go);
  await drive.setMode(WRITING_MODE, go);
  await drive.spaceToEndOfData(go);
  for (let block = 0; block < BLOCKS - 1; block += 1) await drive.write(Buffer.alloc(1000), go);
  await drive.writeFilemarks(1, { immediate: false }, go);
  await drive.rewind(go);
  return drive;
}

test('of a full-height LTO-9: each segment once, the nearest first, from where the tape stands', async () => {
  const drive = await loaded('LTO-9');
  const segments = [
    { firstBlock: 30, lastBlock: 31 },
    { firstBlock: 2, lastBlock: 4 },
    { firstBlock: 15, lastBlock: 15 },
  ];
  expect(await drive.accessOrder(segments, go)).toEqual([1, 2, 0]);
  expect(drive.position).toMatchObject({ proven: true, block: 0 });
  await drive.locate(10, go);
  // Ahead is read through at once; what lies behind costs a locate.
  expect(await drive.accessOrder(segments, go)).toEqual([2, 0, 1]);
});

test('an LTO-8 does not say', async () => {
  const drive = await loaded('LTO-8');
  const segments = [
    { firstBlock: 30, lastBlock: 31 },
    { firstBlock: 2, lastBlock: 4 },
  ];
  expect(drive.unit.supports(0xa4, 0x1d)).toBe(false);
  expect(await drive.accessOrder(segments, go)).toBeUndefined();
});

describe('on a real length of tape', () => {
  const run = (fromBytes: number) => ({ fromBytes, toBytes: fromBytes + 1e6 });
  const motion = () => new Motion(MECHANICS['LTO-9'], CAPACITY);

  test('places on neighbouring wraps come one after the other', () => {
    // One near the start and one near the end of each of ten double wraps: in order of block the tape runs its length each time.
    const runs = Array.from({ length: 10 }, (_, wrap) => [
      run(2 * wrap * WRAP + 1e8),
      run(2 * wrap * WRAP + 0.9 * WRAP),
    ]).flat();
    const cost = (order: readonly { fromBytes: number; toBytes: number }[]) => {
      let [at, seconds] = [0, 0];
      for (const { fromBytes, toBytes } of order) {
        seconds += motion().reach(at, fromBytes);
        at = toBytes;
      }
      return seconds;
    };
    const ordered = nearestFirst(runs, 0, motion());
    expect(ordered.toSorted((a, b) => a.fromBytes - b.fromBytes)).toEqual(runs);
    expect(cost(ordered)).toBeLessThan(cost(runs) / 3);
  });
});

describe('commands that others send', () => {
  const receive = (hex: string, lengthBytes: number) => ({
    cdb: [...fromHex(hex)],
    dataIn: Buffer.alloc(lengthBytes),
  });
  const generate = (list: Buffer, process = '02') => ({
    cdb: [...fromHex(`a41d${process}000000 ${list.length.toString(16).padStart(8, '0')} 0000`)],
    dataOut: list,
  });

  test('a single object at either end binds it', async () => {
    const drive = await loaded('LTO-9');
    const list = segmentList([
      { firstBlock: 20, lastBlock: 20 },
      { firstBlock: 36, lastBlock: 37 },
      { firstBlock: 22, lastBlock: 23 },
      { firstBlock: 3, lastBlock: 3 },
    ]);
    await drive.unit.send(generate(list), go);
    const { data } = await drive.unit.send(receive('a31d 00000000 00000400 0000', 1024), go);
    const firsts = [0, 1, 2, 3].map((index) => data.readUInt8(8 + index * 32 + 23));
    expect(firsts).toEqual([20, 22, 36, 3]);
  });

  test('only estimated, the list stays as it was sent; cleared, there is none', async () => {
    const drive = await loaded('LTO-9');
    const list = segmentList([
      { firstBlock: 30, lastBlock: 31 },
      { firstBlock: 2, lastBlock: 3 },
    ]);
    const ask = async () =>
      (await drive.unit.send(receive('a31d 00000000 00000400 0000', 1024), go)).data;
    expect([...(await ask())]).toEqual(new Array(8).fill(0));
    await drive.unit.send(generate(list, '01'), go);
    expect((await ask()).subarray(8)).toEqual(list.subarray(8));
    await drive.unit.send(generate(Buffer.alloc(0)), go);
    expect([...(await ask())]).toEqual(new Array(8).fill(0));
    const limits = await drive.unit.send(receive('a39d 00000000 00000004 0000', 4), go);
    expect([...limits.data]).toEqual([0x0a, 0xaa, 0, 32]);
  });

  test.each<[string, Buffer, string]>([
    ['beyond the end of the data', segmentList([{ firstBlock: 39, lastBlock: 40 }]), '02'],
    ['the last before the first', segmentList([{ firstBlock: 9, lastBlock: 3 }]), '02'],
    ['cut short', segmentList([{ firstBlock: 1, lastBlock: 2 }]).subarray(0, 39), '02'],
    ['a head with another length', fromHex('00000000 00000020'), '02'],
    ['a process that it does not know', segmentList([{ firstBlock: 1, lastBlock: 2 }]), '03'],
  ])('refused: %s', async (_, list, process) => {
    const drive = await loaded('LTO-9');
    const { sense } = await drive.unit.send(generate(list, process), go);
    expect(sense).toMatchObject({ key: 5 });
  });
});
