import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '../../../src/base/bytes.ts';
import { SimClock } from '../../../src/base/clock.ts';
import { readMode, setMode, type WantedMode } from '../../../src/device/drive-mode.ts';
import { LogicalUnit, UNIT_ATTENTIONS_MAX } from '../../../src/device/logical-unit.ts';
import { defaultMode, type ModeState, modeSense } from '../../../src/device/virtual/drive-pages.ts';
import { isRefusal, modeSelect } from '../../../src/device/virtual/mode-select.ts';
import { WRITING_MODE } from '../../../src/storage/writing-mode.ts';
import {
  descriptorRefusal,
  GOOD,
  refusal,
  type Script,
  type Scripted,
  ScriptedPort,
} from '../../sim/scripted-port.ts';

const go = new AbortController().signal;
const SENSE = 0x5a;
const SELECT = 0x55;
const WANTED: WantedMode = { ...WRITING_MODE, programmableEarlyWarningMb: 5 };

/** A drive that keeps its mode as ours does; `stubborn` settings are taken without a word and stay as they were. */
function drive(stubborn: Partial<ModeState> = {}, absent: readonly number[] = []) {
  let mode = { ...defaultMode(), ...stubborn };
  const port = new ScriptedPort()
    .on(SENSE, ({ cdb }): Scripted => {
      const [, , page = 0, subpage = 0] = cdb;
      const data = modeSense(
        { page: page & 0x3f, subpage, control: page >> 6, withDescriptor: true },
        mode,
        undefined,
      );
      return data && !absent.includes(page) ? { data } : refusal(5, 0x2400);
    })
    .on(SELECT, ({ dataOut = new Uint8Array(0) }): Scripted => {
      const result = modeSelect(Buffer.from(dataOut), mode);
      if (isRefusal(result)) return { sense: result.sense ?? new Uint8Array(0) };
      mode = { ...result, ...stubborn };
      return GOOD;
    });
  return { port, unit: unitOf(port) };
}

function unitOf(port: ScriptedPort): LogicalUnit {
  return new LogicalUnit(port, new SimClock(), 'DRIVE_FAILED');
}

describe('setting', () => {
  test('is proven by reading back', async () => {
    const { unit } = drive();
    expect(await setMode(unit, WANTED, go)).toMatchObject(WANTED);
    expect(await readMode(unit, go)).toMatchObject(WANTED);
  });

  test('sends one list for each page that differs, with PF set and its length', async () => {
    const { unit, port } = drive();
    await setMode(unit, WANTED, go);
    expect(port.sentWith(SELECT)).toEqual([
      '55 10 00 00 00 00 00 00 10 00',
      '55 10 00 00 00 00 00 00 20 00',
      '55 10 00 00 00 00 00 00 30 00',
    ]);
    const [, compression] = port.commands.filter(({ cdb }) => cdb[0] === SELECT);
    expect(toHex(compression?.dataOut?.subarray(16, 20) ?? new Uint8Array(0))).toBe('0f 0e 40 80');
  });

  test('compression that is as wanted is left alone', async () => {
    const { unit, port } = drive();
    await setMode(unit, { ...WANTED, compression: true }, go);
    expect(port.sentWith(SELECT)).toHaveLength(2);
  });

  test.each([
    [{ buffered: false }, 'buffered mode'],
    [{ compression: true }, 'compression'],
    [{ appendOnly: false }, 'append-only mode'],
    [{ buffered: false, appendOnly: false }, 'buffered mode, append-only mode'],
  ])('a drive that keeps %j is refused, and the difference is named', async (stubborn, named) => {
    await expect(setMode(drive(stubborn).unit, WANTED, go)).rejects.toMatchObject({
      code: 'DRIVE_FAILED',
      message: expect.stringMatching(new RegExp(`mode set: ${named}$`)),
    });
  });

  test('a block length that is not taken is named', async () => {
    const { unit, port } = drive();
    const header = { data: fromHex('000e 00 10 00 00 0008 5e 000000 00 000200') };
    port.on(SENSE, ({ cdb }) => ((cdb[2] ?? 0) === 0 ? header : refusal(5, 0x2400)));
    const wanted = { ...WANTED, blockLengthBytes: 0 };
    await expect(setMode(unit, wanted, go)).rejects.toThrow(/block length/);
  });

  test('pages a drive does not have are not set', async () => {
    const { unit, port } = drive({}, [0x10, 0x1d]);
    expect(await setMode(unit, WANTED, go)).toMatchObject({
      appendOnly: undefined,
      programmableEarlyWarningMb: undefined,
      worm: undefined,
    });
    expect(port.sentWith(SELECT)).toHaveLength(2);
  });

  test.each([
    ['refused', refusal(5, 0x2600), /field in the parameters not supported/],
    ['a unit attention', refusal(6, 0x2900), /power on or reset/],
    ['deferred', refusal(3, 0x0c00, { deferred: true }), /write error/],
    ['descriptor sense', descriptorRefusal(5, 0x1a00), /parameter list length/],
  ])('MODE SELECT %s is a failure', async (_, script, words) => {
    const { unit, port } = drive();
    port.on(SELECT, script);
    await expect(setMode(unit, WANTED, go)).rejects.toMatchObject({
      code: 'DRIVE_FAILED',
      message: expect.stringMatching(words),
    });
  });

  test('recovered, rounded by the drive, is done: what counts is read back', async () => {
    const { unit, port } = drive({ ...WANTED });
    port.on(SELECT, refusal(1, 0x3700));
    expect(await setMode(unit, WANTED, go)).toMatchObject(WANTED);
  });

  test('pages too short for their fields are as good as absent', async () => {
    const short = new Map<number, string>([
      [0x0f, '0012 00 10 00 00 0008 00 000000 00 000000 0f 00'],
      [0x10, '0016 00 10 00 00 0008 00 000000 00 000000 50 01 0002 0000'],
      [0x1d, '0012 00 10 00 00 0008 00 000000 00 000000 1d 00'],
    ]);
    const { unit, port } = drive();
    const general = '000e 00 10 00 00 0008 00 000000 00 000000';
    port.on(SENSE, ({ cdb }) => {
      const hex = short.get(cdb[2] ?? 0) ?? general;
      const data = fromHex(hex);
      data.writeUInt16BE(data.length - 2);
      return { data };
    });
    expect(await setMode(unit, WANTED, go)).toMatchObject({
      compression: false,
      appendOnly: undefined,
      worm: undefined,
    });
    expect(port.sentWith(SELECT)).toHaveLength(1);
  });
});

describe('reading', () => {
  const answers = (...scripts: readonly Script[]) =>
    unitOf(new ScriptedPort().on(SENSE, ...scripts));

  test('a drive that refuses to tell its mode', async () => {
    await expect(readMode(answers(refusal(5, 0x2400)), go)).rejects.toMatchObject({
      code: 'DRIVE_FAILED',
      message: expect.stringContaining('refuses'),
    });
  });

  test.each<[string, Script]>([
    ['nothing', GOOD],
    ['half a header', { data: Buffer.alloc(5) }],
    ['a descriptor longer than the data', { data: fromHex('0006 00 10 00 00 0100') }],
  ])('an answer that contradicts itself: %s', async (_, script) => {
    await expect(readMode(answers(script), go)).rejects.toMatchObject({
      code: 'DRIVE_FAILED',
      message: expect.stringContaining('contradict'),
    });
  });

  test('an answer to another page is no answer', async () => {
    const other = { data: fromHex('0010 00 90 00 00 0008 5e 000000 00 000000 11 00') };
    expect(await readMode(answers(other), go)).toEqual({
      blockLengthBytes: 0,
      densityCode: 0x5e,
      writeProtected: true,
      buffered: true,
      compression: false,
      appendOnly: undefined,
      programmableEarlyWarningMb: undefined,
      worm: undefined,
    });
  });

  test('page 10h without subpage is not its subpage 01h', async () => {
    const { unit, port } = drive();
    port.on(SENSE, () => ({
      data: fromHex('0016 00 10 00 00 0008 00 000000 00 000000 10 06 000010000005'),
    }));
    expect((await readMode(unit, go)).appendOnly).toBeUndefined();
  });

  test('unit attentions are asked past, up to a storm', async () => {
    const general = { data: fromHex('000e 00 10 00 00 0008 5e 000000 00 000000') };
    const attentions = (count: number) => new Array<Script>(count).fill(refusal(6, 0x2900));
    const calm = answers(...attentions(UNIT_ATTENTIONS_MAX - 1), general);
    expect((await readMode(calm, go)).densityCode).toBe(0x5e);
    await expect(readMode(answers(refusal(6, 0x2900)), go)).rejects.toMatchObject({
      code: 'DRIVE_FAILED',
      message: expect.stringContaining('power on or reset'),
    });
  });

  test('a host status is passed on', async () => {
    await expect(readMode(answers({ hostStatus: 3 }), go)).rejects.toMatchObject({
      code: 'DRIVE_FAILED',
    });
  });
});
