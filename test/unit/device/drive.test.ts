import { AssertionError } from 'node:assert';
import { describe, expect, test } from 'vitest';
import { SimClock } from '../../../src/base/clock.ts';
import { Drive } from '../../../src/device/drive.ts';
import { readHealth } from '../../../src/device/health.ts';
import { UNIT_ATTENTIONS_MAX } from '../../../src/device/logical-unit.ts';
import { readMemory } from '../../../src/device/memory.ts';
import { WRITING_MODE } from '../../../src/storage/writing-mode.ts';
import {
  descriptorRefusal,
  GOOD,
  positionData,
  refusal,
  type Script,
  type ScriptedPort,
  scriptedDevice,
  takesMode,
} from '../../sim/scripted-port.ts';

const go = new AbortController().signal;
const READ = 0x08;
const WRITE = 0x0a;
const FILEMARKS = 0x10;
const SPACE = 0x11;
const POSITION = 0x34;
const NOT_READY = refusal(2, 0x0401);
const RESET = refusal(6, 0x2900);

async function make(script: (port: ScriptedPort) => ScriptedPort = (port) => port) {
  const port = script(takesMode(scriptedDevice('tape')));
  const clock = new SimClock();
  return { drive: await Drive.open(port, clock, go), port, clock };
}

/** At block 12, file 3, behind the last thing written. */
async function atEnd(script: (port: ScriptedPort) => ScriptedPort = (port) => port) {
  const made = await make((port) =>
    script(
      port
        .on(SPACE, GOOD)
        .on(READ, refusal(8, 0x0005))
        .on(POSITION, positionData(12, 3))
        .on(WRITE, GOOD),
    ),
  );
  await made.drive.setMode(WRITING_MODE, go);
  await made.drive.spaceToEndOfData(go);
  expect(made.drive.position).toEqual({ proven: true, block: 12, file: 3, atEndOfData: true });
  return made;
}

const times = (count: number, script: Script) => new Array<Script>(count).fill(script);

test('a changer is no drive', async () => {
  await expect(Drive.open(scriptedDevice('changer'), new SimClock(), go)).rejects.toMatchObject({
    code: 'DEVICE_UNSUITABLE',
  });
});

describe('state', () => {
  test.each([
    ['ready', GOOD],
    ['ready', refusal(1, 0x0000)],
    ['empty', refusal(2, 0x3a00)],
    ['empty', descriptorRefusal(2, 0x3a01)],
    ['cleaning', refusal(2, 0x3003)],
    ['unloaded', refusal(2, 0x0402)],
    ['becoming-ready', refusal(2, 0x0400)],
    ['becoming-ready', refusal(2, 0x0401)],
    ['becoming-ready', refusal(2, 0x0407)],
    ['needs-help', refusal(2, 0x0403)],
    ['needs-help', refusal(2, 0x5300)],
  ])('%s', async (state, script) => {
    const { drive } = await make((port) => port.on(0, script));
    expect(await drive.state(go)).toBe(state);
  });

  test('is asked past unit attentions, which cost the position', async () => {
    const { drive } = await atEnd((port) => port.on(0, RESET, refusal(6, 0x2800), GOOD));
    expect(await drive.state(go)).toBe('ready');
    expect(drive.position).toEqual({ proven: false });
  });

  test('a storm of unit attentions ends', async () => {
    const { drive, port } = await make((port) => port.on(0, RESET));
    await expect(drive.state(go)).rejects.toMatchObject({ code: 'DRIVE_FAILED' });
    expect(port.sentWith(0)).toHaveLength(UNIT_ATTENTIONS_MAX);
  });

  test.each([
    ['a deferred write error', refusal(3, 0x0c00, { deferred: true }), 'MEDIUM_UNWRITABLE'],
    ['hardware', refusal(4, 0x4400), 'DRIVE_FAILED'],
    ['broken sense', { status: 2 }, 'DRIVE_FAILED'],
  ])('%s is not a state', async (_, script, code) => {
    const { drive } = await make((port) => port.on(0, script));
    await expect(drive.state(go)).rejects.toMatchObject({ code });
  });
});

describe('becoming ready', () => {
  test('is awaited', async () => {
    const { drive, clock } = await make((port) => port.on(0, ...times(90, NOT_READY), GOOD));
    await drive.waitReady(go);
    expect(clock.monotonicMs()).toBe(90_000);
  });

  test('not for ever', async () => {
    const { drive, clock } = await make((port) => port.on(0, NOT_READY));
    await expect(drive.waitReady(go, 60_000)).rejects.toMatchObject({ code: 'DRIVE_NOT_READY' });
    expect(clock.monotonicMs()).toBe(61_000);
  });

  test('an unloaded cartridge is loaded', async () => {
    const { drive, port } = await make((port) =>
      port.on(0, refusal(2, 0x0402), NOT_READY, GOOD).on(0x1b, RESET, GOOD),
    );
    await drive.waitReady(go);
    expect(port.sentWith(0x1b)).toEqual(['1b 00 00 00 01 00', '1b 00 00 00 01 00']);
  });

  test('a drive that loads and stays unloaded is given up', async () => {
    const { drive } = await make((port) => port.on(0, refusal(2, 0x0402)).on(0x1b, GOOD));
    await expect(drive.waitReady(go, 60_000)).rejects.toMatchObject({ code: 'DRIVE_NOT_READY' });
  });

  test.each([
    ['an empty drive', refusal(2, 0x3a00), 'DRIVE_EMPTY'],
    ['a cleaning cartridge', refusal(2, 0x3003), 'DRIVE_NOT_READY'],
    ['a drive that needs a person', refusal(2, 0x0403), 'DRIVE_NOT_READY'],
  ])('%s is not waited for', async (_, script, code) => {
    const { drive, clock } = await make((port) => port.on(0, script));
    await expect(drive.waitReady(go)).rejects.toMatchObject({ code });
    expect(clock.monotonicMs()).toBe(0);
  });

  test('waiting can be stopped', async () => {
    const abort = new AbortController();
    const { drive } = await make((port) =>
      port.on(0, NOT_READY, NOT_READY, () => {
        abort.abort(new Error('enough'));
        return NOT_READY;
      }),
    );
    await expect(drive.waitReady(abort.signal)).rejects.toThrow('enough');
  });
});

describe('position', () => {
  test.each<[string, Script]>([
    ['unknown marks', positionData(12, 3, 0x08)],
    ['an unknown block', positionData(12, 3, 0x04)],
    ['a block no tape has', positionData(2n ** 63n, 3)],
    ['another partition', { data: Buffer.from(`00000000${'00000001'}${'00'.repeat(24)}`, 'hex') }],
    ['half an answer', { data: Buffer.alloc(16) }],
    ['no answer', GOOD],
  ])('%s is no position', async (_, script) => {
    const { drive, port } = await atEnd();
    port.on(POSITION, script);
    await expect(drive.provePosition(go)).rejects.toMatchObject({ code: 'POSITION_LOST' });
    expect(drive.position).toEqual({ proven: false });
    await expect(drive.write(Buffer.alloc(1), go)).rejects.toThrow(AssertionError);
    expect(port.sentWith(WRITE)).toEqual([]);
  });

  test('what was known of the end stays known only where the drive stands as thought', async () => {
    const { drive, port } = await atEnd();
    await drive.provePosition(go);
    expect(drive.position).toMatchObject({ atEndOfData: true });
    port.on(POSITION, positionData(12, 4));
    await drive.provePosition(go);
    expect(drive.position).toEqual({ proven: true, block: 12, file: 4, atEndOfData: false });
  });

  test('a locate that ends elsewhere is noticed', async () => {
    const { drive } = await make((port) => port.on(0x92, GOOD).on(POSITION, positionData(6, 0)));
    await expect(drive.locate(7, go)).rejects.toMatchObject({
      code: 'POSITION_LOST',
      facts: { block: 7 },
    });
    expect(drive.position.proven).toBe(false);
  });

  test('a block number goes out in 64 bits', async () => {
    const block = 2 ** 52 + 1;
    const { drive, port } = await make((port) =>
      port.on(0x92, GOOD).on(POSITION, positionData(block, 0)),
    );
    await drive.locate(block, go);
    expect(port.sentWith(0x92)).toEqual(['92 00 00 00 00 10 00 00 00 00 00 01 00 00 00 00']);
    expect(drive.position).toMatchObject({ block });
    await expect(drive.locate(-1, go)).rejects.toThrow(AssertionError);
    await expect(drive.locate(2 ** 53, go)).rejects.toThrow(AssertionError);
    await expect(drive.locate(1.5, go)).rejects.toThrow(AssertionError);
  });

  test('filemarks are counted in 24 bits, backwards in two’s complement', async () => {
    const { drive, port } = await make((port) =>
      port.on(SPACE, GOOD).on(POSITION, positionData(1, 1)),
    );
    await drive.spaceFilemarks(-1, go);
    await drive.spaceFilemarks(2 ** 23 - 1, go);
    expect(port.sentWith(SPACE)).toEqual(['11 01 ff ff ff 00', '11 01 7f ff ff 00']);
    await expect(drive.spaceFilemarks(2 ** 23, go)).rejects.toThrow(AssertionError);
  });

  test.each([
    ['key 8, end of data', refusal(8, 0x0005)],
    ['key 8 of an older drive', refusal(8, 0x0000)],
    ['recovered', refusal(1, 0x1100)],
  ])('end of data is where SPACE ends: %s', async (_, script) => {
    const { drive } = await make((port) =>
      port.on(SPACE, script).on(POSITION, positionData(0, 0)).on(READ, refusal(8, 0x0005)),
    );
    await drive.spaceToEndOfData(go);
    expect(drive.position).toEqual({ proven: true, block: 0, file: 0, atEndOfData: true });
  });

  test.each([
    ['data follow', { data: Buffer.alloc(1) }, positionData(12, 3)],
    [
      'a longer block follows',
      { ...refusal(0, 0, { incorrectLength: true, information: -9 }), data: Buffer.alloc(1) },
      positionData(12, 3),
    ],
    ['a mark follows', refusal(0, 0x0001, { filemark: true }), positionData(12, 3)],
    ['the tape was moved meanwhile', refusal(8, 0x0005), positionData(0, 0)],
  ])('where SPACE ends is not the end of data: %s', async (_, read, second) => {
    const { drive } = await make((port) =>
      port.on(SPACE, GOOD).on(POSITION, positionData(12, 3), second).on(READ, read),
    );
    await expect(drive.spaceToEndOfData(go)).rejects.toMatchObject({ code: 'POSITION_LOST' });
    expect(drive.position.proven).toBe(false);
  });

  test.each([
    ['the end was not found', refusal(8, 0x1403)],
    ['a deferred blank check', refusal(8, 0x0005, { deferred: true })],
    ['a unit attention', RESET],
    ['a medium error', refusal(3, 0x1100)],
  ])('end of data is not proven: %s', async (_, script) => {
    const { drive } = await make((port) => port.on(SPACE, script).on(POSITION, positionData(0, 0)));
    await expect(drive.spaceToEndOfData(go)).rejects.toMatchObject({
      code: expect.stringMatching(/^(MEDIUM|DRIVE)_/),
    });
    expect(drive.position.proven).toBe(false);
  });
});

describe('no write at a position that is not proven', () => {
  test('each block is preceded by the drive’s own word', async () => {
    const { drive, port } = await atEnd();
    port.sent.length = 0;
    expect(await drive.write(Buffer.alloc(300), go)).toBe('none');
    port.on(POSITION, positionData(13, 3)).on(FILEMARKS, GOOD);
    await drive.writeFilemarks(2, { immediate: true }, go);
    expect(port.sent).toEqual([
      '34 06 00 00 00 00 00 00 00 00',
      '0a 00 00 01 2c 00',
      '34 06 00 00 00 00 00 00 00 00',
      '10 01 00 00 02 00',
    ]);
    expect(drive.position).toEqual({ proven: true, block: 15, file: 5, atEndOfData: true });
  });

  test.each([
    ['another block', positionData(0, 0)],
    ['the same block in another file', positionData(12, 2)],
  ])('a drive found at %s is not written to', async (_, script) => {
    const { drive, port } = await atEnd();
    port.on(POSITION, script);
    await expect(drive.write(Buffer.alloc(1), go)).rejects.toMatchObject({ code: 'POSITION_LOST' });
    await expect(drive.write(Buffer.alloc(1), go)).rejects.toThrow(AssertionError);
    expect(port.sentWith(WRITE)).toEqual([]);
  });

  test.each<[string, Script]>([
    ['host status', { hostStatus: 8 }],
    ['a timeout of an older kernel', { driverStatus: 6 }],
    ['unreadable sense', { status: 2 }],
    ['a unit attention', RESET],
    ['a deferred error', refusal(3, 0x0c00, { deferred: true })],
    ['a refusal', refusal(7, 0x2700)],
    ['a full tape', refusal(0xd, 0x0002, { endOfMedium: true, information: 10 })],
    ['an aborted command', refusal(0xb, 0x0000)],
  ])('after %s nothing is written until it is proven again', async (_, script) => {
    const { drive, port } = await atEnd((port) => port.on(WRITE, script));
    await expect(drive.write(Buffer.alloc(10), go)).rejects.toMatchObject({
      code: expect.stringMatching(/^(DRIVE|MEDIUM)_/),
    });
    expect(drive.position).toEqual({ proven: false });
    port.on(WRITE, GOOD);
    await expect(drive.write(Buffer.alloc(10), go)).rejects.toThrow(AssertionError);
    await expect(drive.checkPosition(go)).rejects.toThrow(AssertionError);
    await drive.provePosition(go);
    // proven, but no longer known to be the end
    await expect(drive.write(Buffer.alloc(10), go)).rejects.toThrow(AssertionError);
    expect(port.sentWith(WRITE)).toHaveLength(1);
  });

  test('a unit attention met by somebody else’s question through the same unit counts too', async () => {
    const { drive, port } = await atEnd();
    port.on(0x4d, RESET, refusal(5, 0x2000));
    await readHealth(drive.unit, go);
    expect(drive.position.proven).toBe(false);
    await drive.spaceToEndOfData(go);
    port.on(0x8c, refusal(6, 0x2800));
    await expect(readMemory(drive.unit, go)).rejects.toMatchObject({ code: 'DRIVE_RESET' });
    expect(drive.position.proven).toBe(false);
  });

  test('an aborted write leaves the position unknown', async () => {
    const { drive, port } = await atEnd();
    await expect(drive.write(Buffer.alloc(10), AbortSignal.abort(new Error('no')))).rejects.toThrow(
      'no',
    );
    expect(drive.position.proven).toBe(false);
    expect(port.sentWith(WRITE)).toEqual([]);
  });

  test('whoever else asks the drive something, question and block go out together', async () => {
    const { drive, port } = await atEnd();
    port.on(0x4d, refusal(5, 0x2000));
    port.sent.length = 0;
    await Promise.all([drive.write(Buffer.alloc(9), go), readHealth(drive.unit, go)]);
    const sent = port.sent.map((cdb) => cdb.slice(0, 2));
    expect(sent.indexOf('0a')).toBe(sent.indexOf('34') + 1);
  });

  test('two writes at once are one after the other, each with its own question', async () => {
    const { drive, port } = await atEnd();
    port.sent.length = 0;
    const first = drive.write(Buffer.alloc(9), go);
    port.on(POSITION, positionData(12, 3), positionData(13, 3));
    await Promise.all([first, drive.write(Buffer.alloc(9), go)]);
    expect(port.sent.map((cdb) => cdb.slice(0, 2))).toEqual(['34', '0a', '34', '0a']);
    expect(drive.position).toMatchObject({ block: 14 });
  });

  test('a drive that was busy is asked again where it stands before the block is sent again', async () => {
    const { drive, port } = await atEnd((port) => port.on(WRITE, { status: 0x08 }, GOOD));
    await drive.write(Buffer.alloc(9), go);
    expect(port.sent.slice(-4).map((cdb) => cdb.slice(0, 2))).toEqual(['34', '0a', '34', '0a']);
    port.on(WRITE, { status: 0x08 }, GOOD).on(POSITION, positionData(13, 3), positionData(0, 0));
    await expect(drive.write(Buffer.alloc(9), go)).rejects.toMatchObject({ code: 'POSITION_LOST' });
    expect(port.sentWith(WRITE)).toHaveLength(3);
  });

  test('a busy drive keeps the permission to overwrite the label', async () => {
    const { drive, port } = await make((port) =>
      port.on(0x01, GOOD).on(POSITION, positionData(0, 0)).on(0x82, GOOD),
    );
    await drive.setMode(WRITING_MODE, go);
    await drive.rewind(go);
    await drive.allowOverwrite(go);
    port.on(WRITE, { status: 0x08 }, GOOD);
    expect(await drive.write(Buffer.alloc(9), go)).toBe('none');
  });

  test('a block that was taken in part is not written', async () => {
    const { drive } = await atEnd((port) => port.on(WRITE, { residualBytes: 100 }));
    await expect(drive.write(Buffer.alloc(1000), go)).rejects.toMatchObject({
      code: 'DRIVE_FAILED',
    });
    expect(drive.position.proven).toBe(false);
  });

  test('after a disturbance the mode has to be set again, however well the position is proven', async () => {
    const { drive, port } = await atEnd((port) => port.on(0x00, RESET, GOOD));
    await drive.state(go);
    await drive.spaceToEndOfData(go);
    await expect(drive.write(Buffer.alloc(9), go)).rejects.toThrow(AssertionError);
    expect(port.sentWith(WRITE)).toEqual([]);
    await drive.setMode(WRITING_MODE, go);
    expect(await drive.write(Buffer.alloc(9), go)).toBe('none');
  });

  test('permission to overwrite ends with the position', async () => {
    const { drive, port } = await make((port) =>
      port
        .on(0x01, GOOD)
        .on(POSITION, positionData(0, 0))
        .on(0x82, GOOD)
        .on(WRITE, GOOD)
        .on(0, RESET, GOOD),
    );
    await drive.rewind(go);
    await drive.allowOverwrite(go);
    await drive.state(go);
    await drive.provePosition(go);
    await expect(drive.write(Buffer.alloc(10), go)).rejects.toThrow(AssertionError);
    await drive.allowOverwrite(go);
    await drive.rewind(go);
    await expect(drive.write(Buffer.alloc(10), go)).rejects.toThrow(AssertionError);
    expect(port.sentWith(WRITE)).toEqual([]);
  });

  test('a drive without ALLOW OVERWRITE has no guard to lift; one that refuses it keeps its data', async () => {
    const { drive, port } = await make((port) =>
      port.on(0x01, GOOD).on(POSITION, positionData(0, 0)).on(WRITE, GOOD),
    );
    await drive.setMode(WRITING_MODE, go);
    await drive.rewind(go);
    await drive.allowOverwrite(go);
    await drive.write(Buffer.alloc(10), go);
    expect(drive.position).toEqual({ proven: true, block: 1, file: 0, atEndOfData: true });
    await drive.rewind(go);
    port.on(0x82, refusal(5, 0x2400));
    await expect(drive.allowOverwrite(go)).rejects.toMatchObject({ code: 'DRIVE_FAILED' });
    expect(drive.position.proven).toBe(false);
  });

  test('a flush at an unknown position empties the buffer and proves nothing', async () => {
    const { drive } = await make((port) => port.on(FILEMARKS, GOOD));
    await drive.flush(go);
    expect(drive.position.proven).toBe(false);
  });
});

describe('the end of the tape', () => {
  test.each([
    ['none', GOOD],
    ['none', refusal(1, 0x0c00)],
    ['early', refusal(0, 0x0002, { endOfMedium: true })],
    ['early', descriptorRefusal(0, 0x0002, '04 02 00 40')],
    ['early', refusal(1, 0x0002, { endOfMedium: true })],
    ['programmable', refusal(0, 0x0007, { endOfMedium: true })],
  ])('%s', async (warning, script) => {
    const { drive } = await atEnd((port) => port.on(WRITE, script));
    expect(await drive.write(Buffer.alloc(10), go)).toBe(warning);
    expect(drive.position).toEqual({ proven: true, block: 13, file: 3, atEndOfData: true });
  });
});

describe('what a failed write is called', () => {
  test.each([
    ['MEDIUM_UNWRITABLE', refusal(3, 0x0c00)],
    ['MEDIUM_UNWRITABLE', refusal(3, 0x0c00, { deferred: true })],
    ['DRIVE_FAILED', refusal(4, 0x4400, { deferred: true })],
    ['DRIVE_FAILED', refusal(4, 0x4400)],
    ['DRIVE_FAILED', refusal(5, 0x2000)],
    ['DRIVE_FAILED', refusal(9, 0x8001)],
    ['DRIVE_RESET', RESET],
    ['DRIVE_RESET', refusal(6, 0x2800)],
    ['MEDIUM_PROTECTED', refusal(7, 0x2700)],
    ['POSITION_LOST', refusal(7, 0x300c)], // overwriting refused, at what we took for the end
    ['MEDIUM_FULL', refusal(0xd, 0x0002)],
    ['DRIVE_EMPTY', refusal(2, 0x3a00)],
    ['DRIVE_NEEDS_CLEANING', refusal(2, 0x3003)],
    ['DRIVE_NOT_READY', NOT_READY],
    ['DRIVE_BUSY', { status: 0x18 }],
  ])('%s', async (code, script) => {
    const { drive } = await atEnd((port) => port.on(WRITE, script));
    await expect(drive.write(Buffer.alloc(10), go)).rejects.toMatchObject({
      code,
      message: expect.stringContaining('scripted device'),
    });
  });
});

describe('reading', () => {
  const read = async (script: Script, lengthBytes = 100) => {
    const made = await make((port) =>
      port.on(0x01, GOOD).on(POSITION, positionData(0, 0)).on(READ, script),
    );
    await made.drive.rewind(go);
    return { ...made, result: made.drive.read(Buffer.alloc(lengthBytes), go) };
  };
  const data = Buffer.alloc(100, 7);

  test.each([
    ['a block', { data }, { kind: 'block', lengthBytes: 100 }, 1, 0],
    ['recovered', { data, ...refusal(1, 0x1700) }, { kind: 'block', lengthBytes: 100 }, 1, 0],
    [
      'a shorter block',
      { data: data.subarray(60), ...refusal(0, 0, { incorrectLength: true, information: 60 }) },
      { kind: 'block', lengthBytes: 40 },
      1,
      0,
    ],
    [
      'a shorter block, descriptor format',
      { data, ...descriptorRefusal(0, 0, '00 0a 80 00 000000000000003c 04 02 00 20') },
      { kind: 'block', lengthBytes: 40 },
      1,
      0,
    ],
    [
      'a longer block',
      { data, ...refusal(0, 0, { incorrectLength: true, information: -2900 }) },
      { kind: 'longer-block', lengthBytes: 3000 },
      1,
      0,
    ],
    [
      'a mark',
      refusal(0, 0x0001, { filemark: true, information: 100 }),
      { kind: 'filemark' },
      1,
      1,
    ],
    ['the end', refusal(8, 0x0005, { information: 100 }), { kind: 'end-of-data' }, 0, 0],
    ['the end of an older drive', refusal(8, 0x0000), { kind: 'end-of-data' }, 0, 0],
  ])('%s', async (_, script, result, block, file) => {
    const made = await read(script);
    expect(await made.result).toEqual(result);
    expect(made.drive.position).toEqual({ proven: true, block, file, atEndOfData: false });
  });

  test.each([
    ['the end was not found', refusal(8, 0x1403), 'MEDIUM_UNREADABLE'],
    ['a deferred blank check', refusal(8, 0x0005, { deferred: true }), 'DRIVE_FAILED'],
    ['a deferred mark', refusal(0, 0x0001, { deferred: true, filemark: true }), 'DRIVE_FAILED'],
    ['a medium error', refusal(3, 0x1100), 'MEDIUM_UNREADABLE'],
    [
      'a medium error on a block of another length',
      refusal(3, 0x1100, { incorrectLength: true, information: 4 }),
      'MEDIUM_UNREADABLE',
    ],
    ['a unit attention', RESET, 'DRIVE_RESET'],
    ['a link that broke', { data, hostStatus: 0x0e }, 'DRIVE_FAILED'],
    [
      'another length, and not which',
      { data, ...refusal(0, 0, { incorrectLength: true }) },
      'DRIVE_FAILED',
    ],
    [
      'a length below one',
      { data, ...refusal(0, 0, { incorrectLength: true, information: 100 }) },
      'DRIVE_FAILED',
    ],
    [
      'a length far below one',
      { data, ...refusal(0, 0, { incorrectLength: true, information: 5000 }) },
      'DRIVE_FAILED',
    ],
  ])('%s is no block', async (_, script, code) => {
    const made = await read(script);
    await expect(made.result).rejects.toMatchObject({ code });
    expect(made.drive.position.proven).toBe(false);
  });

  test('a READ has 24 bits of length', async () => {
    const { drive, port } = await make((port) =>
      port.on(READ, { data: Buffer.alloc(2 ** 24 - 1) }),
    );
    await drive.read(Buffer.alloc(2 ** 24 - 1), go);
    expect(port.sentWith(READ)).toEqual(['08 00 ff ff ff 00']);
    await expect(drive.read(Buffer.alloc(0), go)).rejects.toThrow(AssertionError);
    await expect(drive.read(Buffer.alloc(2 ** 24), go)).rejects.toThrow(AssertionError);
    expect(drive.position.proven).toBe(false);
  });
});

describe('commands that unit attentions may precede', () => {
  test.each([
    ['load', 0x1b, (drive: Drive) => drive.load(go)],
    ['unload', 0x1b, (drive: Drive) => drive.unload(go)],
    ['prevent', 0x1e, (drive: Drive) => drive.preventRemoval(true, go)],
  ] as const)('%s is said again, up to a storm', async (_, opcode, act) => {
    const { drive, port } = await make((port) => port.on(opcode, RESET, RESET, GOOD));
    await act(drive);
    expect(port.sentWith(opcode)).toHaveLength(3);
    port.on(opcode, RESET);
    await expect(act(drive)).rejects.toMatchObject({ code: 'DRIVE_RESET' });
    expect(port.sentWith(opcode)).toHaveLength(3 + UNIT_ATTENTIONS_MAX);
  });

  test('a locked cartridge is not given out', async () => {
    const { drive } = await atEnd((port) => port.on(0x1b, refusal(5, 0x5302)));
    await expect(drive.unload(go)).rejects.toMatchObject({ code: 'REMOVAL_PREVENTED' });
    expect(drive.position.proven).toBe(false);
  });

  test('block limits', async () => {
    const limits = { data: Buffer.from('008000000004', 'hex') };
    const { drive, port } = await make((port) => port.on(0x05, RESET, limits));
    expect(await drive.blockLimits(go)).toEqual({ minimumBytes: 4, maximumBytes: 0x800000 });
    port.on(0x05, { data: Buffer.alloc(5) });
    await expect(drive.blockLimits(go)).rejects.toMatchObject({ code: 'DRIVE_FAILED' });
  });
});
