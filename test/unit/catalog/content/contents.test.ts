import { describe, expect, test } from 'vitest';
import { rawOf } from '../../../../src/base/raw.ts';
import { Contents } from '../../../../src/catalog/content/contents.ts';
import { decodeRanges, encodeRanges } from '../../../../src/catalog/content/ranges.ts';
import type { Run } from '../../../../src/catalog/run/run.ts';
import { EMPTY_CONTENT } from '../../../../src/catalog/schema.ts';
import { Archives } from '../../../../src/catalog/shelf/archives.ts';
import { Media } from '../../../../src/catalog/shelf/media.ts';
import type { Extent } from '../../../../src/domain/content.ts';
import {
  attributes,
  beginArchive,
  commit,
  content,
  source,
  storeAll,
  type World,
  world,
} from '../scratch.ts';

function addFiles(run: Run, hostId: number, files: Record<string, number>): number {
  const directoryId = run.directory(rawOf('/'), hostId);
  run.add(
    Object.entries(files).map(([name, sizeBytes], index) => ({
      directoryId,
      name: rawOf(name),
      change: 'new',
      attributes: attributes({ sizeBytes }),
      sourceInode: source(index + 1),
    })),
  );
  return directoryId;
}

function part(contentOffset: number, lengthBytes: number): Extent {
  return {
    contentOffset,
    lengthBytes,
    archiveOffset: 512,
    storedBytes: lengthBytes,
    form: 'plain',
  };
}

/** A file of 10 bytes with 6 in one archive and 4 in the next; the second archive on the given media. */
function splitFile({ begin, hostId, media }: World, secondMedia = media.slice(1)) {
  const run = begin();
  const directoryId = addFiles(run, hostId, { big: 10 });
  const inodeId = [...run.waiting()][0]?.inode?.inodeId ?? 0;
  const key = { directoryId, name: rawOf('big'), inodeId };
  const first = beginArchive(run, media.slice(0, 1));
  run.archives.store(first, [{ ...key, extents: [part(0, 6)] }]);
  commit(run, first, media.slice(0, 1));
  expect(run.hasWaiting()).toBe(true);
  const second = beginArchive(run, secondMedia);
  run.archives.store(second, [{ ...key, content: content('0123456789'), extents: [part(6, 4)] }]);
  return { run, first, second, key };
}

test('a split file is complete with its last part, and each part counts', () => {
  const here = world();
  const { run, second } = splitFile(here);
  const contents = new Contents(here.catalog);
  const id = contents.find(10, content('0123456789').hash) ?? 0;
  expect(contents.goodCopies(id)).toBe(0);
  commit(run, second, here.media.slice(1));
  expect(contents.goodCopies(id)).toBe(1);
  expect(contents.extentsOf(id).map(({ extent, copies }) => [extent, copies[0]?.barcode])).toEqual([
    [part(0, 6), 'AAA001L9'],
    [part(6, 4), 'AAA002L9'],
  ]);
  new Media(here.catalog).setState(here.media[0] ?? 0, 'lost');
  expect(contents.goodCopies(id)).toBe(0);
});

test('a torn last part makes the file wait again; written once more, it is whole', () => {
  const here = world();
  const { run, second, key } = splitFile(here);
  new Media(here.catalog).setState(here.media[1] ?? 0, 'scratch');
  run.archives.tear(second, [{ mediumId: here.media[1] ?? 0, nextFile: 7, nextBlock: 70 }]);
  expect(new Media(here.catalog).get(here.media[1] ?? 0)).toMatchObject({
    state: 'filling',
    nextFile: 7,
    nextBlock: 70,
  });
  expect([...run.waiting()].map(({ path }) => path)).toEqual(['/big']);
  const third = beginArchive(run, here.media.slice(1));
  run.archives.store(third, [{ ...key, content: content('0123456789'), extents: [part(6, 4)] }]);
  commit(run, third, here.media.slice(1));
  expect(run.hasWaiting()).toBe(false);
  const id = [...run.entries('all')][0]?.inode?.contentId ?? 0;
  expect(new Contents(here.catalog).goodCopies(id)).toBe(1);
});

test('a file whose parts are given up waits, although archives carry its row', () => {
  const here = world();
  const run = here.begin();
  const directoryId = addFiles(run, here.hostId, { big: 10, small: 3 });
  const ids = [...run.waiting()].map(({ inode }) => inode?.inodeId ?? 0);
  const archive = beginArchive(run, here.media.slice(0, 1));
  const [big = 0, small = 0] = ids;
  run.archives.store(archive, [
    { directoryId, name: rawOf('big'), inodeId: big, extents: [part(0, 6)] },
    {
      directoryId,
      name: rawOf('small'),
      inodeId: small,
      content: content('123'),
      extents: [part(0, 3)],
    },
  ]);
  expect([...run.archives.carriedBy(archive)].map(({ name }) => name)).toEqual(['big', 'small']);
  expect(run.hasWaiting()).toBe(true);
  run.forgetParts(big);
  expect(run.hasWaiting()).toBe(true);
  commit(run, archive, here.media.slice(0, 1));
  expect(run.hasWaiting()).toBe(true);
  run.forget(directoryId, rawOf('big'));
  expect(run.hasWaiting()).toBe(false);
});

describe('after a crash between the parts', () => {
  const left = ({ catalog }: ReturnType<typeof world>) =>
    ['extents', 'run_partials', 'inodes WHERE content IS NULL'].map(
      (table) => catalog.prepare<[number]>(`SELECT count(*) FROM ${table}`).get()?.[0],
    );

  /** A file of 10 bytes of which the first part is stored. */
  function cut(here: ReturnType<typeof world>) {
    const run = here.begin();
    const directoryId = addFiles(run, here.hostId, { big: 10 });
    const inodeId = [...run.waiting()][0]?.inode?.inodeId ?? 0;
    const first = beginArchive(run, here.media.slice(0, 1));
    const key = { directoryId, name: rawOf('big'), inodeId };
    const hashSoFar = content('012345').hash;
    run.archives.store(first, [{ ...key, extents: [part(0, 6)], hashSoFar }]);
    commit(run, first, here.media.slice(0, 1));
    run.resume();
    run.resume();
    expect([...run.entries('all')]).toEqual([]);
    return { run, hashSoFar };
  }

  test('a file that is found again goes on behind the part that is stored', () => {
    const here = world();
    const { run, hashSoFar } = cut(here);
    addFiles(run, here.hostId, { other: 10, big: 10 });
    const [stored] = run.adoptParts({ copies: 1 }).values();
    expect(stored).toMatchObject({ lengthBytes: 6, partBytes: 6 });
    expect(stored?.hash.equals(hashSoFar)).toBe(true);
    expect(left(here)).toEqual([1, 1, 2]);
    expect(run.adoptParts({ copies: 1 }).size).toBe(1);
  });

  test.each([
    ['that is not found again', {}, 1],
    ['of another size', { big: 11 }, 1],
    ['with too few copies', { big: 10 }, 2],
  ])('a file %s leaves nothing', (_, found, copies) => {
    const here = world();
    const { run } = cut(here);
    if (Object.keys(found).length > 0) addFiles(run, here.hostId, found);
    expect(run.adoptParts({ copies }).size).toBe(0);
    expect(left(here)).toEqual([0, 0, Object.keys(found).length]);
  });

  test('a run that is discarded leaves nothing', () => {
    const here = world();
    cut(here).run.discard();
    expect(left(here)).toEqual([0, 0, 0]);
  });
});

test('copies count by archive, copy, medium, pool and damage', () => {
  const { catalog, hostId, media, begin } = world();
  const run = begin();
  addFiles(run, hostId, { a: 10 });
  const archiveId = storeAll(run, media, () => content('0123456789'));
  run.finish({ state: 'finished', timeMs: 0 });
  const contents = new Contents(catalog);
  const archives = new Archives(catalog);
  const inventory = new Media(catalog);
  const id = contents.find(10, content('0123456789').hash) ?? 0;
  const [one = 0, two = 0] = media;
  expect(contents.goodCopies(id)).toBe(2);
  expect(contents.weakness({ copies: 2 })(id)).toBe(false);

  inventory.setPool(one, 'vault');
  const poolId = inventory.get(one).poolId;
  expect(contents.goodCopies(id, poolId)).toBe(1);
  expect(contents.weakness({ copies: 2, poolId })(id)).toBe(true);

  archives.addDamage({ archiveId, mediumId: two, position: 0, lengthBytes: 512 });
  expect(contents.goodCopies(id)).toBe(2);
  archives.addDamage({ archiveId, mediumId: two, position: 521, lengthBytes: 1 });
  expect(contents.goodCopies(id)).toBe(1);
  archives.markCopy(archiveId, one, 'bad');
  expect(contents.goodCopies(id)).toBe(0);
  archives.markCopy(archiveId, one, 'good');
  for (const state of ['suspect', 'retired', 'lost'] as const) {
    inventory.setState(one, state);
    expect(contents.findStored(content('0123456789'), { copies: 1 })).toEqual({
      contentId: id,
      goodCopies: 0,
    });
  }
  inventory.setState(one, 'full');
  expect(contents.goodCopies(id)).toBe(1);
});

test('unchanged, but its copy is lost: stored again without a new version', () => {
  const { catalog, hostId, media, begin } = world();
  const first = begin();
  const directoryId = addFiles(first, hostId, { a: 10 });
  storeAll(first, media.slice(0, 1), () => content('0123456789'));
  first.finish({ state: 'finished', timeMs: 0 });
  new Media(catalog).setState(media[0] ?? 0, 'lost');

  const second = begin();
  const [known] = second.known(directoryId);
  expect(new Contents(catalog).weakness({ copies: 1 })(known?.contentId ?? 0)).toBe(true);
  second.again({ directoryId, name: rawOf('a'), inodeId: known?.inodeId ?? 0 });
  expect([...second.waiting()].map(({ change }) => change)).toEqual(['again']);
  storeAll(second, media.slice(1), () => content('0123456789'));
  expect(second.hasWaiting()).toBe(false);
  second.finish({ state: 'finished', timeMs: 0 });
  expect(catalog.prepare('SELECT since, until FROM versions').all()).toEqual([[1, null]]);
  expect(new Contents(catalog).goodCopies(known?.contentId ?? 0)).toBe(1);
});

test('of several files with one hash the first is written, the others follow it', () => {
  const { hostId, media, begin } = world();
  const run = begin();
  addFiles(run, hostId, { a: 5, b: 5, c: 5, d: 7 });
  const { hash } = content('12345');
  for (const { inode } of [...run.candidates.bySize()])
    run.candidates.setHash(inode?.inodeId ?? 0, hash);
  const facts = [...run.waiting()].map(({ name, isCandidate, isFollower }) => [
    name,
    isCandidate,
    isFollower,
  ]);
  expect(facts).toEqual([
    ['a', true, false],
    ['b', true, true],
    ['c', true, true],
    ['d', false, false],
  ]);
  const [a] = [...run.waiting()];
  const archive = beginArchive(run, media);
  run.archives.store(archive, [
    {
      directoryId: a?.directoryId ?? 0,
      name: rawOf('a'),
      inodeId: a?.inode?.inodeId ?? 0,
      content: content('12345'),
      extents: [part(0, 5)],
    },
  ]);
  commit(run, archive, media);
  expect([...run.waiting()].map(({ name }) => name)).toEqual(['d']);
});

test('the empty content is known from the beginning and needs no copy', () => {
  const { catalog, hostId, begin } = world();
  const run = begin();
  addFiles(run, hostId, { empty: 0 });
  expect(run.hasWaiting()).toBe(false);
  expect([...run.entries('unstored')][0]?.inode?.contentId).toBe(EMPTY_CONTENT);
  expect(new Contents(catalog).goodCopies(EMPTY_CONTENT)).toBe(Number.POSITIVE_INFINITY);
});

test('ranges of data survive, also beyond 4 GiB', () => {
  const ranges = [
    { offset: 0, lengthBytes: 4096 },
    { offset: 2 ** 43, lengthBytes: 2 ** 40 },
  ];
  expect(decodeRanges(encodeRanges(ranges))).toEqual(ranges);
});
