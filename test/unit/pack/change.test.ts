import { expect, test } from 'vitest';
import type { Moment } from '../../../src/domain/entry.ts';
import {
  CHANGED_BY_ALL,
  type ChangeCriterion,
  type Compared,
  changeOf,
} from '../../../src/pack/change.ts';

const at = (seconds: number, nanoseconds = 0): Moment => ({ seconds, nanoseconds });

const known: Compared = {
  type: 'file',
  mode: 0o644,
  uid: 1000,
  gid: 1000,
  sizeBytes: 100,
  mtime: at(1000, 5),
  ctime: at(2000, 5),
  inode: 7,
};
const all = { changedBy: CHANGED_BY_ALL, ctimeMeans: 'attributes' } as const;
const by = (...criteria: ChangeCriterion[]) => ({ ...all, changedBy: new Set(criteria) });

test('what was not there is new', () => expect(changeOf(known, undefined, all)).toBe('new'));

test('what is as it was is the same', () =>
  expect(changeOf({ ...known }, known, all)).toBe('same'));

test.each<[string, Partial<Compared>]>([
  ['size', { sizeBytes: 101 }],
  ['mtime', { mtime: at(1000, 6) }],
  ['an earlier mtime', { mtime: at(999, 5) }],
  ['inode: another file with the same times', { inode: 8 }],
  ['type', { type: 'symlink' }],
])('changed by %s', (_name, now) =>
  expect(changeOf({ ...known, ...now }, known, all)).toBe('changed'),
);

test.each<[string, Partial<Compared>]>([
  ['ctime', { ctime: at(2000, 6) }],
  ['mode', { mode: 0o600 }],
  ['uid', { uid: 0 }],
  ['gid', { gid: 0 }],
])('only attributes: %s', (_name, now) =>
  expect(changeOf({ ...known, ...now }, known, all)).toBe('attributes'),
);

test('ctime may mean content, when asked', () => {
  const now = { ...known, ctime: at(2001) };
  expect(changeOf(now, known, { ...all, ctimeMeans: 'content' })).toBe('changed');
  const directory = { ...known, type: 'directory' } as const;
  const touched = { ...directory, ctime: at(2001) };
  expect(changeOf(touched, directory, { ...all, ctimeMeans: 'content' })).toBe('attributes');
});

test.each<[string, ReturnType<typeof by>, Partial<Compared>, string]>([
  ['no inode', by('size', 'mtime', 'ctime'), { inode: 8 }, 'same'],
  ['no ctime', by('size', 'mtime'), { ctime: at(1) }, 'same'],
  ['no mtime: stored anew', by('size'), { mtime: at(1) }, 'attributes'],
  ['nothing: size counts all the same', by(), { sizeBytes: 1 }, 'changed'],
  ['nothing: mode is stored', by(), { mode: 0 }, 'attributes'],
])('by %s', (_name, policy, now, expected) =>
  expect(changeOf({ ...known, ...now }, known, policy)).toBe(expected),
);

test('an inode that nobody knows tells nothing', () => {
  expect(changeOf(known, { ...known, inode: undefined }, all)).toBe('same');
  expect(changeOf({ ...known, inode: undefined }, known, all)).toBe('same');
});

test.each<[Compared['type'], Partial<Compared>, string]>([
  ['directory', { mtime: at(1001) }, 'attributes'],
  ['directory', { inode: 8 }, 'same'],
  ['directory', { sizeBytes: 4096 }, 'same'],
  ['symlink', { sizeBytes: 4 }, 'attributes'],
  ['fifo', {}, 'same'],
])('a %s has no bytes to read', (type, now, expected) => {
  const before = { ...known, type };
  expect(changeOf({ ...before, ...now }, before, all)).toBe(expected);
});

test.each<[Moment, string]>([
  [at(2000, 6), 'same'],
  [at(2000, 5), 'changed'],
  [at(2000, 4), 'changed'],
])('written to in the tick after it had been looked at (from %o)', (unsettledFrom, expected) =>
  expect(changeOf({ ...known }, known, { ...all, unsettledFrom })).toBe(expected),
);
