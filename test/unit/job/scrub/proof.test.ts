/** What of an extent proves itself: contents, segments of large ones, holes; and what only the whole content can tell. */
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { describe, expect, test } from 'vitest';
import { encodeSparseMap } from '../../../../src/archive/sparse.ts';
import type { ExtentToRead } from '../../../../src/catalog/care/read-back.ts';
import { type Extent, SEGMENT_BYTES } from '../../../../src/domain/content.ts';
import { PortionProof, portionsOf } from '../../../../src/job/scrub/proof.ts';

const hashOf = (bytes: Buffer) => new Blake3Hasher().update(bytes).digestBuffer();

function extentOf(change: Partial<Extent>): Extent {
  return {
    ...{ contentOffset: 0, lengthBytes: 1000, archiveOffset: 5000, storedBytes: 1000 },
    form: 'plain',
    ...change,
  };
}

const read = (change: Partial<ExtentToRead>): ExtentToRead => ({
  ...{ contentId: 1, sizeBytes: 1000, hash: Buffer.alloc(32, 1), segments: undefined },
  extent: extentOf({}),
  ...change,
});

/** Where each portion lies, and whether it proves itself. */
const shapeOf = (extent: ExtentToRead) =>
  [...portionsOf(extent)].map(({ range, proofs, isUnproven }) => [
    ...[range.position, range.lengthBytes],
    ...[proofs.length, isUnproven],
  ]);

describe('portions', () => {
  const half = SEGMENT_BYTES / 2;
  const large = {
    sizeBytes: 3 * SEGMENT_BYTES + 7,
    segments: Buffer.alloc(4 * 32, 2),
  };
  const span = (contentOffset: number, lengthBytes: number) =>
    extentOf({ contentOffset, lengthBytes, storedBytes: lengthBytes });
  test.each<[string, Partial<ExtentToRead>, (number | boolean)[][]]>([
    ['a whole content', {}, [[5000, 1000, 1, false]]],
    ['a part of a small one', { extent: span(0, 500) }, [[5000, 500, 0, true]]],
    ['one that is not complete', { hash: undefined }, [[5000, 1000, 0, true]]],
    [
      'a large one, segment by segment',
      { ...large, extent: span(0, large.sizeBytes) },
      [
        [5000, SEGMENT_BYTES, 1, false],
        [5000 + SEGMENT_BYTES, SEGMENT_BYTES, 1, false],
        [5000 + 2 * SEGMENT_BYTES, SEGMENT_BYTES, 1, false],
        [5000 + 3 * SEGMENT_BYTES, 7, 1, false],
      ],
    ],
    [
      'a part of a large one, from within a segment on',
      { ...large, extent: span(half, 2 * SEGMENT_BYTES + half + 7) },
      [
        [5000, half, 0, true],
        [5000 + half, SEGMENT_BYTES, 1, false],
        [5000 + half + SEGMENT_BYTES, SEGMENT_BYTES, 1, false],
        [5000 + half + 2 * SEGMENT_BYTES, 7, 1, false],
      ],
    ],
    [
      'a part with one whole segment and ends of others',
      { ...large, extent: span(half, 2 * SEGMENT_BYTES) },
      [[5000, 2 * SEGMENT_BYTES, 1, true]],
    ],
  ])('%s', (_, change, expected) => expect(shapeOf(read(change))).toEqual(expected));
});

describe('a sparse content', () => {
  const content = Buffer.alloc(20_000);
  content.fill('data', 4096, 8192);
  const map = encodeSparseMap([{ offset: 4096, lengthBytes: 4096 }], 20_000);
  const stored = Buffer.concat([map, content.subarray(4096, 8192)]);
  const extent = extentOf({ lengthBytes: 20_000, storedBytes: stored.length, form: 'sparse' });
  const isRight = (bytes: Buffer) => {
    const [portion] = portionsOf(read({ sizeBytes: 20_000, hash: hashOf(content), extent }));
    if (!portion) throw new Error('no portion');
    const proof = new PortionProof(portion);
    for (let at = 0; at < bytes.length; at += 700) proof.take(bytes.subarray(at, at + 700));
    return proof.isRight();
  };
  test('is proven with its holes', () => expect(isRight(stored)).toBe(true));
  test.each([map.length, stored.length - 1])('and a byte of it at %i', (at) => {
    const other = Buffer.from(stored);
    other[at] = 0;
    expect(isRight(other)).toBe(false);
  });
});
