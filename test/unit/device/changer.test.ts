import { describe, expect, test } from 'vitest';
import { fromHex } from '../../../src/base/bytes.ts';
import { SimClock } from '../../../src/base/clock.ts';
import { Changer } from '../../../src/device/changer.ts';
import {
  GOOD,
  refusal,
  type Script,
  type ScriptedPort,
  scriptedDevice,
} from '../../sim/scripted-port.ts';

const go = new AbortController().signal;
const MOVE = 0xa5;
const STATUS = 0xb8;
const NOT_READY = refusal(2, 0x0401);
const ATTENTION = refusal(6, 0x2900);

/** One picker at 1, slots at 1024, a port at 768, drives at 256; header without block descriptor. */
function addresses(counts: {
  picker?: number;
  slot?: number;
  port?: number;
  drive?: number;
}): Script {
  const { picker = 1, slot = 2, port = 0, drive = 1 } = counts;
  const data = fromHex('001a 00 00 00 00 0000 1d 12 0001 0000 0400 0000 0300 0000 0100 0000 0000');
  for (const [index, count] of [picker, slot, port, drive].entries()) {
    data.writeUInt16BE(count, 12 + 4 * index);
  }
  return { data };
}

const page = (type: number, descriptors: string) => {
  const body = fromHex(descriptors);
  const head = fromHex('0000 0000 00 000000 00 00 000c 00 000000');
  head.writeUIntBE(body.length + 8, 5, 3);
  head.writeUInt8(type, 8);
  head.writeUIntBE(body.length, 13, 3);
  return { data: Buffer.concat([head, body]) };
};

const ELEMENTS: Record<number, Script> = {
  1: page(1, '0001 00 00 00 00 000000 00 0000'),
  2: page(2, '0400 09 00 00 00 000000 00 0000  0401 08 00 00 00 000000 00 0000'),
  3: page(3, ''),
  4: page(4, '0100 08 00 00 00 000000 00 0000'),
};

async function make(script: (port: ScriptedPort) => ScriptedPort = (port) => port) {
  const port = script(
    scriptedDevice('changer')
      .on(0x5a, addresses({}))
      .on(STATUS, ({ cdb }) => {
        const answer = ELEMENTS[(cdb[1] ?? 0) & 0x0f];
        return typeof answer === 'object' && !(answer instanceof Error) ? answer : GOOD;
      }),
  );
  const clock = new SimClock();
  return { changer: await Changer.open(port, clock, go), port, clock };
}

test('a tape drive is no changer', async () => {
  await expect(Changer.open(scriptedDevice('tape'), new SimClock(), go)).rejects.toMatchObject({
    code: 'DEVICE_UNSUITABLE',
  });
});

describe('elements', () => {
  test('are asked by type, only those there are, drives with their serial numbers', async () => {
    const { changer, port } = await make();
    const elements = await changer.elements(go);
    expect(elements.map(({ type, address }) => [type, address])).toEqual([
      ['picker', 1],
      ['slot', 0x400],
      ['slot', 0x401],
      ['drive', 0x100],
    ]);
    // allocation: 16 bytes and 343 for each element
    expect(port.sentWith(STATUS)).toEqual([
      'b8 11 00 01 00 01 00 00 01 67 00 00',
      'b8 12 04 00 00 02 00 00 02 be 00 00',
      'b8 14 01 00 00 01 01 00 01 67 00 00',
    ]);
  });

  test('addresses are asked once', async () => {
    const { changer, port } = await make();
    await changer.elements(go);
    await changer.elements(go);
    expect(port.sentWith(0x5a)).toEqual(['5a 08 1d 00 00 00 00 02 00 00']);
  });

  test('elements of a type that was not asked for are left out', async () => {
    const { changer } = await make((port) =>
      port.on(STATUS, page(2, '0400 09 00 00 00 000000 00 0000')),
    );
    expect((await changer.elements(go)).map(({ type }) => type)).toEqual(['slot']);
  });

  test.each<[string, Script]>([
    ['nothing', GOOD],
    ['a cut answer', { data: page(2, '0400 09').data.subarray(0, 12) }],
    ['more announced than sent', { data: fromHex('0000 0001 00 000100') }],
  ])('contradiction: %s', async (_, script) => {
    const { changer } = await make((port) => port.on(STATUS, script));
    await expect(changer.elements(go)).rejects.toMatchObject({
      code: 'CHANGER_FAILED',
      message: expect.stringContaining('contradicts itself'),
    });
  });

  test.each<[string, Script]>([
    ['no data', GOOD],
    ['another page', { data: fromHex('0008 00 00 00 00 0000 1f 00') }],
    ['a page cut short', { data: fromHex('000a 00 00 00 00 0000 1d 02 0001') }],
    ['lengths that contradict', { data: fromHex('001a 00 00 00 00 0000 1d 12 0001') }],
  ])('addresses that cannot be read: %s', async (_, script) => {
    const { changer, port } = await make((port) => port.on(0x5a, script));
    await expect(changer.elements(go)).rejects.toMatchObject({ code: 'CHANGER_FAILED' });
    await expect(changer.move(1024, 256, go)).rejects.toMatchObject({ code: 'CHANGER_FAILED' });
    expect(port.sentWith(MOVE)).toEqual([]);
  });

  test('many elements are asked for in portions, up to the last address there can be', async () => {
    const { changer, port } = await make((port) => port.on(0x5a, addresses({ slot: 0xffff })));
    await expect(changer.elements(go)).resolves.toBeDefined();
    const asked = port.sentWith(STATUS).filter((cdb) => cdb.startsWith('b8 12'));
    expect(asked[0]).toBe('b8 12 04 00 03 e8 00 05 3b e8 00 00');
    expect(asked.at(-1)?.slice(0, 17)).toBe('b8 12 fe 00 02 00');
    expect(asked).toHaveLength(65);
  });
});

describe('moving', () => {
  test('names picker, source and destination, and what it is about', async () => {
    const { changer, port } = await make((port) => port.on(MOVE, GOOD));
    await changer.move(0x400, 0x100, go);
    expect(port.sentWith(MOVE)).toEqual(['a5 00 00 01 04 00 01 00 00 00 00 00']);
    port.on(MOVE, refusal(4, 0x1501));
    await expect(changer.move(0x400, 0x100, go, 'moving A to B')).rejects.toThrow(/moving A to B/);
  });

  test.each([
    ['CHANGER_SOURCE_EMPTY', refusal(5, 0x3b0e)],
    ['CHANGER_DESTINATION_FULL', refusal(5, 0x3b0d)],
    ['REMOVAL_PREVENTED', refusal(5, 0x5302)],
    ['REMOVAL_PREVENTED', refusal(5, 0x5303)],
    ['CHANGER_JAMMED', refusal(4, 0x1501)],
    ['CHANGER_JAMMED', refusal(4, 0x4400)],
    ['CHANGER_FAILED', refusal(5, 0x2101)],
    ['CHANGER_FAILED', refusal(0xb, 0x0000)],
    ['CHANGER_FAILED', { hostStatus: 3 }],
    ['CHANGER_FAILED', { status: 2 }],
    ['DRIVE_BUSY', { status: 0x18 }],
  ])('%s', async (code, script) => {
    const { changer, port } = await make((port) => port.on(MOVE, script));
    await expect(changer.move(0x400, 0x100, go)).rejects.toMatchObject({ code });
    expect(port.sentWith(MOVE)).toHaveLength(1);
  });

  test('a unit attention stops it: the places may hold other cartridges than were seen', async () => {
    const { changer, port } = await make((port) => port.on(MOVE, ATTENTION, GOOD));
    await expect(changer.move(0x400, 0x100, go)).rejects.toMatchObject({ code: 'CHANGER_CHANGED' });
    expect(port.sentWith(MOVE)).toHaveLength(1);
    await changer.move(0x400, 0x100, go);
  });

  test('a changer that becomes ready is waited for, an hour', async () => {
    const waits = new Array<Script>(600).fill(NOT_READY);
    const { changer, port, clock } = await make((port) => port.on(MOVE, ...waits, GOOD));
    await changer.move(0x400, 0x100, go);
    expect(clock.monotonicMs()).toBe(600_000);
    port.on(MOVE, NOT_READY);
    await expect(changer.move(0x400, 0x100, go)).rejects.toMatchObject({ code: 'CHANGER_FAILED' });
    expect(clock.monotonicMs()).toBe(4_200_000);
  });

  test('one that needs a person is not waited for', async () => {
    const { changer, clock } = await make((port) => port.on(MOVE, refusal(2, 0x0403)));
    await expect(changer.move(0x400, 0x100, go)).rejects.toMatchObject({ code: 'CHANGER_FAILED' });
    expect(clock.monotonicMs()).toBe(0);
  });

  test('recovered is done', async () => {
    const { changer } = await make((port) => port.on(MOVE, refusal(1, 0x1501)));
    await changer.move(0x400, 0x100, go);
  });

  test('a deferred error is not this command’s success', async () => {
    const { changer } = await make((port) => port.on(MOVE, refusal(1, 0x1501, { deferred: true })));
    await expect(changer.move(0x400, 0x100, go)).rejects.toMatchObject({ code: 'CHANGER_JAMMED' });
  });

  test('waiting can be stopped, and then nothing is sent', async () => {
    const abort = new AbortController();
    const { changer, port } = await make((port) =>
      port.on(MOVE, NOT_READY, () => {
        abort.abort(new Error('enough'));
        return NOT_READY;
      }),
    );
    await expect(changer.move(0x400, 0x100, abort.signal)).rejects.toThrow('enough');
    await expect(changer.move(0x400, 0x100, abort.signal)).rejects.toThrow('enough');
    expect(port.sentWith(MOVE)).toHaveLength(2);
  });
});

test('inventory, positioning and locking as they go over the wire', async () => {
  const { changer, port } = await make((port) => port.on(0x07, GOOD).on(0x2b, GOOD).on(0x1e, GOOD));
  await changer.initializeElementStatus(go);
  await changer.positionTo(0x401, go);
  await changer.preventRemoval(true, go);
  await changer.preventRemoval(false, go);
  expect(port.sent.slice(-4)).toEqual([
    '5a 08 1d 00 00 00 00 02 00 00',
    '2b 00 00 01 04 01 00 00 00 00',
    '1e 00 00 00 01 00',
    '1e 00 00 00 00 00',
  ]);
  expect(port.sentWith(0x07)).toEqual(['07 00 00 00 00 00']);
});
