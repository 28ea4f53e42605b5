import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Raw, rawBytes, toRaw } from '../../../src/base/raw.ts';
import { ACL_ACCESS, ACL_DEFAULT, type Attributes } from '../../../src/domain/entry.ts';
import { OwnerNames } from '../../../src/source/attributes.ts';
import { loadFsDoor } from '../../../src/source/door.ts';
import { type TargetOptions, TargetTree } from '../../../src/source/target.ts';
import { SourceTree } from '../../../src/source/tree.ts';
import { bytesName, folder, isRoot, PLAIN, raw } from './place.ts';

const keep = { overwrite: false };
const replace = { overwrite: true };

function openTarget(options: TargetOptions = {}): { tree: TargetTree; path: string } {
  const path = folder();
  const tree = TargetTree.open(raw(path), options);
  onTestFinished(() => tree.close());
  return { tree, path };
}

function writeFile(tree: TargetTree, path: Raw, text: string, how = keep): string {
  const file = tree.createFile(path);
  file.write(Buffer.from(text), 0);
  file.apply(PLAIN);
  return file.commit(how);
}

/** As a backup would record it. */
function attributesOf(target: string, path: Raw): Attributes {
  const source = SourceTree.open(raw(target));
  const there = TargetTree.open(raw(target));
  const entry = there.stat(path);
  if (entry === undefined) throw new Error(`not there: ${path}`);
  const attributes = source.attributes(path, entry, new OwnerNames(source.door));
  source.close();
  there.close();
  return attributes;
}

/** linux/posix_acl_xattr.h: revision 2, then tag, permission and number of each entry. */
function acl(...entries: [tag: number, permissions: number, id?: number][]): Buffer {
  const bytes = Buffer.alloc(4 + 8 * entries.length);
  bytes.writeUInt32LE(2, 0);
  for (const [index, [tag, permissions, id = 0xffffffff]] of entries.entries()) {
    bytes.writeUInt16LE(tag, 4 + 8 * index);
    bytes.writeUInt16LE(permissions, 6 + 8 * index);
    bytes.writeUInt32LE(id, 8 + 8 * index);
  }
  return bytes;
}

/** Owner rw, user 12345 r, group r, mask r, others none. */
const ACL = acl([0x01, 6], [0x02, 4, 12345], [0x04, 4], [0x10, 4], [0x20, 0]);

describe('files', () => {
  test('have their bytes, mode and time, and no other name while they are written', () => {
    const { tree, path } = openTarget();
    const file = tree.createFile(raw('a'));
    file.write(Buffer.from('hello'), 0);
    expect(readdirSync(path)).toEqual([expect.stringMatching(/^\.shelfs-restore-[0-9a-f]{12}-1$/)]);
    expect(lstatSync(join(path, readdirSync(path)[0] ?? '')).mode & 0o777).toBe(0o600);
    expect(file.apply(PLAIN)).toEqual([]);
    expect(file.commit(keep)).toBe('made');
    expect(readdirSync(path)).toEqual(['a']);
    expect(readFileSync(join(path, 'a'), 'utf8')).toBe('hello');
    expect(attributesOf(path, raw('a'))).toMatchObject({ mode: 0o644, mtime: PLAIN.mtime });
  });

  test('leave nothing when abandoned, also after a commit', () => {
    const { tree, path } = openTarget();
    const file = tree.createFile(raw('a'));
    file.write(Buffer.from('hello'), 0);
    file.abandon();
    file.abandon();
    expect(readdirSync(path)).toEqual([]);
  });

  test('existing ones are kept, or replaced where asked', () => {
    const { tree, path } = openTarget();
    writeFileSync(join(path, 'a'), 'old');
    expect(writeFile(tree, raw('a'), 'new')).toBe('kept');
    expect(readFileSync(join(path, 'a'), 'utf8')).toBe('old');
    expect(writeFile(tree, raw('a'), 'new', replace)).toBe('made');
    expect(readFileSync(join(path, 'a'), 'utf8')).toBe('new');
    expect(readdirSync(path)).toEqual(['a']);
  });

  test('a directory is never replaced', () => {
    const { tree, path } = openTarget();
    mkdirSync(join(path, 'a'));
    expect(writeFile(tree, raw('a'), 'new')).toBe('kept');
    expect(() => writeFile(tree, raw('a'), 'new', replace)).toThrow(
      expect.objectContaining({ code: 'TARGET_EXISTS' }),
    );
    expect(readdirSync(path)).toEqual(['a']);
  });

  test('holes are left out', () => {
    const { tree, path } = openTarget();
    const file = tree.createFile(raw('sparse'));
    file.setSize(10 * 2 ** 40);
    file.write(Buffer.from('in the midst'), 2 ** 40);
    file.apply(PLAIN);
    file.commit(keep);
    const found = lstatSync(join(path, 'sparse'));
    expect(found.size).toBe(10 * 2 ** 40);
    expect(found.blocks * 512).toBeLessThan(2 ** 20);
    const there = tree.reopen(raw('sparse'));
    expect(there?.entry.sizeBytes).toBe(10 * 2 ** 40);
    if (there !== undefined) tree.closeFile(there);
  });

  test('what was written can be read back', () => {
    const { tree } = openTarget();
    const file = tree.createFile(raw('a'));
    file.write(Buffer.from('0123456789'), 5);
    const bytes = Buffer.alloc(100, 0xff);
    expect(file.read(bytes, 0)).toBe(15);
    expect(bytes.toString('latin1', 0, 15)).toBe('\0\0\0\0\x000123456789');
    file.abandon();
  });

  test.each([
    ['with newline, escape and broken UTF-8', bytesName(0xff, 0x0a, 0x1b, 0x5b, 0x31, 0x6d, 0xc3)],
    [
      'of every byte but slash and NUL',
      toRaw(Buffer.from(Array.from({ length: 254 }, (_, i) => i + 1 + Number(i >= 46)))),
    ],
    ['of 255 bytes', raw('x'.repeat(255))],
    ['that look like options or hidden', raw('-rf ..a ...')],
  ])('names %s', (_, name) => {
    const { tree, path } = openTarget();
    expect(writeFile(tree, name, 'x')).toBe('made');
    expect(readdirSync(path, 'buffer')).toEqual([rawBytes(name)]);
    expect(tree.stat(name)).toMatchObject({ name, type: 'file', sizeBytes: 1 });
  });

  test('a name too long is refused by name, and leaves nothing', () => {
    const { tree, path } = openTarget();
    const attempt = () => writeFile(tree, raw('x'.repeat(256)), 'x');
    expect(attempt).toThrow(expect.objectContaining({ code: 'TARGET_FAILED' }));
    expect(readdirSync(path)).toEqual([]);
  });
});

describe('attributes', () => {
  test('extended attributes and an ACL come back as they were', () => {
    const { tree, path } = openTarget();
    const xattrs = [
      { name: ACL_ACCESS, value: ACL },
      { name: raw('user.empty'), value: Buffer.alloc(0) },
      { name: raw('user.long'), value: Buffer.alloc(3000, 7) },
      { name: bytesName(...Buffer.from('user.'), 0xff, 0x0a), value: Buffer.from([0, 1, 255]) },
    ];
    const file = tree.createFile(raw('a'));
    // As stat shows it: with an ACL, the group's bits are the mask.
    expect(file.apply({ ...PLAIN, mode: 0o640, xattrs })).toEqual([]);
    file.commit(keep);
    expect(attributesOf(path, raw('a'))).toMatchObject({ mode: 0o640, xattrs });
  });

  test('64 KiB of an extended attribute are set, or named where the file system has no room', () => {
    const { tree, path } = openTarget();
    const value = Buffer.alloc(65_536, 3);
    const file = tree.createFile(raw('a'));
    const unset = file.apply({ ...PLAIN, xattrs: [{ name: raw('user.long'), value }] });
    file.commit(keep);
    const { xattrs } = attributesOf(path, raw('a'));
    if (xattrs.length > 0) expect(xattrs).toEqual([{ name: 'user.long', value }]);
    else expect(unset).toEqual([expect.stringMatching(/^user\.long \((ENOSPC|E2BIG|EDQUOT)\)$/)]);
  });

  test('what a directory hands down by its default ACL is taken back', () => {
    const { tree, path } = openTarget();
    tree.makeDirectory(raw('d'));
    const inherited = [{ name: ACL_DEFAULT, value: ACL }];
    expect(
      tree.apply(raw('d'), { ...PLAIN, type: 'directory', mode: 0o755, xattrs: inherited }),
    ).toEqual([]);
    tree.makeDirectory(raw('d/e'));
    expect(attributesOf(path, raw('d/e')).xattrs.length).toBeGreaterThan(0);
    tree.apply(raw('d/e'), { ...PLAIN, type: 'directory', mode: 0o755 });
    expect(attributesOf(path, raw('d/e'))).toMatchObject({ mode: 0o755, xattrs: [] });
    writeFile(tree, raw('d/f'), 'x');
    expect(attributesOf(path, raw('d/f'))).toMatchObject({ mode: 0o644, xattrs: [] });
    expect(attributesOf(path, raw('d')).xattrs).toEqual(inherited);
  });

  test.each([
    ['before 1970', { seconds: -1, nanoseconds: 999_999_999 }],
    ['at 1970', { seconds: 0, nanoseconds: 0 }],
    ['after 2038', { seconds: 2 ** 32, nanoseconds: 1 }],
  ])('a time %s', (_, mtime) => {
    const { tree, path } = openTarget();
    const file = tree.createFile(raw('a'));
    expect(file.apply({ ...PLAIN, mtime })).toEqual([]);
    file.commit(keep);
    expect(attributesOf(path, raw('a')).mtime).toEqual(mtime);
  });

  test('of a directory are those given, also after more was put into it', () => {
    const { tree, path } = openTarget();
    tree.makeDirectory(raw('d'));
    writeFile(tree, raw('d/a'), 'x');
    expect(tree.apply(raw('d'), { ...PLAIN, type: 'directory', mode: 0o2750 })).toEqual([]);
    expect(attributesOf(path, raw('d'))).toMatchObject({ mode: 0o2750, mtime: PLAIN.mtime });
    expect(tree.apply(raw(''), { ...PLAIN, type: 'directory', mode: 0o700 })).toEqual([]);
    expect(lstatSync(path).mtimeMs).toBe(1_000_000_000_123.4568);
  });

  test('an owner is found by name, a name not known here by number', () => {
    const { tree, path } = openTarget();
    const me = { uid: PLAIN.uid, gid: PLAIN.gid };
    const names = new OwnerNames(loadFsDoor());
    const file = tree.createFile(raw('a'));
    const elsewhere = { uid: 4_000_000_000, gid: 4_000_000_001 };
    const mine = { user: names.user(me.uid), group: names.group(me.gid) };
    expect(file.apply({ ...PLAIN, ...elsewhere, ...mine })).toEqual([]);
    file.commit(keep);
    expect(attributesOf(path, raw('a'))).toMatchObject(me);
  });

  test.runIf(isRoot)('numbers are taken where there is no such name, or where asked', () => {
    const elsewhere = { uid: 4_000_000_000, gid: 4_000_000_001 };
    for (const [owners, user] of [
      ['names', 'no-such-user-here'],
      ['numbers', 'root'],
    ] as const) {
      const { tree, path } = openTarget({ owners });
      const file = tree.createFile(raw('a'));
      const attributes = {
        ...PLAIN,
        ...elsewhere,
        user: raw(user),
        group: raw(user),
        mode: 0o6755,
      };
      expect(file.apply(attributes)).toEqual([]);
      file.commit(keep);
      expect(attributesOf(path, raw('a'))).toMatchObject({ ...elsewhere, mode: 0o6755 });
    }
  });
});

describe('links and special files', () => {
  test('symbolic links of any target, with their time', () => {
    const { tree, path } = openTarget();
    const targets = [
      raw('/etc/passwd'),
      raw('../../up'),
      bytesName(0xff, 0x0a),
      raw('y'.repeat(4095)),
    ];
    for (const [index, target] of targets.entries()) {
      const name = raw(`link ${index}`);
      expect(tree.makeSymlink({ path: name, target }, keep)).toBe('made');
      expect(tree.makeSymlink({ path: name, target: raw('other') }, keep)).toBe('kept');
      expect(tree.apply(name, { ...PLAIN, type: 'symlink', mode: 0o777, target })).toEqual([]);
      expect(attributesOf(path, name)).toMatchObject({
        type: 'symlink',
        target,
        mtime: PLAIN.mtime,
      });
    }
    expect(tree.makeSymlink({ path: raw('link 0'), target: raw('new') }, replace)).toBe('made');
    expect(readlinkSync(join(path, 'link 0'))).toBe('new');
    expect(readdirSync(path)).toHaveLength(targets.length);
  });

  test('hard links share an inode, also where the name is replaced by itself', () => {
    const { tree, path } = openTarget();
    writeFile(tree, raw('a'), 'x');
    const link = { existing: raw('a'), path: raw('b') };
    expect(tree.makeLink(link, keep)).toBe('made');
    expect(tree.makeLink(link, keep)).toBe('kept');
    expect(tree.makeLink(link, replace)).toBe('made');
    expect(readdirSync(path)).toEqual(['a', 'b']);
    expect(tree.stat(raw('b'))).toMatchObject({ links: 2, inode: tree.stat(raw('a'))?.inode });
    expect(() => tree.makeLink({ existing: raw('none'), path: raw('c') }, keep)).toThrow(/ENOENT/);
  });

  test('a link to a link is a link, not what it points at', () => {
    const { tree } = openTarget();
    tree.makeSymlink({ path: raw('a'), target: raw('/etc/passwd') }, keep);
    expect(tree.makeLink({ existing: raw('a'), path: raw('b') }, keep)).toBe('made');
    expect(tree.stat(raw('b'))?.type).toBe('symlink');
  });

  test.each(['fifo', 'socket'] as const)('a %s', (type) => {
    const { tree, path } = openTarget();
    expect(tree.makeSpecial(raw('s'), { type }, keep)).toBe('made');
    expect(tree.apply(raw('s'), { ...PLAIN, type, mode: 0o4621 })).toEqual([]);
    expect(attributesOf(path, raw('s'))).toMatchObject({ type, mode: 0o4621, mtime: PLAIN.mtime });
    expect(tree.makeSpecial(raw('s'), { type }, replace)).toBe('made');
    expect(readdirSync(path)).toEqual(['s']);
  });

  test('device nodes, which only root may make', () => {
    const { tree, path } = openTarget();
    const device = { major: 1, minor: 1_000_000 };
    const placed = tree.makeSpecial(raw('n'), { type: 'character', device }, keep);
    // Also root, where it is root of a container only.
    if (!isRoot || placed === 'refused') return expect(readdirSync(path)).toEqual([]);
    expect(attributesOf(path, raw('n'))).toMatchObject({ type: 'character', device });
  });
});

describe('directories', () => {
  test('with those above them, twice, and what is in their way is named', () => {
    const { tree, path } = openTarget();
    expect(tree.makeDirectory(raw('a/b/c'))).toBe('made');
    expect(tree.makeDirectory(raw('a/b/c'))).toBe('present');
    expect(tree.makeDirectory(raw(''))).toBe('present');
    expect(lstatSync(join(path, 'a/b')).mode & 0o777).toBe(0o700);
    writeFile(tree, raw('a/file'), 'x');
    for (const way of ['a/file', 'a/file/below']) {
      const attempt = () => tree.makeDirectory(raw(way));
      expect(attempt).toThrow(
        expect.objectContaining({ facts: { path: expect.stringContaining('file') } }),
      );
    }
  });

  test('deeper than any path the system takes at once', () => {
    const { tree, path } = openTarget();
    const names = Array.from({ length: 60 }, (_, index) => `${index}-${'x'.repeat(240)}`);
    const deep = raw(names.join('/'));
    expect(deep.length).toBeGreaterThan(3 * 4096);
    expect(tree.makeDirectory(deep)).toBe('made');
    const file = `${deep}/file` as Raw;
    expect(writeFile(tree, file, 'deep')).toBe('made');
    expect(tree.stat(file)?.sizeBytes).toBe(4);
    const there = tree.reopen(file);
    expect(there?.entry.sizeBytes).toBe(4);
    if (there !== undefined) tree.closeFile(there);
    expect(tree.apply(deep, { ...PLAIN, type: 'directory', mode: 0o711 })).toEqual([]);
    expect(attributesOf(path, deep).mode).toBe(0o711);
    expect(attributesOf(path, file)).toMatchObject({ type: 'file', mtime: PLAIN.mtime });
  });
});

describe('what a crash left', () => {
  test('is swept away, what is being written is not', () => {
    const { tree, path } = openTarget();
    mkdirSync(join(path, 'd'));
    writeFileSync(join(path, 'd/.shelfs-restore-00000000abcd'), 'half');
    writeFileSync(join(path, 'd/mine'), 'whole');
    const open = tree.createFile(raw('d/open'));
    const other = TargetTree.open(raw(path));
    expect(other.sweep(raw('d'))).toBe(1);
    other.close();
    open.write(Buffer.from('x'), 0);
    expect(open.commit(keep)).toBe('made');
    expect(readdirSync(join(path, 'd'))).toEqual(['mine', 'open']);
  });

  test('is found among many others, whatever bytes they are called by', () => {
    const { tree, path } = openTarget();
    for (let index = 0; index < 5000; index += 1)
      writeFileSync(Buffer.from(`${path}/\xff${index}`, 'latin1'), '');
    const left = ['a', '\xfe\xff', 'z'].map((end) =>
      Buffer.from(`${path}/.shelfs-restore-${end}`, 'latin1'),
    );
    for (const name of left) writeFileSync(name, 'half');
    symlinkSync('/etc', join(path, '.shelfs-restore-link'));
    mkdirSync(join(path, '.shelfs-restore-directory'));
    expect(tree.sweep(raw(''))).toBe(4);
    expect(readdirSync(path)).toHaveLength(5001);
  });
});

test('there is room, and all of it is on disk', () => {
  const { tree } = openTarget();
  expect(tree.room().bytesFree).toBeGreaterThan(0);
  tree.sync();
});

test('a target that is not there, or is no directory, is named', () => {
  const path = folder();
  writeFileSync(join(path, 'file'), '');
  expect(() => TargetTree.open(raw(join(path, 'none')))).toThrow(/no directory .*none/);
  expect(() => TargetTree.open(raw(join(path, 'file')))).toThrow(/file is no directory/);
});

test('nothing is restored into our own directories, by whatever path, or into the kernel', () => {
  const path = folder();
  mkdirSync(join(path, 'state/stage/deep'), { recursive: true });
  mkdirSync(join(path, 'free'));
  symlinkSync('state/stage', join(path, 'alias'));
  const ownDirectories = [raw(join(path, 'state')), raw(join(path, 'not-there'))];
  const open = (at: string) => TargetTree.open(raw(at), { ownDirectories });
  for (const at of ['state', 'state/stage/deep', 'alias', 'alias/deep', 'free/../state']) {
    const attempt = () => open(join(path, at));
    expect(attempt).toThrow(expect.objectContaining({ code: 'USAGE' }));
    expect(attempt).toThrow(/within .*\/state, which belongs to this program/);
  }
  expect(() => open('/proc')).toThrow(/type proc/);
  for (const at of ['', 'free']) open(join(path, at)).close();
});
