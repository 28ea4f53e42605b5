import { expect, test } from 'vitest';
import { rawOf } from '../../../src/base/raw.ts';
import { ListedLately } from '../../../src/mount/listed-lately.ts';
import type { EntryReply } from '../../../src/mount/protocol/entry.ts';
import { virtualAttributes } from '../../../src/mount/virtual.ts';

const owner = { uid: 0, gid: 0, seconds: 0 };

const entry = (nodeId: number): EntryReply => ({
  nodeId,
  attributes: virtualAttributes(nodeId, 'directory', { owner }),
  entrySeconds: 1,
  attributeSeconds: 1,
});

test('what was listed is found by the same key, of few directories and of each so many entries', () => {
  const lately = new ListedLately();
  for (const key of ['a', 'b', 'c', 'd'])
    for (let index = 0; index < 5001; index += 1)
      lately.note(key, rawOf(`name ${index}`), entry(index + 2));
  expect(lately.find('a', rawOf('name 4999'))?.nodeId).toBe(5001);
  expect(lately.find('a', rawOf('name 5000'))).toBeUndefined();
  expect(lately.find('as of later', rawOf('name 1'))).toBeUndefined();
  lately.note('e', rawOf('name'), entry(7));
  expect(['a', 'b', 'e'].map((key) => lately.find(key, rawOf('name 1'))?.nodeId)).toEqual([
    undefined,
    3,
    undefined,
  ]);
});
