import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { CodedError } from '../../../src/base/errors.ts';
import type { ScsiPort } from '../../../src/device/port.ts';
import type { Barcode } from '../../../src/domain/barcode.ts';
import { type Place, parsePlace } from '../../../src/domain/place.ts';
import type { DriveDevice, LibraryDevices } from '../../../src/storage/devices.ts';
import { Library } from '../../../src/storage/library.ts';
import { SimWorld } from '../../sim/world.ts';

const go = new AbortController().signal;

type Order = { drives?: readonly number[]; changer?: boolean; serials?: boolean };

/** What the product wires, over the library of a simulated world. */
async function make(
  world: SimWorld,
  { drives = [0, 1], changer = true, serials = true }: Order = {},
) {
  const known = await world.library.driveSerials();
  const log: string[] = [];
  const device = (index: number): DriveDevice => ({
    name: `device ${index}`,
    serial: serials ? known[index] : undefined,
    hold: async () => {
      const port = await world.library.openDrive(index);
      log.push(`hold ${index}`);
      return {
        port,
        takeTape: async () => void log.push(`take ${index}`),
        letGoOfTape: async () => void log.push(`let go ${index}`),
        close: async () => {
          log.push(`close ${index}`);
          await port.close();
        },
      };
    },
  });
  const devices: LibraryDevices = {
    openChanger: changer ? async () => world.library.openChanger() : undefined,
    drives: drives.map(device),
    statistics: async () => {
      const all = await world.library.statistics();
      return drives.flatMap((index) => all[index] ?? []);
    },
  };
  return { library: new Library(devices, world.clock), log, devices };
}

async function fresh(order: Order = {}, shape: Parameters<typeof SimWorld.make>[0] = {}) {
  const world = await SimWorld.make(shape);
  return { world, ...(await make(world, order)) };
}

/** Keeps a drive as another process would. */
async function held(world: SimWorld, index: number): Promise<ScsiPort> {
  const port = await world.library.openDrive(index);
  onTestFinished(() => port.close());
  return port;
}

function at(text: string): Place {
  const place = parsePlace(text);
  if (!place) throw new Error(`no place: ${text}`);
  return place;
}

const places = async (library: Library) => {
  const { slots, ports, drives } = await library.status(go);
  return [
    ...slots.map(({ number, barcode }) => [`slot ${number}`, barcode]),
    ...ports.map(({ number, barcode }) => [`port ${number}`, barcode]),
    ...drives.map(({ number, barcode }) => [`drive ${number}`, barcode]),
  ].filter(([, barcode]) => barcode !== null);
};
const BEFORE = [
  ['slot 1', 'AAA001L8'],
  ['slot 2', 'AAA002L8'],
  ['slot 3', 'AAA003L8'],
  ['slot 4', 'AAA004LY'],
];

describe('status', () => {
  test('everything, in people’s numbers', async () => {
    const { library } = await fresh();
    const status = await library.status(go);
    expect(status.changer).toMatchObject({
      model: 'SHELFS VIRTUAL LIBRARY',
      device: 'virtual changer',
    });
    expect(status.slots.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(status.ports).toEqual([
      { kind: 'port', number: 1, address: 768, full: false, barcode: null },
    ]);
    expect(status.drives).toMatchObject([
      {
        number: 0,
        device: 'device 0',
        model: 'SHELFS VIRTUAL LTO-8',
        state: 'empty',
        heldBy: null,
        barcode: null,
      },
      { number: 1, device: 'device 1', state: 'empty' },
    ]);
    expect(status.cartridges).toEqual([
      { barcode: 'AAA001L8', generation: 'LTO-8', kind: 'data', place: 'slot 1' },
      { barcode: 'AAA002L8', generation: 'LTO-8', kind: 'data', place: 'slot 2' },
      { barcode: 'AAA003L8', generation: 'LTO-8', kind: 'data', place: 'slot 3' },
      { barcode: 'AAA004LY', generation: 'LTO-8', kind: 'worm', place: 'slot 4' },
    ]);
    expect(JSON.parse(JSON.stringify(status))).toEqual(status);
  });

  test('a drive that another process holds is named, not asked', async () => {
    const { library, world } = await fresh();
    await library.load(at('slot 1'), 0, go);
    await held(world, 0);
    const { drives } = await library.status(go);
    expect(drives[0]).toMatchObject({
      state: 'held',
      heldBy: process.pid,
      barcode: 'AAA001L8',
      from: 'slot 1',
      model: null,
    });
    expect(drives[0]?.serial).toMatch(/D0$/);
    expect(drives[0]?.statistics).toMatchObject({ loads: 1 });
    expect(drives[1]).toMatchObject({ state: 'empty', heldBy: null });
  });

  test('drives are matched by serial number, in whatever order they were configured', async () => {
    const { library } = await fresh({ drives: [1, 0] });
    await library.load(at('AAA001'), 1, go);
    const { drives } = await library.status(go);
    expect(drives).toMatchObject([
      { number: 0, device: 'device 0', state: 'empty' },
      { number: 1, device: 'device 1', state: 'ready', barcode: 'AAA001L8', from: 'slot 1' },
    ]);
    expect(drives[1]?.statistics).toMatchObject({ loads: 1 });
    expect(drives[0]?.statistics).toMatchObject({ loads: 0 });
  });

  test('a drive that nobody configured is there, and cannot be asked', async () => {
    const { library } = await fresh({ drives: [1] });
    expect((await library.status(go)).drives).toMatchObject([
      {
        number: 0,
        device: null,
        state: 'unknown',
        model: null,
        serial: expect.stringMatching(/D0$/),
      },
      { number: 1, device: 'device 1', state: 'empty' },
    ]);
    // moving into it works all the same
    expect(await library.load(at('slot 2'), 0, go)).toEqual({
      barcode: 'AAA002L8',
      from: 'slot 2',
      to: 'drive 0',
    });
  });

  test('stickers that cannot be read, cleaning cartridges, what is no LTO barcode', async () => {
    const { library, world } = await fresh(
      {},
      {
        shape: { barcodes: ['CLN001L8', 'AAA002L8', 'AAA003L8'] as Barcode[] },
      },
    );
    for (const [element, barcode] of [
      [1025, undefined],
      [1026, '\x1b[31mX'],
    ] as const) {
      world.faults.add({
        note: 'sticker',
        on: 'move',
        effect: { kind: 'relabel', element, barcode },
      });
      await library.transfer(at('slot 1'), at('slot 6'), go);
      await library.transfer(at('slot 6'), at('slot 1'), go);
    }
    expect((await library.status(go)).cartridges).toEqual([
      { barcode: 'CLN001L8', generation: null, kind: 'cleaning', place: 'slot 1' },
      { barcode: null, generation: null, kind: 'unknown', place: 'slot 2' },
      { barcode: '?[31mX', generation: null, kind: 'unknown', place: 'slot 3' },
    ]);
  });

  test('inventory reports the same', async () => {
    const { library } = await fresh();
    expect(await library.inventory(go)).toEqual(await library.status(go));
  });
});

describe('load', () => {
  test('by name, barcode or place; into the first empty drive, or the one named', async () => {
    const { library, log } = await fresh();
    expect(await library.load(at('aaa001'), undefined, go)).toEqual({
      barcode: 'AAA001L8',
      from: 'slot 1',
      to: 'drive 0',
    });
    expect(log).toEqual(['hold 0', 'let go 0', 'take 0', 'close 0']);
    expect(await library.load(at('AAA003L8'), undefined, go)).toMatchObject({ to: 'drive 1' });
    expect((await library.status(go)).drives.map(({ state }) => state)).toEqual(['ready', 'ready']);
  });

  test.each<[string, string, number | undefined, string, RegExp]>([
    [
      'a cartridge that is not there',
      'ZZZ999',
      undefined,
      'MEDIUM_OFFLINE',
      /ZZZ999 is not in the library/,
    ],
    ['an empty slot', 'slot 5', undefined, 'CHANGER_SOURCE_EMPTY', /slot 5/],
    ['a slot there is not', 'slot 99', undefined, 'USAGE', /no slot 99: the library has 6 slots/],
    ['a port there is not', 'port 2', undefined, 'USAGE', /no port 2: the library has 1 port$/],
    ['a drive there is not', 'slot 1', 2, 'USAGE', /no drive 2: the library has 2 drives/],
    ['what is in a drive already', 'AAA002', undefined, 'USAGE', /AAA002L8 is in drive 0 already/],
    [
      'into a full drive',
      'slot 1',
      0,
      'CHANGER_DESTINATION_FULL',
      /moving AAA001L8 from slot 1 to drive 0/,
    ],
  ])('refused, and nothing moves: %s', async (_, what, drive, code, words) => {
    const { library } = await fresh();
    await library.load(at('AAA002L8'), 0, go);
    const before = await places(library);
    await expect(library.load(at(what), drive, go)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(words),
    });
    expect(await places(library)).toEqual(before);
  });

  test('every drive full', async () => {
    const { library } = await fresh();
    await library.load(at('slot 1'), undefined, go);
    await library.load(at('slot 2'), undefined, go);
    await expect(library.load(at('slot 3'), undefined, go)).rejects.toMatchObject({
      code: 'CHANGER_DESTINATION_FULL',
      message: expect.stringContaining('every drive'),
    });
  });

  test('six characters that name two cartridges', async () => {
    const { library } = await fresh(
      {},
      { shape: { barcodes: ['AAA001L8', 'AAA001L7'] as Barcode[] } },
    );
    await expect(library.load(at('AAA001'), undefined, go)).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('several cartridges'),
    });
    expect(await library.load(at('AAA001L7'), undefined, go)).toMatchObject({ from: 'slot 2' });
  });

  test('a cleaning cartridge does not become ready, and says why', async () => {
    const { library } = await fresh({}, { shape: { barcodes: ['CLN001L8'] as Barcode[] } });
    await expect(library.load(at('slot 1'), undefined, go)).rejects.toMatchObject({
      code: 'DRIVE_NOT_READY',
      message: expect.stringContaining('cleaning'),
    });
    expect(await places(library)).toEqual([['drive 0', 'CLN001L8']]);
    expect((await library.status(go)).drives[0]).toMatchObject({ state: 'cleaning' });
  });

  test('into a drive that another process holds: named by pid', async () => {
    const { library, world } = await fresh();
    await held(world, 0);
    await expect(library.load(at('slot 1'), 0, go)).rejects.toMatchObject({
      code: 'DRIVE_BUSY',
      message: expect.stringContaining(`process ${process.pid}`),
    });
  });

  test('a jam', async () => {
    const { library, world } = await fresh();
    world.faults.add({ note: 'jam', on: 'move', effect: { kind: 'jam', moves: 1 } });
    await expect(library.load(at('slot 1'), 0, go)).rejects.toMatchObject({
      code: 'CHANGER_JAMMED',
    });
    expect(await places(library)).toEqual(BEFORE);
  });
});

describe('unload', () => {
  test('the only loaded drive, back to where the cartridge came from; the tape is let go first', async () => {
    const { library, log } = await fresh();
    await library.transfer(at('slot 1'), at('slot 6'), go); // a free slot before its own
    await library.load(at('slot 3'), 1, go);
    log.length = 0;
    expect(await library.unload(undefined, undefined, go)).toEqual({
      barcode: 'AAA003L8',
      from: 'drive 1',
      to: 'slot 3',
    });
    expect(log).toEqual(['hold 1', 'let go 1', 'close 1']);
  });

  test('by the cartridge in it, to a place', async () => {
    const { library } = await fresh();
    await library.load(at('slot 3'), 1, go);
    expect(await library.unload(at('AAA003'), at('slot 6'), go)).toMatchObject({
      from: 'drive 1',
      to: 'slot 6',
    });
  });

  test('its slot was taken meanwhile: the first empty one', async () => {
    const { library } = await fresh();
    await library.load(at('slot 3'), 0, go);
    await library.transfer(at('slot 4'), at('slot 3'), go);
    expect(await library.unload(undefined, undefined, go)).toMatchObject({ to: 'slot 4' });
  });

  test('drives in another order: the right one gives its tape up', async () => {
    const { library, log } = await fresh({ drives: [1, 0] });
    await library.load(at('slot 1'), 0, go);
    log.length = 0;
    await library.unload(at('drive 0'), undefined, go);
    expect(log).toEqual(['hold 0', 'let go 0', 'close 0']);
  });

  test.each<[string, string | undefined, string | undefined, string, RegExp]>([
    ['a slot', 'slot 1', undefined, 'USAGE', /slot 1 is not a drive/],
    ['a cartridge in a slot', 'AAA001', undefined, 'USAGE', /slot 1 is not a drive/],
    ['an empty drive', 'drive 1', undefined, 'CHANGER_SOURCE_EMPTY', /drive 1 is empty/],
    ['to a full slot', 'drive 0', 'slot 1', 'CHANGER_DESTINATION_FULL', /slot 1 is full/],
    ['to a slot there is not', 'drive 0', 'slot 7', 'USAGE', /no slot 7/],
  ])('refused, and the tape stays threaded: %s', async (_, what, to, code, words) => {
    const { library, log } = await fresh();
    await library.load(at('slot 2'), 0, go);
    log.length = 0;
    await expect(
      library.unload(
        what === undefined ? undefined : at(what),
        to === undefined ? undefined : at(to),
        go,
      ),
    ).rejects.toMatchObject({ code, message: expect.stringMatching(words) });
    expect(log).toEqual([]);
    expect((await library.status(go)).drives[0]).toMatchObject({
      state: 'ready',
      barcode: 'AAA002L8',
    });
  });

  test('no drive loaded, several loaded', async () => {
    const { library } = await fresh();
    await expect(library.unload(undefined, undefined, go)).rejects.toMatchObject({
      code: 'CHANGER_SOURCE_EMPTY',
    });
    await library.load(at('slot 1'), undefined, go);
    await library.load(at('slot 2'), undefined, go);
    await expect(library.unload(undefined, undefined, go)).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('several drives'),
    });
  });

  test('no slot is free', async () => {
    const { library, world } = await fresh(
      {},
      { shape: { slots: 1, barcodes: ['AAA001L8'] as Barcode[] } },
    );
    await library.load(at('slot 1'), 0, go);
    await world.hand.insert('AAA002L8');
    await library.transfer(at('port 1'), at('slot 1'), go);
    await expect(library.unload(undefined, undefined, go)).rejects.toMatchObject({
      code: 'CHANGER_DESTINATION_FULL',
      message: expect.stringContaining('every slot is full'),
    });
  });

  test('a drive that another process holds keeps its tape', async () => {
    const { library, world } = await fresh();
    await library.load(at('slot 1'), 0, go);
    await held(world, 0);
    await expect(library.unload(at('drive 0'), undefined, go)).rejects.toMatchObject({
      code: 'DRIVE_BUSY',
      facts: { pid: process.pid },
    });
  });

  test('one that was unloaded already is taken out', async () => {
    const { library, log, world } = await fresh();
    await library.load(at('slot 1'), 0, go);
    const port = await world.library.openDrive(0);
    await port.execute({ cdb: Buffer.from([0x1b, 0, 0, 0, 0, 0]), timeoutMs: 1 }, go);
    await port.close();
    log.length = 0;
    expect(await library.unload(undefined, at('slot 6'), go)).toMatchObject({ to: 'slot 6' });
    expect(log).toEqual(['hold 0', 'let go 0', 'close 0']);
  });
});

describe('transfer and export', () => {
  test('between slots, to the port, by name', async () => {
    const { library } = await fresh();
    expect(await library.transfer(at('AAA001'), at('slot 6'), go)).toEqual({
      barcode: 'AAA001L8',
      from: 'slot 1',
      to: 'slot 6',
    });
    expect(await library.export(at('AAA001'), undefined, go)).toEqual({
      barcode: 'AAA001L8',
      from: 'slot 6',
      to: 'port 1',
    });
    expect(await library.transfer(at('port 1'), at('slot 1'), go)).toMatchObject({
      from: 'port 1',
    });
    expect(await library.export(at('slot 2'), 1, go)).toMatchObject({ to: 'port 1' });
  });

  test('a drive another process holds does not give its cartridge away', async () => {
    const { library, world } = await fresh();
    await library.load(at('slot 1'), 0, go);
    const port = await held(world, 0);
    await port.execute({ cdb: Buffer.from([0x1e, 0, 0, 0, 1, 0]), timeoutMs: 1 }, go);
    await expect(library.transfer(at('drive 0'), at('slot 6'), go)).rejects.toMatchObject({
      code: 'DRIVE_BUSY',
    });
  });

  test('a cartridge that was left locked in stays, and says so', async () => {
    const { library, world } = await fresh();
    await library.load(at('slot 1'), 0, go);
    const refusal = { kind: 'sense', key: 5, code: 0x5302 } as const;
    world.faults.add({ note: 'locked', on: 'move', effect: refusal });
    await expect(library.transfer(at('drive 0'), at('slot 6'), go)).rejects.toMatchObject({
      code: 'REMOVAL_PREVENTED',
    });
  });

  test('cartridges exchanged by hand are noticed, not taken for one another', async () => {
    const { library, world } = await fresh();
    world.faults.add({
      note: 'exchange',
      on: 'move',
      effect: { kind: 'swap', elements: [1024 + 5, 1024 + 1] },
    });
    await expect(library.transfer(at('slot 1'), at('slot 6'), go)).rejects.toMatchObject({
      code: 'MEDIUM_MISMATCH',
      message: expect.stringContaining('AAA002L8 instead of AAA001L8'),
    });
  });

  test('one drive that cannot be asked does not hide the library', async () => {
    const { library, world } = await fresh();
    await library.load(at('slot 1'), 0, go);
    await writeFile(join(world.directory, 'AAA001L8.json'), '{}');
    const status = await library.status(go);
    expect(status.drives.map(({ state }) => state)).toEqual(['failed', 'empty']);
    expect(status.drives[0]?.problem).toMatch(/AAA001L8/);
    expect(status.cartridges).toHaveLength(4);
  });

  test.each<[string, (library: Library) => Promise<unknown>, string, RegExp]>([
    [
      'from an empty slot',
      (library) => library.transfer(at('slot 5'), at('slot 6'), go),
      'CHANGER_SOURCE_EMPTY',
      /moving a cartridge from slot 5 to slot 6/,
    ],
    [
      'to a full slot',
      (library) => library.transfer(at('slot 2'), at('slot 3'), go),
      'CHANGER_DESTINATION_FULL',
      /moving AAA002L8/,
    ],
    [
      'what is in the port already',
      (library) => library.export(at('AAA001'), undefined, go),
      'USAGE',
      /AAA001L8 is in port 1 already/,
    ],
    [
      'with every port full',
      (library) => library.export(at('AAA002'), undefined, go),
      'CHANGER_DESTINATION_FULL',
      /every port is full/,
    ],
    [
      'to a full port',
      (library) => library.export(at('AAA002'), 1, go),
      'CHANGER_DESTINATION_FULL',
      /port 1/,
    ],
    [
      'to a port there is not',
      (library) => library.export(at('AAA002'), 2, go),
      'USAGE',
      /no port 2/,
    ],
    [
      'an unknown cartridge',
      (library) => library.export(at('ZZZ001'), undefined, go),
      'MEDIUM_OFFLINE',
      /ZZZ001/,
    ],
  ])('refused, and nothing moves: %s', async (_, act, code, words) => {
    const { library } = await fresh();
    await library.export(at('AAA001'), undefined, go);
    const before = await places(library);
    await expect(act(library)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(words),
    });
    expect(await places(library)).toEqual(before);
  });

  test('a library without ports', async () => {
    const { library } = await fresh({}, { shape: { ports: 0 } });
    await expect(library.export(at('slot 1'), undefined, go)).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('no import/export port'),
    });
    expect((await library.status(go)).ports).toEqual([]);
  });
});

describe('a person is the changer', () => {
  async function byHand() {
    const made = await fresh({ changer: false });
    const changer = await made.world.openChanger();
    return { ...made, changer };
  }

  test('status shows the drives', async () => {
    const { library, changer, world } = await byHand();
    await changer.move(1024, 256, go);
    await held(world, 1);
    expect(await library.status(go)).toMatchObject({
      changer: null,
      drives: [
        { number: 0, state: 'ready', barcode: null, from: null },
        { number: 1, state: 'held', heldBy: process.pid },
      ],
      slots: [],
      ports: [],
      cartridges: [],
    });
  });

  test('only a drive can be unloaded, into a hand', async () => {
    const { library, changer, log } = await byHand();
    await changer.move(1024, 256, go);
    expect(await library.unload(undefined, undefined, go)).toEqual({
      barcode: null,
      from: 'drive 0',
      to: 'your hand',
    });
    expect(log).toEqual(['hold 0', 'let go 0', 'close 0']);
    expect((await library.status(go)).drives[0]).toMatchObject({ state: 'unloaded' });
    await expect(library.unload(at('drive 1'), undefined, go)).rejects.toMatchObject({
      code: 'DRIVE_EMPTY',
    });
    await expect(library.unload(at('drive 2'), undefined, go)).rejects.toMatchObject({
      code: 'USAGE',
    });
    await expect(library.unload(at('slot 1'), undefined, go)).rejects.toMatchObject({
      code: 'USAGE',
    });
  });

  test.each<[string, (library: Library) => Promise<unknown>]>([
    ['inventory', (library) => library.inventory(go)],
    ['load', (library) => library.load(at('slot 1'), undefined, go)],
    ['transfer', (library) => library.transfer(at('slot 1'), at('slot 2'), go)],
    ['export', (library) => library.export(at('slot 1'), undefined, go)],
  ])('%s needs a changer', async (_, act) => {
    const { library } = await byHand();
    await expect(act(library)).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining('no changer'),
    });
  });
});

test('drives without serial numbers are taken in the order of their configuration', async () => {
  const world = await SimWorld.make();
  const { library } = await make(world, { serials: false });
  const { drives } = await library.status(go);
  // the changer tells serial numbers, and no device answers to them
  expect(drives.map(({ device }) => device)).toEqual([null, null]);
});

test('everything is let go of, also after a failure', async () => {
  const { library, log, world } = await fresh();
  await library.load(at('slot 1'), 0, go);
  world.faults.add({
    note: 'unload',
    on: 'unload',
    effect: { kind: 'sense', key: 4, code: 0x5300 },
  });
  log.length = 0;
  await expect(library.unload(undefined, undefined, go)).rejects.toMatchObject({
    code: 'DRIVE_FAILED',
  });
  expect(log).toEqual(['hold 0', 'let go 0', 'close 0']);
  expect((await library.status(go)).drives[0]).toMatchObject({ state: 'ready' });
});

test('a stop before the first command', async () => {
  const { library } = await fresh();
  const reason = new CodedError('INTERRUPTED', 'stop');
  await expect(library.status(AbortSignal.abort(reason))).rejects.toBe(reason);
});
