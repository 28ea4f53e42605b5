import { expect, test } from 'vitest';
import type { Raw } from '../../../src/base/raw.ts';
import { type Decision, Filter, type Mark } from '../../../src/source/filter.ts';
import type { Rule } from '../../../src/source/pattern.ts';
import { isPresetName, PRESET_NAMES, presetRules } from '../../../src/source/presets.ts';
import { raw } from './place.ts';

const rules = (...patterns: string[]): Rule[] =>
  patterns.map((pattern) => ({ pattern: raw(pattern), origin: 'source' }));
const marks = (entries: Record<string, Mark>) =>
  new Map(Object.entries(entries).map(([path, mark]) => [raw(path), mark]));
const FILE = { type: 'file', isNodump: false } as const;
const DIRECTORY = { type: 'directory', isNodump: false } as const;

/** In a word, with what decided. */
function told({ verdict, reason }: Decision): string {
  if (reason === undefined) return verdict;
  switch (reason.kind) {
    case 'rule':
      return `${verdict} by ${reason.rule.origin}: ${reason.rule.pattern}`;
    case 'mark':
      return `${verdict} by ${reason.mark} ${reason.path}`;
    default:
      return `${verdict} by ${reason.kind}`;
  }
}

test.each<[string, string]>([
  ['a.c', 'kept'],
  ['a.o', 'excluded by source: *.o'],
  ['keep.o', 'kept by source: !keep.o'],
  ['build/a.c', 'excluded by source: build/'],
  ['build/keep.o', 'excluded by source: build/'],
  ['src/a.c', 'kept'],
  ['src/lib/a.c', 'excluded by untrack src/lib'],
  ['src/lib/mine/a.o', 'kept by track src/lib/mine'],
  ['src/lib/mine/build/deep/a.o', 'kept by track src/lib/mine'],
  ['src/lib/mine/not/a.c', 'excluded by untrack src/lib/mine/not'],
  ['node/build/wanted/a.o', 'kept by track node/build/wanted'],
  ['node/build/other', 'excluded by source: build/'],
])('%s is %s', (path, expected) => {
  const filter = new Filter({
    rules: rules('*.o', '!keep.o', 'build/'),
    marks: marks({
      'src/lib': 'untrack',
      'src/lib/mine': 'track',
      'src/lib/mine/not': 'untrack',
      'node/build/wanted': 'track',
    }),
  });
  expect(told(filter.explain(raw(path), FILE))).toBe(expected);
});

test('what is left out is passed through to what is tracked in it', () => {
  const filter = new Filter({
    rules: rules('build/'),
    marks: marks({ 'build/a/wanted': 'track', lib: 'untrack', 'lib/wanted': 'track' }),
  });
  const ask = (path: string) => told(filter.explain(raw(path), DIRECTORY));
  expect(ask('build')).toBe('passage by source: build/');
  expect(ask('build/a')).toBe('passage by source: build/');
  expect(ask('build/b')).toBe('excluded by source: build/');
  expect(ask('lib')).toBe('passage by untrack lib');
  expect(told(filter.explain(raw('lib'), FILE))).toBe('excluded by untrack lib');
});

test('a source untracked as a whole keeps what is tracked', () => {
  const filter = new Filter({
    marks: new Map([
      ['' as Raw, 'untrack'],
      [raw('a/b'), 'track'],
    ]),
  });
  expect(told(filter.explain(raw('x'), FILE))).toBe('excluded by untrack ');
  expect(told(filter.explain(raw('a'), DIRECTORY))).toBe('passage by untrack ');
  expect(told(filter.explain(raw('a/x'), FILE))).toBe('excluded by untrack ');
  expect(told(filter.explain(raw('a/b/c'), FILE))).toBe('kept by track a/b');
});

test('later rules win over presets, and an exception undoes them', () => {
  const filter = new Filter({ rules: [...presetRules('python'), ...rules('!*.pyc')] });
  expect(told(filter.explain(raw('a/b.pyo'), FILE))).toBe('excluded by preset python: *.py[cod]');
  expect(told(filter.explain(raw('a/b.pyc'), FILE))).toBe('kept by source: !*.pyc');
});

test('nodump counts where asked for, and less than a track', () => {
  const flagged = { type: 'file', isNodump: true } as const;
  expect(told(new Filter({}).explain(raw('a'), flagged))).toBe('kept');
  const filter = new Filter({ nodump: true, marks: marks({ b: 'track' }) });
  expect(told(filter.explain(raw('a'), flagged))).toBe('excluded by nodump');
  expect(told(filter.explain(raw('b'), flagged))).toBe('kept by track b');
});

test.each<[string, string, 'file' | 'directory']>([
  ['caches', 'home/me/.cache', 'directory'],
  ['caches', 'home/me/.gradle/caches', 'directory'],
  ['build', 'work/app/node_modules', 'directory'],
  ['python', 'work/__pycache__', 'directory'],
  ['python', 'work/a.pyc', 'file'],
  ['objects', 'work/a.o', 'file'],
  ['images', 'machines/debian.qcow2', 'file'],
  ['vcs', 'work/.git', 'directory'],
  ['browser', 'home/me/.mozilla/firefox/x.default/cache2', 'directory'],
  ['downloads', 'home/me/Downloads', 'directory'],
  ['temp', 'work/#draft#', 'file'],
  ['temp', 'work/a.txt~', 'file'],
  ['temp', 'work/.a.txt.swp', 'file'],
  ['temp', 'tmp', 'directory'],
  ['pseudo', 'proc', 'directory'],
])('preset %s leaves out %s', (preset, path, type) => {
  if (!isPresetName(preset)) throw new Error(preset);
  const filter = new Filter({ rules: presetRules(preset) });
  expect(told(filter.explain(raw(path), { type, isNodump: false }))).toContain(
    `preset ${preset}: `,
  );
});

test('no preset leaves out what people make', () => {
  const filter = new Filter({ rules: PRESET_NAMES.flatMap(presetRules) });
  const kept = [
    'Documents/letter.odt',
    'work/main.c',
    'work/target.txt',
    'photos/proc/1.jpg',
    'a/tmp',
    'work/Makefile',
  ];
  expect(kept.map((path) => told(filter.explain(raw(path), FILE)))).toEqual(kept.map(() => 'kept'));
  expect(PRESET_NAMES.every(isPresetName)).toBe(true);
  expect(isPresetName('toString')).toBe(false);
});
