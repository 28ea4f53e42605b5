/** What others may do to a restore: names that lead out, links planted in time, file systems that refuse. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { type Raw, toRaw } from '../../../src/base/raw.ts';
import { TargetTree } from '../../../src/source/target.ts';
import { folder, isRoot, PLAIN, raw } from './place.ts';

const keep = { overwrite: false };
const replace = { overwrite: true };
const UNSAFE = expect.objectContaining({ code: 'TARGET_UNSAFE' });
const NOBODY = 65_534;

let world: string;
let target: string;
let outside: string;
let tree: TargetTree;

beforeEach(() => {
  world = folder();
  target = join(world, 'target');
  outside = join(world, 'outside');
  for (const path of [target, outside]) mkdirSync(path);
  writeFileSync(join(outside, 'secret'), 'secret', { mode: 0o600 });
  tree = TargetTree.open(raw(target));
  onTestFinished(() => tree.close());
});

const restore = (path: Raw, how = replace) => {
  const file = tree.createFile(path);
  file.write(Buffer.from('restored'), 0);
  file.apply(PLAIN);
  return file.commit(how);
};

/** Every way to name something beneath a target. */
const ways: [string, (path: Raw) => unknown][] = [
  ['makeDirectory', (path) => tree.makeDirectory(path)],
  ['stat', (path) => tree.stat(path)],
  ['reopen', (path) => tree.reopen(path)],
  ['createFile', (path) => restore(path)],
  ['makeSymlink', (path) => tree.makeSymlink({ path, target: raw('x') }, replace)],
  ['makeSpecial', (path) => tree.makeSpecial(path, { type: 'fifo' }, replace)],
  ['makeLink to', (path) => tree.makeLink({ existing: raw('here'), path }, replace)],
  ['makeLink from', (path) => tree.makeLink({ existing: path, path: raw('new') }, replace)],
  ['apply', (path) => tree.apply(path, { ...PLAIN, mode: 0o666 })],
  ['sweep', (path) => tree.sweep(path)],
];

function expectUntouched() {
  expect(readdirSync(outside)).toEqual(['secret']);
  expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe('secret');
  expect(statSync(join(outside, 'secret'))).toMatchObject({ nlink: 1 });
  expect(statSync(join(outside, 'secret')).mode & 0o7777).toBe(0o600);
}

describe.each(ways)('%s', (_, way) => {
  test.each([
    '../outside/secret',
    '..',
    'a/../../outside/secret',
    'a/..',
    './a',
    'a/.',
    'a//b',
    'a/',
    '/etc/shelfs-test',
    '/',
    'a\0b',
  ])('refuses the name %j', (name) => {
    mkdirSync(join(target, 'a'));
    writeFileSync(join(target, 'here'), '');
    expect(() => way(raw(name))).toThrow(UNSAFE);
    expectUntouched();
  });

  test.each([
    ['absolute', () => outside],
    ['relative', () => '../outside'],
    ['magic', () => '/proc/self/cwd'],
  ])('goes through no %s symbolic link', (_, points) => {
    writeFileSync(join(target, 'here'), '');
    symlinkSync(points(), join(target, 'link'));
    mkdirSync(join(target, 'd'));
    symlinkSync(points(), join(target, 'd/link'));
    for (const path of ['link/secret', 'link/new', 'd/link/secret', 'd/link/deep/new']) {
      expect(() => way(raw(path))).toThrow(UNSAFE);
    }
    expectUntouched();
  });
});

test('a link with the name of a file is replaced, never followed', () => {
  symlinkSync(join(outside, 'secret'), join(target, 'a'));
  expect(restore(raw('a'), keep)).toBe('kept');
  expect(readlinkSync(join(target, 'a'))).toBe(join(outside, 'secret'));
  expect(tree.reopen(raw('a'))).toBeUndefined();
  expect(restore(raw('a'))).toBe('made');
  expect(lstatSync(join(target, 'a')).isFile()).toBe(true);
  expectUntouched();
});

test('a directory exchanged for a link while a file is written: the file is where it was begun', () => {
  tree.makeDirectory(raw('d'));
  const file = tree.createFile(raw('d/a'));
  file.write(Buffer.from('x'), 0);
  renameSync(join(target, 'd'), join(target, 'moved'));
  symlinkSync(outside, join(target, 'd'));
  expect(file.commit(replace)).toBe('made');
  expect(readdirSync(join(target, 'moved'))).toEqual(['a']);
  expect(() => restore(raw('d/b'))).toThrow(UNSAFE);
  expectUntouched();
});

test('another process exchanges directory and link all the time: nothing gets out', async () => {
  tree.makeDirectory(raw('d'));
  const script = `
    const { renameSync, symlinkSync, unlinkSync } = require('node:fs');
    process.chdir(process.argv[1]);
    process.stdout.write('x');
    for (;;) {
      renameSync('d', 'e'); symlinkSync('../outside', 'd');
      unlinkSync('d'); renameSync('e', 'd');
    }`;
  const child = spawn(process.execPath, ['-e', script, target], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  let made = 0;
  const refused = new Set<string>();
  const attempt = (step: () => unknown) => {
    try {
      step();
      made += 1;
    } catch (error) {
      // Not there at that moment, a link, or gone from under a new name.
      expect(error).toHaveProperty('code', expect.stringMatching(/^TARGET_(UNSAFE|FAILED)$/));
      refused.add(String(Reflect.get(Object(error), 'code')));
    }
  };
  for (let index = 0; index < 3000; index += 1) {
    attempt(() => restore(raw(`d/file-${index}`)));
    attempt(() => tree.makeSymlink({ path: raw(`d/link-${index}`), target: raw('x') }, replace));
    attempt(() => tree.apply(raw('d'), { ...PLAIN, type: 'directory', mode: 0o755 }));
  }
  child.kill('SIGKILL');
  await once(child, 'close');
  expect(made).toBeGreaterThan(0);
  expect(refused).toContain('TARGET_UNSAFE');
  expectUntouched();
  expect(statSync(outside).mode & 0o777).toBe(0o777 & ~process.umask());
});

test('a name that was linked to a file of the system: its owner and mode are not ours to set', () => {
  linkSync(join(outside, 'secret'), join(target, 'a'));
  const wanted = { ...PLAIN, uid: 4711, user: raw(''), mode: 0o6777 };
  expect(tree.apply(raw('a'), wanted)).toEqual(['all (more than one link)']);
  expect(statSync(join(outside, 'secret')).mode & 0o7777).toBe(0o600);
  expect(restore(raw('a'))).toBe('made');
  expectUntouched();
});

test('a name that became another type meanwhile is not touched', () => {
  tree.makeSymlink({ path: raw('a'), target: raw('x') }, keep);
  const attempt = () => tree.apply(raw('a'), PLAIN);
  expect(attempt).toThrow(UNSAFE);
  expect(attempt).toThrow(/is a symlink now, not a file/);
});

test('names for people steer no terminal', () => {
  const name = toRaw(Buffer.from('a\x1b]0;owned\x07\n\xff/../b', 'latin1'));
  const attempt = () => tree.makeDirectory(name);
  expect(attempt).toThrow(
    /^a\\x1b\]0;owned\\x07\\x0a\\xff\/\.\.\/b is no path beneath the target$/,
  );
});

describe.runIf(isRoot)('an ordinary user', () => {
  const asNobody = <T>(step: () => T): T => {
    process.setegid?.(NOBODY);
    process.seteuid?.(NOBODY);
    try {
      return step();
    } finally {
      process.seteuid?.(0);
      process.setegid?.(0);
    }
  };
  beforeEach(() => {
    chmodSync(world, 0o755);
    chmodSync(target, 0o777);
  });

  test('keeps what is restored, and no set-id bit with it', () => {
    const wanted = { ...PLAIN, uid: 0, gid: 0, mode: 0o6555 };
    const unset = asNobody(() => {
      const file = tree.createFile(raw('a'));
      const said = file.apply({
        ...wanted,
        xattrs: [
          { name: raw('trusted.mine'), value: Buffer.from('x') },
          { name: raw('user.mine'), value: Buffer.from('x') },
        ],
      });
      file.commit(keep);
      return said;
    });
    expect(unset).toEqual([
      'group (EPERM)',
      'owner (EPERM)',
      'trusted.mine (EPERM)',
      'set-id bits (not the same owner)',
    ]);
    expect(tree.stat(raw('a'))).toMatchObject({ uid: NOBODY, gid: NOBODY, mode: 0o555 });
  });

  test('makes no device nodes, and is told', () => {
    const device = { major: 1, minor: 3 };
    for (const how of [keep, replace]) {
      expect(asNobody(() => tree.makeSpecial(raw('n'), { type: 'block', device }, how))).toBe(
        'refused',
      );
    }
    expect(readdirSync(target)).toEqual([]);
  });

  test('a directory closed to them is named', () => {
    mkdirSync(join(target, 'closed'), { mode: 0o755 });
    for (const how of [keep, replace]) {
      expect(() => asNobody(() => restore(raw('closed/a'), how))).toThrow(/closed\/a .*EACCES/);
    }
  });
});

/** Why a file system cannot be mounted here; empty where it can. */
function mountRefusal(options: string, at: string): string {
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', at], {
    encoding: 'utf8',
  });
  if (status !== 0) return stderr || 'mount cannot be run';
  onTestFinished(() => {
    execFileSync('umount', ['-l', at]);
  });
  return '';
}

describe.runIf(isRoot)('a file system', () => {
  test('that is full: the file is given up, and the next one fits', (context) => {
    const at = join(world, 'small');
    mkdirSync(at);
    const refusal = mountRefusal('size=1m', at);
    if (refusal !== '') context.skip(`no tmpfs: ${refusal}`);
    const small = TargetTree.open(raw(at));
    const file = small.createFile(raw('a'));
    const write = () => {
      for (let index = 0; index < 32; index += 1)
        file.write(Buffer.alloc(65_536, 1), index * 65_536);
    };
    expect(write).toThrow(expect.objectContaining({ code: 'TARGET_FULL' }));
    file.abandon();
    expect(readdirSync(at)).toEqual([]);
    const next = small.createFile(raw('b'));
    next.write(Buffer.alloc(65_536), 0);
    expect(next.commit(keep)).toBe('made');
    small.close();
  });

  test('that is read-only: each way says so', (context) => {
    const at = join(world, 'closed');
    mkdirSync(at);
    const refusal = mountRefusal('ro', at);
    if (refusal !== '') context.skip(`no tmpfs: ${refusal}`);
    const closed = TargetTree.open(raw(at));
    for (const step of [
      () => closed.createFile(raw('a')),
      () => closed.makeDirectory(raw('a/b')),
      () => closed.makeSymlink({ path: raw('a'), target: raw('x') }, replace),
      () => closed.makeSpecial(raw('a'), { type: 'fifo' }, keep),
    ]) {
      expect(step).toThrow(/EROFS/);
    }
    expect(closed.apply(raw(''), { ...PLAIN, type: 'directory' })).toContain('mode (EROFS)');
    closed.close();
  });

  test('with an immutable file: it stays, by name', (context) => {
    restore(raw('a'));
    const path = join(target, 'a');
    const { status, stderr } = spawnSync('chattr', ['+i', path], { encoding: 'utf8' });
    if (status !== 0) context.skip(`nothing is immutable here: ${stderr}`);
    onTestFinished(() => {
      execFileSync('chattr', ['-i', path]);
    });
    expect(restore(raw('a'), keep)).toBe('kept');
    expect(() => restore(raw('a'))).toThrow(/a cannot be written \(EPERM\)/);
    expect(tree.apply(raw('a'), { ...PLAIN, mode: 0o600 })).toContain('mode (EPERM)');
    expect(readdirSync(target)).toEqual(['a']);
  });
});
