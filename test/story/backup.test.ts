import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { BackupWorld } from '../sim/backup-world.ts';

test('a small tree is stored, and a second run writes nothing', async () => {
  const world = await BackupWorld.make();
  await writeFile(join(world.source, 'a.txt'), 'hello');
  await writeFile(join(world.source, 'big.bin'), Buffer.alloc(9_000_000, 'x'));
  const first = await world.backup();
  expect(first).toMatchObject({ state: 'finished', files: { new: 2, unreadable: 0 } });
  expect(first.media).toEqual(['BKP001L8']);
  const second = await world.backup();
  expect(second).toMatchObject({
    media: [],
    files: { new: 0, same: 2 },
    bytes: { hashed: 0, written: 0 },
  });
});
