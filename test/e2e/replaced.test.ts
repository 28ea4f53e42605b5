/**
 * The program's files are replaced while a backup of it runs, as an upgrade does at night: the job ends well with what it has
 * loaded, or says what happened, and the next program goes on. A copy of the program is what is replaced.
 */
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { okProgram, type Said, Shelf, startProgram, until } from './program.ts';

const PACKAGE = fileURLToPath(new URL('../../', import.meta.url));
const DOORS = ['fs', 'scsi', 'sqlite'];
/** Enough for threads, which cannot be started any more. */
const FILES = 600;
const LOADED = 'program: all of it is loaded';

type HeldShelf = { readonly shelf: Shelf; readonly program: string; readonly hold: string };

const shelves: Shelf[] = [];

afterEach(async () => {
  for (const shelf of shelves.splice(0)) await shelf.close();
});

/** A copy of the package as it is installed; its dependencies are links. */
function install(at: string): void {
  cpSync(join(PACKAGE, 'dist'), join(at, 'dist'), { recursive: true });
  cpSync(join(PACKAGE, 'package.json'), join(at, 'package.json'));
  for (const door of DOORS) {
    const file = join('native', door, 'build', 'Release', `${door}.node`);
    cpSync(join(PACKAGE, file), join(at, file));
    cpSync(join(PACKAGE, 'native', door, 'package.json'), join(at, 'native', door, 'package.json'));
  }
  mkdirSync(join(at, 'node_modules'));
  for (const name of readdirSync(join(PACKAGE, 'node_modules')))
    symlinkSync(join(PACKAGE, 'node_modules', name), join(at, 'node_modules', name));
}

/** Another version, of which no file can be loaded: what the running one took of it would be seen. */
function installOther(at: string, like: string): void {
  const copied = readdirSync(like, { recursive: true, withFileTypes: true });
  for (const entry of copied.filter((each) => each.isFile())) {
    const path = join(at, entry.parentPath.slice(like.length), entry.name);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, 'this is no program {');
  }
}

async function shelfWithHeldSource(): Promise<HeldShelf> {
  const shelf = await Shelf.make();
  shelves.push(shelf);
  const program = join(shelf.directory, 'program');
  install(program);
  const source = shelf.folder('source');
  for (let number = 0; number < FILES; number += 1)
    writeFileSync(join(source, `file ${number}`), `${number % 500}`);
  const hold = join(shelf.directory, 'hold');
  const [begun, go] = [`${hold}.begun`, `${hold}.go`];
  writeFileSync(hold, `#!/bin/sh\n: >'${begun}'\nwhile [ ! -e '${go}' ]; do sleep 0.02; done\n`);
  chmodSync(hold, 0o755);
  await shelf.ok('source', 'add', source, '--before', hold);
  return { shelf, program, hold };
}

/** A backup by the copy, which is replaced while the source's own command runs. @param when asked with what it has said */
async function backupReplaced(
  { shelf, program, hold }: HeldShelf,
  when: { replaced(stderr: string): boolean; goesOn(stderr: string): boolean },
): Promise<Said> {
  const main = join(program, 'dist', 'main.js');
  const child = startProgram([process.execPath, main, '--state', shelf.state, '-vv', 'backup']);
  const said = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream]?.setEncoding('utf8').on('data', (text: string) => {
      said[stream] += text;
    });
  const ended = once(child, 'close');
  await until(() => existsSync(`${hold}.begun`), 'the backup begins');
  await until(() => when.replaced(said.stderr), 'all of the program is loaded');
  renameSync(program, `${program}.before`);
  installOther(program, `${program}.before`);
  await until(() => when.goesOn(said.stderr), 'the program finds its files replaced');
  writeFileSync(`${hold}.go`, '');
  const [exit] = await ended;
  return { ...said, exit };
}

test('a backup ends well once it has loaded what it may need', async () => {
  const held = await shelfWithHeldSource();
  const said = await backupReplaced(held, {
    replaced: (stderr) => stderr.includes(LOADED),
    goesOn: () => true,
  });
  expect(said.exit, said.stderr).toBe(0);
  await expectWhole(held.shelf);
});

test('a backup that has not says what happened, and the next program goes on', async () => {
  const held = await shelfWithHeldSource();
  const said = await backupReplaced(held, {
    replaced: () => true,
    goesOn: (stderr) => stderr.includes(LOADED) || stderr.includes('a part of the program is gone'),
  });
  expect(said.stderr).not.toMatch(/^ {4}at /m);
  // Where this machine was slow, all was loaded before the source's command began.
  if (said.stderr.includes(LOADED)) expect(said.exit, said.stderr).toBe(0);
  else {
    expect(said.exit, said.stderr).toBe(1);
    const told = said.stderr.split('\n').filter((line) => line.startsWith('shelfs: '));
    expect(told).toEqual([expect.stringContaining('run the command again')]);
    expect(await held.shelf.ok('backup')).toContain(`${FILES} new`);
  }
  await expectWhole(held.shelf);
});

/** By the program that was installed in its place. */
async function expectWhole(shelf: Shelf): Promise<void> {
  const to = shelf.folder('restored');
  const source = join(shelf.directory, 'source');
  await shelf.ok('restore', source, '--to', to);
  await okProgram(['diff', '-r', source, join(to, source)]);
}
