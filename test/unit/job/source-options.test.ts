import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../../src/base/clock.ts';
import { type Raw, rawOf } from '../../../src/base/raw.ts';
import { Catalog } from '../../../src/catalog/catalog.ts';
import { type Rule, type Source, Sources } from '../../../src/catalog/job/sources.ts';
import { Directories } from '../../../src/catalog/tree/directories.ts';
import { changePolicyOf, filterOf, parseSourceOptions } from '../../../src/job/source-options.ts';
import { scratchDirectory } from '../../sim/scratch.ts';

const FILE = { type: 'file', isNodump: false } as const;

test('no options are the defaults', () =>
  expect(parseSourceOptions({})).toEqual({
    followSymlinks: false,
    oneFileSystem: false,
    changedBy: ['size', 'mtime', 'ctime', 'inode'],
    ctimeMeans: 'attributes',
    nodump: false,
    cacheDirectories: 'enter',
  }));

test('what is stored is read back', () => {
  const options = parseSourceOptions({
    changedBy: ['size'],
    before: ['snap', 'a b'],
    nodump: true,
  });
  expect(parseSourceOptions(JSON.parse(JSON.stringify(options)))).toEqual(options);
  expect(changePolicyOf(options)).toEqual({
    changedBy: new Set(['size']),
    ctimeMeans: 'attributes',
  });
});

test.each([
  [{ colour: 'red' }],
  [{ changedBy: ['weight'] }],
  [{ changedBy: [] }],
  [{ before: [] }],
  [{ before: ['a\0b'] }],
  [null],
])('%j was written by a newer program', (json) =>
  expect(() => parseSourceOptions(json)).toThrow(
    expect.objectContaining({ code: 'CATALOG_NEWER' }),
  ),
);

async function sourceWith(global: readonly Rule[], own: readonly Rule[], options: unknown = {}) {
  const catalog = Catalog.create(join(await scratchDirectory(), 'catalog.sqlite'), systemClock);
  onTestFinished(() => catalog.close());
  const sources = new Sources(catalog);
  const hostId = new Directories(catalog).ensureHost('here').id;
  const path = rawOf('/mnt/home');
  const id = sources.add({ name: 'home', hostId, path, original: rawOf('/home'), options });
  sources.setRules(undefined, global);
  sources.setRules(id, own);
  const source = sources.find('home');
  expect(source).toBeDefined();
  return { catalog, source: source as Source };
}

const rule = (kind: Rule['kind'], value: string): Rule => ({ kind, value: rawOf(value) });

test('global rules, presets, then its own; a mark above them all', async () => {
  const { catalog, source } = await sourceWith(
    [rule('pattern', '*.iso'), rule('track', '/home/me/keep'), rule('untrack', '/elsewhere')],
    [
      rule('pattern', '!small.iso'),
      rule('preset', 'python'),
      rule('pattern', '!kept.pyc'),
      rule('untrack', 'me/keep/not'),
    ],
  );
  const filter = filterOf(catalog, source);
  const decided = (path: string) => filter.explain(rawOf(path), FILE);
  expect(decided('a/big.iso')).toMatchObject({
    verdict: 'excluded',
    reason: { kind: 'rule', rule: { origin: 'global', pattern: '*.iso' } },
  });
  expect(decided('a/small.iso')).toMatchObject({ verdict: 'kept', reason: { isException: true } });
  expect(decided('a/b.pyc')).toMatchObject({
    verdict: 'excluded',
    reason: { rule: { origin: 'preset python' } },
  });
  expect(decided('a/kept.pyc').verdict).toBe('kept');
  expect(decided('me/keep/big.iso').verdict).toBe('kept');
  expect(decided('me/keep/not/x').verdict).toBe('excluded');
  expect(decided('elsewhere').verdict).toBe('kept');
});

test('patterns are bytes', async () => {
  const { catalog, source } = await sourceWith([], [{ kind: 'pattern', value: '*.\xff' as Raw }]);
  const filter = filterOf(catalog, source);
  expect(filter.explain('a.\xff' as Raw, FILE).verdict).toBe('excluded');
  expect(filter.explain(rawOf('a.ÿ'), FILE).verdict).toBe('kept');
});

test('nodump only where it is asked for', async () => {
  const flagged = { type: 'file', isNodump: true } as const;
  const plain = await sourceWith([], []);
  expect(filterOf(plain.catalog, plain.source).explain(rawOf('a'), flagged).verdict).toBe('kept');
  const asked = await sourceWith([], [], { nodump: true });
  expect(filterOf(asked.catalog, asked.source).explain(rawOf('a'), flagged)).toMatchObject({
    verdict: 'excluded',
    reason: { kind: 'nodump' },
  });
});

test('a preset of a newer program is no reason to store what it leaves out', async () => {
  const { catalog, source } = await sourceWith([], [rule('preset', 'holograms')]);
  expect(() => filterOf(catalog, source)).toThrow(
    expect.objectContaining({ code: 'CATALOG_NEWER' }),
  );
});
