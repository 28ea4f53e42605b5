import { expect, test } from 'vitest';
import { CodedError } from '../../../src/base/errors.ts';
import { ofMedium } from '../../../src/storage/of-medium.ts';

test.each([
  ['drive 0: loading: medium error', 'BKP001L9: drive 0: loading: medium error'],
  ['BKP001L9 is not in the library', 'BKP001L9 is not in the library'],
  ['drive 0: slot 4 has BKP001L9', 'drive 0: slot 4 has BKP001L9'],
])('%s', (message, told) => {
  expect(ofMedium('BKP001L9', new CodedError('DRIVE_FAILED', message))).toBe(told);
});
