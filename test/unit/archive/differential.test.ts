/** Other programs read what we write, and we read what they write: GNU tar, bsdtar, Python's tarfile, tar-stream. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  fchmodSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { encodeMember, type Member, storedName } from '../../../src/archive/member.ts';
import type { Raw } from '../../../src/base/raw.ts';
import { attributes } from './media.ts';
import { memberBytes, pattern, readAll, tarOf } from './stream.ts';

let scratch = '';
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'shelfs-differential-'));
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

const ACL = Buffer.from(
  '0200000001000600ffffffff02000400e803000004000400ffffffff10000400ffffffff20000000ffffffff',
  'hex',
);
const uid = process.getuid?.() ?? 0;
const gid = process.getgid?.() ?? 0;

type Case = { readonly member: Member; readonly data: Buffer };

function fileCase(path: string, data: Buffer, more: Partial<Member> = {}, extra = {}): Case {
  const member: Member = {
    path: path as Raw,
    attributes: attributes({ sizeBytes: data.length, uid, gid, ...extra }),
    lengthBytes: data.length,
    ...more,
  };
  const stored = member.ranges
    ? Buffer.concat(
        member.ranges.map((run) => data.subarray(run.offset, run.offset + run.lengthBytes)),
      )
    : data;
  return { member, data: stored };
}

function thingCase(path: string, more: Parameters<typeof attributes>[0]): Case {
  const own = attributes({ uid, gid, ...more });
  return { member: { path: path as Raw, attributes: own, lengthBytes: 0 }, data: Buffer.alloc(0) };
}

const HOLES = Buffer.alloc(5 * 2 ** 20);
pattern(8192).copy(HOLES, 2 ** 20);
pattern(4096, 9).copy(HOLES, 4 * 2 ** 20);
const RUNS = [
  { offset: 2 ** 20, lengthBytes: 8192 },
  { offset: 4 * 2 ** 20, lengthBytes: 4096 },
];
const ODD = 'odd\t\n\\ \'"*?[\xe4\x01\x7f';
const LONG = `${'d'.repeat(120)}/${'e'.repeat(200)}/${'f'.repeat(255)}`;

const CASES: readonly Case[] = [
  fileCase('n'.repeat(100), pattern(5)),
  thingCase('dir', { type: 'directory', mode: 0o2755 }),
  fileCase('dir/plain', pattern(700)),
  fileCase('dir/empty', Buffer.alloc(0)),
  fileCase('dir/block', pattern(512), {}, { mode: 0o4711 }),
  fileCase('dir/before-1970', pattern(3), {}, { mtime: { seconds: -2, nanoseconds: 750_000_000 } }),
  fileCase(`dir/${'n'.repeat(97)}`, pattern(6)),
  fileCase(LONG, pattern(7)),
  fileCase('\xc3\xa4\xe2\x82\xac', pattern(8)),
  fileCase(ODD, pattern(9)),
  fileCase('holes', HOLES, { ranges: RUNS }),
  fileCase('all-hole', Buffer.alloc(100_000), { ranges: [] }),
  fileCase('part', pattern(1000), {
    part: { number: 2, count: 3, offset: 1000, totalBytes: 3000 },
  }),
  fileCase(
    'xattrs',
    pattern(10),
    {},
    {
      xattrs: [
        { name: 'user.a' as Raw, value: Buffer.from([0, 10, 61, 255]) },
        { name: 'user.b%=' as Raw, value: Buffer.from('1') },
      ],
    },
  ),
  fileCase(
    'acl',
    pattern(11),
    {},
    {
      mode: 0o640,
      xattrs: [{ name: 'system.posix_acl_access' as Raw, value: ACL }],
    },
  ),
  thingCase('symlink', { type: 'symlink', mode: 0o777, target: `../${ODD}` as Raw }),
  thingCase('long-symlink', { type: 'symlink', mode: 0o777, target: LONG as Raw }),
  thingCase('fifo', { type: 'fifo', mode: 0o620 }),
  {
    member: {
      path: 'second-name' as Raw,
      attributes: attributes({ sizeBytes: 700, uid, gid }),
      lengthBytes: 700,
      link: 'dir/plain' as Raw,
    },
    data: Buffer.alloc(0),
  },
];

const archive = () =>
  tarOf(
    CASES.map(({ member, data }) => memberBytes(member, data)),
    10_240,
  );
const nameOf = ({ path, attributes: own, part }: Member) => storedName(path, own.type, part);
const at = (path: string) => Buffer.from(`${scratch}/out/${path}`, 'latin1');
const nanoseconds = (member: Member) => {
  const { seconds, nanoseconds: rest } = member.attributes.mtime;
  return BigInt(seconds) * 1_000_000_000n + BigInt(rest);
};
/** The bytes a member stands for, holes filled. */
const whole = ({ member, data }: Case) => {
  if (member.ranges === undefined) return data;
  const bytes = Buffer.alloc(member.lengthBytes);
  let from = 0;
  for (const run of member.ranges) {
    data.copy(bytes, run.offset, from, from + run.lengthBytes);
    from += run.lengthBytes;
  }
  return bytes;
};

function expectExtracted(one: Case, options: { readonly isExact: boolean }): void {
  const { member } = one;
  const path = nameOf(member).replace(/\/$/, '');
  const stat = lstatSync(at(path), { bigint: true });
  const { type, target, mode } = member.attributes;
  expect(stat.isFile() || type !== 'file', path).toBe(true);
  if (type === 'symlink') {
    expect(readlinkSync(at(path), 'latin1')).toBe(target);
    return;
  }
  expect([path, Number(stat.mode & 0o7777n).toString(8)]).toEqual([path, mode.toString(8)]);
  if (member.link !== undefined) {
    expect(stat.ino).toBe(lstatSync(at(member.link), { bigint: true }).ino);
    return;
  }
  // Python keeps times as floating-point numbers.
  if (options.isExact) expect([path, stat.mtimeNs]).toEqual([path, nanoseconds(member)]);
  if (type !== 'file') return;
  expect(readFileSync(at(path)).equals(whole(one)), path).toBe(true);
  if (member.ranges && options.isExact)
    expect(Number(stat.blocks) * 512).toBeLessThan(member.lengthBytes / 2);
}

describe('what we write', () => {
  beforeEach(() => {
    writeFileSync(join(scratch, 'a.tar'), archive());
    mkdirSync(join(scratch, 'out'));
  });
  const run = (command: string, args: readonly string[]) =>
    execFileSync(command, args, {
      cwd: join(scratch, 'out'),
      encoding: 'latin1',
      env: { ...process.env, LC_ALL: 'C.UTF-8' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  const getfattr = (name: string, path: string) =>
    run('getfattr', ['--only-values', '-n', name, path]);

  test.each([
    ['GNU tar', 'tar', ['--warning=no-unknown-keyword', '--xattrs', '--acls', '-xpf', '../a.tar']],
    ['bsdtar', 'bsdtar', ['--xattrs', '--acls', '-xpf', '../a.tar']],
  ])('%s extracts: all, holes, times, attributes, ACLs', (_, command, args) => {
    run(command, args);
    // bsdtar 3.6 adds the decimals of a negative time instead of taking them off.
    const isRead = ({ member }: Case) => command === 'tar' || member.attributes.mtime.seconds >= 0;
    for (const one of CASES.filter(isRead)) expectExtracted(one, { isExact: true });
    expect(getfattr('user.a', 'xattrs')).toBe('\x00\n=\xff');
    if (command === 'tar') expect(getfattr('user.b%=', 'xattrs')).toBe('1');
    expect(run('getfacl', ['-cn', 'acl']).trim().split('\n')).toEqual([
      'user::rw-',
      'user:1000:r--',
      'group::r--',
      'mask::r--',
      'other::---',
    ]);
  });

  test('GNU tar compares without a difference', () => {
    run('tar', ['--warning=no-unknown-keyword', '-xpf', '../a.tar']);
    expect(run('tar', ['--warning=no-unknown-keyword', '-df', '../a.tar'])).toBe('');
  });

  test('Python extracts all but holes and attributes', () => {
    run('python3', [
      '-c',
      'import tarfile; tarfile.open("../a.tar", errors="surrogateescape").extractall(".")',
    ]);
    for (const one of CASES) expectExtracted(one, { isExact: false });
  });

  test('Python sees owners, sizes and our own keys', () => {
    const script = `
import json, tarfile
print(json.dumps([[m.name, m.size, m.uid, m.gid, m.uname, m.gname, m.pax_headers.get("SHELFS.part.total")]
  for m in tarfile.open("../a.tar", errors="surrogateescape")]))`;
    const rows: unknown[][] = JSON.parse(run('python3', ['-c', script]));
    expect(rows).toHaveLength(CASES.length);
    for (const [index, { member }] of CASES.entries()) {
      const size = member.link ? 0 : member.lengthBytes;
      expect(rows[index]?.slice(1)).toEqual([
        size,
        uid,
        gid,
        'root',
        'root',
        member.part ? '3000' : null,
      ]);
    }
  });

  test('tar-stream sees names, sizes, types; sparse members as they are stored', async () => {
    const found: [string, number, string][] = [];
    const tar = extract({ filenameEncoding: 'latin1' } as never);
    tar.on('entry', (header, stream, next) => {
      found.push([header.name, header.size ?? 0, header.type ?? '']);
      stream.on('end', next).resume();
    });
    await new Promise<void>((resolve, reject) => {
      tar.on('finish', resolve).on('error', reject);
      Readable.from([archive()]).pipe(tar);
    });
    expect(found).toHaveLength(CASES.length);
    for (const [index, { member }] of CASES.entries()) {
      const [name = '', size = 0, type = ''] = found[index] ?? [];
      const { mapBytes, dataBytes } = encodeMember(member);
      expect(size).toBe(mapBytes + dataBytes);
      expect(type).toBe(member.link ? 'link' : member.attributes.type);
      const isPlain = /^[\x20-\x7e]+$/.test(member.path) && member.ranges === undefined;
      if (isPlain) expect(name.replace(/\/$/, '')).toBe(nameOf(member).replace(/\/$/, ''));
    }
  });

  test('a torn archive: all before the tear, and a complaint', () => {
    const cases = [fileCase('whole', pattern(700)), fileCase('cut', pattern(9000))];
    const bytes = Buffer.concat(cases.map(({ member, data }) => memberBytes(member, data)));
    writeFileSync(join(scratch, 'a.tar'), bytes.subarray(0, bytes.length - 4096));
    expect(() => run('tar', ['-xf', '../a.tar'])).toThrow(/Unexpected EOF/);
    expect(readFileSync(at('whole')).equals(pattern(700))).toBe(true);
  });
});

describe('what others write', () => {
  beforeEach(() => {
    const tree = join(scratch, 'tree');
    mkdirSync(join(tree, 'dir'), { recursive: true });
    writeFileSync(join(tree, 'dir/plain'), pattern(700));
    writeFileSync(join(tree, 'dir/empty'), '');
    linkSync(join(tree, 'dir/plain'), join(tree, 'linked'));
    symlinkSync('dir/plain', join(tree, 'symlink'));
    mkdirSync(join(tree, 'd'.repeat(80)));
    writeFileSync(join(tree, 'd'.repeat(80), 'e'.repeat(90)), pattern(30));
    lutimesSync(join(tree, 'dir/plain'), 1_700_000_000.5, 1_700_000_000.5);
    const holes = openSync(join(tree, 'holes'), 'w');
    for (let run = 0; run < 30; run += 1)
      writeSync(holes, pattern(4096, run), 0, 4096, run * 2 ** 20);
    ftruncateSync(holes, 40 * 2 ** 20);
    fchmodSync(holes, 0o600);
    closeSync(holes);
    execFileSync('mkfifo', [join(tree, 'fifo')]);
    execFileSync('setfattr', ['-n', 'user.note', '-v', 'hello=%3D\n', join(tree, 'dir/plain')]);
  });
  const addOddName = () =>
    writeFileSync(Buffer.from(`${scratch}/tree/${'x'.repeat(110)}${ODD}`, 'latin1'), 'odd');
  const make = (command: string, args: readonly string[]) => {
    execFileSync(command, [...args, '.'], {
      cwd: join(scratch, 'tree'),
      env: { ...process.env, LC_ALL: 'C.UTF-8' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return readFileSync(join(scratch, 'b.tar'));
  };
  const hash = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

  const PYTHON = (format: string) =>
    `import tarfile,sys\nwith tarfile.open("../b.tar","w",format=tarfile.${format},errors="surrogateescape") as t: t.add(sys.argv[1])`;
  test.each<
    [string, string, string[], { odd: boolean; sparse: boolean; ns: boolean; xattr: boolean }]
  >([
    [
      'GNU pax',
      'tar',
      ['--format=pax', '--xattrs', '-Scf', '../b.tar'],
      { odd: true, sparse: true, ns: true, xattr: true },
    ],
    [
      'GNU pax sparse 0.1',
      'tar',
      ['--format=pax', '--sparse-version=0.1', '-Scf', '../b.tar'],
      { odd: true, sparse: true, ns: true, xattr: false },
    ],
    [
      'GNU pax sparse 0.0',
      'tar',
      ['--format=pax', '--sparse-version=0.0', '-Scf', '../b.tar'],
      { odd: true, sparse: true, ns: true, xattr: false },
    ],
    [
      'GNU',
      'tar',
      ['--format=gnu', '-Scf', '../b.tar'],
      { odd: true, sparse: true, ns: false, xattr: false },
    ],
    [
      'GNU ustar',
      'tar',
      ['--format=ustar', '-cf', '../b.tar'],
      { odd: false, sparse: false, ns: false, xattr: false },
    ],
    [
      'GNU oldgnu',
      'tar',
      ['--format=oldgnu', '-cf', '../b.tar'],
      { odd: true, sparse: false, ns: false, xattr: false },
    ],
    [
      'bsdtar pax',
      'bsdtar',
      ['--format=pax', '--xattrs', '-cf', '../b.tar'],
      { odd: true, sparse: true, ns: true, xattr: true },
    ],
    [
      'bsdtar gnutar',
      'bsdtar',
      ['--format=gnutar', '-cf', '../b.tar'],
      { odd: true, sparse: false, ns: false, xattr: false },
    ],
    [
      'bsdtar ustar',
      'bsdtar',
      ['--format=ustar', '-cf', '../b.tar'],
      { odd: false, sparse: false, ns: false, xattr: false },
    ],
    [
      'Python pax',
      'python3',
      ['-c', PYTHON('PAX_FORMAT')],
      { odd: true, sparse: false, ns: true, xattr: false },
    ],
    [
      'Python GNU',
      'python3',
      ['-c', PYTHON('GNU_FORMAT')],
      { odd: true, sparse: false, ns: false, xattr: false },
    ],
  ])('%s', async (_, command, args, can) => {
    if (can.odd) addOddName();
    const members = await readAll(make(command, args));
    const byName = new Map(
      members.map((one) => [one.path.replace(/^\.\//, '').replace(/\/$/, ''), one]),
    );
    const expected = execFileSync('find', ['.', '-mindepth', '1', '-printf', '%P\\0'], {
      cwd: join(scratch, 'tree'),
      encoding: 'latin1',
    });
    for (const name of expected.split('\0').slice(0, -1))
      expect([...byName.keys()]).toContain(name);
    const plain =
      byName.get('dir/plain')?.link === undefined ? byName.get('dir/plain') : byName.get('linked');
    expect(plain?.bytes.equals(pattern(700))).toBe(true);
    expect(plain?.attributes).toMatchObject({
      type: 'file',
      sizeBytes: 700,
      uid,
      gid,
      mtime: { seconds: 1_700_000_000, nanoseconds: can.ns ? 500_000_000 : 0 },
    });
    if (can.xattr)
      expect(plain?.attributes.xattrs).toContainEqual({
        name: 'user.note',
        value: Buffer.from('hello=%3D\n'),
      });
    expect(byName.get(`${'d'.repeat(80)}/${'e'.repeat(90)}`)?.bytes.equals(pattern(30))).toBe(true);
    if (can.odd) expect(byName.get(`x`.repeat(110) + ODD)?.bytes.toString()).toBe('odd');
    expect(byName.get('symlink')?.attributes).toMatchObject({
      type: 'symlink',
      target: 'dir/plain',
    });
    expect(byName.get('fifo')?.attributes.type).toBe('fifo');
    expect(byName.get('dir')?.attributes.type).toBe('directory');
    const holes = byName.get('holes');
    expect(holes?.attributes).toMatchObject({ sizeBytes: 40 * 2 ** 20, mode: 0o600 });
    expect(holes?.ranges !== undefined).toBe(can.sparse);
    const filled = Buffer.alloc(40 * 2 ** 20);
    let from = 0;
    for (const run of holes?.ranges ?? [{ offset: 0, lengthBytes: 40 * 2 ** 20 }]) {
      holes?.bytes.copy(filled, run.offset, from, from + run.lengthBytes);
      from += run.lengthBytes;
    }
    expect(hash(filled)).toBe(hash(readFileSync(join(scratch, 'tree/holes'))));
  });
});
