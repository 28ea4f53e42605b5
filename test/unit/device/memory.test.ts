import { AssertionError } from 'node:assert';
import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '../../../src/base/bytes.ts';
import { SimClock } from '../../../src/base/clock.ts';
import { attributeText } from '../../../src/device/attribute.ts';
import { LogicalUnit } from '../../../src/device/logical-unit.ts';
import { readMemory, writeMemory } from '../../../src/device/memory.ts';
import { GOOD, refusal, type Script, ScriptedPort } from '../../sim/scripted-port.ts';

const go = new AbortController().signal;

function make(script: Script) {
  const port = new ScriptedPort().on(0x8c, script).on(0x8d, script);
  return { port, unit: new LogicalUnit(port, new SimClock(), 'DRIVE_FAILED') };
}

test('all attributes are asked for at once', async () => {
  const { unit, port } = make({ data: fromHex('00000007 0806 01 0002 4142 ffff') });
  const attributes = await readMemory(unit, go);
  expect(attributeText(attributes, 0x0806)).toBe('AB');
  expect(port.sent).toEqual(['8c 00 00 00 00 00 00 00 00 00 00 01 00 00 00 00']);
});

test('an empty answer is an empty chip', async () =>
  expect((await readMemory(make(GOOD).unit, go)).size).toBe(0));

test('what is written goes through to the chip', async () => {
  const { unit, port } = make(GOOD);
  await writeMemory(unit, [{ id: 0x0806, format: 'ascii', value: Buffer.from('AB') }], go);
  expect(port.sent).toEqual(['8d 01 00 00 00 00 00 00 00 00 00 00 00 0b 00 00']);
  expect(toHex(port.commands[0]?.dataOut ?? new Uint8Array(0))).toBe(
    '00 00 00 07 08 06 01 00 02 41 42',
  );
});

test('only the host’s own range is written', async () => {
  const { unit, port } = make(GOOD);
  for (const id of [0x0000, 0x07ff, 0x1000]) {
    const attribute = { id, format: 'ascii' as const, value: Buffer.from('A') };
    await expect(writeMemory(unit, [attribute], go)).rejects.toThrow(AssertionError);
  }
  expect(port.sent).toEqual([]);
});

describe('refusals', () => {
  test.each([
    ['DRIVE_EMPTY', refusal(2, 0x3a00)],
    ['DRIVE_FAILED', refusal(2, 0x0401)],
    ['DRIVE_RESET', refusal(6, 0x2800)],
    ['MEDIUM_PROTECTED', refusal(7, 0x2700)],
    ['DRIVE_FAILED', refusal(5, 0x2600)],
    ['DRIVE_FAILED', refusal(1, 0x0000, { deferred: true })],
    ['DRIVE_FAILED', { hostStatus: 3 }],
  ])('%s', async (code, script) => {
    const { unit } = make(script);
    await expect(readMemory(unit, go)).rejects.toMatchObject({ code });
    const attribute = { id: 0x0803, format: 'text' as const, value: Buffer.from('A') };
    await expect(writeMemory(unit, [attribute], go)).rejects.toMatchObject({ code });
  });
});
