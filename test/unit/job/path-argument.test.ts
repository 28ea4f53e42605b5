import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Raw, rawOf, rawText, toRaw } from '../../../src/base/raw.ts';
import { pathArgument, rawArgument } from '../../../src/job/path-argument.ts';

const HERE = '/home/m\xe9' as Raw;

test.each([
  ['/a/b', '/a/b'],
  ['/', '/'],
  ['//a///b/', '/a/b'],
  ['/a/./b/../c', '/a/c'],
  ['/../..', '/'],
  ['a', '/home/m\xe9/a'],
  ['.', '/home/m\xe9'],
  ['..', '/home'],
  ['../../../x', '/x'],
  ['/caf\\xe9', '/caf\xe9'],
  ['/caf\\xE9/\\x0a', '/caf\xe9/\n'],
  ['/\\x5cx41', '/\\x41'],
  ['/a\\xg1\\x4', '/a\\xg1\\x4'],
  ['/\\u{200b}', rawOf('/\u200b')],
  ['/é', rawOf('/é')],
  ['-x', '/home/m\xe9/-x'],
])('%j', (text, path) => expect(pathArgument(text, HERE)).toBe(path));

test.each(['', '/a\\x00', '/\\u{110000}', '/\\u{d800}', `/${'a'.repeat(70_000)}`])(
  '%j is none',
  (text) =>
    expect(() => pathArgument(text, HERE)).toThrow(expect.objectContaining({ code: 'USAGE' })),
);

describe('what is printed is taken', () => {
  /** C1 controls are printed as the byte of the same number is, and a backslash is printed as it is. */
  const isAmbiguous = (raw: Raw) => /\\|\xc2[\x80-\x9f\xad]/.test(raw);

  test('any other bytes', () =>
    fc.assert(
      fc.property(fc.uint8Array({ min: 1, maxLength: 40 }), (bytes) => {
        const raw = toRaw(bytes);
        fc.pre(!isAmbiguous(raw) && !raw.includes('\0'));
        expect(rawArgument(rawText(raw))).toBe(raw);
      }),
      { numRuns: 2000 },
    ));

  test('any other text', () =>
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
        const raw = rawOf(text);
        fc.pre(!isAmbiguous(raw) && !raw.includes('\0'));
        expect(rawArgument(rawText(raw))).toBe(raw);
      }),
      { numRuns: 2000 },
    ));
});
