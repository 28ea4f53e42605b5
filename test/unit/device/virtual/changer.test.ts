import { describe, expect, test } from 'vitest';
import { fromHex } from '../../../../src/base/bytes.ts';
import { SimClock } from '../../../../src/base/clock.ts';
import { seededRandom } from '../../../../src/base/random.ts';
import { parseElements } from '../../../../src/device/elements.ts';
import { parseSense } from '../../../../src/device/sense.ts';
import { VirtualLibrary } from '../../../../src/device/virtual/library.ts';
import { MOVE_SECONDS } from '../../../../src/device/virtual/mechanics.ts';
import type { Speed } from '../../../../src/device/virtual/usage.ts';
import type { Barcode } from '../../../../src/domain/barcode.ts';
import { memoryLocks } from '../../../sim/locks.ts';
import { scratchDirectory } from '../../../sim/scratch.ts';

const go = new AbortController().signal;

async function make(speed: Speed = 'model') {
  const directory = await scratchDirectory();
  const shape = {
    generation: 'LTO-9' as const,
    capacityBytes: 8 * 2 ** 20,
    drives: 2,
    slots: 3,
    ports: 1,
    barcodes: ['VIR001L9', 'VIR002L9'] as Barcode[],
  };
  await VirtualLibrary.create(directory, shape, seededRandom(1));
  const clock = new SimClock();
  const library = await VirtualLibrary.open(directory, {
    clock,
    speed,
    lockFile: memoryLocks(),
    bootId: 'boot',
  });
  const port = library.openChanger();
  const send = async (hex: string, inBytes = 0, signal = go) => {
    const dataIn = Buffer.alloc(inBytes);
    const reply = await port.execute(
      { cdb: fromHex(hex), timeoutMs: 1000, ...(inBytes > 0 && { dataIn }) },
      signal,
    );
    return {
      ...reply,
      data: dataIn.subarray(0, inBytes - reply.residualBytes),
      said: parseSense(reply.sense),
    };
  };
  return { clock, library, port, send };
}

const move = (from: number, to: number) =>
  `a5 00 0001 ${from.toString(16).padStart(4, '0')} ${to.toString(16).padStart(4, '0')} 0000 00 00`;

describe('what it says', () => {
  test('inquiry, serial number, element addresses', async () => {
    const { send } = await make();
    const inquiry = await send('12 00 00 00 24 00', 36);
    expect(inquiry.data[0]).toBe(8);
    expect(inquiry.data.toString('latin1', 16, 31)).toBe('VIRTUAL LIBRARY');
    expect((await send('12 01 80 00 ff 00', 255)).data.toString('latin1', 4)).toMatch(
      /^SV[0-9A-F]{8}$/,
    );
    expect((await send('12 01 b0 00 ff 00', 255)).said).toMatchObject({ key: 5, asc: 0x24 });
    expect((await send('5a 08 1d 00 00 00 00 00 ff 00', 255)).data.toString('hex')).toBe(
      '001a000000000000' + '1d12' + '00010001' + '04000003' + '03000001' + '01000002' + '0000',
    );
    expect((await send('5a 08 1f 00 00 00 00 00 ff 00', 255)).said).toMatchObject({
      key: 5,
      asc: 0x24,
    });
    expect((await send('c0 00 00 00 00 00')).said).toMatchObject({ key: 5, asc: 0x20 });
  });

  test.each([
    ['all', 'b8 10 0000 ffff 00 001000 00 00', [1, 1024, 1025, 1026, 768, 256, 257]],
    ['two, from 1025 on', 'b8 12 0401 0002 00 001000 00 00', [1025, 1026]],
    ['one drive', 'b8 14 0000 0001 01 001000 00 00', [256]],
    ['none of that type behind', 'b8 13 0400 0009 00 001000 00 00', []],
    ['three of all types, by type', 'b8 10 0000 0003 00 001000 00 00', [1, 1024, 1025]],
  ])('element status: %s', async (_, cdb, addresses) => {
    const { send } = await make();
    const { data } = await send(cdb, 4096);
    expect(parseElements(data)?.map(({ address }) => address)).toEqual(addresses);
    expect(data.readUInt16BE(2)).toBe(addresses.length);
    expect(data.readUIntBE(5, 3)).toBe(data.length - 8);
  });

  test('tags and serial numbers only where asked for; a short buffer gets the beginning', async () => {
    const { send } = await make();
    const tagless = parseElements((await send('b8 02 0000 ffff 00 001000 00 00', 4096)).data);
    expect(tagless?.map(({ full, barcode }) => [full, barcode])).toEqual([
      [true, undefined],
      [true, undefined],
      [false, undefined],
    ]);
    const drives = parseElements((await send('b8 14 0000 ffff 01 001000 00 00', 4096)).data);
    expect(drives?.map(({ driveSerial }) => driveSerial?.slice(-2))).toEqual(['D0', 'D1']);
    const head = await send('b8 12 0000 ffff 00 000008 00 00', 4096);
    expect(head.data).toHaveLength(8);
    expect(head.data.readUIntBE(5, 3)).toBe(8 + 3 * 48);
  });

  test('a drive’s cartridge can be reached only once it is unthreaded', async () => {
    const { send, library } = await make();
    await send(move(1024, 256));
    const access = async () =>
      parseElements((await send('b8 14 0000 0001 00 001000 00 00', 4096)).data)?.[0]?.accessible;
    expect(await access()).toBe(false);
    const drive = await library.openDrive(0);
    await drive.execute({ cdb: fromHex('1b 00 00 00 00 00'), timeoutMs: 1 }, go); // a unit attention
    await drive.execute({ cdb: fromHex('1b 00 00 00 00 00'), timeoutMs: 1 }, go);
    expect(await access()).toBe(true);
    await drive.close();
  });
});

describe('moving', () => {
  test.each([
    ['no such source', move(9999, 1026), 0x21],
    ['no such destination', move(1024, 9999), 0x21],
    ['from the picker', move(1, 1026), 0x21],
    ['to the picker', move(1024, 1), 0x21],
  ])('%s', async (_, cdb, asc) => {
    const { send } = await make();
    expect((await send(cdb)).said).toMatchObject({ key: 5, asc });
  });

  test('the slot it came from is remembered over ports and drives', async () => {
    const { send } = await make();
    for (const [from, to] of [
      [1024, 768],
      [768, 257],
      [257, 256],
    ] as const)
      expect((await send(move(from, to))).status).toBe(0);
    const drives = parseElements((await send('b8 14 0000 ffff 00 001000 00 00', 4096)).data);
    expect(drives?.map(({ full, sourceAddress }) => [full, sourceAddress])).toEqual([
      [true, 1024],
      [false, undefined],
    ]);
  });

  test('to where it stands: done, and still there', async () => {
    const { send } = await make();
    expect((await send(move(1024, 1024))).status).toBe(0);
    const [slot] = parseElements((await send('b8 12 0000 0001 00 001000 00 00', 4096)).data) ?? [];
    expect(slot).toMatchObject({ full: true, sourceAddress: 1024 });
  });

  test('real takes its seconds, model does not', async () => {
    const { send, clock } = await make('real');
    await send(move(1024, 1026));
    expect(clock.monotonicMs()).toBe(MOVE_SECONDS * 1000);
    const model = await make('model');
    await model.send(move(1024, 1026));
    expect(model.clock.monotonicMs()).toBe(0);
  });

  test('one command at a time, in the order of the calls; an aborted one is not carried out', async () => {
    const { send, port } = await make();
    const abort = new AbortController();
    const outcomes = Promise.all([
      send(move(1024, 1026)),
      send(move(1026, 1024), 0, abort.signal).catch((error: Error) => error.message),
      send(move(1024, 1026)),
    ]);
    abort.abort(new Error('enough'));
    const [first, second, third] = await outcomes;
    expect(first.status).toBe(0);
    expect(second).toBe('enough');
    expect(third.said).toMatchObject({ asc: 0x3b, ascq: 0x0e });
    await port.close();
    await port.close();
  });
});
