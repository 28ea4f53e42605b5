/** A mount with readers, a backup, a restore and a recall, four processes at once, share one drive: each ends, and ends well. */
import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { differences } from '../sim/rich-tree.ts';
import { okProgram, Shelf, until } from './program.ts';
import { startReader } from './readers.ts';

const FILES = 20;
const FILE_BYTES = 200_000;

let shelf: Shelf;
let source: string;

const fileOf = (folder: string, index: number) => join(source, folder, `file ${index}`);

function fill(folder: string): void {
  shelf.folder(`source/${folder}`);
  for (let index = 0; index < FILES; index += 1)
    writeFileSync(fileOf(folder, index), randomBytes(FILE_BYTES));
}

beforeAll(async () => {
  // Who waits for the drive waits no longer than needful.
  const config = '\n[recall]\nhold = 1\n';
  shelf = await Shelf.make({ cartridges: 6, capacity: '10MB', config });
  source = shelf.folder('source');
  for (const folder of ['read', 'restored', 'recalled']) fill(folder);
  await shelf.ok('source', 'add', source);
  await shelf.ok('backup');
});

afterAll(() => shelf.close());

test('four processes share a drive, and the mount within the source is left out', async () => {
  const mounted = await shelf.mount('source/mount');
  fill('new');
  const to = shelf.folder('to');
  const readers = Array.from({ length: FILES }, (_, index) => {
    const name = fileOf('read', index);
    return startReader(['cmp', join(mounted.at, name), name]);
  });
  const said = await Promise.all([
    shelf.say('backup', '--json'),
    shelf.say('restore', join(source, 'restored'), '--to', to),
    shelf.say('recall', join(source, 'recalled')),
  ]);
  for (const { exit, stderr } of said) expect(exit, stderr).toBe(0);
  const end = JSON.parse(said[0].stdout.trim().split('\n').at(-1) ?? '');
  expect(end.files).toMatchObject({ new: FILES + 2, excluded: 1, unreadable: 0 });
  for (const { ended } of readers) expect(await ended).toEqual({ exit: 0, signal: null });
  expect(differences(join(source, 'restored'), join(to, source, 'restored'))).toBe('');
  const states = { read: 'online', restored: 'nearline', recalled: 'online', new: 'nearline' };
  for (const [folder, state] of Object.entries(states)) {
    const path = join(mounted.at, fileOf(folder, FILES - 1));
    await until(() => existsSync(path), `the mount shows ${folder}`);
    const words = ['getfattr', '--absolute-names', '--only-values', '-n', 'user.shelfs.state'];
    expect(await okProgram([...words, path]), folder).toBe(state);
  }
  await shelf.unmount(mounted);
});
