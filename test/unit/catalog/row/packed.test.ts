import { join } from 'node:path';
import { expect, test } from 'vitest';
import { NULL_NUMBER, Packed } from '../../../../src/catalog/row/packed.ts';
import { world } from '../scratch.ts';
import { CHECKS, runCheck } from './packed.check.ts';

const BUILT = join(import.meta.dirname, '../../../../native/sqlite/build/Release/sqlite.node');

test.each(CHECKS)('$name', (check) => runCheck(check, BUILT));

const T =
  'CREATE TEMP TABLE t(number INTEGER PRIMARY KEY, other INTEGER, name TEXT, hash BLOB) STRICT';
const INTO = {
  sql: 'INSERT INTO t SELECT n0, n1, t0, b0',
  numbers: 2,
  texts: 1,
  hashes: 1,
} as const;
const COUNT =
  'SELECT count(*), sum(number), count(other), count(DISTINCT name), min(hash), max(hash) FROM t';

const hashOf = (number: number) => Buffer.alloc(32, number % 251);

test('thousands of rows, of which the last wait for the flush', () => {
  const { catalog } = world();
  catalog.prepare(T).run();
  const rows = new Packed(catalog, INTO);
  for (let number = 1; number <= 2000; number += 1)
    rows.add([number, number % 2 === 0 ? number : NULL_NUMBER], `name ${number}`, hashOf(number));
  const before = catalog.prepare<[number]>('SELECT count(*) FROM t').get()?.[0];
  expect(before).toBeLessThan(2000);
  rows.flush();
  rows.flush();
  const all = [2000, 2_001_000, 1000, 2000, hashOf(0), hashOf(250)];
  expect(catalog.prepare(COUNT).get()).toEqual(all);
});

test('a transaction taken back takes what waits with it', () => {
  const { catalog } = world();
  catalog.prepare(T).run();
  const rows = new Packed(catalog, INTO);
  const failed = () =>
    catalog.write(() => {
      rows.add([1, 1], 'one', hashOf(1));
      throw new Error('taken back');
    });
  expect(failed).toThrow('taken back');
  rows.add([2, 2], 'two', hashOf(2));
  rows.flush();
  expect(catalog.prepare('SELECT number, name FROM t').all()).toEqual([[2, 'two']]);
});
