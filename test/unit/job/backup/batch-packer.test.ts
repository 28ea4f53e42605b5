/** What has room in a batch. */
import { expect, test } from 'vitest';
import { PAX_BYTES_MAX } from '../../../../src/archive/pax.ts';
import { TAR_BLOCK_BYTES } from '../../../../src/archive/ustar.ts';
import { rawOf } from '../../../../src/base/raw.ts';
import { BatchPacker } from '../../../../src/job/backup/batch-packer.ts';
import { NOTHING_TO_READ } from '../../../../src/source/door.ts';

const time = { seconds: 1, nanoseconds: 1 };
const stamp = { sizeBytes: 10, mtime: time, ctime: time, inode: 1 };

test('a batch has room for as many sources as it can number, and for more of their files', () => {
  const packer = new BatchPacker();
  const add = (source: number) => {
    const place = { source: rawOf(`/s${source}`), followsLinks: false, path: rawOf('f') };
    return packer.add({ place, stamp }, () => 512);
  };
  for (let source = 0; source < NOTHING_TO_READ; source += 1) expect(add(source)).toBe(true);
  expect(add(NOTHING_TO_READ)).toBe(false);
  expect(add(7)).toBe(true);
  const { sources, sourceOf } = packer.finish();
  expect(sources.length).toBe(NOTHING_TO_READ);
  expect([...sourceOf]).toEqual([...sources.keys(), 7]);
});

test('a head of as many records as a member may have is one of a batch, however little else it needs', () => {
  const headBytes = PAX_BYTES_MAX + 2 * TAR_BLOCK_BYTES;
  const packer = new BatchPacker();
  const isWritten = packer.add(undefined, (heads, at) =>
    at + headBytes <= heads.length ? headBytes : undefined,
  );
  expect(isWritten).toBe(true);
  expect(packer.finish().heads.length).toBe(headBytes);
});
