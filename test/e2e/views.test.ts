/** What a mount shows: the live tree as other processes' backups change it, deleted files, a snapshot, another host. */
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Mounted, Shelf, until } from './program.ts';

const OTHER_HOST = 'elsewhere';

let shelf: Shelf;
let source: string;
let live: Mounted;

beforeAll(async () => {
  // Or a backup would wait for as long as the drive is kept for who might read on.
  shelf = await Shelf.make({ config: '\n[recall]\nhold = 0\n' });
  source = shelf.folder('source');
  writeFileSync(join(source, 'stays'), 'first');
  writeFileSync(join(source, 'goes'), 'gone soon');
  const other = shelf.folder('other');
  writeFileSync(join(other, 'theirs'), 'of another host');
  await shelf.ok('source', 'add', source);
  await shelf.ok('source', 'add', other, '--host', OTHER_HOST, '--as', '/srv/data');
  await shelf.ok('backup');
  live = await shelf.mount('live');
});

afterAll(() => shelf.close());

test('the live tree follows a backup by another process', async () => {
  const at = join(live.at, source);
  expect(readdirSync(at).sort()).toEqual(['goes', 'stays']);
  expect(await readFile(join(at, 'stays'), 'utf8')).toBe('first');
  expect(statSync(join(at, 'comes'), { throwIfNoEntry: false })).toBe(undefined);
  rmSync(join(source, 'goes'));
  writeFileSync(join(source, 'stays'), 'second, and longer');
  mkdirSync(join(source, 'comes'));
  writeFileSync(join(source, 'comes', 'new'), 'new');
  await shelf.ok('backup');
  // Two seconds on an idle machine.
  await until(() => statSync(join(at, 'comes'), { throwIfNoEntry: false }) !== undefined, 'comes');
  await until(() => statSync(join(at, 'stays')).size === 'second, and longer'.length, 'grows');
  expect(readdirSync(at).sort()).toEqual(['comes', 'stays']);
  expect(await readFile(join(at, 'stays'), 'utf8')).toBe('second, and longer');
  expect(await readFile(join(at, 'comes', 'new'), 'utf8')).toBe('new');
});

test('snapshots stay as they were, in their folder and as the whole of a mount', async () => {
  const [first = '', second = ''] = readdirSync(join(live.at, '.snapshots')).sort();
  const mounted = await shelf.mount('first', '--view', first);
  for (const root of [join(live.at, '.snapshots', first), mounted.at]) {
    expect(readdirSync(join(root, source)).sort()).toEqual(['goes', 'stays']);
    expect(await readFile(join(root, source, 'stays'), 'utf8')).toBe('first');
  }
  expect(readdirSync(join(live.at, '.snapshots', second, source)).sort()).toEqual([
    'comes',
    'stays',
  ]);
  const latest = await readFile(join(live.at, '.snapshots', 'latest', source, 'stays'), 'utf8');
  expect(latest).toBe('second, and longer');
  await shelf.unmount(mounted);
});

test('deleted files are shown where it is asked for, and read', async () => {
  const all = await shelf.mount('all', '--view', 'all');
  expect(readdirSync(join(all.at, source)).sort()).toEqual(['comes', 'goes', 'stays']);
  expect(await readFile(join(all.at, source, 'goes'), 'utf8')).toBe('gone soon');
  const deleted = join(live.at, '.shelfs', 'deleted', source);
  expect(readdirSync(deleted)).toEqual(['goes']);
  expect(await readFile(join(deleted, 'goes'), 'utf8')).toBe('gone soon');
  const versions = join(live.at, '.shelfs', 'versions', source, 'stays');
  const texts = await Promise.all(
    readdirSync(versions).map((name) => readFile(join(versions, name), 'utf8')),
  );
  expect(texts.sort()).toEqual(['first', 'second, and longer']);
  await shelf.unmount(all);
});

test('another host stands at the root, or below its name', async () => {
  const theirs = 'srv/data/theirs';
  const mounted = await shelf.mount('theirs', '--host', OTHER_HOST);
  const below = join(live.at, '.shelfs', 'hosts', OTHER_HOST);
  for (const root of [mounted.at, below]) {
    expect(readdirSync(root)).toEqual(['srv']);
    expect(await readFile(join(root, theirs), 'utf8')).toBe('of another host');
  }
  await shelf.unmount(mounted);
  await shelf.unmount(live);
});
