import { expect, test } from 'vitest';
import type { Raw } from '../../../src/base/raw.ts';
import { formatMode } from '../../../src/cli/entry.ts';
import { documentMoment, documentPath, formatTime } from '../../../src/cli/format.ts';

test.each([
  ['file', 0o644, '-rw-r--r--'],
  ['directory', 0o755, 'drwxr-xr-x'],
  ['symlink', 0o777, 'lrwxrwxrwx'],
  ['fifo', 0o600, 'prw-------'],
  ['character', 0, 'c---------'],
  ['block', 0o660, 'brw-rw----'],
  ['socket', 0o777, 'srwxrwxrwx'],
  ['file', 0o4755, '-rwsr-xr-x'],
  ['file', 0o4644, '-rwSr--r--'],
  ['file', 0o2755, '-rwxr-sr-x'],
  ['file', 0o2745, '-rwxr-Sr-x'],
  ['directory', 0o1777, 'drwxrwxrwt'],
  ['directory', 0o1770, 'drwxrwx--T'],
  ['file', 0o7777, '-rwsrwsrwt'],
] as const)('%s %o is %s', (type, mode, text) => expect(formatMode(type, mode)).toBe(text));

test.each([
  [{ seconds: 0, nanoseconds: 0 }, '1970-01-01T00:00:00.000000000Z'],
  [{ seconds: -1, nanoseconds: 999_999_999 }, '1969-12-31T23:59:59.999999999Z'],
  [{ seconds: 253_402_300_800, nanoseconds: 1 }, '+010000-01-01T00:00:00.000000001Z'],
  [{ seconds: 2 ** 53, nanoseconds: 7 }, '@9007199254740992.000000007'],
])('%j', (moment, text) => expect(documentMoment(moment)).toBe(text));

test('times for people', () => {
  expect(formatTime(1_700_000_000_999)).toBe('2023-11-14 22:13:20Z');
  expect(formatTime(9e15 * 1000)).toBe('9000000000000000 s');
});

test.each([
  ['/a', { path: '/a' }],
  ['/\xc3\xa9', { path: '/é' }],
  ['/\xe9', { path: '/\\xe9', pathBase64: 'L+k=' }],
  // Plain in a document, where an escape says the same; the bytes are UTF-8.
  ['/\x1b', { path: '/\x1b' }],
  ['\xef\xbb\xbfa', { path: '\ufeffa' }],
])('%j', (raw, document) => expect(documentPath(raw as Raw)).toEqual(document));
