import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromHex } from '../../../src/base/bytes.ts';
import {
  parseSupportedCommands,
  recommendedTimeouts,
  timeoutMs,
} from '../../../src/device/timeouts.ts';
import { supportedOperationCodes } from '../../../src/device/virtual/operation-codes.ts';

const MINUTE_MS = 60_000;

const timeoutsOf = (bytes: Buffer) => recommendedTimeouts(parseSupportedCommands(bytes));

/** One command descriptor with timeouts (SPC-4 tables 237 and 238). */
const timed = (opcode: string, seconds: string, action = '0000') =>
  `${opcode} 00 ${action} 00 02 0006 000a 00 00 00000001 ${seconds}`;
const untimed = (opcode: string) => `${opcode} 00 0000 00 00 0006`;

function answer(...descriptors: readonly string[]): Buffer {
  const body = fromHex(descriptors.join(''));
  const head = Buffer.alloc(4);
  head.writeUInt32BE(body.length);
  return Buffer.concat([head, body]);
}

describe('REPORT SUPPORTED OPERATION CODES (SPC-4 6.27)', () => {
  test.each<[string, Buffer, [number, number][]]>([
    ['a READ of 39 minutes', answer(timed('08', '00000924')), [[0x08, 2_340_000]]],
    [
      'those without timeouts are passed over',
      answer(untimed('00'), timed('0a', '00000618'), untimed('12')),
      [[0x0a, 1_560_000]],
    ],
    [
      'the longest of an opcode’s service actions',
      answer(
        timed('a3', '0000000a', '0005'),
        timed('a3', '00000014', '000c'),
        timed('a3', '00000001', '000a'),
      ),
      [[0xa3, 20_000]],
    ],
    [
      'more than a day is a broken answer',
      answer(timed('08', 'ffffffff'), timed('0a', '00000001')),
      [[0x0a, 1000]],
    ],
    ['exactly a day', answer(timed('08', '00015180')), [[0x08, 86_400_000]]],
    ['nothing', Buffer.alloc(0), []],
    ['an empty list', fromHex('00000000'), []],
  ])('%s', (_, bytes, timeouts) => expect([...timeoutsOf(bytes)]).toEqual(timeouts));

  test('a cut gives those before it', () => {
    const bytes = answer(timed('08', '00000924'), timed('0a', '00000618'));
    for (let cut = 0; cut < bytes.length; cut += 1) {
      const recommended = timeoutsOf(bytes.subarray(0, cut));
      expect([...recommended.keys()]).toEqual(cut < 24 ? [] : [0x08]);
    }
  });

  test('never throws; every timeout is positive or 0 and within a day', () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (body) => {
        const bytes = Buffer.concat([fromHex('00000fff'), body]);
        return [...timeoutsOf(bytes).values()].every((ms) => ms >= 0 && ms <= 86_400_000);
      }),
      { numRuns: 500 },
    ));

  test('what the virtual drive recommends is read', () => {
    const cdb = fromHex('a3 0c 80 00 0000 00002000 00 00');
    const recommended = timeoutsOf(supportedOperationCodes(cdb).data ?? Buffer.alloc(0));
    expect(recommended.get(0x92)).toBe(2_940_000);
    expect(recommended.get(0xa3)).toBe(60_000);
    const plain = supportedOperationCodes(fromHex('a3 0c 00 00 0000 00002000 00 00'));
    expect(timeoutsOf(plain.data ?? Buffer.alloc(0)).size).toBe(0);
    expect(supportedOperationCodes(fromHex('a3 0c 80 00 0000 00000010 00 00')).data?.length).toBe(
      16,
    );
    expect(supportedOperationCodes(fromHex('a3 0c 01 00 0000 00002000 00 00')).sense).toBeDefined();
  });
});

describe('timeoutMs', () => {
  test.each([
    [0x00, 2 * MINUTE_MS],
    [0x34, 2 * MINUTE_MS],
    [0x0a, 60 * MINUTE_MS],
    [0xa5, 60 * MINUTE_MS],
    [0xff, 60 * MINUTE_MS],
    [0x1b, 180 * MINUTE_MS],
  ])('opcode %i without advice', (opcode, ms) => expect(timeoutMs(opcode, new Map())).toBe(ms));

  test('advice lengthens, never shortens', () => {
    expect(timeoutMs(0x00, new Map([[0x00, 1000]]))).toBe(2 * MINUTE_MS);
    expect(timeoutMs(0x00, new Map([[0x00, 200_000]]))).toBe(200_000);
    expect(timeoutMs(0x19, new Map([[0x19, 19_380_000]]))).toBe(19_380_000);
  });
});
