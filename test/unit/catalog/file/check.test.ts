/** `catalog check` finds what is not as it should be, each thing by its name. */
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { SimClock } from '../../../../src/base/clock.ts';
import { Catalog } from '../../../../src/catalog/catalog.ts';
import { checkCatalog, proveCopy } from '../../../../src/catalog/file/check.ts';
import { scratchDirectory } from '../../../sim/scratch.ts';

async function makeCatalog(): Promise<Catalog> {
  const catalog = Catalog.create(join(await scratchDirectory(), 'catalog.sqlite'), new SimClock());
  onTestFinished(() => catalog.close());
  return catalog;
}

const INODE = 'INSERT INTO inodes VALUES(1, 33188, 1, 5, 0, 0, 0, 0, 0, 0, 1';

test.each([
  ['versions', ["INSERT INTO versions VALUES(0, 'a', 5, 5, 1)"]],
  ['overlaps', ["INSERT INTO versions VALUES(0, 'a', 1, 4, 1), (0, 'a', 3, NULL, 1)"]],
  ['inodes', ["INSERT INTO versions VALUES(0, 'a', 1, NULL, 77)"]],
  ['directories', ["INSERT INTO versions VALUES(9, 'a', 1, NULL, 1)"]],
  ['parents', ["INSERT INTO directories VALUES(3, 2, 'a')"]],
  ['owners', [`${INODE}, NULL, NULL, NULL)`]],
  ['xattrs', [`${INODE}, NULL, NULL, 4)`]],
  ['contents', [`${INODE}, 99, NULL, NULL)`]],
  ['sizes', [`${INODE}, 1, NULL, NULL)`]],
  ['extents', ["INSERT INTO contents VALUES(2, 5, x'aa', NULL, NULL)", `${INODE}, 2, NULL, NULL)`]],
  ['archives', ['INSERT INTO extents VALUES(1, 0, 8, 0, NULL, NULL, 0)']],
  ['keys', ["INSERT INTO contents VALUES(2, 5, x'aa', NULL, NULL)"]],
  ['segments', ["INSERT INTO contents VALUES(2, 5, x'aa', x'bb', NULL)"]],
  ['ids', [`${INODE.replace('(1,', '(5000,')}, NULL, NULL, NULL)`]],
])('%s', async (check, statements) => {
  const catalog = await makeCatalog();
  expect([...checkCatalog(catalog)]).toEqual([]);
  catalog.write(() => {
    for (const sql of statements) catalog.prepare(sql).run();
  });
  expect([...checkCatalog(catalog)].map((finding) => finding.check)).toContain(check);
});

test('a copy with a trigger that no catalog has is refused', async () => {
  const catalog = await makeCatalog();
  await proveCopy(catalog.path);
  catalog.prepare('CREATE TRIGGER more AFTER INSERT ON jobs BEGIN DELETE FROM versions; END').run();
  await expect(proveCopy(catalog.path)).rejects.toMatchObject({ code: 'CATALOG_DAMAGED' });
});
