/** A command in the background: what its starter hears, and its log. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { backgroundOf } from '../../../src/cli/background.ts';
import { scratchDirectory } from '../../sim/scratch.ts';

const MEBIBYTE = 2 ** 20;

/** The background of a program of one line. */
async function programOf(line: string) {
  const directory = await scratchDirectory();
  const script = join(directory, 'program.cjs');
  writeFileSync(script, line);
  const own = { execPath: process.execPath, execArgv: [], argv: [process.execPath, script] };
  return {
    log: join(directory, 'program.log'),
    background: backgroundOf({ ...own, chdir() {} }),
  };
}

test('its starter hears that it is ready, or how it ended and what it said', async () => {
  const ready = await programOf("process.send('ready'); process.disconnect();");
  expect(await ready.background.start([], ready.log)).toMatchObject({ kind: 'ready' });
  const ended = await programOf("console.error('shelfs: no'); process.exitCode = 23;");
  writeFileSync(ended.log, 'what an earlier one said\n');
  const end = { kind: 'ended', exit: 23, said: 'no' };
  expect(await ended.background.start([], ended.log)).toEqual(end);
  expect(readFileSync(ended.log, 'utf8')).toBe('what an earlier one said\nshelfs: no\n');
});

test('a log that has grown long makes way for a new one', async () => {
  const { background, log } = await programOf("console.error('said'); process.exitCode = 1;");
  const long = 'x'.repeat(MEBIBYTE + 1);
  writeFileSync(log, long);
  await background.start([], log);
  expect(readFileSync(log, 'utf8')).toBe('said\n');
  expect(readFileSync(`${log}.1`, 'utf8')).toBe(long);

  writeFileSync(log, 'short\n');
  await background.start([], log);
  expect(readFileSync(log, 'utf8')).toBe('short\nsaid\n');
  expect(existsSync(`${log}.2`)).toBe(false);
});
