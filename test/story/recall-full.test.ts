/** The disk of the stage is full: readers are told by name, the stage keeps smaller, and everything else goes on. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { RecallWorld, readAll } from '../sim/recall-world.ts';
import { randomBytes } from '../sim/rich-tree.ts';

const MIB = 2 ** 20;

test('a full disk fails the file that did not fit, and those behind it fit again', async (context) => {
  const world = await RecallWorld.make();
  mkdirSync(world.stageDirectory);
  const mounted = spawnSync(
    'mount',
    ['-t', 'tmpfs', '-o', 'size=6m,mode=700', 'tmpfs', world.stageDirectory],
    {
      encoding: 'utf8',
    },
  );
  if (mounted.status !== 0) context.skip(`no tmpfs: ${mounted.stderr}`);
  onTestFinished(() => {
    execFileSync('umount', ['-l', world.stageDirectory]);
  });
  const files = [2, 3, 3, 1].map((size, index) => ({
    name: `file ${index}`,
    bytes: randomBytes(seededRandom(index), size * MIB),
  }));
  for (const { name, bytes } of files) writeFileSync(join(world.backup.source, name), bytes);
  await world.backup.backup();
  const mount = world.start({ stageBytes: 100 * MIB });
  const read = async ({ name, bytes }: (typeof files)[number]) => {
    const opened = mount.recall.open(world.contentId(name), { pid: 1, uid: 0 });
    try {
      expect((await readAll(opened, bytes.length)).equals(bytes)).toBe(true);
    } finally {
      opened.close();
    }
  };
  const [first, second, third, fourth] = files;
  if (!first || !second || !third || !fourth) throw new Error('there are four');
  await read(first);
  await read(second);
  await expect(read(third)).rejects.toMatchObject({ code: 'STAGE_FULL' });
  // The limit is what the disk could take: the next one has room made for it.
  await read(third);
  await read(fourth);
  await mount.close();
  expect(readdirSync(world.stageDirectory).every((name) => name.length === 64)).toBe(true);
});
