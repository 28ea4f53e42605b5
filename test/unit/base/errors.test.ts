import { constants } from 'node:os';
import { expect, test } from 'vitest';
import { CodedError, EXIT_MEANINGS, errnoOf, FAILURES } from '../../../src/base/errors.ts';

test.each(Object.entries(FAILURES))(
  '%s has an exit status with a meaning and a real errno',
  (_, failure) => {
    expect(EXIT_MEANINGS.has(failure.exit)).toBe(true);
    expect(Object.keys(constants.errno).concat('ENOMEDIUM')).toContain(failure.errno);
  },
);

test('a coded error keeps facts and cause apart from the sentence', () => {
  const cause = new Error('below');
  const error = new CodedError('DRIVE_BUSY', 'drive 0 is in use', {
    cause,
    pid: 7,
    device: '/dev/sg1',
  });
  expect(error).toMatchObject({ code: 'DRIVE_BUSY', facts: { pid: 7, device: '/dev/sg1' }, cause });
  expect(error.failure.exit).toBe(11);
});

test('errnoOf reads only errors that carry one', () => {
  expect(errnoOf(Object.assign(new Error('x'), { code: 'ENOENT' }))).toBe('ENOENT');
  expect(errnoOf(new Error('x'))).toBeUndefined();
  expect(errnoOf('ENOENT')).toBeUndefined();
});
