import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { FAILURES } from '../../../src/base/errors.ts';
import { loadFsDoor, sourceFailure } from '../../../src/source/door.ts';
import { CHECKS, runCheck } from './door.list.ts';
import { raw } from './place.ts';

const native = fileURLToPath(new URL('../../../native', import.meta.url));

describe('the native door', () => {
  beforeAll(() => {
    execFileSync('sh', [join(native, 'build'), 'release']);
  });

  for (const check of CHECKS) {
    test(check.name, () => runCheck(check, join(native, 'fs/build/Release/fs.node')));
  }

  test('is found without a path', () => {
    expect(loadFsDoor()).toHaveProperty('scan');
  });

  test('says how to get it where it is not built', () => {
    expect(() => loadFsDoor('/nowhere/fs.node')).toThrow(/npm run build/);
  });
});

test.each([
  [-2, 'SOURCE_MISSING', /^\/a\\x1b is not there any more \(ENOENT\)$/],
  [-20, 'SOURCE_MISSING', /ENOTDIR/],
  [-13, 'SOURCE_UNREADABLE', /^\/a\\x1b cannot be read \(EACCES\)$/],
  [-5, 'SOURCE_UNREADABLE', /EIO/],
  [-38, 'FAILED', /Linux 5\.6/],
] as const)('errno %i of a source is %s', (answer, code, message) => {
  const failure = sourceFailure(raw('/a\x1b'), answer);
  expect(failure.code).toBe(code);
  expect(failure.message).toMatch(message);
  expect(failure.failure).toBe(FAILURES[code]);
});
