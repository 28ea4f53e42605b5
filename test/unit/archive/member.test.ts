import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  encodeMember,
  type Member,
  MemberEncoder,
  memberLengthMax,
  memberPath,
  storedName,
} from '../../../src/archive/member.ts';
import { type Raw, rawBytes } from '../../../src/base/raw.ts';
import type { Attributes } from '../../../src/domain/entry.ts';
import { member, sparse } from './arbitrary.ts';
import { memberBytes, pattern, readAll, tarOf } from './stream.ts';

const plain: Attributes = {
  type: 'file',
  mode: 0o644,
  uid: 1000,
  gid: 1000,
  user: 'me' as Raw,
  group: 'us' as Raw,
  sizeBytes: 5,
  mtime: { seconds: 1_700_000_000, nanoseconds: 123_456_789 },
  ctime: { seconds: 1_700_000_001, nanoseconds: 0 },
  xattrs: [],
};
const file = (more: Partial<Member> = {}): Member => ({
  path: 'a/b' as Raw,
  attributes: plain,
  lengthBytes: 5,
  ...more,
});
const records = (of: Member) => {
  const { head } = encodeMember(of);
  return head.toString('latin1', 512, head.indexOf(0, 512)).split('\n');
};

describe('what a reader gets back', () => {
  test('any member, bit for bit', () =>
    fc.assert(
      fc.asyncProperty(fc.array(member, { minLength: 1, maxLength: 4 }), async (members) => {
        const parts = members.map((one) => memberBytes(one));
        const read = await readAll(tarOf(parts));
        expect(read).toHaveLength(members.length);
        let offset = 0;
        for (const [index, one] of members.entries()) {
          const got = read[index];
          const { head, mapBytes, dataBytes } = encodeMember(one);
          expect(got?.path).toBe(storedName(one.path, one.attributes.type, one.part));
          expect(got?.attributes).toEqual(one.attributes);
          expect(got?.lengthBytes).toBe(one.lengthBytes);
          expect(got?.part).toEqual(one.part);
          expect(got?.ranges).toEqual(one.ranges);
          expect(got?.headerOffset).toBe(offset);
          expect(got?.dataOffset).toBe(offset + head.length - mapBytes);
          expect(got?.storedBytes).toBe(mapBytes + dataBytes);
          expect(got?.bytes.equals(pattern(dataBytes))).toBe(true);
          offset += parts[index]?.length ?? 0;
        }
      }),
      { numRuns: 300 },
    ));

  test('a hard link, without bytes or attributes of its own', async () => {
    const link = file({ path: 'c' as Raw, link: 'a/b' as Raw });
    const [first, second] = await readAll(tarOf([memberBytes(file()), memberBytes(link)]));
    expect(first?.link).toBeUndefined();
    expect(second).toMatchObject({ path: 'c', link: 'a/b', lengthBytes: 0 });
  });

  test('sizes above 8 GiB stand in the record', async () => {
    const sizeBytes = 8 * 2 ** 30;
    const { head, dataBytes } = encodeMember(
      file({ lengthBytes: sizeBytes, attributes: { ...plain, sizeBytes } }),
    );
    expect(dataBytes).toBe(sizeBytes);
    expect(head.toString('latin1')).toContain(`19 size=${sizeBytes}\n`);
    await expect(readAll(Buffer.concat([head, Buffer.alloc(1024)]))).rejects.toMatchObject({
      code: 'ARCHIVE_TORN',
    });
  });
});

describe('heads in one buffer', () => {
  test('each is what it is alone, whatever stood there and whoever was before it', () =>
    fc.assert(
      fc.property(fc.array(member, { minLength: 1, maxLength: 8 }), (members) => {
        const alone = members.map((one) => encodeMember(one));
        const bytes = Buffer.concat(alone.map(({ head }) => head));
        const target = Buffer.alloc(bytes.length + 1, 0xa5);
        const encoder = new MemberEncoder();
        let at = 0;
        for (const [index, one] of members.entries()) {
          const lengths = encoder.encodeInto(target, at, one);
          const { head, mapBytes, dataBytes } = alone[index] ?? encodeMember(one);
          expect(lengths).toEqual({ headBytes: head.length, mapBytes, dataBytes });
          at += head.length;
        }
        expect(target.subarray(0, at)).toEqual(bytes);
        expect(target.readUInt8(at)).toBe(0xa5);
      }),
      { numRuns: 500 },
    ));

  test('what lacks a byte of room does not fit', () =>
    fc.assert(
      fc.property(member, fc.nat(2000), (one, at) => {
        const { head } = encodeMember(one);
        const encoder = new MemberEncoder();
        const room = (bytes: number) => Buffer.alloc(at + bytes);
        expect(encoder.encodeInto(room(head.length - 1), at, one)).toBeUndefined();
        expect(encoder.encodeInto(room(head.length), at, one)?.headBytes).toBe(head.length);
      }),
    ));

  test('a mode, an owner or attributes of the one before are not taken over', () => {
    const encoder = new MemberEncoder();
    const xattrs = [{ name: 'user.a' as Raw, value: Buffer.from('1') }];
    const more: Partial<Attributes>[] = [
      { mode: 0o7777 },
      { uid: 2 ** 32 - 2 },
      { gid: 0 },
      { user: '\xe4' as Raw },
      { group: '' as Raw },
      { xattrs },
      { xattrs, group: '\xc3\xa4' as Raw },
      {},
    ];
    for (const each of more) {
      const one = file({ attributes: { ...plain, ...each } });
      expect(encoder.encode(one)).toEqual(encodeMember(one));
      expect(encoder.encode(file())).toEqual(encodeMember(file()));
    }
  });
});

describe('records are written where they are needed', () => {
  const path = (text: string) => file({ path: text as Raw });
  test.each<[string, Member, string[]]>([
    ['a plain name', path('a/b'), []],
    ['100 bytes fit', path('n'.repeat(100)), []],
    ['101 do not', path('n'.repeat(101)), ['path']],
    ['UTF-8', path('\xc3\xa4'), ['path']],
    ['not UTF-8', path('\xe4'), ['hdrcharset', 'path']],
    ['a surrogate as UTF-8 is none', path('\xed\xa0\x80'), ['hdrcharset', 'path']],
    ['a long target', file({ link: 'n'.repeat(101) as Raw }), ['linkpath']],
    ['large ids', file({ attributes: { ...plain, uid: 2097152, gid: 2097151 } }), ['uid']],
    ['a long owner', file({ attributes: { ...plain, user: 'u'.repeat(32) as Raw } }), ['uname']],
    ['31 fit', file({ attributes: { ...plain, group: 'u'.repeat(31) as Raw } }), []],
  ])('%s', (_, of, keys) =>
    expect(
      records(of)
        .map((line) => /^\d+ ([^=]*)=/.exec(line)?.[1])
        .filter((key) => key && key !== 'mtime' && key !== 'ctime'),
    ).toEqual(keys),
  );

  test('times have nine decimals, before 1970 too', () => {
    const mtime = { seconds: -1, nanoseconds: 500_000_000 };
    const lines = records(file({ attributes: { ...plain, mtime } }));
    expect(lines).toContain('22 mtime=-0.500000000');
    expect(lines).toContain('30 ctime=1700000001.000000000');
  });

  test('attributes of ours are left out; = and % are escaped', () => {
    const xattrs = [
      { name: 'user.a=b%' as Raw, value: Buffer.from('1') },
      { name: 'user.shelfs.hash' as Raw, value: Buffer.from('2') },
    ];
    const lines = records(file({ attributes: { ...plain, xattrs } }));
    expect(lines.at(-2)).toBe('32 SCHILY.xattr.user.a%3Db%25=1');
    expect(lines.join()).not.toContain('shelfs.hash');
  });

  test('attributes beyond 1 MiB are the journal’s', async () => {
    const xattrs = Array.from({ length: 17 }, (_, index) => ({
      name: `user.${index}` as Raw,
      value: Buffer.alloc(65536, index),
    }));
    const [read] = await readAll(tarOf([memberBytes(file({ attributes: { ...plain, xattrs } }))]));
    expect(read?.areXattrsElsewhere).toBe(true);
    expect(read?.attributes.xattrs).toEqual([]);
  });

  test('a POSIX ACL as text and as the kernel’s bytes', () => {
    const value = Buffer.from(
      '0200000001000600ffffffff02000400e803000004000400ffffffff10000400ffffffff20000000ffffffff',
      'hex',
    );
    const name = 'system.posix_acl_access' as Raw;
    const { head } = encodeMember(file({ attributes: { ...plain, xattrs: [{ name, value }] } }));
    expect(head.toString('latin1')).toContain(
      'SCHILY.acl.access=user::rw-,user:1000:r--,group::r--,mask::r--,other::---\n',
    );
    expect(head.includes(Buffer.concat([Buffer.from('SHELFS.acl.access='), value]))).toBe(true);
  });
});

describe('names', () => {
  test.each([
    ['/home/me', undefined, 'home/me'],
    ['/', undefined, './'],
    ['/.shelfs', undefined, '.shelfs/tree/.shelfs'],
    ['/.shelfs/x', undefined, '.shelfs/tree/.shelfs/x'],
    ['/.shelfsx', undefined, '.shelfsx'],
    ['/home', 'nas', '.shelfs/hosts/nas/home'],
    ['/.shelfs/x', 'nas', '.shelfs/hosts/nas/.shelfs/x'],
  ])('%s of %s', (path, host, name) => expect(memberPath(path as Raw, host)).toBe(name));

  test.each(['', '.', '..', 'a/b'])('%s is no host', (host) =>
    expect(() => memberPath('/a' as Raw, host)).toThrow(),
  );

  test('a socket has no member', () =>
    expect(() => encodeMember(file({ attributes: { ...plain, type: 'socket' } }))).toThrow());
});

describe('the bound of the plan', () => {
  const facts = (one: Member) => ({
    pathBytes: one.path.length,
    linkBytes: one.link?.length ?? one.attributes.target?.length ?? 0,
    lengthBytes: one.lengthBytes,
    ownerBytes: one.attributes.user.length + one.attributes.group.length,
    xattrs: {
      count: one.attributes.xattrs.length,
      bytes: one.attributes.xattrs.reduce((sum, x) => sum + x.name.length + x.value.length, 0),
    },
    isSparse: one.ranges !== undefined,
  });

  test('is never below what is written', () =>
    fc.assert(
      fc.property(member, (one) => {
        // Holes as file systems make them: whole sectors.
        const isReal = one.ranges?.every(
          ({ offset }, index) =>
            index === 0 ||
            offset -
              ((one.ranges?.[index - 1]?.offset ?? 0) +
                (one.ranges?.[index - 1]?.lengthBytes ?? 0)) >=
              512,
        );
        fc.pre(isReal !== false);
        expect(memberLengthMax(facts(one))).toBeGreaterThanOrEqual(memberBytes(one).length);
      }),
      { numRuns: 1000 },
    ));

  test('is close for a plain file', () =>
    expect(memberLengthMax(facts(file())) - memberBytes(file()).length).toBeLessThanOrEqual(512));

  test('holds for ten thousand runs of one sector', () => {
    const ranges = Array.from({ length: 10_000 }, (_, index) => ({
      offset: index * 1024,
      lengthBytes: 512,
    }));
    const lengthBytes = 10_000 * 1024;
    const one = file({ ranges, lengthBytes, attributes: { ...plain, sizeBytes: lengthBytes } });
    expect(memberLengthMax(facts(one))).toBeGreaterThanOrEqual(memberBytes(one).length);
  });
});

test('a random sparse map is read back', () =>
  fc.assert(
    fc.asyncProperty(sparse, async ({ ranges, lengthBytes }) => {
      const one = file({ ranges, lengthBytes, attributes: { ...plain, sizeBytes: lengthBytes } });
      const [read] = await readAll(tarOf([memberBytes(one)]));
      expect(read).toMatchObject({ ranges, lengthBytes });
    }),
  ));

test('names keep every byte', async () => {
  const name = String.fromCharCode(...Array.from({ length: 255 }, (_, index) => index + 1));
  const [read] = await readAll(tarOf([memberBytes(file({ path: name as Raw }))]));
  expect(read && rawBytes(read.path)).toEqual(Buffer.from(name, 'latin1'));
});
