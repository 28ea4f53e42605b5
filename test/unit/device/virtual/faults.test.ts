import { AssertionError } from 'node:assert';
import { describe, expect, test } from 'vitest';
import { SimClock } from '../../../../src/base/clock.ts';
import type { Changer } from '../../../../src/device/changer.ts';
import type { Drive } from '../../../../src/device/drive.ts';
import { readMode } from '../../../../src/device/drive-mode.ts';
import { readHealth } from '../../../../src/device/health.ts';
import {
  type Fault,
  type FaultEffect,
  type FaultOperation,
  FaultPlan,
} from '../../../../src/device/virtual/faults.ts';
import { WRITING_MODE } from '../../../../src/storage/writing-mode.ts';
import { SimWorld } from '../../../sim/world.ts';

const go = new AbortController().signal;
const SENSE: FaultEffect = { kind: 'sense', key: 3, code: 0x1100 };

describe('when a fault is due', () => {
  const plan = (fault: Partial<Fault>) => {
    const made = new FaultPlan();
    made.add({ note: 'planned', on: 'read', effect: SENSE, ...fault });
    return made;
  };
  const read = { on: 'read', drive: 0, cartridge: 'A', block: 5, bytes: 100 } as const;

  test('once, and not again', () => {
    const made = plan({});
    expect(made.unfired()).toEqual(['planned']);
    expect(made.due(read)).toEqual(SENSE);
    expect(made.due(read)).toBeUndefined();
    expect(made.unfired()).toEqual([]);
  });

  test.each<[string, Partial<Fault>, boolean]>([
    ['any operation', { on: 'any' }, true],
    ['another operation', { on: 'write' }, false],
    ['this drive', { drive: 0 }, true],
    ['another drive', { drive: 1 }, false],
    ['this cartridge', { cartridge: 'A' }, true],
    ['another cartridge', { cartridge: 'B' }, false],
    ['this block', { atBlock: 5 }, true],
    ['another block', { atBlock: 6 }, false],
    ['all of it', { drive: 0, cartridge: 'A', atBlock: 5, atCount: 1 }, true],
  ])('%s', (_, fault, fires) => {
    const made = plan(fault);
    expect(made.due(read)).toEqual(fires ? SENSE : undefined);
    expect(made.unfired()).toEqual(fires ? [] : ['planned']);
  });

  test('the how-manieth of those that match', () => {
    const made = plan({ cartridge: 'A', atCount: 3 });
    expect(made.due(read)).toBeUndefined();
    expect(made.due({ ...read, cartridge: 'B' })).toBeUndefined();
    expect(made.due(read)).toBeUndefined();
    expect(made.due(read)).toEqual(SENSE);
  });

  test('not before so many bytes have gone through', () => {
    const made = plan({ afterBytes: 200 });
    expect([made.due(read), made.due(read)]).toEqual([undefined, undefined]);
    expect(made.due(read)).toEqual(SENSE);
  });

  test('the first planned wins, the other waits for the next', () => {
    const made = plan({ note: 'first' });
    made.add({ note: 'second', on: 'read', effect: { kind: 'delay', ms: 1 } });
    expect(made.due(read)).toEqual(SENSE);
    expect(made.unfired()).toEqual(['second']);
    expect(made.due(read)).toEqual({ kind: 'delay', ms: 1 });
  });

  test.each<[FaultOperation, FaultEffect]>([
    ['write', { kind: 'reset', swallowed: true }],
    ['read', { kind: 'jam', moves: 1 }],
    ['any', { kind: 'swap', elements: [1, 2] }],
    ['load', { kind: 'relabel', element: 1, barcode: undefined }],
    ['move', { kind: 'hang' }],
    ['move', { kind: 'power-loss', survivors: 0 }],
    ['move', { kind: 'tape-alert', flag: 1 }],
    ['write', { kind: 'bit-flip', byte: 0, bit: 0 }],
    ['read', { kind: 'late-write-error', key: 3, code: 0x0c00, afterCommands: 1 }],
  ])('a fault that proves nothing is a bug: on %s, %j', (on, effect) =>
    expect(() => plan({ on, effect })).toThrow(AssertionError),
  );
});

/** A drive with the first cartridge at end of data behind two confirmed blocks and a mark, a plan, and a clock. */
async function ready(...faults: readonly Fault[]) {
  const clock = new SimClock();
  const world = await SimWorld.make({ clock });
  const changer = await world.openChanger();
  await changer.move(1024, 256, go);
  const drive = await world.openDrive(0);
  await drive.waitReady(go);
  await drive.setMode(WRITING_MODE, go);
  await drive.spaceToEndOfData(go);
  for (const byte of [1, 2]) await drive.write(Buffer.alloc(100, byte), go);
  await drive.writeFilemarks(1, { immediate: false }, go);
  for (const fault of faults) world.faults.add(fault);
  return { world, changer, drive, clock };
}

async function blocks(drive: Drive): Promise<number[]> {
  await drive.state(go);
  await drive.rewind(go);
  const found: number[] = [];
  for (;;) {
    const buffer = Buffer.alloc(1000);
    const result = await drive.read(buffer, go);
    if (result.kind === 'end-of-data') return found;
    found.push(result.kind === 'filemark' ? 0 : (buffer[0] ?? -1));
  }
}

const KEPT = [1, 2, 0];

describe('effects on a drive', () => {
  const failing: readonly [FaultOperation, (drive: Drive) => Promise<unknown>][] = [
    ['write', (drive) => drive.write(Buffer.alloc(10, 9), go)],
    ['filemark', (drive) => drive.writeFilemarks(1, { immediate: false }, go)],
    ['position', (drive) => drive.provePosition(go)],
    ['locate', (drive) => drive.locate(1, go)],
    ['rewind', (drive) => drive.rewind(go)],
    ['space', (drive) => drive.spaceFilemarks(-1, go)],
    ['unload', (drive) => drive.unload(go)],
    ['load', (drive) => drive.load(go)],
    ['any', (drive) => drive.rewind(go)],
  ];
  test.each(failing)('sense on %s: refused, and nothing is changed', async (on, act) => {
    const { drive, world } = await ready({
      note: on,
      on,
      effect: { kind: 'sense', key: 4, code: 0x4400 },
    });
    await expect(act(drive)).rejects.toMatchObject({ code: 'DRIVE_FAILED' });
    expect(world.faults.unfired()).toEqual([]);
    expect(drive.position.proven).toBe(false);
    expect(await blocks(drive)).toEqual(KEPT);
  });

  test('sense on read', async () => {
    const { drive } = await ready({ note: 'read', on: 'read', atBlock: 1, effect: SENSE });
    await drive.rewind(go);
    await drive.read(Buffer.alloc(100), go);
    await expect(drive.read(Buffer.alloc(100), go)).rejects.toMatchObject({
      code: 'MEDIUM_UNREADABLE',
    });
    expect((await readHealth(drive.unit, go)).alerts).toEqual([3]);
    expect(await blocks(drive)).toEqual(KEPT);
  });

  test('a deferred sense with end of medium is still deferred', async () => {
    const { drive } = await ready({
      note: 'deferred',
      on: 'write',
      effect: { kind: 'sense', key: 3, code: 0x0c00, deferred: true, endOfMedium: true },
    });
    await expect(drive.write(Buffer.alloc(10, 9), go)).rejects.toMatchObject({
      code: 'MEDIUM_UNWRITABLE',
    });
    expect(await blocks(drive)).toEqual(KEPT);
  });

  const late = (afterCommands: number): Fault => ({
    note: 'late',
    on: 'write',
    effect: { kind: 'late-write-error', key: 3, code: 0x0c00, afterCommands },
  });

  test.each([0, 1, 2, 5])(
    'a late write error comes %i commands later; all since is lost',
    async (afterCommands) => {
      const { drive } = await ready(late(afterCommands));
      for (let count = 0; count < afterCommands; count += 1) {
        expect(await drive.write(Buffer.alloc(10, 9), go)).toBe('none');
        // the drive counts its buffer as written
        await drive.checkPosition(go);
      }
      await expect(drive.write(Buffer.alloc(10, 9), go)).rejects.toMatchObject({
        code: 'MEDIUM_UNWRITABLE',
      });
      expect(drive.position.proven).toBe(false);
      await drive.spaceToEndOfData(go);
      expect(drive.position).toMatchObject({ block: 3, file: 1 });
      await drive.setMode(WRITING_MODE, go);
      await drive.write(Buffer.alloc(10, 4), go);
      expect(await blocks(drive)).toEqual([...KEPT, 4]);
    },
  );

  test.each<[string, (drive: Drive) => Promise<unknown>]>([
    ['a synchronous filemark', (drive) => drive.writeFilemarks(1, { immediate: false }, go)],
    ['a flush', (drive) => drive.flush(go)],
    ['a rewind', (drive) => drive.rewind(go)],
    ['a locate', (drive) => drive.locate(0, go)],
    ['a read', (drive) => drive.read(Buffer.alloc(100), go)],
    ['a space', (drive) => drive.spaceToEndOfData(go)],
    ['an unload', (drive) => drive.unload(go)],
  ])('no later than %s', async (_, act) => {
    const { drive } = await ready(late(100));
    await drive.write(Buffer.alloc(10, 9), go);
    await drive.writeFilemarks(2, { immediate: true }, go);
    await drive.checkPosition(go);
    expect(drive.position).toMatchObject({ block: 6, file: 3 });
    await expect(act(drive)).rejects.toMatchObject({ code: 'MEDIUM_UNWRITABLE' });
    expect(await blocks(drive)).toEqual(KEPT);
  });

  test('a delay lets time pass, then the command is executed', async () => {
    const { drive, clock } = await ready({
      note: 'slow',
      on: 'write',
      effect: { kind: 'delay', ms: 5000 },
    });
    await drive.write(Buffer.alloc(10, 3), go);
    expect(clock.monotonicMs()).toBe(5000);
    expect(await blocks(drive)).toEqual([...KEPT, 3]);
  });

  test('a hang is a host status, after the timeout of the command', async () => {
    const { drive, clock } = await ready({
      note: 'hang',
      on: 'write',
      atCount: 2,
      effect: { kind: 'hang' },
    });
    await drive.write(Buffer.alloc(10, 3), go);
    await expect(drive.write(Buffer.alloc(10, 4), go)).rejects.toMatchObject({
      code: 'DRIVE_FAILED',
      message: expect.stringContaining('did not answer in time'),
    });
    expect(clock.monotonicMs()).toBe(3_600_000);
    await expect(drive.provePosition(go)).rejects.toMatchObject({ code: 'DRIVE_RESET' });
    expect(await drive.provePosition(go)).toMatchObject({ block: 0 });
    expect(await blocks(drive)).toEqual([...KEPT, 3]);
  });

  test.each([
    [0, KEPT],
    [1, [...KEPT, 3]],
    [2, [...KEPT, 3, 4]],
    [9, [...KEPT, 3, 4]],
  ])('power loss: of what was not confirmed, the first %i survive', async (survivors, kept) => {
    const { drive } = await ready({
      note: 'power',
      on: 'filemark',
      effect: { kind: 'power-loss', survivors },
    });
    await drive.write(Buffer.alloc(10, 3), go);
    await drive.write(Buffer.alloc(10, 4), go);
    await expect(drive.writeFilemarks(1, { immediate: false }, go)).rejects.toMatchObject({
      code: 'DRIVE_FAILED',
    });
    await expect(drive.provePosition(go)).rejects.toMatchObject({ code: 'DRIVE_RESET' });
    expect(await drive.provePosition(go)).toMatchObject({ block: 0 });
    expect(await readMode(drive.unit, go)).toMatchObject({ compression: true, appendOnly: false });
    expect(await blocks(drive)).toEqual(kept);
  });

  test('a reset rewinds and says so once; swallowed, it says nothing', async () => {
    const { drive } = await ready(
      { note: 'reset', on: 'position', effect: { kind: 'reset', swallowed: false } },
      { note: 'swallowed', on: 'position', atCount: 3, effect: { kind: 'reset', swallowed: true } },
    );
    await drive.preventRemoval(true, go);
    await expect(drive.provePosition(go)).rejects.toMatchObject({ code: 'DRIVE_RESET' });
    expect(await drive.provePosition(go)).toMatchObject({ block: 0 });
    await drive.unload(go); // no longer locked in
    await drive.load(go);
    await drive
      .locate(2, go)
      .catch((error: unknown) => expect(error).toMatchObject({ code: 'POSITION_LOST' }));
    expect(await blocks(drive)).toEqual(KEPT);
  });

  test('one bit of a block read is wrong, on the tape it is right', async () => {
    const { drive } = await ready({
      note: 'flip',
      on: 'read',
      atBlock: 1,
      effect: { kind: 'bit-flip', byte: 0, bit: 7 },
    });
    expect(await blocks(drive)).toEqual([1, 2 ^ 0x80, 0]);
    expect(await blocks(drive)).toEqual(KEPT);
  });

  test('a TapeAlert flag is set, and the command is executed', async () => {
    const { drive } = await ready({
      note: 'alert',
      on: 'write',
      effect: { kind: 'tape-alert', flag: 20 },
    });
    await drive.write(Buffer.alloc(10, 3), go);
    expect(await readHealth(drive.unit, go)).toMatchObject({
      alerts: [20],
      cleaningRequired: true,
    });
    expect(await blocks(drive)).toEqual([...KEPT, 3]);
  });

  test('a fault on one drive leaves the other alone', async () => {
    const { world, changer } = await ready({
      note: 'drive 1',
      on: 'rewind',
      drive: 1,
      effect: SENSE,
    });
    await changer.move(1025, 257, go);
    const [first, second] = [await world.openDrive(0), await world.openDrive(1)];
    await second.waitReady(go);
    await first.rewind(go);
    await expect(second.rewind(go)).rejects.toMatchObject({ code: 'MEDIUM_UNREADABLE' });
  });
});

describe('effects on the picker', () => {
  const places = async (changer: Changer) =>
    (await changer.elements(go)).map(({ address, barcode }) => [address, barcode]);

  test('a jam lasts as many moves as planned, and nothing moves', async () => {
    const { world, changer } = await ready({
      note: 'jam',
      on: 'move',
      effect: { kind: 'jam', moves: 2 },
    });
    const before = await places(changer);
    for (let count = 0; count < 2; count += 1) {
      await expect(changer.move(1025, 1028, go)).rejects.toMatchObject({ code: 'CHANGER_JAMMED' });
    }
    expect(await places(changer)).toEqual(before);
    expect(world.faults.unfired()).toEqual([]);
    await changer.move(1025, 1028, go);
  });

  test('a sense refuses one move, of one cartridge', async () => {
    const { changer } = await ready({
      note: 'refused',
      on: 'move',
      cartridge: 'AAA003L8',
      effect: { kind: 'sense', key: 5, code: 0x5302 },
    });
    await changer.move(1025, 1028, go);
    await expect(changer.move(1026, 1029, go)).rejects.toMatchObject({ code: 'REMOVAL_PREVENTED' });
    await changer.move(1026, 1029, go);
  });

  test('a delay', async () => {
    const { changer, clock } = await ready({
      note: 'slow',
      on: 'move',
      effect: { kind: 'delay', ms: 90_000 },
    });
    await changer.move(1025, 1028, go);
    expect(clock.monotonicMs()).toBe(90_000);
  });

  test('two cartridges exchanged by a person, stickers and all, after the move', async () => {
    const { changer, world } = await ready({
      note: 'swap',
      on: 'move',
      effect: { kind: 'swap', elements: [1025, 1028] },
    });
    await changer.move(1026, 1028, go);
    expect(
      (await places(changer)).filter(([address]) => address === 1025 || address === 1028),
    ).toEqual([
      [1025, 'AAA003L8'],
      [1028, 'AAA002L8'],
    ]);
    await changer.move(1025, 257, go);
    const drive = await world.openDrive(1);
    await drive.waitReady(go);
  });

  test('a sticker that reads otherwise, or not at all; a control byte in it goes nowhere', async () => {
    const { changer } = await ready(
      {
        note: 'other',
        on: 'move',
        effect: { kind: 'relabel', element: 1028, barcode: '\x1b[2J\u009bX' },
      },
      { note: 'none', on: 'move', effect: { kind: 'relabel', element: 1029, barcode: undefined } },
    );
    await changer.move(1025, 1028, go);
    await changer.move(1026, 1029, go);
    const found = await changer.elements(go);
    expect(found.find(({ address }) => address === 1028)?.barcode).toBe('?[2J?X');
    expect(found.find(({ address }) => address === 1029)).toMatchObject({
      full: true,
      barcode: undefined,
    });
  });
});

test('what did not fire is named', () => {
  const plan = new FaultPlan();
  plan.add({ note: 'never', on: 'load', effect: SENSE });
  plan.add({ note: 'nor this', on: 'move', effect: { kind: 'jam', moves: 1 } });
  expect(plan.unfired()).toEqual(['never', 'nor this']);
});
