import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadFuseDoor } from '../../../src/mount/door.ts';
import { runCheck } from './native.check.ts';
import { CHECKS } from './native.list.ts';

const native = fileURLToPath(new URL('../../../native', import.meta.url));

describe('the native door', () => {
  beforeAll(() => {
    execFileSync('sh', [join(native, 'build'), 'release']);
  });

  for (const check of CHECKS) {
    test(check.name, () => runCheck(check, join(native, 'fuse/build/Release/fuse.node')));
  }

  test('is found without a path', () => {
    expect(loadFuseDoor()).toHaveProperty('start');
  });

  test('says how to get it where it is not built', () => {
    expect(() => loadFuseDoor('/nowhere/fuse.node')).toThrow(/npm run build/);
  });
});
