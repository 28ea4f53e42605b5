import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  asciiField,
  formatSize,
  fromHex,
  parseSize,
  readAscii,
  readUInt,
  readUInt64,
  toHex,
  writeUInt64,
} from '../../../src/base/bytes.ts';

describe('parseSize', () => {
  test.each([
    ['4096', 4096],
    ['2GB', 2e9],
    [' 1.5 TB ', 1.5e12],
    ['512KiB', 524288],
    ['1k', 1000],
    ['18tb', 18e12],
    ['0', undefined],
    ['0.2', undefined],
    ['-1', undefined],
    ['2 GBs', undefined],
    ['', undefined],
    ['1e9', undefined],
    ['99999 PB', undefined],
  ])('%s', (text, bytes) => expect(parseSize(text)).toBe(bytes));

  test('reads back every whole number of bytes', () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
        (n) => parseSize(String(n)) === n,
      ),
    ));
});

describe('formatSize', () => {
  test.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.00 kB'],
    [999_499, '999 kB'],
    [999_500, '1.00 MB'],
    [9_996, '10.0 kB'],
    [17.1e12, '17.1 TB'],
    [524_288, '524 kB'],
  ])('%d', (bytes, text) => expect(formatSize(bytes)).toBe(text));

  test('is within half a percent of what it says', () =>
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e15 }), (n) => {
        const said = parseSize(formatSize(n)) ?? 0;
        return Math.abs(said - n) <= n / 190;
      }),
    ));
});

test('64-bit fields go there and back; what a Number cannot hold is infinite', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), (n) => {
      const field = Buffer.alloc(8);
      writeUInt64(field, n, 0);
      return readUInt64(field, 0) === n && readUInt(field) === n;
    }),
  );
  expect(readUInt64(Buffer.alloc(8, 0xff), 0)).toBe(Number.POSITIVE_INFINITY);
});

test('hex goes there and back', () =>
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => Buffer.compare(fromHex(toHex(bytes)), bytes) === 0),
  ));

test('an ASCII field never yields a control byte', () =>
  fc.assert(fc.property(fc.uint8Array(), (bytes) => /^[\x20-\x7e]*$/.test(readAscii(bytes)))));

test('an ASCII field is padded and cut', () => {
  expect(asciiField('ABC', 5).toString()).toBe('ABC  ');
  expect(readAscii(asciiField('ABCDEFGH', 4))).toBe('ABCD');
});
