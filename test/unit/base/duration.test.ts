import { expect, test } from 'vitest';
import { parseDuration } from '../../../src/base/duration.ts';

test.each([
  ['12h', 43_200_000],
  ['90 s', 90_000],
  [' 1.5 min ', 90_000],
  ['2D', 172_800_000],
  ['250ms', 250],
  ['0s', 0],
])('%j', (text, durationMs) => expect(parseDuration(text)).toBe(durationMs));

test.each(['', '12', 'h', '-1h', '1 hour', '1e3s', '99999999999999999d'])('%j is none', (text) =>
  expect(parseDuration(text)).toBeUndefined(),
);
