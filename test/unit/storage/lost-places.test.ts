import { expect, test } from 'vitest';
import { CodedError } from '../../../src/base/errors.ts';
import { LostPlaces } from '../../../src/storage/lost-places.ts';

const RESET = new CodedError('DRIVE_RESET', 'it was reset');
const FULL = new CodedError('MEDIUM_FULL', 'it is full');

test('each medium is asked for three times, another failure than a lost place never', () => {
  const places = new LostPlaces<string>();
  expect(places.mayTryAgain('a', FULL)).toBe(false);
  expect(places.has('a')).toBe(false);
  for (let tries = 0; tries < 3; tries += 1) expect(places.mayTryAgain('a', RESET)).toBe(true);
  expect(places.mayTryAgain('a', RESET)).toBe(false);
  expect(places.mayTryAgain('b', RESET)).toBe(true);
  expect(places.has('a')).toBe(true);
});

test('what went well begins anew', () => {
  const places = new LostPlaces<string>();
  for (let tries = 0; tries < 4; tries += 1) places.mayTryAgain('a', RESET);
  places.forget('a');
  expect(places.has('a')).toBe(false);
  expect(places.mayTryAgain('a', RESET)).toBe(true);
});
