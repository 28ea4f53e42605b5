import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { COMMANDS } from '../../../src/cli/commands.ts';
import { compileCacheDirectory } from '../../../src/cli/compile-cache.ts';
import { program } from '../../../src/cli/program.ts';
import { scratchDirectory } from '../../sim/scratch.ts';

const userId = process.geteuid?.() ?? -1;

test.each(Object.entries(COMMANDS))('help says of %s what its module says', async (name, known) => {
  let printed = '';
  const print = (text: string) => {
    printed += text;
  };
  await program([name, '--help'], () => expect.fail('opened'), { version: '1', print });
  expect(printed.split('\n\n').slice(0, 2)).toEqual([`shelfs ${known.usage}`, known.describe]);
  expect(known.usage.split(' ')[0]).toBe(name);
});

describe('compiled code is kept', () => {
  const own = async () => {
    const home = await scratchDirectory();
    chmodSync(home, 0o755);
    return home;
  };

  test('below the user’s home, where nobody else can look', async () => {
    const home = await own();
    const directory = compileCacheDirectory({ HOME: home }, userId);
    expect(directory).toBe(join(home, '.cache/shelfs/code'));
    expect(statSync(directory ?? '').mode & 0o777).toBe(0o700);
  });

  test('where XDG_CACHE_HOME says', async () => {
    const cache = await own();
    const environment = { HOME: '/nowhere', XDG_CACHE_HOME: cache };
    expect(compileCacheDirectory(environment, userId)).toBe(join(cache, 'shelfs/code'));
  });

  test('nowhere in a home of somebody else, and nothing is made there', async () => {
    const home = await own();
    expect(compileCacheDirectory({ HOME: home }, userId + 1)).toBeUndefined();
    expect(readdirSync(home)).toEqual([]);
  });

  test.each([0o775, 0o757, 0o1777])(
    'nowhere below a home that others may write: %o',
    async (mode) => {
      const home = await own();
      chmodSync(home, mode);
      expect(compileCacheDirectory({ HOME: home }, userId)).toBeUndefined();
      expect(existsSync(join(home, '.cache'))).toBe(false);
    },
  );

  test('nowhere where others may write the directory itself, or one above it behind a link', async () => {
    const home = await own();
    const directory = compileCacheDirectory({ HOME: home }, userId) ?? '';
    chmodSync(directory, 0o777);
    expect(compileCacheDirectory({ HOME: home }, userId)).toBeUndefined();
    const shared = await own();
    mkdirSync(join(shared, 'cache'));
    chmodSync(shared, 0o777);
    const linked = await own();
    symlinkSync(join(shared, 'cache'), join(linked, '.cache'));
    expect(compileCacheDirectory({ HOME: linked }, userId)).toBeUndefined();
  });

  test.each([
    {},
    { HOME: '' },
    { HOME: 'relative' },
    { HOME: '/proc/1/none' },
    { HOME: '/dev/null' },
  ])('nowhere with %o', (environment) =>
    expect(compileCacheDirectory(environment, userId)).toBeUndefined(),
  );
});

test('the program runs with a cache, and without one', async () => {
  const home = await scratchDirectory();
  chmodSync(home, 0o755);
  const main = join(import.meta.dirname, '../../../src/main.ts');
  const start = (HOME: string) =>
    spawnSync(process.execPath, [main, '--version'], { env: { HOME }, encoding: 'utf8' });
  expect(start(home)).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
  });
  expect(readdirSync(join(home, '.cache/shelfs/code'))).not.toEqual([]);
  expect(start(home).status).toBe(0);
  expect(start('/nonexistent')).toMatchObject({ status: 0, stderr: '' });
});
