import { expect, test } from 'vitest';
import { SimClock } from '../../../src/base/clock.ts';
import { type Raw, rawOf } from '../../../src/base/raw.ts';
import { Jobs } from '../../../src/catalog/job/jobs.ts';
import { Sources } from '../../../src/catalog/job/sources.ts';
import { unjournaled } from '../../../src/catalog/run/journal.ts';
import { Media } from '../../../src/catalog/shelf/media.ts';
import { Directories } from '../../../src/catalog/tree/directories.ts';
import { Inodes } from '../../../src/catalog/tree/inodes.ts';
import { parseTime, Snapshots, snapshotName } from '../../../src/catalog/tree/snapshots.ts';
import { Tree } from '../../../src/catalog/tree/tree.ts';
import {
  attributes,
  beginArchive,
  commit,
  DIRECTORY,
  JOB,
  source,
  storeAll,
  world,
} from './scratch.ts';

const NASTY = Array.from({ length: 255 }, (_, index) => String.fromCharCode(index + 1))
  .filter((character) => character !== '/')
  .join('') as Raw;

test('attributes of every type survive, any byte in names, targets and xattrs', () => {
  const { catalog } = world();
  const inodes = new Inodes(catalog);
  const xattrs = [
    { name: rawOf('system.posix_acl_access'), value: Buffer.from([2, 0, 0, 0]) },
    { name: 'user.\xff' as Raw, value: Buffer.alloc(65_536, 7) },
    { name: rawOf('user.z'), value: Buffer.alloc(0) },
  ];
  const cases = [
    attributes({ mode: 0o7777, user: NASTY, group: rawOf(''), uid: 2 ** 32 - 2, xattrs }),
    attributes({ sizeBytes: 2 ** 52, mtime: { seconds: -(2 ** 40), nanoseconds: 0 } }),
    attributes({ type: 'symlink', target: NASTY }),
    attributes({ type: 'character', device: { major: 4095, minor: 2 ** 20 - 1 } }),
    attributes({ type: 'block', device: { major: 8, minor: 0 } }),
    attributes({ type: 'fifo' }),
    attributes({ type: 'socket' }),
    DIRECTORY,
  ];
  const ids = catalog.write(() => {
    const added = cases.map((each) => inodes.add(each, source(2 ** 50, 3), undefined));
    inodes.flush();
    return added;
  });
  const fresh = new Inodes(catalog);
  expect(ids.map((id) => fresh.get(id))).toEqual(
    cases.map((each, index) => ({
      ...each,
      inodeId: ids[index],
      contentId: undefined,
      sourceInode: source(2 ** 50, 3),
    })),
  );
});

test('paths: any byte but slash and NUL; what is not normal is a mistake of the caller', () => {
  const { catalog, hostId } = world();
  const directories = new Directories(catalog);
  const path = `/a/${NASTY}/c` as Raw;
  const id = directories.ensure(hostId, path);
  expect(new Directories(catalog).find(hostId, path)).toBe(id);
  expect(new Directories(catalog).path(id)).toBe(path);
  expect(directories.ensure(hostId, path)).toBe(id);
  expect(directories.find(hostId, rawOf('/a/b'))).toBeUndefined();
  for (const wrong of ['a', '', '/a/', '//a', '/a/../b', '/.', '/a\0'])
    expect(() => directories.find(hostId, wrong as Raw)).toThrow(/path of the catalog/);
  const other = directories.ensureHost('other');
  expect(directories.ensureHost('other')).toEqual(other);
  expect(directories.find(other.id, rawOf('/a'))).toBeUndefined();
});

test('a deep tree needs no recursion', () => {
  const { catalog, hostId, begin } = world();
  const run = begin();
  let path = '' as Raw;
  const add = (directoryId: number, name: Raw) =>
    run.add([
      { directoryId, name, change: 'new', attributes: DIRECTORY, sourceInode: source(1, 2) },
    ]);
  catalog.write(() => {
    add(0, rawOf('here'));
    for (let depth = 0; depth < 1000; depth += 1) {
      add(run.directory((path || '/') as Raw, hostId), rawOf('d'));
      path = `${path}/d` as Raw;
    }
  });
  run.finish({ state: 'finished', timeMs: 0 });
  let last: Raw | undefined;
  for (const entry of new Tree(catalog).walk(hostId, rawOf('/'), 1)) last = entry.path;
  expect(last).toBe(path);
});

test('snapshots are found by number and by time', () => {
  const { catalog, begin } = world();
  const times = [
    Date.UTC(2026, 10, 20, 9),
    Date.UTC(2026, 10, 20, 9),
    Date.UTC(2026, 10, 21, 0, 30),
  ];
  for (const timeMs of times) begin().finish({ state: 'finished', timeMs });
  const snapshots = new Snapshots(catalog);
  expect(snapshots.list().map(snapshotName)).toEqual([
    '2026-11-20T090000Z',
    '2026-11-20T090001Z',
    '2026-11-21T003000Z',
  ]);
  const found: [string | undefined, number][] = [
    [undefined, 3],
    ['latest', 3],
    ['2', 2],
    ['#1', 1],
    ['2026-11-20T090000Z', 1],
    ['2026-11-20T09:00:00Z', 1],
    ['2026-11-20 09:00', 2],
    ['2026-11-20', 2],
    ['2027-01-01', 3],
  ];
  for (const [text, id] of found) expect(snapshots.resolve(text).id).toBe(id);
  for (const wrong of ['4', 'yesterday', '2026-11-19', '2026-02-30', '2026-11-20T25:00', ''])
    expect(() => snapshots.resolve(wrong)).toThrow(/snapshot/);
  expect(parseTime('2026-13-01')).toBeUndefined();
});

test('jobs keep their numbers; logs come back in order', () => {
  const { catalog } = world(new SimClock());
  const jobs = new Jobs(catalog);
  const number = jobs.add({ ...JOB, uuid: 'a', parameters: { sources: ['x'] } });
  jobs.setReport(number, { files: 3 });
  expect(jobs.unfinished('backup').map((job) => job.number)).toEqual([number]);
  jobs.setState(number, 'failed');
  expect(jobs.get(number)).toMatchObject({ state: 'failed', report: { files: 3 }, pid: JOB.pid });
  jobs.resume(number, 77);
  expect(jobs.get(number)).toMatchObject({ state: 'running', pid: 77, endedMs: undefined });
  const line = { jobNumber: number, timeMs: 1, level: 'info' } as const;
  jobs.log([
    { ...line, message: 'one' },
    { ...line, message: 'two', path: '/x', facts: { errno: 'EIO' } },
  ]);
  const [first, last] = jobs.logs(number, 0, 10);
  expect(jobs.logs(number, first?.id ?? 0, 10)).toEqual([last]);
  expect(last).toMatchObject({ message: 'two', path: '/x', facts: { errno: 'EIO' } });
});

test('media: registered once, moved, counted up with each archive', () => {
  const { catalog, hostId, media, begin } = world(new SimClock());
  const inventory = new Media(catalog);
  const first = media[0] ?? 0;
  const one = { barcode: 'AAA001L9', kind: 'tape', capacityBytes: 1 } as const;
  expect(() => inventory.add([{ ...one, barcode: 'NEW001L9' }, one])).toThrow(/registered already/);
  expect(inventory.find('NEW001L9')).toBeUndefined();
  inventory.move(first, 'Bank, box 2');
  inventory.move(first, undefined);
  expect(inventory.moves(first)).toMatchObject([{ to: 'Bank, box 2' }, { from: 'Bank, box 2' }]);
  const run = begin();
  run.directory(rawOf('/'), hostId);
  storeAll(run, [first], () => {
    throw new Error('nothing to store');
  });
  expect(inventory.get(first)).toMatchObject({
    state: 'filling',
    nextFile: 2,
    nextBlock: 13,
    writeGeneration: 2,
    writtenBytes: 40_960,
  });
  expect(() => inventory.setLabelled(first, { ...LABEL, uuid: 'again' })).toThrow(/still holds/);
});

const LABEL = {
  uuid: 'u',
  setUuid: 's',
  setNumber: 1,
  blockBytes: 4096,
  nextFile: 1,
  nextBlock: 2,
  writeGeneration: 1,
  label: {},
};

test('sources and rules', () => {
  const { catalog, hostId } = world();
  const sources = new Sources(catalog);
  const home = { name: 'home', hostId, path: rawOf('/mnt'), original: rawOf('/home'), options: {} };
  const id = sources.add(home);
  expect(() => sources.add(home)).toThrow(/named home/);
  expect(() => sources.add({ ...home, name: 'other' })).toThrow(/source already/);
  sources.setRules(id, [
    { kind: 'preset', value: rawOf('caches') },
    { kind: 'pattern', value: NASTY },
  ]);
  sources.setRules(undefined, [{ kind: 'pattern', value: rawOf('*.o') }]);
  expect(sources.rules(id).map(({ value }) => value)).toEqual(['caches', NASTY]);
  sources.remove(id);
  expect(sources.list()).toEqual([]);
  expect(sources.rules(id)).toEqual([]);
  expect(sources.rules(undefined)).toHaveLength(1);
});

test('what no journal carries is carried by the next archive, also after a torn one', () => {
  const { catalog, hostId, media, begin } = world();
  const first = begin();
  const root = first.directory(rawOf('/'), hostId);
  first.gone(root, rawOf('never there'));
  const snapshot = first.finish({ state: 'finished', timeMs: 0 });
  expect(unjournaled(catalog)).toEqual([snapshot]);

  const second = begin();
  const torn = beginArchive(second, media);
  second.archives.takeForJournal(torn);
  second.archives.tear(torn);
  expect(unjournaled(catalog)).toEqual([snapshot]);
  const good = beginArchive(second, media);
  second.archives.takeForJournal(good);
  const hash = Buffer.alloc(32);
  second.archives.commit(good, {
    lengthBytes: 1,
    lengthBlocks: 1,
    blake3: hash,
    sha256: hash,
    copiesGood: media,
    carriedSnapshots: [snapshot.id],
  });
  const seconds = second.proposeSeconds(5000);
  second.finish({ state: 'finished', timeMs: 5000, journaledSeconds: seconds });
  expect(unjournaled(catalog)).toEqual([]);
});

test('two runs at once: each finishes whole, in the order of their finish', () => {
  const { catalog, hostId, media, begin } = world();
  const [one, two] = [begin(), begin()];
  const add = (run: typeof one, path: string, inode: number) => {
    const directoryId = run.directory(rawOf(path), hostId);
    const sourceInode = source(inode);
    const change = 'new' as const;
    run.add([
      {
        directoryId,
        name: rawOf('f'),
        change,
        attributes: attributes({ sizeBytes: 0 }),
        sourceInode,
      },
    ]);
  };
  add(one, '/one', 1);
  add(two, '/two', 2);
  const archive = beginArchive(one, media);
  commit(one, archive, media);
  expect(two.finish({ state: 'finished', timeMs: 0 }).id).toBe(1);
  expect(one.finish({ state: 'partial', timeMs: 0 })).toMatchObject({ id: 2, isPartial: true });
  const tree = new Tree(catalog);
  const shows = (path: string, id: number) => tree.lookup(hostId, rawOf(path), id) !== undefined;
  expect([shows('/one/f', 1), shows('/two/f', 1)]).toEqual([false, true]);
  expect([shows('/one/f', 2), shows('/two/f', 2)]).toEqual([true, true]);
});
