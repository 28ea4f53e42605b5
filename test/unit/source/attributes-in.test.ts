/** Attributes of a directory's entries, asked for together: the same as one by one, whatever happens meanwhile. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { CodedError } from '../../../src/base/errors.ts';
import { type Raw, rawBytes } from '../../../src/base/raw.ts';
import { ACL_ACCESS, ACL_DEFAULT } from '../../../src/domain/entry.ts';
import { OwnerNames } from '../../../src/source/attributes.ts';
import type { ScannedEntry } from '../../../src/source/directory.ts';
import { AT_FDCWD, loadFsDoor } from '../../../src/source/door.ts';
import { SourceTree } from '../../../src/source/tree.ts';
import { bytesName, folder, isRoot, raw } from './place.ts';

const door = loadFsDoor();
const NONE = '' as Raw;

function open(root: string, followLinks = false) {
  const tree = SourceTree.open(raw(root), { followLinks });
  onTestFinished(() => tree.close());
  const names = new OwnerNames(tree.door);
  const list = (path: Raw = NONE): readonly ScannedEntry[] => {
    const listed = tree.list(path);
    if (typeof listed === 'number' || !listed.listing) throw new Error('not listed');
    return listed.listing.entries;
  };
  return { tree, names, list };
}

function setXattr(path: string, name: string, value: Uint8Array): void {
  expect(door.setXattr(AT_FDCWD, rawBytes(raw(path)), Buffer.from(name, 'latin1'), value)).toBe(0);
}

/** struct posix_acl_xattr_header of linux/posix_acl_xattr.h and its entries: what setfacl writes. */
function acl(...entries: readonly (readonly [tag: number, perm: number, id: number])[]): Buffer {
  const bytes = Buffer.alloc(4 + 8 * entries.length);
  bytes.writeUInt32LE(2);
  for (const [index, [tag, perm, id]] of entries.entries()) {
    bytes.writeUInt16LE(tag, 4 + 8 * index);
    bytes.writeUInt16LE(perm, 6 + 8 * index);
    bytes.writeUInt32LE(id, 8 + 8 * index);
  }
  return bytes;
}

const NOBODY_MAY_READ = acl(
  [0x01, 6, 0xffff_ffff],
  [0x02, 4, 65_534],
  [0x04, 4, 0xffff_ffff],
  [0x10, 4, 0xffff_ffff],
  [0x20, 0, 0xffff_ffff],
);

test('the same as one by one: with and without attributes and ACLs, of every type, names of every byte', () => {
  const root = folder();
  for (let byte = 1; byte < 256; byte += 1) {
    if (byte === 0x2f) continue;
    writeFileSync(Buffer.concat([Buffer.from(`${root}/n`), Buffer.of(byte)]), 'x');
  }
  mkdirSync(join(root, 'directory'));
  symlinkSync('directory', join(root, 'link'));
  symlinkSync(Buffer.from([0xff, 0x0a]), join(root, 'odd-link'));
  execFileSync('mkfifo', [join(root, 'fifo')]);
  if (isRoot) execFileSync('mknod', [join(root, 'device'), 'c', '7', '300']);
  setXattr(join(root, 'na'), 'user.b', Buffer.alloc(3000, 1));
  setXattr(join(root, 'na'), 'user.a', Buffer.alloc(0));
  setXattr(join(root, 'na'), 'user.shelfs.tape', Buffer.from('ABC001L9'));
  setXattr(join(root, 'nb'), 'user.\xff', Buffer.of(0, 255));
  setXattr(join(root, 'nc'), ACL_ACCESS, NOBODY_MAY_READ);
  setXattr(join(root, 'directory'), ACL_DEFAULT, NOBODY_MAY_READ);
  setXattr(join(root, 'directory'), 'user.d', Buffer.from('d'));
  if (isRoot) setXattr(join(root, 'link'), 'trusted.l', Buffer.from('of the link'));

  const { tree, names, list } = open(root);
  const entries = list();
  const together = tree.attributesIn(NONE, entries, names);
  expect(together).toEqual(entries.map((entry) => tree.attributes(entry.name, entry, names)));
  const of = (name: string) => {
    const found = together[entries.findIndex((entry) => entry.name === name)];
    if (!found || found instanceof CodedError) throw new Error(name);
    return found;
  };
  expect(of('na').xattrs).toEqual([
    { name: 'user.a', value: Buffer.alloc(0) },
    { name: 'user.b', value: Buffer.alloc(3000, 1) },
  ]);
  expect(of('nb').xattrs).toEqual([
    { name: bytesName(...Buffer.from('user.'), 0xff), value: Buffer.of(0, 255) },
  ]);
  expect(of('nc').xattrs).toEqual([{ name: ACL_ACCESS, value: NOBODY_MAY_READ }]);
  expect(of('nd').xattrs).toEqual([]);
  expect(of('directory').xattrs.map(({ name }) => name)).toEqual([ACL_DEFAULT, 'user.d']);
  expect(of('link')).toMatchObject({ target: 'directory', type: 'symlink' });
  expect(of('odd-link')).toMatchObject({ target: bytesName(0xff, 0x0a), xattrs: [] });
  expect(of('fifo')).toMatchObject({ type: 'fifo', xattrs: [] });
  if (isRoot) {
    expect(of('link').xattrs).toEqual([{ name: 'trusted.l', value: Buffer.from('of the link') }]);
    expect(of('device').device).toEqual({ major: 7, minor: 300 });
  }
});

test('of a source that follows links they are those of what the links lead to', () => {
  const root = folder();
  writeFileSync(join(root, 'a'), 'hello');
  setXattr(join(root, 'a'), 'user.a', Buffer.from('1'));
  symlinkSync('a', join(root, 'b'));
  const { tree, names, list } = open(root, true);
  const entries = list().map((entry) => {
    const target = entry.type === 'symlink' ? tree.statThrough(NONE, entry.name) : entry;
    if (typeof target === 'number') throw new Error(entry.name);
    return target;
  });
  const [a, b] = tree.attributesIn(NONE, entries, names);
  expect(a).toMatchObject({ type: 'file', xattrs: [{ name: 'user.a' }] });
  expect(b).toEqual(a);
});

describe('what changes after it was listed', () => {
  test('gone entries, and links that are none any more, are failures of their own', () => {
    const root = folder();
    for (const name of ['a', 'b', 'c']) writeFileSync(join(root, name), '');
    for (const name of ['l', 'm', 'n']) symlinkSync('a', join(root, name));
    const { tree, names, list } = open(root);
    const entries = list();
    for (const name of ['b', 'l', 'm']) unlinkSync(join(root, name));
    writeFileSync(join(root, 'm'), '');
    const found = tree.attributesIn(NONE, entries, names);
    const codes = found.map((one) => (one instanceof CodedError ? one.code : one.type));
    const [missing, unreadable] = ['SOURCE_MISSING', 'SOURCE_UNREADABLE'];
    expect(codes).toEqual(['file', missing, 'file', missing, unreadable, 'symlink']);
  });

  test('a directory that is gone, or exchanged for a link, gives nothing of what is elsewhere', () => {
    const root = folder();
    for (const name of ['d', 'e', 'f']) mkdirSync(join(root, name));
    for (const path of ['d/a', 'e/a', 'f/a']) {
      writeFileSync(join(root, path), '');
      setXattr(join(root, path), 'user.secret', Buffer.from('x'));
    }
    const { tree, names, list } = open(root);
    const [inD, inE] = [list(raw('d')), list(raw('e'))];
    rmSync(join(root, 'd'), { recursive: true });
    renameSync(join(root, 'e'), join(root, 'moved'));
    symlinkSync('f', join(root, 'e'));
    for (const [path, entries] of [
      [raw('d'), inD],
      [raw('e'), inE],
    ] as const) {
      expect(tree.attributesIn(path, entries, names)).toEqual([
        expect.objectContaining({ code: 'SOURCE_MISSING' }),
      ]);
    }
  });
});

test('a directory of 100,000 entries, some with much to say', { timeout: 60_000 }, () => {
  const root = folder();
  execFileSync('sh', ['-c', 'seq -f %06g 1 100000 | xargs touch'], { cwd: root });
  const loud = Array.from({ length: 1500 }, (_, index) => `0${50_000 + index}`);
  const bytesOf = (name: string) => Buffer.alloc(3500, name);
  for (const name of loud) setXattr(join(root, name), 'user.v', bytesOf(name));
  const { tree, names, list } = open(root);
  const entries = list();
  const found = tree.attributesIn(NONE, entries, names);
  expect([entries.length, found.length]).toEqual([100_000, 100_000]);
  const heard: string[] = [];
  for (const [index, attributes] of found.entries()) {
    if (attributes instanceof CodedError) throw attributes;
    const name = entries[index]?.name ?? '';
    const [xattr] = attributes.xattrs;
    if (!xattr) continue;
    heard.push(name);
    expect(xattr.value.equals(bytesOf(name))).toBe(true);
  }
  expect(heard).toEqual(loud);
});

test('where a file system has none there are none', () => {
  const { tree, names, list } = open('/proc/self/net');
  const entries = list().slice(0, 5);
  const found = tree.attributesIn(NONE, entries, names);
  expect(found).toHaveLength(5);
  for (const one of found) expect(one).toMatchObject({ xattrs: [] });
});
