import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fromHex } from '../../../src/base/bytes.ts';
import { parseLogPage } from '../../../src/device/log.ts';
import { TAPE_ALERTS, tapeAlerts } from '../../../src/device/tape-alert.ts';

/** Log page 2Eh with every flag as a parameter of one byte (SSC-4 8.2.3). */
function page(flags: Readonly<Record<number, number>>): Buffer {
  const body = Object.entries(flags).map(([code, value]) =>
    fromHex(
      `${Number(code).toString(16).padStart(4, '0')} 03 01 ${value.toString(16).padStart(2, '0')}`,
    ),
  );
  const bytes = Buffer.concat([fromHex('2e 00 0000'), ...body]);
  bytes.writeUInt16BE(bytes.length - 4, 2);
  return bytes;
}

test.each([
  [{ 3: 1, 20: 1, 4: 0 }, [3, 20]],
  [{ 64: 1, 1: 1 }, [1, 64]],
  [{ 0: 1, 65: 1, 65535: 1 }, []],
  // only bit 0 is the flag
  [{ 5: 0xfe, 6: 0xff }, [6]],
  [{}, []],
])('%j', (flags, alerts) => {
  expect(tapeAlerts(parseLogPage(page(flags), 0x2e) ?? new Map())).toEqual(alerts);
});

test('all 64 flags, in any order, come ascending', () =>
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 64 })), (set) => {
      const parameters = new Map(set.map((flag) => [flag, Buffer.from([1])]));
      expect(tapeAlerts(parameters)).toEqual(set.toSorted((a, b) => a - b));
    }),
  ));

test('an empty parameter is no flag', () =>
  expect(tapeAlerts(new Map([[3, Buffer.alloc(0)]]))).toEqual([]));

test('every flag that has words is a flag', () => {
  for (const [flag, words] of TAPE_ALERTS) {
    expect(flag).toBeGreaterThanOrEqual(1);
    expect(flag).toBeLessThanOrEqual(64);
    expect(words).not.toBe('');
  }
});
