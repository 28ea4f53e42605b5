import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CommandLine } from '../../sim/command-line.ts';

/** A small home: 10 bytes to be kept, the rest of interest to nobody. */
async function home() {
  const line = await CommandLine.make();
  const path = join(line.directory, 'home');
  await mkdir(join(path, 'me', '.cache', 'deep'), { recursive: true });
  await mkdir(join(path, 'me', 'project', 'node_modules', 'left-pad'), { recursive: true });
  await writeFile(join(path, 'me', 'letter.txt'), '12345');
  await writeFile(join(path, 'me', 'project', 'main.ts'), '12345');
  await writeFile(join(path, 'me', 'project', 'main.o'), 'x'.repeat(100));
  await writeFile(join(path, 'me', '.cache', 'deep', 'blob'), 'x'.repeat(1000));
  await writeFile(join(path, 'me', 'project', 'node_modules', 'left-pad', 'a'), 'x'.repeat(2000));
  return { line, path };
}

describe('add and list', () => {
  test('every option is kept', async () => {
    const { line, path } = await home();
    const patterns = join(line.directory, 'patterns');
    await writeFile(patterns, Buffer.from('# caches\n\n*.iso\r\n*.\xff\n', 'latin1'));
    const added = await line.json(
      ...['source', 'add', path, '--name', 'mine', '--as', '/home', '--exclude', '*.tmp'],
      ...['--exclude', '!keep.tmp', '--exclude-from', patterns, '--preset', 'python'],
      ...['--preset', 'build', '--follow-symlinks', '--one-file-system', '--changed-by'],
      ...['mtime,size', '--rehash-on-ctime', '--nodump', '--cache-dirs', 'leave-out'],
      ...['--before', `snap -n 'a b'`, '--after', '["snap","--drop"]'],
    );
    expect(added).toEqual({
      name: 'mine',
      path,
      original: '/home',
      host: expect.any(String),
      options: {
        followSymlinks: true,
        oneFileSystem: true,
        changedBy: ['mtime', 'size'],
        ctimeMeans: 'content',
        nodump: true,
        cacheDirectories: 'leave-out',
        before: ['snap', '-n', 'a b'],
        after: ['snap', '--drop'],
      },
      rules: [
        { kind: 'preset', value: 'python' },
        { kind: 'preset', value: 'build' },
        { kind: 'pattern', value: '*.iso' },
        {
          kind: 'pattern',
          value: '*.\\xff',
          valueBase64: Buffer.from('*.\xff', 'latin1').toString('base64'),
        },
        { kind: 'pattern', value: '*.tmp' },
        { kind: 'pattern', value: '!keep.tmp' },
      ],
    });
    expect(await line.json('source', 'list')).toEqual({ sources: [added], globalRules: [] });
    const text = await line.ok('source', 'list');
    expect(text).toContain('*.\\xff');
    expect(text).toMatch(/before snap -n a b; after snap --drop/);
  });

  test('the last name of the path, without options', async () => {
    const { line, path } = await home();
    expect(await line.ok('source', 'list')).toMatch(/no source yet/);
    expect(await line.ok('source', 'add', `${path}/./me/../`)).toMatch(/^home: .*home\n/);
    expect(await line.json('source', 'list')).toMatchObject({
      sources: [{ name: 'home', path, original: path, rules: [] }],
    });
  });

  test('files of another host: known by its name, apart from the same paths here', async () => {
    const { line, path } = await home();
    await line.ok('source', 'add', path, '--name', 'ours', '--as', '/home');
    const theirs = ['--name', 'theirs', '--as', '/home', '--host', 'nas'];
    expect(await line.json('source', 'add', path, ...theirs)).toMatchObject({
      name: 'theirs',
      host: 'nas',
      original: '/home',
    });
    expect(await line.ok('source', 'list')).toMatch(/theirs .* nas:\/home/);
    for (const host of ['a/b', '..', 'x'.repeat(256), 'a\x1bb']) {
      const refused = await line.say('source', 'add', path, '--name', 'x', '--host', host);
      expect(refused).toMatchObject({ exit: 2, stderr: expect.stringMatching(/a host's name/) });
    }
  });

  test('a name that wants to steer the terminal', async () => {
    const { line } = await home();
    await mkdir(join(line.directory, 'a\x1b[2Jb'));
    expect(await line.ok('source', 'add', join(line.directory, 'a\x1b[2Jb'))).toContain('\\x1b');
    expect(await line.ok('source', 'list')).toContain('a\\x1b[2Jb');
  });

  test.each([
    [['nowhere'], 3, /there is no directory/],
    [['home/me/letter.txt'], 2, /is no directory; add the one it is in/],
    [['state/virtual'], 2, /belongs to shelfs itself/],
    [['home', '--name', 'a/b'], 2, /no name for a source/],
    [['home', '--name=-x'], 2, /no name for a source/],
    [['home', '--preset', 'everything'], 2, /say one of caches, build/],
    [['home', '--exclude', '#note'], 2, /is a comment/],
    [['home', '--exclude', ' '], 2, /is no pattern/],
    [['home', '--exclude-from', '/nonexistent/file'], 1, /nonexistent/],
    [['home', '--changed-by', 'size,weight'], 2, /weight: say some of/],
    [['home', '--cache-dirs', 'perhaps'], 2, /say leave-out or enter/],
    [['home', '--before', `snap 'open`], 2, /ends within a quote/],
    [['home', '--before', ' '], 2, /names no program/],
    [['home', '--as', 'a\\x00b'], 2, /NUL/],
  ])('%j is refused', async ([path = '', ...rest], exit, sentence) => {
    const { line } = await home();
    const failed = await line.fails('source', 'add', join(line.directory, path), ...rest);
    expect(failed.stderr).toMatch(sentence);
    expect(failed.exit).toBe(exit);
    expect(await line.json('source', 'list')).toMatchObject({ sources: [] });
  });

  test.each([
    ['home/me', 'home', /contains the source/],
    ['home', 'home/me/project', /lies within the source/],
    ['home', 'link', /lies within the source/],
    ['home', 'home', /there is a source named|lies within|contains/],
  ])('%s and then %s overlap', async (first, second, sentence) => {
    const { line, path } = await home();
    await symlink(join(path, 'me'), join(line.directory, 'link'));
    await line.ok('source', 'add', join(line.directory, first));
    const { exit, stderr } = await line.fails('source', 'add', join(line.directory, second));
    expect([exit, stderr]).toEqual([2, expect.stringMatching(sentence)]);
  });

  test('two that would be known by one path', async () => {
    const { line, path } = await home();
    await line.ok('source', 'add', join(path, 'me', '.cache'), '--as', '/data');
    const { stderr } = await line.fails(
      'source',
      'add',
      join(path, 'me', 'project'),
      '--as',
      '/data/x',
      '--name',
      'y',
    );
    expect(stderr).toMatch(/as the catalog knows it/);
  });

  test('removed, it is gone from the list', async () => {
    const { line, path } = await home();
    await line.ok('source', 'add', path);
    expect(await line.ok('source', 'remove', 'home')).toMatch(/what was backed up stays/);
    expect(await line.json('source', 'list')).toMatchObject({ sources: [] });
    expect((await line.fails('source', 'remove', 'home')).exit).toBe(2);
  });
});

describe('tree, explain, test', () => {
  test('what is kept, what is left out, how much, by which rule', async () => {
    const { line, path } = await home();
    await line.ok(
      'source',
      'add',
      path,
      '--exclude',
      '*.o',
      '--preset',
      'caches',
      '--preset',
      'build',
    );
    const { sources } = await line.json('source', 'tree', '--depth', '3');
    expect(sources).toMatchObject([
      {
        name: 'home',
        kept: { files: 2, directories: 2, bytes: 10 },
        leftOut: { files: 3, directories: 4, bytes: 3100 },
        rules: [
          { rule: 'preset build: node_modules/', bytes: 2000, files: 1, directories: 2 },
          { rule: 'preset caches: .cache/', bytes: 1000 },
          { rule: 'source: *.o', bytes: 100, files: 1, directories: 0 },
        ],
        unreadable: { count: 0 },
      },
    ]);
    expect(sources[0].directories.map((row: { path: string }) => row.path)).toEqual([
      ...['', 'me', 'me/.cache', 'me/project', 'me/project/node_modules'],
    ]);
    expect(sources[0].directories[2]).toMatchObject({
      rule: 'preset caches: .cache/',
      kept: { files: 0 },
      leftOut: { bytes: 1000 },
    });
    const text = await line.ok('source', 'tree', 'home');
    expect(text).toMatch(/^10 B +2 +3\.10 kB +\S*home$/m);
    expect(text).not.toContain('node_modules/ ');
  });

  test.each([
    ['me/letter.txt', 'kept', null],
    ['me/project/main.o', 'excluded', 'source: *.o'],
    ['me/.cache/deep/blob', 'excluded', 'preset caches: .cache/'],
    ['', 'kept', null],
    ['me', 'kept', null],
  ])('%s', async (below, verdict, reason) => {
    const { line, path } = await home();
    await line.ok('source', 'add', path, '--exclude', '*.o', '--preset', 'caches');
    const found = await line.json('source', 'explain', join(path, below));
    expect(found).toMatchObject({ source: 'home', verdict, reason });
    expect(await line.ok('source', 'explain', join(path, below))).toContain(
      verdict === 'kept' ? 'is backed up' : 'is left out',
    );
  });

  test('a cache with its tag, and the program itself, are explained as they are walked', async () => {
    const { line, path } = await home();
    const tag = 'Signature: 8a477f597d28d172789f06886806bc55';
    await writeFile(join(path, 'me', 'project', 'CACHEDIR.TAG'), tag);
    await line.ok('source', 'add', line.directory, '--name', 'all', '--cache-dirs', 'leave-out');
    const reason = async (file: string) => (await line.json('source', 'explain', file)).reason;
    expect(await reason(join(path, 'me', 'project', 'main.ts'))).toMatch(/CACHEDIR\.TAG/);
    expect(await reason(join(path, 'me', 'project', 'CACHEDIR.TAG'))).toBe(null);
    expect(await reason(join(path, 'me', 'project'))).toBe(null);
    expect(await reason(join(line.state, 'catalog.sqlite'))).toMatch(/belongs to shelfs/);
    expect(await reason(line.state)).toMatch(/belongs to shelfs/);
    const { sources } = await line.json('source', 'tree');
    const rules = sources[0].rules.map(({ rule }: { rule: string }) => rule);
    expect(rules).toEqual([expect.stringMatching(/CACHEDIR/), 'belongs to shelfs itself']);
  });

  test('nothing is said of what is not there, or in no source', async () => {
    const { line, path } = await home();
    await line.ok('source', 'add', path);
    expect((await line.fails('source', 'explain', join(path, 'gone'))).exit).toBe(3);
    const { exit, stderr } = await line.fails('source', 'explain', '/etc/passwd');
    expect([exit, stderr]).toEqual([2, expect.stringMatching(/in no source/)]);
  });

  test('a walk without the catalog being written', async () => {
    const { line, path } = await home();
    await line.ok('source', 'add', path);
    expect(await line.ok('source', 'test', 'home')).toMatch(
      /kept: 5 files, 6 directories, 3\.11 kB/,
    );
    expect((await line.fails('source', 'test', 'other')).exit).toBe(2);
  });

  test('a source that is not mounted just now', async () => {
    const { line, path } = await home();
    await line.ok('source', 'add', join(path, 'me'));
    line.withCatalog((catalog) =>
      catalog.write(() => catalog.prepare("UPDATE sources SET path = '/nonexistent'").run()),
    );
    expect((await line.fails('source', 'test', 'me')).exit).toBe(3);
    expect((await line.fails('source', 'tree')).exit).toBe(3);
    expect(await line.ok('source', 'list')).toContain('/nonexistent');
  });
});

describe('track and untrack', () => {
  test('the nearest decides, whatever patterns say; forgotten, patterns do again', async () => {
    const { line, path } = await home();
    await line.ok('source', 'add', path, '--exclude', '*.o');
    const file = join(path, 'me', 'project', 'main.o');
    const verdict = async () => (await line.json('source', 'explain', file)).verdict;
    expect(await verdict()).toBe('excluded');
    expect(await line.ok('source', 'track', file)).toMatch(/main\.o: tracked in home/);
    expect(await verdict()).toBe('kept');
    await line.ok('source', 'untrack', join(path, 'me'), join(path, 'me', 'letter.txt'));
    expect(await verdict()).toBe('kept');
    await line.ok('source', 'untrack', file);
    expect(await verdict()).toBe('excluded');
    expect((await line.json('source', 'list')).sources[0].rules).toEqual([
      { kind: 'pattern', value: '*.o' },
      { kind: 'untrack', value: 'me' },
      { kind: 'untrack', value: 'me/letter.txt' },
      { kind: 'untrack', value: 'me/project/main.o' },
    ]);
    await line.ok('source', 'untrack', '--forget', join(path, 'me'), file);
    expect((await line.json('source', 'explain', join(path, 'me'))).verdict).toBe('kept');
    const { exit, stderr } = await line.fails('source', 'track', '--forget', join(path, 'me'));
    expect([exit, stderr]).toEqual([2, expect.stringMatching(/neither tracked nor untracked/)]);
  });

  test('by the path it is known as; all or none', async () => {
    const { line, path } = await home();
    await line.ok('source', 'add', path, '--as', '/home');
    await line.ok('source', 'untrack', '/home/me/letter.txt');
    const found = await line.json('source', 'explain', join(path, 'me', 'letter.txt'));
    expect(found).toMatchObject({ verdict: 'excluded', reason: 'untracked: me/letter.txt' });
    await line.fails('source', 'untrack', '/home/me/project', '/elsewhere');
    expect((await line.json('source', 'list')).sources[0].rules).toHaveLength(1);
  });

  test('bytes that nobody can type', async () => {
    const { line, path } = await home();
    await writeFile(Buffer.from(`${path}/caf\xe9.o`, 'latin1'), '');
    await line.ok('source', 'add', path);
    await line.ok('source', 'untrack', `${path}/caf\\xe9.o`);
    expect(await line.json('source', 'explain', `${path}/caf\\xe9.o`)).toMatchObject({
      path: `${path}/caf\\xe9.o`,
      pathBase64: Buffer.from(`${path}/caf\xe9.o`, 'latin1').toString('base64'),
      verdict: 'excluded',
    });
  });
});

describe('rules of all sources', () => {
  test('stand before those of a source; explain, tree and a dry run name them', async () => {
    const { line, path } = await home();
    await line.ok('source', 'add', path, '--exclude', '!main.o');
    const global = ['--preset', 'caches', '--exclude', '*.o', '--exclude', '*.txt'];
    expect(await line.ok('source', 'rules', 'add', ...global)).toBe(
      'all sources: preset caches, *.o, *.txt\n',
    );
    const explained = async (...below: string[]) => {
      const { verdict, reason } = await line.json('source', 'explain', join(path, ...below));
      return [verdict, reason];
    };
    expect(await explained('me', 'letter.txt')).toEqual(['excluded', 'global: *.txt']);
    expect(await explained('me', '.cache', 'deep')).toEqual([
      'excluded',
      'global preset caches: .cache/',
    ]);
    expect(await explained('me', 'project', 'main.o')).toEqual(['kept', 'source: !main.o']);
    expect(await line.ok('source', 'tree')).toMatch(/global: \*\.txt$/m);
    const { excluded } = await line.json('backup', '--dry-run');
    expect(excluded.map(({ rule }: { rule: string }) => rule).toSorted()).toEqual([
      'global preset caches: .cache/',
      'global: *.txt',
    ]);
  });

  test('for a source that comes later too, and gone when they are removed', async () => {
    const { line, path } = await home();
    const patterns = join(line.directory, 'patterns');
    await writeFile(patterns, Buffer.from('*.\xff\n*.txt\n', 'latin1'));
    await line.ok('source', 'rules', 'add', '--exclude-from', patterns);
    await line.ok('source', 'add', path);
    const verdict = async () =>
      (await line.json('source', 'explain', join(path, 'me', 'letter.txt'))).verdict;
    expect(await verdict()).toBe('excluded');
    expect(await line.json('source', 'rules', 'list')).toEqual({
      globalRules: [
        {
          kind: 'pattern',
          value: '*.\\xff',
          valueBase64: Buffer.from('*.\xff', 'latin1').toString('base64'),
        },
        { kind: 'pattern', value: '*.txt' },
      ],
      sources: [{ name: 'home', rules: [] }],
    });
    expect(await line.ok('source', 'list')).toMatch(/^all sources: \*\.\\xff, \*\.txt$/m);
    expect(await line.ok('source', 'rules', 'remove', '--exclude-from', patterns)).toBe(
      'all sources: no rules\n',
    );
    expect(await verdict()).toBe('kept');
    expect(await line.ok('source', 'rules', 'list')).toMatch(/no rules yet/);
  });

  test('one source alone; a rule named again becomes the strongest', async () => {
    const { line, path } = await home();
    await line.ok('source', 'add', path, '--preset', 'build', '--exclude', '*.txt');
    const change = (...words: string[]) =>
      line.json('source', 'rules', ...words, '--source', 'home');
    await line.ok('source', 'untrack', join(path, 'me', '.cache'));
    await change('add', '--exclude', '!letter.txt');
    const again = await change('add', '--exclude', '*.txt');
    expect(again).toEqual({
      source: 'home',
      rules: [
        { kind: 'preset', value: 'build' },
        { kind: 'untrack', value: 'me/.cache' },
        { kind: 'pattern', value: '!letter.txt' },
        { kind: 'pattern', value: '*.txt' },
      ],
    });
    const { rules } = await change('remove', '--exclude', '*.txt', '--preset', 'build');
    expect(rules.map(({ value }: { value: string }) => value)).toEqual([
      'me/.cache',
      '!letter.txt',
    ]);
    expect((await line.json('source', 'rules', 'list')).globalRules).toEqual([]);
    expect(await line.ok('source', 'rules', 'list')).toMatch(/^home +untrack +me\/\.cache$/m);
  });

  test.each([
    [['add'], /say which: --exclude/],
    [['add', '--preset', 'everything'], /say one of caches, build/],
    [['add', '--exclude', '#note'], /is a comment/],
    [['add', '--exclude', '*.o', '--source', 'nobody'], /nobody is no source/],
    [['remove', '--exclude', '*.iso', '--exclude', '*.o'], /no pattern "\*\.o" there; nothing/],
    [['remove', '--preset', 'build'], /no preset "build" there/],
  ])('%j is refused, and changes nothing', async (words, sentence) => {
    const { line } = await home();
    await line.ok('source', 'rules', 'add', '--exclude', '*.iso');
    const { exit, stderr } = await line.fails('source', 'rules', ...words);
    expect([exit, stderr]).toEqual([2, expect.stringMatching(sentence)]);
    expect((await line.json('source', 'rules', 'list')).globalRules).toHaveLength(1);
  });
});
