import { expect, test } from 'vitest';
import { run } from '../../../src/cli/run.ts';
import { CommandLine } from '../../sim/command-line.ts';

/** What is meant is parsed, what is not is said so that it helps. */
test.each([
  [['backup', '--no-wait'], 'nothing is protected yet'],
  [['groom', '--no-such'], 'unknown here: no-such; --help lists'],
  [['backup', '--wait', 'false'], 'unknown here: wait; --help lists'],
  [['jbos'], 'there is no such command; did you mean jobs?'],
  [['nothing-like-it'], 'nothing-like-it'],
  [['media', 'show'], 'an argument is missing: 0 given, 1 needed; --help names them'],
  [['restore', '/x'], 'missing: --to; --help'],
  [['scrub', '--sample'], 'a value is missing behind --sample'],
  [['scrub', '--quick', '--sample', '5'], 'mutually exclusive'],
])('%j: %s', async (argv, sentence) => {
  const line = await CommandLine.make();
  const { exit, stdout, stderr } = await line.say(...argv);
  expect({ exit, stdout }).toEqual({ exit: 2, stdout: '' });
  expect(stderr).toMatch(/^shelfs: [^\n]+\n$/);
  expect(stderr).toContain(sentence);
});

test('groom that is told not to wait is a groom', async () => {
  const line = await CommandLine.make();
  expect(await line.ok('groom', '--no-wait')).toContain('no cartridge');
});

test.each([60, 80, 120])('help fits a terminal of %i columns', async (columns) => {
  let printed = '';
  const write = (text: string) => {
    printed += text;
  };
  const exit = await run(['scrub', '--help'], {
    environment: {},
    isRoot: false,
    streams: {
      stdout: { write, columns },
      stderr: { write: () => expect.fail('help is no message') },
    },
    signal: new AbortController().signal,
    version: '1',
  });
  expect(exit).toBe(0);
  expect(Math.max(...printed.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(columns);
});
