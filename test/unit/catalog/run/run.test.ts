import { expect, test } from 'vitest';
import { systemClock } from '../../../../src/base/clock.ts';
import { rawOf } from '../../../../src/base/raw.ts';
import { Catalog } from '../../../../src/catalog/catalog.ts';
import { Contents } from '../../../../src/catalog/content/contents.ts';
import { diff } from '../../../../src/catalog/tree/diff.ts';
import { Tree } from '../../../../src/catalog/tree/tree.ts';
import {
  attributes,
  beginArchive,
  commit,
  content,
  DIRECTORY,
  source,
  storeAll,
  storedEntries,
  world,
} from '../scratch.ts';

test('a first run, then one with a change and a deletion: both are seen', () => {
  const { path, catalog, hostId, media, begin } = world();
  const first = begin();
  const root = first.directory(rawOf('/'), hostId);
  const home = first.directory(rawOf('/home'), hostId);
  first.add([
    {
      directoryId: root,
      name: rawOf('home'),
      change: 'new',
      attributes: DIRECTORY,
      sourceInode: source(2, 3),
    },
    {
      directoryId: home,
      name: rawOf('a'),
      change: 'new',
      attributes: attributes(),
      sourceInode: source(3),
    },
    {
      directoryId: home,
      name: rawOf('b'),
      change: 'new',
      attributes: attributes({ sizeBytes: 5 }),
      sourceInode: source(4),
    },
  ]);
  expect([...first.waiting()].map(({ path }) => path)).toEqual(['/home/a', '/home/b']);
  storeAll(first, media.slice(0, 1), (name) =>
    content(name.endsWith('a') ? '0123456789' : '12345'),
  );
  expect([...first.waiting()]).toEqual([]);
  const tree = new Tree(catalog);
  expect(() => tree.resolveSnapshot()).toThrow(/no snapshot yet/);
  const one = first.finish({ state: 'finished', timeMs: 5_999 });
  expect(one).toMatchObject({ id: 1, seconds: 5 });

  const second = begin();
  expect(second.known(home).map(({ name }) => name)).toEqual(['a', 'b']);
  second.gone(home, rawOf('a'));
  second.add([
    {
      directoryId: home,
      name: rawOf('b'),
      change: 'attributes',
      attributes: attributes({ sizeBytes: 5, mode: 0o600 }),
      sourceInode: source(4),
      contentId: second.known(home).at(-1)?.contentId,
    },
  ]);
  expect([...second.entries('all')].map(({ change }) => change)).toEqual(['gone', 'attributes']);
  const two = second.finish({ state: 'finished', timeMs: 5_000 });
  expect(two).toMatchObject({ id: 2, seconds: 6 });

  expect([...tree.walk(hostId, rawOf('/home'), 1)].map(({ path }) => path)).toEqual([
    '/home',
    '/home/a',
    '/home/b',
  ]);
  expect(tree.list(home, 2).map(({ name, inode }) => [name, inode.mode])).toEqual([['b', 0o600]]);
  const reader = Catalog.open(path, { mode: 'read', clock: systemClock });
  expect([...diff(reader, 1, 2)].map((found) => [found.path, found.change])).toEqual([
    ['/home/a', 'deleted'],
    ['/home/b', 'attributes'],
  ]);
  reader.close();
  const stored = tree.lookup(hostId, rawOf('/home/b'), 2)?.inode.contentId ?? 0;
  const contents = new Contents(catalog);
  expect(contents.goodCopies(stored)).toBe(1);
  expect(contents.extentsOf(stored)).toMatchObject([
    { copies: [{ barcode: 'AAA001L9', startBlock: 2, isGood: true }], extent: { lengthBytes: 5 } },
  ]);
});

test('a further name between those that were stored is not taken for stored', () => {
  const { hostId, media, begin } = world();
  const run = begin();
  expect(run.findDirectory(rawOf('/home'), hostId)).toBeUndefined();
  const directoryId = { path: rawOf('/home'), hostId };
  // The second name of the first inode stands between names whose inodes follow each other.
  const found: [name: string, inode: number, links: number][] = [
    ['a', 1, 2],
    ['b', 2, 1],
    ['c', 1, 2],
    ['d', 3, 1],
    ['e', 4, 1],
  ];
  run.add(
    found.map(([name, inode, links]) => ({
      directoryId,
      name: rawOf(name),
      change: 'new' as const,
      attributes: attributes(),
      sourceInode: source(inode, links),
    })),
  );
  expect(run.findDirectory(rawOf('/home'), hostId)).toBeDefined();
  const archiveId = beginArchive(run, media);
  const entries = [...storedEntries(run, (path) => content(path, 10))];
  run.archives.store(
    archiveId,
    entries.filter(({ name }) => name !== rawOf('c')),
  );
  expect([...run.archives.carriedBy(archiveId)].map(({ name }) => name)).toEqual([
    'a',
    'b',
    'd',
    'e',
  ]);
  expect([...run.entries('unjournaled')].map(({ name }) => name)).toEqual(['c']);
  expect(run.hasWaiting()).toBe(false);
  run.archives.takeForJournal(archiveId);
  expect([...run.entries('unjournaled')]).toEqual([]);
  commit(run, archiveId, media);
});

test('what was left out of a row of files waits, and is stored with the next archive', () => {
  const { catalog, hostId, media, begin } = world();
  const run = begin();
  const names = Array.from({ length: 40 }, (_, index) => `f${String(index).padStart(2, '0')}`);
  run.add(
    names.map((name, index) => ({
      directoryId: { path: rawOf('/home'), hostId },
      name: rawOf(name),
      change: 'new' as const,
      attributes: attributes(),
      sourceInode: source(index + 1),
    })),
  );
  const first = beginArchive(run, media);
  const entries = [...storedEntries(run, (path) => content(path, 10))];
  const leftOut = ['f00', 'f07', 'f08', 'f20', 'f39'];
  run.archives.store(
    first,
    entries.filter(({ name }) => !leftOut.includes(name)),
  );
  expect([...run.waiting()].map(({ name }) => name)).toEqual(leftOut);
  commit(run, first, media);
  storeAll(run, media, (path) => content(path, 10));
  run.finish({ state: 'finished', timeMs: 5000 });
  const tree = new Tree(catalog);
  const contents = new Contents(catalog);
  for (const name of names) {
    const found = tree.lookup(hostId, rawOf(`/home/${name}`), 1)?.inode.contentId ?? 0;
    expect(contents.get(found)?.hash).toEqual(content(`/home/${name}`).hash);
  }
  expect(catalog.prepare('SELECT count(*) FROM pending').get()).toEqual([0]);
});
