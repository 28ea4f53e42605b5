import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  archiveTail,
  DIGEST_MEMBER_BYTES,
  type Digest,
  encodeDigest,
  findDigest,
  formatDigest,
  parseDigest,
} from '../../../src/archive/digest.ts';
import { readAll } from './stream.ts';

const UUID = '6f1c2a34-0b1d-4c5e-8f90-a1b2c3d4e5f6';
const digestOf = (lengthBytes: number): Digest => ({
  uuid: UUID,
  blake3: createHash('sha512').update('a').digest().subarray(0, 32),
  sha256: createHash('sha256').update('b').digest(),
  lengthBytes,
  journal: { offset: 512, lengthBytes: 7 },
});

test('always of one length, and read back', async () => {
  for (const lengthBytes of [1024, Number.MAX_SAFE_INTEGER]) {
    const member = encodeDigest(digestOf(lengthBytes));
    expect(member).toHaveLength(DIGEST_MEMBER_BYTES);
    const [read] = await readAll(Buffer.concat([member, Buffer.alloc(1024)]));
    expect(read?.path).toBe(`.shelfs/archives/${UUID}/digest`);
    expect({ uuid: UUID, ...parseDigest(read?.bytes.toString('latin1') ?? '') }).toEqual(
      digestOf(lengthBytes),
    );
  }
});

test.each([
  ['lengths that differ', (text: string) => text.replace('1024\n', '1025\n')],
  ['a journal beyond the stream', (text: string) => text.replace('512 ', '1020 ')],
  ['a hash cut short', (text: string) => text.replace(/blake3 ../, 'blake3 ')],
  ['something behind', (text: string) => `${text}x`],
])('%s', (_, spoil) => {
  const text = formatDigest(digestOf(1024));
  expect(spoil(text)).not.toBe(text);
  expect(() => parseDigest(spoil(text))).toThrow(/digest/);
});

describe('found from the end', () => {
  test('in the last two blocks, wherever it ends', () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 40 }),
        fc.constantFrom(2048, 4096, 8192),
        (units, blockBytes) => {
          const lengthBytes = units * 512;
          const start = Buffer.concat([
            Buffer.alloc(lengthBytes, 1),
            encodeDigest(digestOf(lengthBytes)),
          ]);
          const stream = Buffer.concat([
            start,
            Buffer.alloc(archiveTail(start.length, blockBytes)),
          ]);
          expect(stream.length % blockBytes).toBe(0);
          const tail = stream.subarray(-2 * blockBytes);
          expect(findDigest(tail, stream.length)).toEqual(digestOf(lengthBytes));
          expect(findDigest(stream.subarray(0, lengthBytes), lengthBytes)).toBeUndefined();
        },
      ),
    ));

  test('one that is the content of a backed-up file is not taken', () => {
    const stream = Buffer.concat([
      Buffer.alloc(2048),
      encodeDigest(digestOf(512)),
      Buffer.alloc(1024),
    ]);
    expect(findDigest(stream, stream.length)).toBeUndefined();
  });
});
