import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { joinRaw, type Raw, rawBytes } from '../../../src/base/raw.ts';
import { OwnerNames } from '../../../src/source/attributes.ts';
import { Filter } from '../../../src/source/filter.ts';
import { type ScanOptions, scanSource } from '../../../src/source/scan.ts';
import { TargetTree } from '../../../src/source/target.ts';
import { SourceTree } from '../../../src/source/tree.ts';
import { bytesName, folder, isRoot, raw } from './place.ts';

let root: string;
beforeEach(() => {
  root = folder();
});

/** Files by path; a slash at the end makes a directory. */
function make(...paths: string[]): void {
  for (const path of paths) {
    const at = join(root, path);
    mkdirSync(path.endsWith('/') ? at : dirname(at), { recursive: true });
    if (!path.endsWith('/')) writeFileSync(at, path);
  }
}

type Options = ScanOptions & { readonly followLinks?: boolean };

function scan(options: Options = {}) {
  const tree = SourceTree.open(raw(root), { followLinks: options.followLinks === true });
  onTestFinished(() => tree.close());
  const directories = [...scanSource(tree, options)];
  const inside = (path: Raw, name: Raw) => (path === '' ? name : joinRaw(path, name));
  return {
    directories,
    kept: directories.flatMap(({ path, entries }) => entries.map(({ name }) => inside(path, name))),
    excluded: directories.flatMap(({ path, excluded }) =>
      excluded.map(({ entry, reason }) => `${inside(path, entry.name)}: ${reason.kind}`),
    ),
    failures: directories.flatMap(({ failures }) => failures),
  };
}

const rule = (pattern: string) => ({ pattern: raw(pattern), origin: 'source' });

test('depth first, each directory before what is in it, names in byte order', () => {
  make('b/x', 'b/a/y', 'b.c', 'B', 'a-/z', 'a/q', 'ä', 'empty/');
  const { directories, kept } = scan();
  expect(directories.map(({ path }) => path)).toEqual(['', 'a', 'a-', 'b', 'b/a', 'empty']);
  expect(kept).toEqual([
    'B',
    'a',
    'a-',
    'b',
    'b.c',
    'empty',
    raw('ä'),
    'a/q',
    'a-/z',
    'b/a',
    'b/x',
    'b/a/y',
  ]);
});

test('every type of entry, and names of any bytes', () => {
  make('d/', 'file');
  symlinkSync('/nowhere', join(root, 'link'));
  execFileSync('mkfifo', [join(root, 'fifo')]);
  const odd = bytesName(0x0a, 0xff, 0x1b);
  writeFileSync(rawBytes(joinRaw(raw(root), odd)), 'x');
  const { directories } = scan();
  expect(directories[0]?.entries.map(({ name, type }) => [name, type])).toEqual([
    [odd, 'file'],
    ['d', 'directory'],
    ['fifo', 'fifo'],
    ['file', 'file'],
    ['link', 'symlink'],
  ]);
});

test('as find finds it: sizes, blocks, times to the nanosecond, inodes, links, modes', () => {
  root = '/usr/include';
  const found = scan().directories.flatMap(({ path, entries }) =>
    entries.map(({ name, sizeBytes, blocks512, mtime, inode, links, mode }) => {
      const at = path === '' ? name : joinRaw(path, name);
      const time = `${mtime.seconds}.${String(mtime.nanoseconds).padStart(9, '0')}0`;
      return `${at} ${sizeBytes} ${blocks512} ${time} ${inode} ${links} ${mode.toString(8)}`;
    }),
  );
  const format = '%P %s %b %T@ %i %n %m\\n';
  const args = [root, '-mindepth', '1', '-printf', format];
  const { stdout } = spawnSync('find', args, { encoding: 'latin1', maxBuffer: 2 ** 28 });
  expect(found.length).toBeGreaterThan(100);
  expect(found.toSorted()).toEqual(stdout.split('\n').slice(0, -1).sort());
});

describe('rules', () => {
  test('leave out, with what decided; a directory left out is not entered', () => {
    make('a.o', 'a.c', 'build/deep/x', 'build/wanted/y.o', 'src/b.o', 'src/b.c');
    const filter = new Filter({
      rules: [rule('*.o'), rule('build/')],
      marks: new Map([[raw('build/wanted'), 'track']]),
    });
    const { kept, excluded, directories } = scan({ filter });
    expect(kept).toEqual(['a.c', 'build', 'src', 'build/wanted', 'build/wanted/y.o', 'src/b.c']);
    expect(excluded).toEqual(['a.o: rule', 'build/deep: rule', 'src/b.o: rule']);
    expect(directories.map(({ path }) => path)).not.toContain('build/deep');
  });

  test('match names that are not UTF-8', () => {
    for (const byte of [0xfe, 0xff]) {
      writeFileSync(rawBytes(joinRaw(raw(root), bytesName(byte, 0x2e, 0x6f))), '');
    }
    const pattern = bytesName(0x5b, 0xff, 0x5d, 0x2a);
    const { kept } = scan({ filter: new Filter({ rules: [{ pattern, origin: 'source' }] }) });
    expect(kept).toEqual([bytesName(0xfe, 0x2e, 0x6f)]);
  });

  test('a tagged cache is kept with its tag alone, a wrong tag means nothing', () => {
    const signature = 'Signature: 8a477f597d28d172789f06886806bc55\n# a cache\n';
    make('c/deep/x', 'c/y', 'n/deep/x', 't/x');
    writeFileSync(join(root, 'c/CACHEDIR.TAG'), signature);
    writeFileSync(
      join(root, 'n/CACHEDIR.TAG'),
      'no signature, but as long as one would have to be',
    );
    writeFileSync(join(root, 't/CACHEDIR.TAG'), signature);
    const filter = new Filter({ marks: new Map([[raw('t'), 'track']]) });
    const { kept, excluded } = scan({ filter, cacheDirectories: 'leave-out' });
    expect(kept.filter((path) => path.startsWith('c'))).toEqual(['c', 'c/CACHEDIR.TAG']);
    expect(excluded).toEqual(['c/deep: cache-directory', 'c/y: cache-directory']);
    expect(kept).toEqual(expect.arrayContaining(['n/deep/x', 't/x']));
    expect(scan().kept).toContain('c/deep/x');
  });

  test('nodump is seen where the file system keeps it', (context) => {
    make('a', 'b');
    const { status, stderr } = spawnSync('chattr', ['+d', join(root, 'a')], { encoding: 'utf8' });
    if (status !== 0) context.skip(`no such flag here: ${stderr}`);
    expect(scan({ filter: new Filter({ nodump: true }) }).excluded).toEqual(['a: nodump']);
    expect(scan().kept).toEqual(['a', 'b']);
  });
});

describe('what is never entered', () => {
  test('the kernel is', () => {
    const tree = SourceTree.open(raw('/'));
    const seen = new Map<string, string>();
    const only = ['dev', 'proc', 'sys'];
    const marks = new Map(only.map((name) => [raw(name), 'track'] as const));
    const filter = new Filter({ marks: new Map([['' as Raw, 'untrack'], ...marks]) });
    for (const { path, notEntered, entries } of scanSource(tree, { filter })) {
      if (notEntered?.kind === 'file-system') seen.set(path, notEntered.type);
      if (path !== '') expect(path.startsWith('proc/') ? entries : []).toEqual([]);
    }
    tree.close();
    expect(seen.get('proc')).toBe('proc');
    expect(seen.get('sys')).toBe('sysfs');
    expect(seen.get('dev')).toBe('devtmpfs');
  });

  test('a source that is one itself lists nothing and says why', () => {
    root = '/proc';
    const { directories } = scan();
    expect(directories).toHaveLength(1);
    expect(directories[0]).toMatchObject({
      entries: [],
      notEntered: { kind: 'file-system', type: 'proc' },
    });
  });

  test('own directories, by whatever path they are reached', () => {
    make('state/catalog', 'data/x');
    symlinkSync(join(root, 'state'), join(root, 'alias'));
    const own = [raw(join(root, 'alias')), raw(join(root, 'not-there'))];
    const { kept, excluded } = scan({ ownDirectories: own });
    expect(kept).toEqual(['alias', 'data', 'data/x']);
    expect(excluded).toEqual(['state: own']);
    root = join(root, 'state');
    expect(scan({ ownDirectories: own }).directories[0]).toMatchObject({
      entries: [],
      notEntered: { kind: 'own' },
    });
  });

  test.runIf(isRoot)('another file system where one is asked for', (context) => {
    make('m/', 'data/x');
    const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', join(root, 'm')], {
      encoding: 'utf8',
    });
    if (status !== 0) context.skip(`no tmpfs: ${stderr}`);
    onTestFinished(() => {
      execFileSync('umount', ['-l', join(root, 'm')]);
    });
    make('m/inside');
    expect(scan().kept).toContain('m/inside');
    const { kept, directories } = scan({ oneFileSystem: true });
    expect(kept).toEqual(['data', 'm', 'data/x']);
    expect(directories.find(({ path }) => path === 'm')?.notEntered).toEqual({
      kind: 'file-system',
      type: 'tmpfs',
    });
  });
});

describe('links', () => {
  test('are recorded, not followed', () => {
    make('d/x');
    symlinkSync('d', join(root, 'link'));
    const { kept, directories } = scan();
    expect(kept).toEqual(['d', 'link', 'd/x']);
    expect(directories[0]?.entries[1]?.type).toBe('symlink');
  });

  test('followed they stand for what they lead to; loops and broken ones stay links', () => {
    make('d/x', 'd/deep/y');
    const elsewhere = folder();
    writeFileSync(join(elsewhere, 'far'), 'far');
    for (const [target, at] of [
      ['..', 'd/up'],
      ['.', 'd/deep/self'],
      ['../..', 'd/deep/top'],
      ['nowhere', 'broken'],
      ['loop', 'loop'],
      [elsewhere, 'far'],
      [elsewhere, 'zfar'],
      ['d/x', 'file'],
    ] as const) {
      symlinkSync(target, join(root, at));
    }
    const { kept, directories, failures } = scan({ followLinks: true });
    const types = new Map(
      directories.flatMap(({ path, entries }) =>
        entries.map(({ name, type }) => [path === '' ? name : joinRaw(path, name), type] as const),
      ),
    );
    expect(failures).toEqual([]);
    expect(kept).toEqual([
      'broken',
      'd',
      'far',
      'file',
      'loop',
      'zfar',
      'd/deep',
      'd/up',
      'd/x',
      'd/deep/self',
      'd/deep/top',
      'd/deep/y',
      'far/far',
    ]);
    const links = ['broken', 'loop', 'd/up', 'd/deep/self', 'd/deep/top', 'zfar'];
    expect(links.map((path) => types.get(raw(path)))).toEqual(links.map(() => 'symlink'));
    expect(types.get(raw('far'))).toBe('directory');
    expect(types.get(raw('file'))).toBe('file');
  });

  test('a farm of links to one another ends', () => {
    const names = Array.from({ length: 12 }, (_, index) => `d${index}`);
    make(...names.map((name) => `${name}/x`));
    for (const at of names) {
      for (const to of names) symlinkSync(`../${to}`, join(root, at, `to-${to}`));
    }
    expect(scan({ followLinks: true }).directories.length).toBeLessThan(3 * names.length);
  });
});

describe('what cannot be read', () => {
  test.runIf(isRoot)('is named, and the rest is there', () => {
    make('a/x', 'closed/y', 'listed/z');
    chmodSync(root, 0o755);
    chmodSync(join(root, 'closed'), 0);
    chmodSync(join(root, 'listed'), 0o744);
    process.seteuid?.(65_534);
    onTestFinished(() => {
      process.seteuid?.(0);
    });
    const { kept, failures } = scan();
    process.seteuid?.(0);
    expect(kept).toEqual(['a', 'closed', 'listed', 'a/x']);
    expect(failures.map(({ path, failure }) => [path, failure.code])).toEqual([
      ['closed', 'SOURCE_UNREADABLE'],
      ['listed/z', 'SOURCE_UNREADABLE'],
    ]);
    expect(failures[0]?.failure.message).toBe(`${root}/closed cannot be read (EACCES)`);
  });

  test('a directory that went away between two steps', () => {
    make('a/x', 'b/y', 'c/z');
    const tree = SourceTree.open(raw(root));
    const seen = new Map<string, string[]>();
    for (const { path, failures } of scanSource(tree)) {
      seen.set(
        path,
        failures.map(({ failure }) => failure.code),
      );
      if (path === 'a') rmSync(join(root, 'b'), { recursive: true });
    }
    tree.close();
    expect(Object.fromEntries(seen)).toEqual({ '': [], a: [], b: ['SOURCE_MISSING'], c: [] });
  });

  test('a directory exchanged for a link meanwhile is not followed out of the source', () => {
    make('a/x', 'b/y');
    const tree = SourceTree.open(raw(root));
    const paths: string[] = [];
    for (const { path, entries, failures } of scanSource(tree)) {
      paths.push(`${path} ${entries.length} ${failures.map(({ failure }) => failure.code)}`);
      if (path !== 'a') continue;
      rmSync(join(root, 'b'), { recursive: true });
      symlinkSync('/etc', join(root, 'b'));
    }
    expect(paths).toEqual([' 2 ', 'a 1 ', 'b 0 SOURCE_MISSING']);
    expect(() => tree.openFile(raw('b/passwd'))).toThrow(
      expect.objectContaining({ code: 'SOURCE_MISSING' }),
    );
    tree.close();
  });
});

test('a source that is not there, or is a file, is SOURCE_MISSING; an empty one shows it', () => {
  make('file');
  for (const name of ['none', 'file']) {
    const open = () => SourceTree.open(raw(join(root, name)));
    expect(open).toThrow(expect.objectContaining({ code: 'SOURCE_MISSING' }));
  }
  rmSync(join(root, 'file'));
  expect(scan().directories).toMatchObject([{ path: '', entries: [], excluded: [], failures: [] }]);
});

test('deeper than any path the system takes at once', () => {
  const names = Array.from({ length: 40 }, () => 'x'.repeat(250));
  const deep = raw(names.join('/'));
  const target = TargetTree.open(raw(root));
  target.makeDirectory(deep);
  const made = target.createFile(joinRaw(deep, raw('file')));
  made.write(Buffer.from('deep\n'), 0);
  made.commit({ overwrite: false });
  target.close();
  const { directories, kept } = scan();
  expect(directories).toHaveLength(names.length + 1);
  const tree = SourceTree.open(raw(root));
  const file = tree.openFile(kept.at(-1) ?? raw(''));
  expect(file.entry.sizeBytes).toBe(5);
  tree.closeFile(file);
  tree.close();
});

test('a link followed has the attributes and bytes of what it leads to, under its own name', () => {
  make('d/x');
  const elsewhere = folder();
  writeFileSync(join(elsewhere, 'far'), 'far away', { mode: 0o604 });
  symlinkSync(join(elsewhere, 'far'), join(root, 'd/link'));
  symlinkSync(elsewhere, join(root, 'dir'));
  const tree = SourceTree.open(raw(root), { followLinks: true });
  onTestFinished(() => tree.close());
  const names = new OwnerNames(tree.door);
  const entries = new Map(
    [...scanSource(tree)].flatMap(({ path, entries }) =>
      entries.map(
        (entry) => [path === '' ? entry.name : joinRaw(path, entry.name), entry] as const,
      ),
    ),
  );
  for (const path of ['d/link', 'dir/far'].map(raw)) {
    const entry = entries.get(path);
    if (entry === undefined) throw new Error(path);
    expect(tree.attributes(path, entry, names)).toMatchObject({
      type: 'file',
      mode: 0o604,
      sizeBytes: 8,
    });
    const file = tree.openFile(path);
    expect(file.entry).toMatchObject({ inode: entry.inode, sizeBytes: 8 });
    tree.closeFile(file);
  }
});

test('a FIFO in place of a file does not hold the reader up', () => {
  execFileSync('mkfifo', [join(root, 'f')]);
  const tree = SourceTree.open(raw(root));
  onTestFinished(() => tree.close());
  expect(() => tree.openFile(raw('f'))).toThrow(/f is no longer a file \(fifo\)/);
});

test('a parent exchanged for a link all the time never leads a reader out', async () => {
  make('outside/');
  writeFileSync(join(root, 'outside/secret'), 'not of this source');
  const source = join(root, 'source');
  mkdirSync(join(source, 'd'), { recursive: true });
  writeFileSync(join(source, 'd/secret'), 'mine');
  const script = `
    const { renameSync, symlinkSync, unlinkSync } = require('node:fs');
    process.chdir(process.argv[1]);
    process.stdout.write('x');
    for (;;) { renameSync('d', 'e'); symlinkSync('../outside', 'd'); unlinkSync('d'); renameSync('e', 'd'); }`;
  const child = spawn(process.execPath, ['-e', script, source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  const tree = SourceTree.open(raw(source));
  let opened = 0;
  const refused = new Set<string>();
  for (let index = 0; index < 20_000; index += 1) {
    try {
      const file = tree.openFile(raw('d/secret'));
      const bytes = Buffer.alloc(100);
      expect(bytes.toString('latin1', 0, readSync(file.descriptor, bytes))).toBe('mine');
      tree.closeFile(file);
      opened += 1;
    } catch (error) {
      refused.add(String(Reflect.get(Object(error), 'code')));
    }
  }
  child.kill('SIGKILL');
  await once(child, 'close');
  tree.close();
  expect(opened).toBeGreaterThan(0);
  expect(refused.size).toBeGreaterThan(0);
  expect(['SOURCE_MISSING', 'SOURCE_UNREADABLE']).toEqual(expect.arrayContaining([...refused]));
});
