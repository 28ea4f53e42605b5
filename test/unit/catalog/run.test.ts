import { expect, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { rawOf } from '../../../src/base/raw.ts';
import { Catalog } from '../../../src/catalog/catalog.ts';
import { Contents } from '../../../src/catalog/contents.ts';
import { diff } from '../../../src/catalog/diff.ts';
import { Tree } from '../../../src/catalog/tree.ts';
import { attributes, content, DIRECTORY, source, storeAll, world } from './scratch.ts';

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
