/** Heads that readers write over a frame: the same bytes as those that are written where they are planned. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Member, MemberEncoder } from '../../../../src/archive/member.ts';
import { type Raw, rawOf } from '../../../../src/base/raw.ts';
import { BatchPacker } from '../../../../src/job/backup/batch-packer.ts';
import { FRAME_BYTES, loadFsDoor, NO_FRAME } from '../../../../src/source/door.ts';

const door = loadFsDoor();
const seconds = fc.oneof(
  fc.integer(),
  fc.constantFrom(0, -1, 0o77777777777, 0o100000000000, Number.MAX_SAFE_INTEGER, -(2 ** 53 - 1)),
  fc.maxSafeInteger(),
);
const moment = fc.record({
  seconds,
  nanoseconds: fc.oneof(fc.nat(999_999_999), fc.constantFrom(0, 1, 999_999_999)),
});
const text = (maxLength: number) =>
  fc.oneof(
    { weight: 9, arbitrary: textOf('ab/ \n\x7f', maxLength) },
    { weight: 1, arbitrary: textOf('a\xc3\xa4', maxLength) },
  );
function textOf(letters: string, maxLength: number): fc.Arbitrary<Raw> {
  return fc
    .array(fc.constantFrom(...letters), { minLength: 1, maxLength, size: 'max' })
    .map((all) => all.join('') as Raw);
}
const id = fc.oneof(fc.nat(2 ** 32 - 1), fc.constantFrom(0, 0o7777777, 0o10000000));
const xattrs = fc.oneof(
  fc.constant([]),
  fc.constant([{ name: rawOf('user.x'), value: Buffer.from('value\0') }]),
);
const member: fc.Arbitrary<Member & { readonly rest: Raw }> = fc
  .record({
    prefix: fc.oneof(fc.constant('' as Raw), text(120)),
    rest: text(260),
    mode: fc.nat(0o7777),
    uid: id,
    gid: id,
    user: fc.constantFrom(rawOf('root'), rawOf('u'.repeat(32)), rawOf('\xfc'), '\xfc' as Raw),
    sizeBytes: fc.oneof(fc.nat(2 ** 20), fc.constantFrom(1, 7, 8, 511, 512)),
    mtime: moment,
    ctime: moment,
    xattrs,
  })
  .map(({ prefix, rest, sizeBytes, ...more }) => ({
    path: (prefix + rest) as Raw,
    rest,
    lengthBytes: sizeBytes,
    attributes: { type: 'file', group: rawOf('group'), sizeBytes, ...more },
  }));

/** What a reader makes of it; there is no such file, so nothing is behind. */
function framed(encoder: MemberEncoder, { rest, ...member }: Member & { readonly rest: Raw }) {
  const frame = encoder.frameOf(member);
  if (!frame) return undefined;
  const { sizeBytes, mtime, ctime } = member.attributes;
  const packer = new BatchPacker();
  const place = { source: rawOf('/nowhere'), followsLinks: false, path: rest };
  const stamp = { sizeBytes, mtime, ctime, inode: 1 };
  expect(packer.addFramed({ place, stamp, frame, name: member.path })).toBe(true);
  const slab = Buffer.alloc(2 ** 21, 0xff);
  const results = {
    answers: new Int32Array(1),
    offsets: new Uint32Array(1),
    readBytes: new Uint32Array(1),
  };
  const sources = Int32Array.of(-2, 0, 0);
  expect(door.readFiles({ ...packer.finish(), sources }, slab, results)).toBe(0);
  expect(results.answers[0]).toBe(-2);
  return slab.subarray(0, FRAME_BYTES);
}

test('a head over a frame is what the encoder writes', () => {
  const encoder = new MemberEncoder();
  let compared = 0;
  fc.assert(
    fc.property(member, (one) => {
      const head = framed(encoder, one);
      if (!head) return;
      compared += 1;
      const expected = new MemberEncoder().encode(one);
      expect(expected.dataBytes).toBe(one.lengthBytes);
      expect(head.toString('latin1')).toBe(expected.head.toString('latin1'));
    }),
    { numRuns: 150 },
  );
  expect(compared).toBeGreaterThan(20);
});

test('what has no frame: other types, parts, holes, links, long names, names of other than ASCII', () => {
  const time = { seconds: 1, nanoseconds: 0 };
  const attributes = {
    ...{ type: 'file' as const, mode: 0o644, uid: 0, gid: 0, user: rawOf('a'), group: rawOf('b') },
    ...{ sizeBytes: 5, mtime: time, ctime: time, xattrs: [] },
  };
  const plain = { path: rawOf('a/b'), attributes, lengthBytes: 5 };
  const encoder = new MemberEncoder();
  const frame = encoder.frameOf(plain);
  expect(frame).toBeDefined();
  expect(encoder.frameOf({ ...plain, path: rawOf('c') })).toBe(frame);
  for (const other of [
    { attributes: { ...attributes, type: 'fifo' as const } },
    { part: { number: 1, count: 2, offset: 0, totalBytes: 9 } },
    { ranges: [] },
    { link: rawOf('c') },
    { path: rawOf('p'.repeat(500)) },
    { path: rawOf('ü') },
  ])
    expect(encoder.frameOf({ ...plain, ...other })).toBeUndefined();
  expect(encoder.frameOf({ ...plain, attributes: { ...attributes, mode: 0o600 } })).not.toBe(frame);
});

test('a batch has as many frames as it can number; the others are written where they are planned', () => {
  const packer = new BatchPacker();
  const stamp = {
    ...{ sizeBytes: 1, inode: 1 },
    ...{ mtime: { seconds: 1, nanoseconds: 0 }, ctime: { seconds: 1, nanoseconds: 0 } },
  };
  const frame = { bytes: new Uint8Array(FRAME_BYTES), records: '' };
  const add = (prefix: string) => {
    const place = { source: rawOf('/s'), followsLinks: false, path: rawOf('f') };
    return packer.addFramed({ place, stamp, frame, name: `${prefix}f` });
  };
  for (let number = 0; number < NO_FRAME; number += 1) expect(add(`${number}/`)).toBe(true);
  expect(add('a/')).toBe('no-frame');
  expect(add(`${NO_FRAME - 1}/`)).toBe(true);
  const { frames, frameOf } = packer.finish();
  expect(frames.length).toBe(NO_FRAME);
  expect([...frameOf]).toEqual([...frames.keys(), NO_FRAME - 1]);
});
