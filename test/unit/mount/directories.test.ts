import { strict as assert } from 'node:assert';
import { expect, test } from 'vitest';
import type { Raw } from '../../../src/base/raw.ts';
import { type DirectoryTools, OpenDirectories } from '../../../src/mount/directories.ts';
import { listOf } from '../../../src/mount/listing.ts';
import { virtualAttributes } from '../../../src/mount/virtual.ts';

const self = virtualAttributes(1, 'directory', { owner: { uid: 0, gid: 0, seconds: 0 } });

/** Entries with the longest names there are. */
const entries = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    name: String(index).padStart(255, 'n') as Raw,
    entry: { nodeId: 0, attributes: self, entrySeconds: 0, attributeSeconds: 0 },
  }));

function opened(count: number): { served: number; made: number } {
  const told = { served: 0, made: 0 };
  const port: DirectoryTools['port'] = {
    serveListing: (_, parts) => {
      told.served += parts.reduce((sum, part) => sum + part.length, 0);
    },
    answerAhead: () => {
      told.made += 1;
    },
    dropAhead: () => assert.fail('nobody has closed it'),
  };
  const replies = { bytes: () => assert.fail('nobody has asked') };
  const directories = new OpenDirectories({ port, replies, onEnd: () => {} });
  directories.open({ nodeId: 1, listing: listOf(entries(count)), self });
  directories.makeAhead();
  return told;
}

test('a listing of few entries is given to the door whole, a longer one as it is asked for', () => {
  // struct fuse_direntplus of a name of 255 bytes: 128 + 24 + 255, padded to 8; `.` and `..` take 160 each.
  expect(opened(64)).toEqual({ served: 64 * 408 + 2 * 160, made: 0 });
  expect(opened(0)).toEqual({ served: 2 * 160, made: 0 });
  expect(opened(65)).toEqual({ served: 0, made: 1 });
});
