/** A state directory whose disk is full in the middle of a backup: said in a sentence, and gone on with when there is room. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Shelf } from './program.ts';

const FILES = 3000;

test('a run ends with a sentence and goes on when there is room again', async (context) => {
  const shelf = await Shelf.make({ cartridges: 1 });
  onTestFinished(() => shelf.close());
  const source = shelf.folder('source');
  for (let index = 0; index < FILES; index += 1)
    writeFileSync(join(source, `a name as long as names are, number ${index}`), `bytes ${index}`);
  await shelf.ok('source', 'add', source);
  const disk = `${shelf.state}.full`;
  renameSync(shelf.state, disk);
  mkdirSync(shelf.state);
  const small = ['-t', 'tmpfs', '-o', 'size=1200k', 'tmpfs', shelf.state];
  const { status, stderr } = spawnSync('mount', small, { encoding: 'utf8' });
  if (status !== 0) context.skip(`no tmpfs: ${stderr}`);
  onTestFinished(() => void spawnSync('umount', [shelf.state]));
  spawnSync('cp', ['-a', `${disk}/.`, shelf.state]);
  // Cartridges are no files of the state's disk.
  renameSync(join(disk, 'virtual'), join(shelf.directory, 'cartridges'));
  spawnSync('rm', ['-r', join(shelf.state, 'virtual')]);
  spawnSync('sed', ['-i', 's|^directory = .*|directory = "../cartridges"|', shelf.configPath]);
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const said = await shelf.say('backup');
    expect(said.exit, said.stderr).toBe(1);
    expect(said.stderr).toMatch(/^shelfs: no room /m);
    expect(said.stderr).not.toMatch(/^ +at /m);
  }
  spawnSync('mount', ['-o', 'remount,size=100m', shelf.state]);
  await shelf.ok('backup');
  const to = shelf.folder('to');
  await shelf.ok('restore', '/', '--to', to);
  expect(spawnSync('diff', ['-r', source, join(to, source)]).status).toBe(0);
});
