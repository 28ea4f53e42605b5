import { blake3 } from '@napi-rs/blake-hash';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromHex } from '../../../src/base/bytes.ts';
import { SEGMENT_BYTES, segmentCount } from '../../../src/domain/content.ts';
import { ContentHasher } from '../../../src/hash/content-hasher.ts';

/** Bytes that differ from place to place, so that a segment taken from elsewhere has another hash. */
function pattern(lengthBytes: number): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  for (let at = 0; at + 4 <= lengthBytes; at += 4096) bytes.writeUInt32LE(at / 4096 + 1, at);
  if (lengthBytes > 0) bytes[lengthBytes - 1] = 0xa5;
  return bytes;
}

function segmentsOf(bytes: Buffer): Buffer | undefined {
  if (bytes.length <= SEGMENT_BYTES) return undefined;
  return Buffer.concat(
    Array.from({ length: segmentCount(bytes.length) }, (_, index) =>
      blake3(bytes.subarray(index * SEGMENT_BYTES, (index + 1) * SEGMENT_BYTES)),
    ),
  );
}

// Published with the BLAKE3 specification and its reference programs.
test.each([
  ['', 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262'],
  ['abc', '6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85'],
])('the hash of "%s" is what b3sum prints', (text, hash) => {
  const hasher = new ContentHasher();
  hasher.update(Buffer.from(text));
  expect(hasher.finish()).toEqual({
    hash: fromHex(hash),
    sizeBytes: text.length,
    segments: undefined,
  });
});

describe('segments', () => {
  test.each([
    ['one byte less than a segment', SEGMENT_BYTES - 1],
    ['a segment', SEGMENT_BYTES],
    ['one byte more', SEGMENT_BYTES + 1],
    ['two segments', 2 * SEGMENT_BYTES],
    ['two and a bit', 2 * SEGMENT_BYTES + 12_345],
  ])('%s', (_name, lengthBytes) => {
    const bytes = pattern(lengthBytes);
    const hasher = new ContentHasher();
    // Blocks that do not end where segments do.
    for (let at = 0; at < lengthBytes; at += 3_000_000)
      hasher.update(bytes.subarray(at, at + 3_000_000));
    const expected = { hash: blake3(bytes), sizeBytes: lengthBytes, segments: segmentsOf(bytes) };
    expect(hasher.finish()).toEqual(expected);
    hasher.reset();
    hasher.update(bytes);
    expect(hasher.finish()).toEqual(expected);
  });

  test('nothing of one content is left in the next', () => {
    const hasher = new ContentHasher();
    const long = pattern(SEGMENT_BYTES + 5_000);
    const longer = pattern(SEGMENT_BYTES + 7_777_777);
    for (const bytes of [long, longer, Buffer.from('short'), long, Buffer.alloc(0), longer]) {
      hasher.update(bytes);
      expect(hasher.finish()).toEqual({
        hash: blake3(bytes),
        sizeBytes: bytes.length,
        segments: segmentsOf(bytes),
      });
      hasher.reset();
    }
  });

  test('also when a content was given up in the middle of a segment', () => {
    const hasher = new ContentHasher();
    hasher.update(pattern(SEGMENT_BYTES + 100));
    hasher.reset();
    const bytes = pattern(SEGMENT_BYTES + 1);
    hasher.update(bytes);
    expect(hasher.finish().segments).toEqual(segmentsOf(bytes));
  });
});

test('however the bytes are cut, and whichever of them are holes', () => {
  const hasher = new ContentHasher();
  const run = fc.record({ isHole: fc.boolean(), lengthBytes: fc.nat(70_000_000) });
  fc.assert(
    fc.property(fc.array(run, { maxLength: 5 }), (runs) => {
      const parts = runs.map(({ isHole, lengthBytes }) =>
        isHole ? Buffer.alloc(lengthBytes) : pattern(lengthBytes),
      );
      hasher.reset();
      for (const [index, { isHole }] of runs.entries()) {
        const part = parts[index] ?? Buffer.alloc(0);
        if (isHole) hasher.updateZeros(part.length);
        else hasher.update(part);
      }
      const bytes = Buffer.concat(parts);
      const { hash, sizeBytes, segments } = hasher.finish();
      expect(sizeBytes).toBe(bytes.length);
      expect(hash.equals(blake3(bytes))).toBe(true);
      expect(segments?.toString('hex')).toBe(segmentsOf(bytes)?.toString('hex'));
    }),
    { numRuns: 12 },
  );
});

test('bytes in shared memory are hashed where they lie', () => {
  const shared = Buffer.from(new SharedArrayBuffer(10_000));
  shared.fill(7);
  const hasher = new ContentHasher();
  hasher.update(shared);
  expect(hasher.finish().hash).toEqual(blake3(Buffer.alloc(10_000, 7)));
});

test.each([[-1], [0.5], [Number.NaN], [2 ** 53]])('%s zeros are a bug', (lengthBytes) =>
  expect(() => new ContentHasher().updateZeros(lengthBytes)).toThrow('not a length'),
);
