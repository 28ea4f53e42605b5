/** The small parts: mounts, known paths, overlap, attributes, holes. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { joinRaw, rawBytes } from '../../../src/base/raw.ts';
import { OwnerNames, readAttributes } from '../../../src/source/attributes.ts';
import { statEntry } from '../../../src/source/directory.ts';
import { AT_FDCWD, loadFsDoor } from '../../../src/source/door.ts';
import { isNeverEntered, Mounts, mountsOf, parseMountInfo } from '../../../src/source/mounts.ts';
import { normalizePath, originalPath, relativePath } from '../../../src/source/original.ts';
import { findOverlap } from '../../../src/source/overlap.ts';
import { SourceTree } from '../../../src/source/tree.ts';
import { bytesName, folder, raw } from './place.ts';

const door = loadFsDoor();

describe('mounts', () => {
  const LINES = [
    '21 1 253:0 / / rw,relatime shared:1 - ext4 /dev/vda rw',
    '22 21 0:20 / /proc rw,nosuid - proc proc rw',
    '40 21 0:45 /sub /mnt/a\\040b\\134c\\011\\012d rw master:1 propagate_from:2 - fuse.shelfs shelfs rw',
    '41 21 8:1048575 / /x rw - xfs /dev/y rw',
    'nonsense',
    '',
  ];

  test('are read with their escapes and any number of optional fields', () => {
    const mounts = parseMountInfo(raw(LINES.join('\n')));
    expect(mounts).toEqual([
      { id: 21, device: 253 * 256, mountPoint: '/', type: 'ext4' },
      { id: 22, device: 20, mountPoint: '/proc', type: 'proc' },
      { id: 40, device: 45, mountPoint: '/mnt/a b\\c\t\nd', type: 'fuse.shelfs' },
      { id: 41, device: 0xfff_008ff, mountPoint: '/x', type: 'xfs' },
    ]);
    expect(mounts.map(({ type }) => isNeverEntered(type))).toEqual([false, true, true, false]);
  });

  test('on which directories lie, and those below them', () => {
    const lines = [
      ...LINES,
      '50 41 8:2 / /x/y rw - btrfs /dev/z rw',
      '51 50 8:3 / /x/y rw - ext4 /dev/w rw',
    ];
    const found = (...directories: string[]) =>
      mountsOf(directories.map(raw), () => Buffer.from(lines.join('\n'))).map(
        ({ mountPoint, type }) => `${mountPoint} ${type}`,
      );
    expect(found('/home')).toEqual(['/ ext4']);
    expect(found('/x')).toEqual(['/x xfs', '/x/y ext4']);
    expect(found('/xy', '/x/y/z')).toEqual(['/ ext4', '/x/y ext4']);
    expect(found('/')).toEqual(['/ ext4', '/x xfs', '/x/y ext4']);
  });

  test('are read anew when one is not known, and found by device where there is no number', () => {
    let reads = 0;
    const mounts = new Mounts(() => {
      reads += 1;
      return Buffer.from(LINES.slice(0, reads).join('\n'));
    });
    expect(mounts.of({ mountId: 21, device: 0 })?.type).toBe('ext4');
    expect(mounts.of({ mountId: 22, device: 0 })?.type).toBe('proc');
    expect(mounts.of({ mountId: -1, device: 20 })?.type).toBe('proc');
    expect(reads).toBe(2);
    expect(mounts.of({ mountId: 99, device: 0 })).toBeUndefined();
  });

  test('those of this process say what stat says', () => {
    const mounts = new Mounts();
    for (const path of ['/', '/proc', '/sys', '/dev', '/tmp']) {
      const entry = statEntry(door, AT_FDCWD, raw(path));
      if (typeof entry === 'number') throw new Error(path);
      const type = execFileSync('stat', ['-f', '-c', '%T', path], { encoding: 'utf8' }).trim();
      const mount = mounts.of(entry);
      expect(mount?.device, path).toBe(entry.device);
      if (['proc', 'sysfs'].includes(type)) expect(mount?.type).toBe(type);
    }
  });
});

describe('known paths', () => {
  test.each([
    ['/data/home', '/home', 'me/a', '/home/me/a'],
    ['/data/home', '/home', '', '/home'],
    ['/snapshot', '/', 'etc/fstab', '/etc/fstab'],
    ['/snapshot', '/', '', '/'],
  ])('%s as %s: %j is %s', (path, original, relative, known) => {
    const roots = { path: raw(path), original: raw(original) };
    expect(originalPath(roots, raw(relative))).toBe(known);
    expect(relativePath(roots, raw(known))).toBe(relative);
  });

  test('what is elsewhere is not within', () => {
    const roots = { path: raw('/x'), original: raw('/home') };
    for (const known of ['/homer/a', '/', '/hom'])
      expect(relativePath(roots, raw(known))).toBeUndefined();
  });

  test.each([
    ['//a/./b/../c/', '/a/c'],
    ['/', '/'],
    ['/../..', '/'],
    ['/a/...', '/a/...'],
  ])('%s is %s', (path, plain) => expect(normalizePath(raw(path))).toBe(plain));
});

describe('overlap', () => {
  const source = (name: string, path: string, original = path) => ({
    name,
    path: raw(path),
    original: raw(original),
  });

  test.each([
    [
      'none',
      [source('a', '/home'), source('b', '/homer'), source('c', '/home-/x'), source('d', '/etc')],
      undefined,
    ],
    [
      'one within another',
      [source('a', '/home/me/'), source('b', '/home-'), source('c', '/home')],
      ['c', 'a', 'path'],
    ],
    ['the root', [source('a', '/-x'), source('b', '/')], ['b', 'a', 'path']],
    ['the same twice', [source('a', '/x'), source('b', '/x/.')], ['a', 'b', 'path']],
    [
      'known by the same',
      [source('a', '/one', '/home'), source('b', '/two', '/home/me')],
      ['a', 'b', 'original'],
    ],
  ])('%s', (_, sources, expected) => {
    const found = findOverlap(sources);
    expect(found && [found.outer.name, found.inner.name, found.where]).toEqual(expected);
  });
});

describe('attributes', () => {
  test('as stat, readlink and getfattr say, without those of our own mount', () => {
    const path = folder();
    const file = join(path, 'file');
    writeFileSync(file, 'x', { mode: 0o640 });
    utimesSync(file, 1, 2);
    const odd = bytesName(...Buffer.from('user.'), 0xff);
    for (const [name, value] of [
      [raw('user.b'), 'b'],
      [raw('user.a'), ''],
      [raw('user.shelfs.tape'), 'ABC001L9'],
      [odd, '\0'],
    ] as const) {
      expect(door.setXattr(AT_FDCWD, rawBytes(raw(file)), rawBytes(name), Buffer.from(value))).toBe(
        0,
      );
    }
    symlinkSync('../else', join(path, 'link'));
    const names = new OwnerNames(door);
    const read = (at: string) => {
      const entry = statEntry(door, AT_FDCWD, raw(at));
      if (typeof entry === 'number') throw new Error(at);
      return readAttributes(raw(at), entry, names);
    };
    const { ctime: _, ...found } = read(file);
    expect(found).toEqual({
      type: 'file',
      mode: 0o640,
      uid: lstatSync(file).uid,
      gid: lstatSync(file).gid,
      user: execFileSync('id', ['-un'], { encoding: 'latin1' }).trim(),
      group: execFileSync('id', ['-gn'], { encoding: 'latin1' }).trim(),
      sizeBytes: 1,
      mtime: { seconds: 2, nanoseconds: 0 },
      xattrs: [
        { name: 'user.a', value: Buffer.alloc(0) },
        { name: 'user.b', value: Buffer.from('b') },
        { name: odd, value: Buffer.from([0]) },
      ],
    });
    expect(read(join(path, 'link'))).toMatchObject({
      type: 'symlink',
      target: '../else',
      xattrs: [],
    });
    expect(read('/dev/null')).toMatchObject({
      type: 'character',
      device: { major: 1, minor: 3 },
      sizeBytes: 0,
    });
    expect(read(path)).toMatchObject({ type: 'directory', sizeBytes: 0 });
  });

  test('of nobody have no name, and what is gone is SOURCE_MISSING', () => {
    const names = new OwnerNames(door);
    expect([names.user(4_000_000_000), names.group(4_000_000_000), names.user(0)]).toEqual([
      '',
      '',
      'root',
    ]);
    expect(names.failures.size).toBe(0);
    const entry = statEntry(door, AT_FDCWD, raw('/'));
    if (typeof entry === 'number') throw new Error('/');
    const attempt = () => readAttributes(raw('/gone/away'), entry, names);
    expect(attempt).toThrow(expect.objectContaining({ code: 'SOURCE_MISSING' }));
  });
});

describe('holes', () => {
  const MIB = 2 ** 20;
  function rangesOf(
    sizeBytes: number,
    data: readonly (readonly [offset: number, length: number])[],
  ) {
    const path = folder();
    const file = openSync(join(path, 'f'), 'w');
    ftruncateSync(file, sizeBytes);
    for (const [offset, length] of data)
      writeSync(file, Buffer.alloc(length, 1), 0, length, offset);
    closeSync(file);
    const tree = SourceTree.open(raw(path));
    const opened = tree.openFile(raw('f'));
    const ranges = tree.dataRanges(opened, raw('f'));
    tree.closeFile(opened);
    tree.close();
    return ranges?.map(({ offset, lengthBytes }) => [offset, lengthBytes]);
  }

  test.each([
    ['nothing but a hole', 100 * MIB, [], []],
    [
      'data between holes',
      8 * MIB,
      [
        [MIB, MIB],
        [4 * MIB, 4096],
      ],
      [
        [MIB, MIB],
        [4 * MIB, 4096],
      ],
    ],
    [
      'data at both ends',
      8 * MIB,
      [
        [0, 4096],
        [8 * MIB - 4096, 4096],
      ],
      [
        [0, 4096],
        [8 * MIB - 4096, 4096],
      ],
    ],
    ['an end within a block', 8 * MIB + 10, [[8 * MIB, 10]], [[8 * MIB, 10]]],
    ['no hole', 8192, [[0, 8192]], undefined],
    ['no bytes', 0, [], undefined],
    ['an odd size without holes', 5000, [[0, 5000]], undefined],
  ] as const)('%s', (_, sizeBytes, data, expected) => {
    expect(rangesOf(sizeBytes, data)).toEqual(expected);
  });

  test('more runs than are told apart: the last one takes the rest', () => {
    const path = folder();
    const tmpfs = spawnSync('sh', ['-c', 'test -w /dev/shm && mktemp -d /dev/shm/shelfs-XXXXXX'], {
      encoding: 'utf8',
    });
    const at = tmpfs.status === 0 ? tmpfs.stdout.trim() : path;
    onTestFinished(() => {
      execFileSync('rm', ['-rf', at]);
    });
    mkdirSync(at, { recursive: true });
    const runs = 66_000;
    const file = openSync(join(at, 'f'), 'w');
    for (let index = 0; index < runs; index += 1)
      writeSync(file, Buffer.alloc(1, 1), 0, 1, index * 8192);
    ftruncateSync(file, runs * 8192);
    closeSync(file);
    const tree = SourceTree.open(raw(at));
    const opened = tree.openFile(raw('f'));
    const ranges = tree.dataRanges(opened, joinRaw(raw(at), raw('f'))) ?? [];
    tree.closeFile(opened);
    tree.close();
    expect(ranges).toHaveLength(65_536);
    expect(ranges[1]).toEqual({ offset: 8192, lengthBytes: 4096 });
    const last = ranges.at(-1) ?? { offset: 0, lengthBytes: 0 };
    expect(last.offset + last.lengthBytes).toBe(runs * 8192);
  });
});
