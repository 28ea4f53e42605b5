/** The label's restore.sh on cartridges that a backup has written: it brings what the product would. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/base/random.ts';
import { BackupWorld } from '../sim/backup-world.ts';
import { changeTree, makeBytes } from '../sim/changed-tree.ts';
import { differences, makeRichTree } from '../sim/rich-tree.ts';
import { scratchDirectory } from '../sim/scratch.ts';

/** A virtual cartridge (SIMH .tap) as restore.sh takes it: one file a tape file. */
function saveTapeFiles(tap: string, directory: string): void {
  mkdirSync(directory, { recursive: true });
  const bytes = readFileSync(tap);
  let blocks: Buffer[] = [];
  for (let at = 0, file = 0; at + 4 <= bytes.length; ) {
    const lengthBytes = bytes.readUInt32LE(at);
    if (lengthBytes === 0) {
      writeFileSync(join(directory, String(file)), Buffer.concat(blocks));
      blocks = [];
      file += 1;
      at += 4;
    } else {
      blocks.push(bytes.subarray(at + 4, at + 4 + lengthBytes));
      at += 8 + lengthBytes + (lengthBytes % 2);
    }
  }
}

test('a tree on several cartridges, changed between two runs', async () => {
  const world = await BackupWorld.make({ cartridges: 3, capacityBytes: 24 * 2 ** 20 });
  makeRichTree(world.source, seededRandom(1));
  makeBytes(join(world.source, 'huge.bin'), 25_000_003);
  await world.backup();
  await world.sim.clock.sleepMs(60_000, new AbortController().signal);
  changeTree(world.source);
  const { media } = await world.backup();
  const scratch = await scratchDirectory();
  const saved = join(scratch, 'media');
  for (const name of readdirSync(world.sim.directory).filter((name) => name.endsWith('.tap'))) {
    saveTapeFiles(join(world.sim.directory, name), join(saved, name.slice(0, 8)));
  }
  execFileSync('tar', ['-xf', join(saved, media.at(-1) ?? '', '0'), '-C', scratch, 'restore.sh']);
  const target = join(scratch, 'target');
  const script = [join(scratch, 'restore.sh'), '-d', saved, '-t', target];
  const { status, stderr } = spawnSync('sh', script, { encoding: 'latin1' });
  expect(status, stderr).toBe(0);
  expect(differences(world.source, join(target, world.source))).toBe('');
});
