/** Copies of the catalog: consistent as of one moment, whole, told as text, and nothing left behind. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import Database from 'better-sqlite3';
import { expect, onTestFinished, test } from 'vitest';
import { rawOf } from '../../../../src/base/raw.ts';
import { CatalogCopy, exportBytes, sweepCopies } from '../../../../src/catalog/file/copy.ts';
import { exportLines, TOLD } from '../../../../src/catalog/file/export.ts';
import { Sources } from '../../../../src/catalog/job/sources.ts';
import { ownProcess } from '../../../../src/catalog/writers.ts';
import { attributes, content, scratchDirectory, storeAll, world } from '../scratch.ts';

const HEAD = ['11111111-2222-4333-8444-555555555555', '2026-01-01T00:00:00.000Z', 'test'];

async function copyOf(path: string) {
  const copy = await CatalogCopy.make({
    catalogPath: path,
    directory: dirname(path),
    name: crypto.randomUUID(),
    head: HEAD,
  });
  onTestFinished(() => copy.close());
  const [database, text] = copy.files.map((file) => {
    const parts: Buffer[] = [];
    for (const bytes of file.read()) parts.push(Buffer.from(bytes));
    return Buffer.concat(parts);
  });
  const db = new Database(zstdDecompressSync(database ?? Buffer.alloc(0)));
  onTestFinished(() => {
    db.close();
  });
  return { copy, db, text: text?.toString('latin1') ?? '' };
}

/** Neither told as text nor secret: journals tell of them, or they are of the moment, or help nobody to find a file. */
const NOT_TOLD = [
  ...['counters', 'writers', 'directories', 'owners', 'xattrs', 'inodes', 'versions'],
  ...['job_logs', 'pending', 'run_hashes', 'run_links', 'run_partials'],
  ...['bygones', 'run_facts', 'health'],
  ...['contents', 'content_keys', 'unkeyed', 'extents'],
];

test('each table is told, or known not to be: a new one is to be decided on', () => {
  const { catalog } = world();
  const tables = catalog
    .prepare<[string]>(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    )
    .all()
    .flat();
  expect([...Object.keys(TOLD), ...NOT_TOLD].toSorted()).toEqual(tables.toSorted());
});

test('all is in it but who writes, and what it was made from is as it was', async () => {
  const at = world();
  const run = at.begin();
  run.add([
    {
      ...run.place(rawOf('/a'), at.hostId),
      change: 'new',
      attributes: attributes(),
      sourceInode: { device: 1, inode: 1, links: 1 },
    },
  ]);
  storeAll(run, at.media.slice(0, 1), () => content('0123456789'));
  run.finish({ state: 'finished', timeMs: 5000 });
  const { db, copy } = await copyOf(at.path);
  const rows = (table: string) => `SELECT * FROM ${table}`;
  for (const table of [...Object.keys(TOLD), ...NOT_TOLD.filter((name) => name !== 'writers')])
    expect(db.prepare(rows(table)).raw().all(), table).toEqual(
      at.catalog.prepare(rows(table)).all(),
    );
  expect(db.prepare(rows('writers')).all()).toEqual([]);
  expect(at.catalog.prepare(rows('writers')).all()).toHaveLength(1);
  expect(db.pragma('quick_check', { simple: true })).toBe('ok');
  expect(copy.databaseBytes % 4096).toBe(0);
  expect(readdirSync(dirname(at.path)).filter((name) => name.includes('copy'))).toEqual([]);
});

test('somebody writes meanwhile: it is as of one moment', async () => {
  const { path, catalog } = world();
  const add = catalog.prepare('INSERT INTO counters VALUES(?, 1)');
  const pad = catalog.prepare('INSERT INTO locations(name) VALUES(?)');
  catalog.write(() => {
    for (let index = 0; index < 20_000; index += 1) pad.run(`a location of some length ${index}`);
  });
  let pairs = 0;
  const writing = setInterval(() => {
    // Two rows a transaction: a copy has both or neither.
    catalog.write(() => {
      pairs += 1;
      add.run(`left ${pairs}`);
      add.run(`right ${pairs}`);
    });
  });
  const { db } = await copyOf(path).finally(() => clearInterval(writing));
  const count = (side: string) =>
    db.prepare("SELECT count(*) FROM counters WHERE name LIKE ? || ' %'").pluck().get(side);
  expect(pairs).toBeGreaterThan(0);
  expect(count('left')).toBe(count('right'));
  expect(count('left')).toBeLessThanOrEqual(pairs);
});

test('its text: names as bytes, what people typed as UTF-8, escapes as in a journal', async () => {
  const { path, catalog, hostId } = world();
  new Sources(catalog).add({
    name: 'Käse\t1',
    hostId,
    path: '/\xff\n\\' as never,
    original: '-' as never,
    options: { before: ['sh', '-c', 'echo "x"'] },
  });
  const { text } = await copyOf(path);
  const lines = text.split('\n');
  expect(lines[0]).toBe(`shelfs-catalog\t1\t${HEAD.join('\t')}`);
  const umlaut = Buffer.from('ä').toString('latin1');
  expect(lines).toContain('table\tsources\tid\tname\thost\tpath\toriginal\toptions');
  expect(lines).toContain(
    `sources\t1\tK${umlaut}se\\00111\t1\t/\xff\\0012\\0134\t\\0055\t{"before":["sh","-c","echo \\0134"x\\0134""]}`,
  );
  expect(lines.filter((line) => line.startsWith('media\t'))).toHaveLength(2);
  const select = (sql: string) => catalog.prepare(sql).all();
  const again = [...exportLines(select, HEAD)].join('');
  expect(again).toBe(text);
  expect(exportBytes(catalog)).toBe(text.length - HEAD.join('\t').length - 1);
});

test('a damaged catalog is no copy, and says so', async () => {
  const directory = scratchDirectory();
  const path = join(directory, 'catalog.sqlite');
  writeFileSync(path, 'this is no database');
  const made = CatalogCopy.make({ catalogPath: path, directory, name: 'x', head: HEAD });
  await expect(made).rejects.toMatchObject({ code: 'CATALOG_DAMAGED' });
  expect(readdirSync(directory)).toEqual(['catalog.sqlite']);
});

test('where nothing can be written, it fails by name', async () => {
  const { path } = world();
  const made = CatalogCopy.make({ catalogPath: path, directory: '/proc', name: 'x', head: HEAD });
  await expect(made).rejects.toMatchObject({ code: 'FAILED', facts: { path: '/proc' } });
});

test('leftovers of dead processes are swept, and nothing else', async () => {
  const directory = scratchDirectory();
  const names = [
    'catalog-copy.boot:4194999:1.a',
    `catalog-copy.${ownProcess()}.b`,
    'catalog.sqlite',
  ];
  for (const name of names) mkdirSync(join(directory, name, 'below'), { recursive: true });
  await sweepCopies(directory);
  expect(readdirSync(directory)).toEqual(names.slice(1).toSorted());
  rmSync(directory, { recursive: true });
});
