/** The demonstration, with a directory of one's own: it ends well, changes nothing and leaves nothing behind. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { scratchDirectory } from '../sim/scratch.ts';
import { MAIN, runProgram } from './program.ts';

test('shows a restore by cp and an old version, and is gone', async () => {
  const directory = await scratchDirectory();
  const [path, temporary] = [join(directory, 'mine'), join(directory, 'tmp')];
  mkdirSync(path);
  mkdirSync(temporary);
  writeFileSync(join(path, 'letter with a blank.txt'), 'to be kept\n');
  const argv = [process.execPath, MAIN, 'demo', path, '--json'];
  const { exit, stdout, stderr } = await runProgram(argv, { environment: { TMPDIR: temporary } });
  expect([exit, stderr.includes('shelfs: ')]).toEqual([0, false]);
  const { steps } = JSON.parse(stdout) as { steps: { command: string; shows: string }[] };
  const shown = (start: string) => steps.find(({ command }) => command.startsWith(start))?.shows;
  expect(shown('getfattr')).toContain('user.shelfs.tape="VIR001L9"');
  expect(shown('diff -r')).toBe('');
  expect(shown('cat ')).toBe('Dear reader,\nthis is the first version.');
  expect(shown('shelfs library status')).toMatch(/drive 0: [1-9]\d* loads/);
  expect(readdirSync(temporary)).toEqual([]);
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(temporary);
  expect(readdirSync(path)).toEqual(['letter with a blank.txt']);
});
