import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromHex } from '../../../src/base/bytes.ts';
import { counter, parseLogPage } from '../../../src/device/log.ts';

describe('LOG SENSE (SPC-4 7.3)', () => {
  test('parameters by code', () => {
    const page = parseLogPage(fromHex('31 00 0010 0001 03 04 00000064 0003 03 04 000000c8'), 0x31);
    expect([...(page ?? [])].map(([code, value]) => [code, value.toString('hex')])).toEqual([
      [1, '00000064'],
      [3, '000000c8'],
    ]);
  });

  test.each([
    ['DS and SPF are no part of the page code', 'ae 00 0000', 0x2e, 0],
    ['no parameters', '2e 00 0000', 0x2e, 0],
    ['more allocated than sent', '2e 00 0005 0001 03 01 01 ffffff', 0x2e, 1],
  ])('%s', (_, hex, code, count) => expect(parseLogPage(fromHex(hex), code)?.size).toBe(count));

  test.each([
    ['nothing', ''],
    ['a header cut short', '2e 00 00'],
    ['another page', '2f 00 0000'],
    ['less sent than said', '2e 00 0005 0001 03 01'],
    ['a parameter longer than the page', '2e 00 0005 0001 03 02 01'],
    ['a parameter header cut short', '2e 00 0008 0001 03 01 01 0002 03'],
  ])('not understood: %s', (_, hex) => expect(parseLogPage(fromHex(hex), 0x2e)).toBeUndefined());

  test('never throws, never gives more bytes than there are', () =>
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 80 }),
          fc.uint8Array({ minLength: 4, maxLength: 80 }).map((bytes) => {
            const like = Buffer.from(bytes);
            like.writeUInt8(0x2e, 0);
            like.writeUInt16BE(like.length - 4, 2);
            return like;
          }),
        ),
        (bytes) => {
          const page = parseLogPage(Buffer.from(bytes), 0x2e);
          const used = [...(page ?? [])].reduce((sum, [, value]) => sum + 4 + value.length, 4);
          return page === undefined || used <= bytes.length;
        },
      ),
      { numRuns: 1000 },
    ));
});

describe('counter', () => {
  const page = (hex: string) => new Map([[1, fromHex(hex)]]);
  test.each([
    ['00', 0],
    ['ff', 255],
    ['00000064', 100],
    ['001fffffffffffff', Number.MAX_SAFE_INTEGER],
    ['0020000000000000', undefined],
    ['0020000000000001', undefined],
    ['ffffffffffffffff', undefined],
    ['000000000000000001', undefined],
    ['', undefined],
  ])('%s', (hex, count) => expect(counter(page(hex), 1)).toBe(count));

  test('absent', () => expect(counter(page('00'), 2)).toBeUndefined());

  test('is exact or undefined', () =>
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (value) => {
        const count = counter(page(value.toString(16).padStart(16, '0')), 1);
        return count === undefined
          ? value > BigInt(Number.MAX_SAFE_INTEGER)
          : BigInt(count) === value;
      }),
    ));
});
