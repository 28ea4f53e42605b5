/** Restores as a person without the product does: cartridges saved as files, and the restore.sh of a label. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { BackupWorld } from './backup-world.ts';
import { scratchDirectory } from './scratch.ts';

/** SIMH's mark behind the last record; a file may also just end. */
const END_OF_MEDIUM = 0xffffffff;

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
    // What no filemark ends: writing was cut there.
    const isEnd = at + 4 > bytes.length || bytes.readUInt32LE(at) === END_OF_MEDIUM;
    if (isEnd && blocks.length > 0)
      writeFileSync(join(directory, String(file)), Buffer.concat(blocks));
    if (isEnd) break;
  }
}

/** All cartridges saved as files, then the script of the label of one. @returns where the tree is */
export async function restoreByScript(
  world: Pick<BackupWorld, 'sim'>,
  barcode: string | undefined,
  options: readonly string[] = [],
): Promise<string> {
  const scratch = await scratchDirectory();
  const saved = join(scratch, 'media');
  for (const name of readdirSync(world.sim.directory).filter((name) => name.endsWith('.tap'))) {
    saveTapeFiles(join(world.sim.directory, name), join(saved, name.slice(0, 8)));
  }
  execFileSync('tar', ['-xf', join(saved, barcode ?? '', '0'), '-C', scratch, 'restore.sh']);
  const target = join(scratch, 'target');
  const script = [join(scratch, 'restore.sh'), '-d', saved, '-t', target, ...options];
  const { status, stderr } = spawnSync('sh', script, { encoding: 'latin1' });
  expect(status, stderr).toBe(0);
  return target;
}
