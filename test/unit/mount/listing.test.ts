/** Listings keep their places: sorted as on tape where that fits in memory, by pages where it does not. */
import { expect, test } from 'vitest';
import type { Raw } from '../../../src/base/raw.ts';
import { LISTED, type ListedRow } from '../../../src/catalog/tree/listed-rows.ts';
import { catalogListing } from '../../../src/mount/listing.ts';
import { virtualAttributes } from '../../../src/mount/virtual.ts';

const OWNER = { uid: 0, gid: 0, seconds: 0 };

/** Names ascend, contents descend. */
function directory(count: number) {
  const rows = Array.from({ length: count }, (_, index): ListedRow => {
    const name = `f${String(index).padStart(6, '0')}` as Raw;
    return [name, index + 1, 0o100644, 1, 0, 0, 0, 0, count - index];
  });
  const pages: number[] = [];
  const listing = catalogListing({
    rows: {
      page: (_, _directory, { after, limit }) => {
        pages.push(limit);
        const start = rows.findIndex((row) => row[LISTED.name] > after);
        return start < 0 ? [] : rows.slice(start, start + limit);
      },
    },
    tree: { kind: 'as-of', snapshotId: 1 },
    directoryId: 1,
    toEntry: (row) => ({
      nodeId: row[LISTED.inode],
      attributes: virtualAttributes(row[LISTED.inode], 'text', { owner: OWNER }),
      entrySeconds: 1,
      attributeSeconds: 1,
    }),
  });
  return { listing, pages, rows };
}

test('in tape order', () => {
  const { listing, rows } = directory(100);
  expect(listing.at(0)?.name).toBe(rows[99]?.[LISTED.name]);
  expect(listing.at(99)?.name).toBe(rows[0]?.[LISTED.name]);
  expect(listing.at(100)).toBe(undefined);
});

test('a huge one by pages, all of it and from any place', () => {
  const { listing, rows, pages } = directory(20_500);
  for (const [index, row] of rows.entries()) expect(listing.at(index)?.name).toBe(row[LISTED.name]);
  expect(listing.at(20_500)).toBe(undefined);
  expect(pages.length).toBeLessThan(16);
  for (const index of [19_999, 3, 20_499, 8000, 0])
    expect(listing.at(index)?.name).toBe(rows[index]?.[LISTED.name]);
  const other = directory(20_500).listing;
  expect(other.at(20_499)?.name).toBe(rows[20_499]?.[LISTED.name]);
  expect(other.at(20_500)).toBe(undefined);
  expect(other.at(1_000_000)).toBe(undefined);
});

test('one that is exactly a number of pages long ends', () => {
  const { listing } = directory(22_000);
  expect(listing.at(21_999)).toBeDefined();
  expect(listing.at(22_000)).toBe(undefined);
});
