import { expect, test } from 'vitest';
import { rawOf } from '../../../src/base/raw.ts';
import { mountAround, mountAt, parseMountTable } from '../../../src/mount/mount-table.ts';

const TABLE = parseMountTable(
  rawOf(`22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:40 / /mnt/a\\040b\\134\\012c ro,nosuid - fuse.shelfs /state\\040a ro,user_id=0
31 22 0:41 / /mnt/deep rw master:1 propagate_from:2 - tmpfs none rw
32 31 0:42 / /mnt/deep ro - fuse.shelfs shelfs ro
33 22 0:43 /sub /mnt/de rw - btrfs /dev/x rw
nonsense
`),
);

test('each mount has a beginning of its line, a device, a path, a type and a source', () => {
  expect(TABLE).toHaveLength(5);
  expect(TABLE[1]).toEqual({
    line: '30 22 0:40 / /mnt/a\\040b\\134\\012c ',
    device: '0:40',
    path: '/mnt/a b\\\nc',
    type: 'fuse.shelfs',
    source: '/state a',
  });
});

test.each([
  ['/', 'ext4', 'ext4'],
  ['/mnt', undefined, 'ext4'],
  ['/mnt/deep', 'fuse.shelfs', 'fuse.shelfs'],
  ['/mnt/deep/er', undefined, 'fuse.shelfs'],
  ['/mnt/deeper', undefined, 'ext4'],
  ['/mnt/de', 'btrfs', 'btrfs'],
])('at %s is %s, around it %s', (path, at, around) => {
  expect(mountAt(TABLE, rawOf(path))?.type).toBe(at);
  expect(mountAround(TABLE, rawOf(path))?.type).toBe(around);
});
