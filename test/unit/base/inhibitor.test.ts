/** Kept awake as long as it is held, and no longer than we live. */
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemdInhibitor } from '../../../src/base/inhibitor.ts';
import { scratchDirectory } from '../../sim/scratch.ts';

test('holds while it is held, says why, ends when let go', async () => {
  const directory = await scratchDirectory();
  const program = join(directory, 'systemd-inhibit');
  // As the real one: runs the command behind its options, and holds until that ends.
  const script = `#!/bin/sh\nprintf '%s\\n' "$@" > ${directory}/held.part\nmv ${directory}/held.part ${directory}/held\nwhile [ "\${1#--}" != "$1" ]; do shift; done\n"$@" >/dev/null\nmv ${directory}/held ${directory}/let-go\n`;
  writeFileSync(program, script);
  chmodSync(program, 0o755);
  const letGo = systemdInhibitor(program).hold('film.mkv is on its way');
  await expect.poll(() => existsSync(join(directory, 'held')), { timeout: 20_000 }).toBe(true);
  const words = readFileSync(join(directory, 'held'), 'utf8').trim().split('\n');
  expect(words).toEqual(
    expect.arrayContaining(['--what=sleep', '--who=shelfs', '--why=film.mkv is on its way', 'cat']),
  );
  letGo();
  await expect.poll(() => existsSync(join(directory, 'let-go')), { timeout: 20_000 }).toBe(true);
});

test('without systemd, or with a program that cannot run, nothing happens', async () => {
  systemdInhibitor(undefined).hold('nothing')();
  const letGo = systemdInhibitor('/nowhere/systemd-inhibit').hold('nothing');
  await new Promise((resolve) => setImmediate(resolve));
  letGo();
});
