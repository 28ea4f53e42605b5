/** What an archive may hold, at random: names, attributes, sparse maps, members, and journals that speak of them. */
import fc from 'fast-check';
import type { Member } from '../../../src/archive/member.ts';
import { memberPath } from '../../../src/archive/member.ts';
import type { Raw } from '../../../src/base/raw.ts';
import type { Attributes, DataRange, Moment } from '../../../src/domain/entry.ts';

/** One character a byte, NUL and slash excepted; controls, blanks and high bytes often. */
const byte = fc.oneof(
  fc.integer({ min: 0x61, max: 0x7a }),
  fc.integer({ min: 0x01, max: 0xff }),
  fc.constantFrom(0x09, 0x0a, 0x20, 0x2d, 0x3a, 0x3b, 0x3d, 0x25, 0x5c, 0x7f, 0xc3, 0xa4),
);

export const rawName = (maxLength = 40) =>
  fc
    .array(byte, { minLength: 1, maxLength })
    .map((codes) => String.fromCharCode(...codes).replaceAll('/', '_') as Raw)
    .filter((name) => name !== '.' && name !== '..');

export const rawPath: fc.Arbitrary<Raw> = fc.oneof(
  fc.array(rawName(), { minLength: 1, maxLength: 6 }).map((names) => `/${names.join('/')}` as Raw),
  fc
    .array(rawName(250), { minLength: 1, maxLength: 8 })
    .map((names) => `/${names.join('/')}` as Raw),
);

export const moment: fc.Arbitrary<Moment> = fc.record({
  seconds: fc.oneof(fc.integer({ min: -3e9, max: 3e9 }), fc.constantFrom(-1, 0, 2 ** 40)),
  nanoseconds: fc.oneof(fc.constantFrom(0, 1, 999_999_999), fc.nat(999_999_999)),
});

const xattrs = fc
  .uniqueArray(
    fc.record({
      name: rawName(30).map((name) => `user.${name}` as Raw),
      value: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    }),
    { selector: ({ name }) => name, maxLength: 4 },
  )
  .map((list) =>
    list
      .filter(({ name }) => !name.startsWith('user.shelfs.'))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
  );

const id = fc.oneof(fc.nat(70_000), fc.constantFrom(0, 0o7777777, 0o7777777 + 1, 2 ** 32 - 2));
const owner = fc.oneof(fc.constant('' as Raw), rawName(40));

const common = {
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: id,
  gid: id,
  user: owner,
  group: owner,
  mtime: moment,
  ctime: moment,
  xattrs,
};

export const fileAttributes: fc.Arbitrary<Attributes> = fc.record({
  type: fc.constant('file' as const),
  sizeBytes: fc.nat(3000),
  ...common,
});

export const otherAttributes: fc.Arbitrary<Attributes> = fc.oneof(
  fc.record({
    type: fc.constantFrom('directory' as const, 'fifo' as const),
    sizeBytes: fc.constant(0),
    ...common,
  }),
  fc.record({
    type: fc.constant('symlink' as const),
    sizeBytes: fc.constant(0),
    target: rawName(200),
    ...common,
  }),
  fc.record({
    type: fc.constantFrom('character' as const, 'block' as const),
    sizeBytes: fc.constant(0),
    device: fc.record({ major: fc.nat(4095), minor: fc.nat(1_048_575) }),
    ...common,
  }),
);

/** Runs that ascend without touching, and a length at or behind their end. */
export const sparse: fc.Arbitrary<{ ranges: DataRange[]; lengthBytes: number }> = fc
  .tuple(
    fc.array(fc.tuple(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 2000 })), {
      maxLength: 60,
    }),
    fc.nat(5000),
    fc.boolean(),
  )
  .map(([steps, rest, startsWithData]) => {
    const ranges: DataRange[] = [];
    let at = 0;
    for (const [hole, lengthBytes] of steps) {
      const offset = startsWithData && at === 0 ? 0 : at + hole;
      ranges.push({ offset, lengthBytes });
      at = offset + lengthBytes;
    }
    return { ranges, lengthBytes: at + rest };
  });

export const member: fc.Arbitrary<Member> = fc.oneof(
  fc.tuple(rawPath, fileAttributes).map(([path, attributes]) => ({
    path: memberPath(path),
    attributes,
    lengthBytes: attributes.sizeBytes,
  })),
  fc.tuple(rawPath, otherAttributes).map(([path, attributes]) => ({
    path: memberPath(path),
    attributes,
    lengthBytes: 0,
  })),
  fc.tuple(rawPath, fileAttributes, sparse).map(([path, attributes, { ranges, lengthBytes }]) => ({
    path: memberPath(path),
    attributes: { ...attributes, sizeBytes: lengthBytes },
    lengthBytes,
    ranges,
  })),
  fc
    .tuple(rawPath, fileAttributes, fc.integer({ min: 1, max: 12_000 }), fc.nat(1e12))
    .map(([path, attributes, count, offset]) => ({
      path: memberPath(path),
      attributes: { ...attributes, sizeBytes: offset + attributes.sizeBytes + 7 },
      lengthBytes: attributes.sizeBytes,
      part: { number: count, count, offset, totalBytes: offset + attributes.sizeBytes + 7 },
    })),
);
