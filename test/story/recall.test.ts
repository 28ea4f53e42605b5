/** Reads of what lies on tape: through the stage, joined, ordered, proven. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import type { ContentReader } from '../../src/mount/content.ts';
import { CALLER, RecallWorld, readAll } from '../sim/recall-world.ts';
import { randomBytes } from '../sim/rich-tree.ts';

test('a file is read from tape once, and from the stage from then on', async () => {
  const world = await RecallWorld.make();
  const path = join(world.backup.source, 'letter');
  writeFileSync(path, 'the bytes of a letter');
  await world.backup.backup();
  const mount = world.start();
  // What the mount declares is what recall is.
  const reader: ContentReader = mount.recall;
  const opened = reader.open(world.contentId('letter'), CALLER);
  expect(opened.file).toBeUndefined();
  let told = 0;
  opened.onStaged(() => {
    told += 1;
  });
  expect((await readAll(opened, 21)).toString()).toBe('the bytes of a letter');
  expect([opened.file, told]).toEqual([expect.any(Number), 1]);
  expect(statSync(`/proc/self/fd/${opened.file}`).mode & 0o777).toBe(0o400);
  opened.close();
  const again = mount.recall.open(world.contentId('letter'), CALLER);
  expect(readFileSync(again.file ?? -1, 'utf8')).toBe('the bytes of a letter');
  again.close();
  await mount.close();
  // It survives the process.
  const next = world.start();
  const later = next.recall.open(world.contentId('letter'), CALLER);
  expect(readFileSync(later.file ?? -1, 'utf8')).toBe('the bytes of a letter');
  later.close();
  expect([mount.media, next.media]).toEqual([['BKP001L8'], []]);
});

test('a hundred files, each wanted by two readers, are read in one pass', async () => {
  const world = await RecallWorld.make();
  const random = seededRandom(1);
  const files = Array.from({ length: 100 }, (_, index) => ({
    name: `file ${index}`,
    bytes: randomBytes(random, 1 + random.below(20_000)),
  }));
  for (const { name, bytes } of files) writeFileSync(join(world.backup.source, name), bytes);
  await world.backup.backup();
  const mount = world.start();
  const reads = files.flatMap(({ name, bytes }) =>
    [1, 2].map(async (pid) => {
      const opened = mount.recall.open(world.contentId(name), { pid, uid: 0 });
      expect((await readAll(opened, bytes.length, { pid })).equals(bytes)).toBe(true);
      opened.close();
    }),
  );
  await Promise.all(reads);
  expect(mount.media).toEqual(['BKP001L8']);
});
