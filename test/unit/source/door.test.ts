import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { FAILURES } from '../../../src/base/errors.ts';
import { loadFsDoor, sourceFailure } from '../../../src/source/door.ts';
import { runCheck } from './door.check.ts';
import { CHECKS } from './door.list.ts';
import { raw } from './place.ts';

const native = fileURLToPath(new URL('../../../native', import.meta.url));

const addonPath = join(native, 'fs/build/Release/fs.node');
const mayUnshare = spawnSync('unshare', ['-m', 'true']).status === 0;

describe('the native door', () => {
  beforeAll(() => {
    execFileSync('sh', [join(native, 'build'), 'release']);
  });

  for (const check of CHECKS) {
    test(check.name, () => runCheck(check, addonPath));
  }

  test('without the calls of newer kernels it says the same of extended attributes', () => {
    const words = 'attributes';
    const run = [join(import.meta.dirname, 'door.run.ts'), addonPath, words];
    const command = [join(import.meta.dirname, 'older-kernel.py'), process.execPath, ...run];
    const said = execFileSync('python3', command, { encoding: 'utf8' });
    const checks = CHECKS.filter(({ name }) => name.includes(words));
    expect(checks.length).toBeGreaterThan(1);
    expect(said).toBe(checks.map(({ name }) => `ok ${name}\n`).join(''));
  });

  test.skipIf(!mayUnshare)('with neither them nor /proc it does not say that all is gone', () => {
    const script = `
      const door = require(process.argv[1]);
      const root = door.open(-100, Buffer.from('/'), 0, 0, 0);
      console.log(door.xattrsOf(root, 'etc\\0'));`;
    const older = `python3 ${join(import.meta.dirname, 'older-kernel.py')}`;
    const command = `mount -t tmpfs none /proc && exec ${older} "$0" -e "$1" "$2"`;
    const args = ['-m', 'sh', '-c', command, process.execPath, script, addonPath];
    expect(execFileSync('unshare', args, { encoding: 'utf8' })).toBe('-38\n');
  });

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
