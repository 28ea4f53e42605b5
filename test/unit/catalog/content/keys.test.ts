/** Keys reach their table late: until then, after a crash, and with another process at work, contents are found all the same. */
import { expect, test } from 'vitest';
import { systemClock } from '../../../../src/base/clock.ts';
import { rawOf } from '../../../../src/base/raw.ts';
import { Catalog } from '../../../../src/catalog/catalog.ts';
import { Contents } from '../../../../src/catalog/content/contents.ts';
import { ContentKeys, columnsOf } from '../../../../src/catalog/content/keys.ts';
import type { Run } from '../../../../src/catalog/run/run.ts';
import { Media } from '../../../../src/catalog/shelf/media.ts';
import type { Content } from '../../../../src/domain/content.ts';
import {
  attributes,
  begin,
  beginArchive,
  commit,
  content,
  source,
  storedEntries,
  type World,
  world,
} from '../scratch.ts';

/** Adds files of these contents to a run; the n-th is `fn`. */
function add(run: Run, hostId: number, contents: readonly Content[]): void {
  const directoryId = { path: rawOf('/home'), hostId };
  run.add(
    contents.map(({ sizeBytes }, index) => ({
      directoryId,
      name: rawOf(`f${String(index).padStart(4, '0')}`),
      change: 'new' as const,
      attributes: attributes({ sizeBytes }),
      sourceInode: source(100 + index),
    })),
  );
}

function store(run: Run, archiveId: number, contents: readonly Content[]): void {
  run.archives.store(
    archiveId,
    storedEntries(run, (path) => {
      const found = contents[Number(path.slice('/home/f'.length))];
      if (!found) throw new Error(`no content for ${path}`);
      return found;
    }),
  );
}

const rows = (catalog: Catalog, table: 'unkeyed' | 'content_keys' | 'contents') =>
  catalog.prepare<[number]>(`SELECT count(*) FROM ${table}`).get()?.[0];

/** As a process that begins after this one ended badly. */
function otherProcess({ path }: World): Catalog {
  return Catalog.open(path, { mode: 'write', clock: systemClock });
}

const CONTENTS = ['one', 'two', 'three', 'seventeen'].map((text) => content(text));

test('stored contents are found before their keys are written, and their keys are written with the commit', () => {
  const here = world();
  const run = here.begin();
  add(run, here.hostId, CONTENTS);
  const archiveId = beginArchive(run, here.media);
  store(run, archiveId, CONTENTS);
  expect(rows(here.catalog, 'content_keys')).toBe(1);
  expect(rows(here.catalog, 'unkeyed')).toBe(1);
  const contents = new Contents(here.catalog);
  const ids = CONTENTS.map(({ sizeBytes, hash }) => contents.find(sizeBytes, hash));
  expect(new Set(ids).size).toBe(CONTENTS.length);
  const policy = { policy: { copies: 1 }, archiveId };
  expect([...run.archives.areStored(columnsOf([...CONTENTS, content('four')]), policy)]).toEqual([
    ...CONTENTS.keys(),
  ]);
  commit(run, archiveId, here.media);
  expect(rows(here.catalog, 'content_keys')).toBe(1 + CONTENTS.length);
  expect(rows(here.catalog, 'unkeyed')).toBe(0);
  expect(CONTENTS.map(({ sizeBytes, hash }) => contents.find(sizeBytes, hash))).toEqual(ids);
  expect(contents.sizeIsKnown(9)).toBe(true);
  expect(contents.sizeIsKnown(10)).toBe(false);
  expect(contents.find(0, Buffer.from(EMPTY_HASH, 'hex'))).toBe(1);
});

const EMPTY_HASH = 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262';

test('after a crash the contents without keys are found, and get them', () => {
  const here = world();
  const run = here.begin();
  add(run, here.hostId, CONTENTS);
  store(run, beginArchive(run, here.media), CONTENTS);
  const other = otherProcess(here);
  const contents = new Contents(other);
  for (const { sizeBytes, hash } of CONTENTS) expect(contents.find(sizeBytes, hash)).toBeDefined();
  other.part(ContentKeys).flush();
  expect(rows(other, 'unkeyed')).toBe(0);
  expect(rows(other, 'content_keys')).toBe(1 + CONTENTS.length);
  // The first one was only slow: what it writes now is there already.
  here.catalog.part(ContentKeys).flush();
  expect(rows(other, 'content_keys')).toBe(1 + CONTENTS.length);
  other.close();
});

test('keys that were cut short are written by the next', () => {
  // A transaction for each portion.
  let nowMs = 0;
  const here = world({ ...systemClock, nowMs: () => 0, monotonicMs: () => (nowMs += 100) });
  const run = here.begin();
  const many = Array.from({ length: 9000 }, (_, index) => content(`file ${index}`, 1000));
  add(run, here.hostId, many);
  const archiveId = beginArchive(run, here.media);
  store(run, archiveId, many);
  const write = here.catalog.write.bind(here.catalog);
  let left = 2;
  here.catalog.write = (work) => {
    left -= 1;
    if (left === 0) throw new Error('cut');
    return write(work);
  };
  expect(() => here.catalog.part(ContentKeys).flush()).toThrow('cut');
  expect(rows(here.catalog, 'content_keys')).toBe(1 + 4096);
  here.catalog.write = write;
  const other = otherProcess(here);
  new Contents(other).find(1000, content('file 8999', 1000).hash);
  other.part(ContentKeys).flush();
  expect(rows(other, 'content_keys')).toBe(1 + many.length);
  other.close();
});

test('a transaction taken back leaves nothing to be found', () => {
  const here = world();
  const run = here.begin();
  add(run, here.hostId, CONTENTS);
  const archiveId = beginArchive(run, here.media);
  expect(() =>
    here.catalog.write(() => {
      store(run, archiveId, CONTENTS);
      throw new Error('taken back');
    }),
  ).toThrow('taken back');
  const contents = new Contents(here.catalog);
  for (const { sizeBytes, hash } of CONTENTS)
    expect(contents.find(sizeBytes, hash)).toBeUndefined();
  store(run, archiveId, CONTENTS);
  commit(run, archiveId, here.media);
  expect(rows(here.catalog, 'contents')).toBe(1 + CONTENTS.length);
});

test('what another process stored since it was asked for is not stored as something new', () => {
  const here = world();
  const run = here.begin();
  add(run, here.hostId, CONTENTS);
  const archiveId = beginArchive(run, here.media);
  expect(
    run.archives.areStored(columnsOf(CONTENTS), { policy: { copies: 1 }, archiveId }).size,
  ).toBe(0);
  const other = otherProcess(here);
  const theirs = begin(other);
  add(theirs, here.hostId, CONTENTS);
  const theirArchive = beginArchive(theirs, here.media);
  store(theirs, theirArchive, CONTENTS);
  commit(theirs, theirArchive, here.media);
  other.close();
  store(run, archiveId, CONTENTS);
  expect(rows(here.catalog, 'contents')).toBe(1 + CONTENTS.length);
});

test('equal keys of different hashes are different contents; equal bytes in one go are one', () => {
  const here = world();
  const run = here.begin();
  const [one, two] = [content('one'), content('two')];
  const twin = { ...two, hash: Buffer.concat([one.hash.subarray(0, 6), two.hash.subarray(6)]) };
  const all = [one, twin, one, twin];
  add(run, here.hostId, all);
  const archiveId = beginArchive(run, here.media);
  store(run, archiveId, all);
  commit(run, archiveId, here.media);
  expect(rows(here.catalog, 'contents')).toBe(3);
  const contents = new Contents(here.catalog);
  const [first, second] = [one, twin].map(({ hash }) => contents.find(3, hash));
  expect(first).not.toBe(second);
  expect([...run.entries('all')].map(({ inode }) => inode?.contentId)).toEqual([
    first,
    second,
    first,
    second,
  ]);
});

test('what two processes stored at the same time is one content with the copies of both', () => {
  const here = world();
  const [one, two] = here.media;
  const mine = here.begin();
  add(mine, here.hostId, CONTENTS);
  const myArchive = beginArchive(mine, [one ?? 0]);
  const other = otherProcess(here);
  // It looked for keys before the first of ours was there.
  const theirs = begin(other);
  add(theirs, here.hostId, CONTENTS);
  const theirArchive = beginArchive(theirs, [two ?? 0]);
  const asked = columnsOf([content('four')]);
  theirs.archives.areStored(asked, { policy: { copies: 1 }, archiveId: theirArchive });
  store(mine, myArchive, CONTENTS);
  store(theirs, theirArchive, CONTENTS);
  const ids = [mine, theirs].flatMap((run) =>
    [...run.entries('all')].map(({ inode }) => inode?.contentId ?? 0),
  );
  expect(new Set(ids).size).toBe(2 * CONTENTS.length);
  commit(theirs, theirArchive, [two ?? 0]);
  other.close();
  commit(mine, myArchive, [one ?? 0]);
  const contents = new Contents(here.catalog);
  for (const id of ids) expect(contents.goodCopies(id)).toBe(2);
  new Media(here.catalog).setState(one ?? 0, 'lost');
  const isWeak = contents.weakness({ copies: 1 });
  expect(ids.filter(isWeak)).toEqual([]);
  for (const id of ids)
    expect(contents.extentsOf(id).map(({ archiveId }) => archiveId)).toContain(theirArchive);
});
