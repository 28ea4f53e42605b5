/** Patterns against git itself, the law of what a gitignore line means. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Raw, rawBytes, toRaw } from '../../../src/base/raw.ts';
import { PatternSet } from '../../../src/source/pattern.ts';
import { folder, raw } from './place.ts';

const ruleOf = (pattern: Raw) => ({ pattern, origin: 'source' });

/** Whether a path is left out, asked as a walk does: from the top down, ending at what is left out. */
function isExcluded(patterns: PatternSet, path: Raw): boolean {
  const names = path.split('/');
  return names.some((_, index) => {
    const directory = names.slice(0, index).join('/') as Raw;
    const kind = index < names.length - 1 ? 'directory' : 'other';
    return patterns.excludes(directory, (names[index] ?? '') as Raw, kind) !== undefined;
  });
}

/** Of one repository for all questions: what a new one costs is most of what an answer costs. */
class GitOracle {
  readonly #repository = folder();
  readonly #environment = {
    PATH: process.env.PATH,
    HOME: this.#repository,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_DIR: join(this.#repository, '.git'),
  };

  constructor() {
    const options = { cwd: this.#repository, env: this.#environment };
    expect(spawnSync('git', ['init', '-q', '--template='], options).status).toBe(0);
    mkdirSync(join(this.#repository, '.git/info'));
  }

  /** What git leaves out of these files, all of them at once. */
  excludes(patterns: readonly Raw[], paths: readonly Raw[]): Set<string> {
    const tree = mkdtempSync(join(this.#repository, 'tree-'));
    // So that git knows which are directories.
    const made = new Set<string>();
    for (const path of paths) {
      const at = toRaw(Buffer.concat([Buffer.from(`${tree}/`), rawBytes(path)]));
      const directory = at.slice(0, at.lastIndexOf('/')) as Raw;
      if (!made.has(directory)) mkdirSync(rawBytes(directory), { recursive: true });
      made.add(directory);
      writeFileSync(rawBytes(at), '');
    }
    const exclude = join(this.#repository, '.git/info/exclude');
    writeFileSync(exclude, rawBytes(`${patterns.join('\n')}\n` as Raw));
    const words = ['check-ignore', '--no-index', '-z', '--stdin'];
    const { stdout, status, stderr } = spawnSync(
      'git',
      ['-c', 'core.quotePath=false', '-c', 'core.ignoreCase=false', ...words],
      {
        cwd: tree,
        input: rawBytes(`${paths.join('\0')}\0` as Raw),
        maxBuffer: 2 ** 26,
        env: { ...this.#environment, GIT_WORK_TREE: tree },
      },
    );
    expect([0, 1], stderr.toString()).toContain(status);
    return new Set(stdout.toString('latin1').split('\0').slice(0, -1));
  }
}

const NAMES = [
  'a',
  'b',
  'ab',
  'a.o',
  'b.c',
  'ab.o',
  'build',
  'Build',
  '.a',
  'a b',
  'a[b',
  'ä',
  '\xff',
  'a]',
  '-',
  '^',
  '!a',
  '#a',
  '\\a',
  'a*',
];
const PARTS = [
  ...[
    'a',
    'b',
    'ab',
    'build',
    'a.o',
    '*',
    '**',
    '*.o',
    'a*',
    '*b',
    '?',
    '??',
    'a?',
    '[ab]',
    '[!a]',
  ],
  ...[
    '[^a]b',
    '[a-c]',
    '[]a]',
    '[[:alpha:]]',
    '*.[oc]',
    'a\\*',
    '\\!a',
    '\\#a',
    'a[[]b',
    '.*',
    '*.*',
    '[a',
    'a\\ b',
  ],
  ...['ä', '\xff', '[ä]', '?*', '***', 'a**b', '**a', '\\a', '-', '[--0]', '[\\]]', 'a]'],
];
const bytes = (text: string) => (text === 'ä' || text === '[ä]' ? raw(text) : text);

const name = fc.constantFrom(...NAMES).map(bytes);
const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join('/') as Raw);
const pattern = fc
  .record({
    not: fc.constantFrom('', '', '', '!'),
    head: fc.constantFrom('', '', '/', '**/'),
    parts: fc.array(fc.constantFrom(...PARTS).map(bytes), { minLength: 1, maxLength: 3 }),
    tail: fc.constantFrom('', '', '/', '/**', '/*', ' ', '\\ '),
  })
  .map(({ not, head, parts, tail }) => `${not}${head}${parts.join('/')}${tail}` as Raw);

test('patterns mean what they mean to git', () => {
  const git = new GitOracle();
  fc.assert(
    fc.property(
      fc.array(pattern, { minLength: 1, maxLength: 6 }),
      fc.uniqueArray(path, { minLength: 20, maxLength: 60 }),
      (patterns, candidates) => {
        // One path cannot be a file and a directory.
        const paths = candidates.filter(
          (one) => !candidates.some((other) => other.startsWith(`${one}/`)),
        );
        const expected = git.excludes(patterns, paths);
        const set = new PatternSet(patterns.map(ruleOf));
        const found = paths.filter((one) => isExcluded(set, one));
        expect(found.toSorted()).toEqual(paths.filter((one) => expected.has(one)).toSorted());
      },
    ),
    { numRuns: 150 },
  );
});
