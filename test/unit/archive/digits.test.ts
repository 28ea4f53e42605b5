import fc from 'fast-check';
import { expect, test } from 'vitest';
import { writeDecimal, writeHex, writeNine, writeOctal } from '../../../src/archive/digits.ts';

const limits = [1, 8, 9, 10, 99, 100, 1e9, 2 ** 30, 2 ** 31, 2 ** 32, 8 ** 11, 1e15]
  .flatMap((value) => [value - 1, value, value + 1])
  .concat(Number.MAX_SAFE_INTEGER);
const count = fc.oneof(fc.constantFrom(...limits), fc.maxSafeNat(), fc.nat(70_000));

test('decimal as String has it', () =>
  fc.assert(
    fc.property(count, (value) => {
      const bytes = Buffer.alloc(20);
      expect(bytes.toString('latin1', 1, writeDecimal(bytes, 1, value))).toBe(String(value));
    }),
  ));

test('what is no count is a mistake', () => {
  for (const value of [-1, 2 ** 53, Number.NaN])
    expect(() => writeDecimal(Buffer.alloc(20), 0, value)).toThrow();
});

test('nine digits with their zeros', () =>
  fc.assert(
    fc.property(fc.oneof(fc.constantFrom(0, 9, 10, 999_999_999), fc.nat(999_999_999)), (value) => {
      const bytes = Buffer.alloc(10);
      expect(bytes.toString('latin1', 0, writeNine(bytes, 0, value))).toBe(
        String(value).padStart(9, '0'),
      );
    }),
  ));

test('octal over zeros, and what its sum grows by', () =>
  fc.assert(
    fc.property(count, (value) => {
      const bytes = Buffer.alloc(20, '0');
      const grown = writeOctal(bytes, 18, value);
      expect(bytes.toString('latin1')).toBe(`${value.toString(8).padStart(19, '0')}0`);
      expect(bytes.reduce((sum, byte) => sum + byte - 0x30, 0)).toBe(grown);
    }),
  ));

test('hex as Buffer has it', () => {
  const every = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
  const bytes = Buffer.alloc(512);
  expect(bytes.toString('latin1', 0, writeHex(bytes, 0, every))).toBe(every.toString('hex'));
});
