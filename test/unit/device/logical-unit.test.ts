import { describe, expect, test } from 'vitest';
import { SimClock } from '../../../src/base/clock.ts';
import { CodedError } from '../../../src/base/errors.ts';
import { isDone, LogicalUnit, UNIT_ATTENTIONS_MAX } from '../../../src/device/logical-unit.ts';
import { supportedOperationCodes } from '../../../src/device/virtual/operation-codes.ts';
import {
  descriptorRefusal,
  GOOD,
  refusal,
  type Script,
  ScriptedPort,
  scriptedDevice,
} from '../../sim/scripted-port.ts';

const go = new AbortController().signal;
const TEST_UNIT_READY = { cdb: [0, 0, 0, 0, 0, 0] };
const BUSY = { status: 0x08 };

function unit(port: ScriptedPort) {
  const clock = new SimClock();
  let disturbances = 0;
  const made = new LogicalUnit(port, clock, 'DRIVE_FAILED');
  made.onDisturbance = () => {
    disturbances += 1;
  };
  return { unit: made, clock, port, disturbances: () => disturbances };
}

function ready(...scripts: readonly Script[]) {
  return unit(new ScriptedPort().on(0x00, ...scripts));
}

describe('what comes back', () => {
  test('GOOD has no sense', async () => {
    const { unit, disturbances } = ready(GOOD);
    expect(await unit.send(TEST_UNIT_READY, go)).toEqual({
      sense: undefined,
      data: Buffer.alloc(0),
      residualBytes: 0,
      isBusy: false,
    });
    expect(disturbances()).toBe(0);
  });

  test.each([
    ['fixed', refusal(5, 0x3a00)],
    ['descriptor', descriptorRefusal(5, 0x3a00)],
  ])('CHECK CONDITION is an answer, sense in %s format', async (_, script) => {
    const { unit, disturbances } = ready(script);
    const { sense } = await unit.send(TEST_UNIT_READY, go);
    expect(sense).toMatchObject({ key: 5, asc: 0x3a, deferred: false });
    expect(disturbances()).toBe(0);
  });

  test.each([
    ['none', new Uint8Array(0)],
    ['two bytes', Uint8Array.of(0x70, 0)],
    ['of a vendor', Uint8Array.of(0x7f, 0, 2, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x3a, 0)],
  ])('CHECK CONDITION without readable sense is a failure: %s', async (_, sense) => {
    const { unit, disturbances } = ready({ status: 0x02, sense });
    await expect(unit.send(TEST_UNIT_READY, go)).rejects.toMatchObject({
      code: 'DRIVE_FAILED',
      message: expect.stringContaining('status 2h without readable sense'),
    });
    expect(disturbances()).toBe(1);
  });

  test.each([
    [0x01, 'no longer connected'],
    [0x03, 'did not answer in time'],
    [0x07, 'internal error'],
    [0x08, 'reset'],
    [0x77, 'host status 119'],
  ])('host status %i is a failure whatever else is said', async (hostStatus, words) => {
    const { unit, disturbances } = ready({ hostStatus, status: 0 });
    await expect(unit.send(TEST_UNIT_READY, go)).rejects.toMatchObject({
      code: 'DRIVE_FAILED',
      message: expect.stringContaining(words),
      facts: { device: 'scripted device' },
    });
    expect(disturbances()).toBe(1);
  });

  test('host status counts before BUSY: nobody knows whether the command ran', async () => {
    const { unit, port } = ready({ hostStatus: 0x03, status: 0x08 }, GOOD);
    await expect(unit.send(TEST_UNIT_READY, go)).rejects.toMatchObject({ code: 'DRIVE_FAILED' });
    expect(port.sent).toHaveLength(1);
  });

  test.each([
    ['DRIVER_TIMEOUT', 0x06],
    ['DRIVER_TIMEOUT with the advice to retry', 0x16],
    ['DRIVER_ERROR', 0x04],
    ['DRIVER_HARD', 0x07],
  ])('%s with status GOOD is a failure', async (_, driverStatus) => {
    const { unit, disturbances } = ready({ status: 0, driverStatus });
    await expect(unit.send(TEST_UNIT_READY, go)).rejects.toMatchObject({ code: 'DRIVE_FAILED' });
    expect(disturbances()).toBe(1);
  });

  test('DRIVER_SENSE with advice only says that sense data are there', async () => {
    const { unit } = ready({ ...refusal(2, 0x3a00), driverStatus: 0x18 });
    expect((await unit.send(TEST_UNIT_READY, go)).sense?.asc).toBe(0x3a);
  });

  test('RESERVATION CONFLICT is another host', async () => {
    const { unit } = ready({ status: 0x18 });
    await expect(unit.send(TEST_UNIT_READY, go)).rejects.toMatchObject({
      code: 'DRIVE_BUSY',
      message: expect.stringContaining('reserved by another host'),
    });
  });

  test.each([0x04, 0x30, 0x40])('status %i is nothing we know', async (status) => {
    const { unit } = ready({ status });
    await expect(unit.send(TEST_UNIT_READY, go)).rejects.toMatchObject({ code: 'DRIVE_FAILED' });
  });

  test('a rejection of the port passes through and disturbs', async () => {
    const gone = new CodedError('DEVICE_MISSING', 'went away');
    const { unit, disturbances } = ready(gone);
    await expect(unit.send(TEST_UNIT_READY, go)).rejects.toBe(gone);
    expect(disturbances()).toBe(1);
  });

  test.each([
    ['a unit attention', refusal(6, 0x2900)],
    ['a deferred error', refusal(3, 0x0c00, { deferred: true })],
    ['a deferred error, descriptor format', { sense: Uint8Array.of(0x73, 3, 0xc, 0, 0, 0, 0, 0) }],
  ])('%s is an answer and a disturbance', async (_, script) => {
    const { unit, disturbances } = ready(script);
    expect((await unit.send(TEST_UNIT_READY, go)).sense).toBeDefined();
    expect(disturbances()).toBe(1);
  });
});

describe('data', () => {
  const inquiry = (lengthBytes: number) => ({
    cdb: [0x12, 0, 0, 0, lengthBytes, 0],
    dataIn: Buffer.alloc(lengthBytes, 0xee),
  });

  test('only what the device filled is handed over', async () => {
    const { unit } = unitOf({ data: Buffer.from('abc') });
    expect((await unit.send(inquiry(10), go)).data.toString()).toBe('abc');
  });

  test('nothing filled, nothing handed over', async () => {
    const { unit } = unitOf(GOOD);
    expect((await unit.send(inquiry(10), go)).data).toHaveLength(0);
  });

  test('a buffer that is a part of another', async () => {
    const { unit } = unitOf({ data: Buffer.from('abcdef') });
    const large = Buffer.alloc(100, 0xee);
    const request = { cdb: [0x12, 0, 0, 0, 4, 0], dataIn: large.subarray(50, 54) };
    expect((await unit.send(request, go)).data.toString()).toBe('abcd');
    expect(large[49]).toBe(0xee);
    expect(large[54]).toBe(0xee);
  });

  function unitOf(script: Script) {
    return unit(new ScriptedPort().on(0x12, script));
  }
});

describe('busy', () => {
  test.each([0x08, 0x28])('status %i is waited out, a second at a time', async (status) => {
    const { unit, clock, port } = ready({ status }, { status }, { status }, GOOD);
    expect((await unit.send(TEST_UNIT_READY, go)).sense).toBeUndefined();
    expect(port.sent).toHaveLength(4);
    expect(clock.monotonicMs()).toBe(3000);
  });

  test('for ever is given up after five minutes', async () => {
    const { unit, clock } = ready(BUSY);
    await expect(unit.send(TEST_UNIT_READY, go)).rejects.toMatchObject({
      code: 'DRIVE_FAILED',
      message: expect.stringContaining('busy'),
    });
    expect(clock.monotonicMs()).toBe(300_000);
  });

  test('waiting ends at once when aborted', async () => {
    const abort = new AbortController();
    const { unit, port } = ready(BUSY, () => {
      abort.abort(new CodedError('INTERRUPTED', 'enough'));
      return BUSY;
    });
    await expect(unit.send(TEST_UNIT_READY, abort.signal)).rejects.toMatchObject({
      code: 'INTERRUPTED',
    });
    expect(port.sent).toHaveLength(2);
  });

  test('nothing is sent once aborted', async () => {
    const { unit, port } = ready(GOOD);
    const reason = new CodedError('INTERRUPTED', 'enough');
    await expect(unit.send(TEST_UNIT_READY, AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(port.sent).toEqual([]);
  });
});

describe('identify', () => {
  test('what it is, its serial number and its own timeouts', async () => {
    const codes = supportedOperationCodes(Buffer.from('a30c80000000000020000000', 'hex'));
    const { unit, port } = unitOf(
      scriptedDevice('tape').on(0xa3, { data: codes.data ?? Buffer.alloc(0) }),
    );
    expect(await unit.identify('tape', go)).toEqual({
      deviceType: 1,
      vendor: 'SHELFS',
      product: 'SCRIPTED',
      revision: '0100',
      serial: 'SERIAL1',
    });
    port.on(0x92, GOOD).on(0x19, GOOD).on(0x00, GOOD);
    await unit.send({ cdb: [0x92, ...new Array<number>(15).fill(0)] }, go);
    await unit.send({ cdb: [0x19, 0, 0, 0, 0, 0] }, go);
    await unit.send(TEST_UNIT_READY, go);
    const timeouts = port.commands.slice(-3).map(({ timeoutMs }) => timeoutMs);
    // locate: ours is longer; erase: the drive's is; test unit ready: ours
    expect(timeouts).toEqual([3_600_000, 19_380_000, 120_000]);
  });

  test.each([
    ['tape', 'changer', 'not a tape drive'],
    ['changer', 'tape', 'not a changer'],
  ] as const)('a %s was wanted and a %s is there', async (wanted, is, words) => {
    const { unit } = unitOf(scriptedDevice(is));
    await expect(unit.identify(wanted, go)).rejects.toMatchObject({
      code: 'DEVICE_UNSUITABLE',
      message: expect.stringContaining(words),
    });
  });

  test.each<[string, Script]>([
    ['says nothing', GOOD],
    ['says too little', { data: Buffer.from([1, 0x80, 6, 2, 31]) }],
    ['refuses', refusal(5, 0x2000)],
    ['has nothing at this number', { data: Buffer.from([0x7f, ...new Array<number>(95).fill(0)]) }],
  ])('a device that %s is unsuitable', async (_, script) => {
    const { unit } = unitOf(new ScriptedPort().on(0x12, script));
    await expect(unit.identify('tape', go)).rejects.toMatchObject({ code: 'DEVICE_UNSUITABLE' });
  });

  test('a device without serial number or timeouts is what it is', async () => {
    const inquiry = Buffer.from([1, 0x80, 6, 2, 31, ...new Array<number>(31).fill(0x20)]);
    const port = new ScriptedPort().on(0x12, ({ cdb }) =>
      (cdb[1] ?? 0) === 0 ? { data: inquiry } : refusal(5, 0x2400),
    );
    const { unit } = unitOf(port);
    expect((await unit.identify('tape', go)).serial).toBeUndefined();
  });

  test('unit attentions are asked past, up to a storm', async () => {
    const attentions = (count: number) => new Array<Script>(count).fill(refusal(6, 0x2900));
    const page = { data: Buffer.from('01800003414243', 'hex') };
    const serial = async (count: number) => {
      const inquiry = { data: Buffer.from([1, 0x80, 6, 2, 31, ...new Array<number>(31).fill(0)]) };
      const port = new ScriptedPort().on(0x12, inquiry, ...attentions(count), page);
      return (await unitOf(port).unit.identify('tape', go)).serial;
    };
    expect(await serial(UNIT_ATTENTIONS_MAX - 1)).toBe('ABC');
    expect(await serial(UNIT_ATTENTIONS_MAX)).toBeUndefined();
  });

  test('a broken link is no unsuitable device', async () => {
    const { unit } = unitOf(new ScriptedPort().on(0x12, { hostStatus: 1 }));
    await expect(unit.identify('tape', go)).rejects.toMatchObject({ code: 'DRIVE_FAILED' });
  });

  function unitOf(port: ScriptedPort) {
    return unit(port);
  }
});

test.each([
  [0, false, true],
  [1, false, true],
  [1, true, false],
  [0, true, false],
  [2, false, false],
  [8, false, false],
])('key %i, deferred %s: done is %s', (key, deferred, done) => {
  const rest = { asc: 0, ascq: 0, filemark: false, endOfMedium: false, incorrectLength: false };
  expect(isDone({ key, deferred, ...rest, information: undefined })).toBe(done);
  expect(isDone(undefined)).toBe(true);
});

describe('one at a time', () => {
  test('nothing goes out between commands that belong together', async () => {
    const { unit, port } = ready(GOOD);
    port.on(0x34, GOOD).on(0x4d, GOOD);
    const pair = unit.exclusively(async (send) => {
      await send({ cdb: [0x34, 0, 0, 0, 0, 0] }, go);
      await send(TEST_UNIT_READY, go);
    });
    const other = unit.send({ cdb: [0x4d, 0, 0, 0, 0, 0] }, go);
    await Promise.all([pair, other]);
    expect(port.sent.map((cdb) => cdb.slice(0, 2))).toEqual(['34', '00', '4d']);
  });

  test('a failure frees the unit for the next', async () => {
    const { unit } = ready(GOOD);
    const failing = unit.exclusively(async () => {
      throw new Error('no');
    });
    const next = unit.send(TEST_UNIT_READY, go);
    await expect(failing).rejects.toThrow('no');
    expect((await next).isBusy).toBe(false);
  });

  test('not ready is a disturbance: whatever was known of the tape is not known any more', async () => {
    const { unit, disturbances } = ready(refusal(2, 0x3a00));
    await unit.send(TEST_UNIT_READY, go);
    expect(disturbances()).toBe(1);
  });

  test('a command to be sent once is not said again to a busy device', async () => {
    const { unit, port } = ready({ status: 0x08 }, GOOD);
    expect(await unit.send({ ...TEST_UNIT_READY, once: true }, go)).toMatchObject({ isBusy: true });
    expect(port.sent).toHaveLength(1);
  });
});
