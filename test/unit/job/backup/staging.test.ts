import { closeSync, openSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { SimClock } from '../../../../src/base/clock.ts';
import { CodedError } from '../../../../src/base/errors.ts';
import { seededRandom } from '../../../../src/base/random.ts';
import { BlockSpool } from '../../../../src/job/backup/block-spool.ts';
import { Pace } from '../../../../src/job/backup/pace.ts';
import { Staging } from '../../../../src/job/backup/staging.ts';
import { randomBytes } from '../../../sim/rich-tree.ts';
import { scratchDirectory } from '../../../sim/scratch.ts';

const BLOCK_BYTES = 4096;
const UUID = '00000000-0000-4000-8000-000000000001';

async function makeSpool(blocks: number) {
  const directory = await scratchDirectory();
  const ring = { blockBytes: BLOCK_BYTES, bytesMax: blocks * BLOCK_BYTES, blocksMin: 2 };
  const spool = await BlockSpool.open({ directory, uuid: UUID }, ring);
  if (!spool) throw new Error('no room');
  return { directory, spool };
}

const blocksOf = (count: number) =>
  Array.from({ length: count }, (_, seed) => randomBytes(seededRandom(seed), BLOCK_BYTES));

/** Takes all of them, with one buffer as the ring of a stream has it. */
async function takeAll(staging: Staging, blocks: readonly Buffer[]): Promise<void> {
  const buffer = Buffer.alloc(BLOCK_BYTES);
  for (const block of blocks) {
    block.copy(buffer);
    await staging.take(buffer);
  }
  await staging.drain();
}

test('all blocks come out in their order, in bursts, however many there are', async () => {
  const { directory, spool } = await makeSpool(8);
  const blocks = blocksOf(101);
  const written: Buffer[] = [];
  const staging = new Staging(spool, {
    blockBytes: BLOCK_BYTES,
    write: async (block) => void written.push(Buffer.from(block)),
    onFull: (error) => expect(error).toBeUndefined(),
  });
  await staging.take(blocks[0] ?? Buffer.alloc(0));
  expect(written.length, 'nothing is written before it is full').toBe(0);
  expect(readdirSync(directory), 'a file without a name').toEqual([]);
  await takeAll(staging, blocks.slice(1));
  await staging.stop();
  expect(Buffer.concat(written).equals(Buffer.concat(blocks))).toBe(true);
});

test('what the tapes fail with is met by whoever comes next, and nothing follows', async () => {
  const { spool } = await makeSpool(4);
  let written = 0;
  const staging = new Staging(spool, {
    blockBytes: BLOCK_BYTES,
    write: async () => {
      written += 1;
      if (written === 3) throw new CodedError('MEDIUM_FULL', 'the end');
    },
    onFull: (error) => expect(error).toBeUndefined(),
  });
  await expect(takeAll(staging, blocksOf(20))).rejects.toMatchObject({ code: 'MEDIUM_FULL' });
  await expect(staging.drain()).rejects.toThrow('the end');
  await staging.stop();
  await staging.stop();
  expect(written).toBe(3);
});

test('given up, it lets go of what was not written', async () => {
  const { spool } = await makeSpool(8);
  const staging = new Staging(spool, {
    blockBytes: BLOCK_BYTES,
    write: () => Promise.reject(new Error('never')),
    onFull: () => {},
  });
  for (const block of blocksOf(7)) await staging.take(block);
  await staging.stop();
});

test('leftovers are swept, and nothing else', async () => {
  const directory = await scratchDirectory();
  for (const name of [`staging-${UUID}`, 'staging-not', 'other'])
    closeSync(openSync(join(directory, name), 'w'));
  await BlockSpool.sweep(directory);
  expect(readdirSync(directory).sort()).toEqual(['other', 'staging-not']);
  await BlockSpool.sweep(join(directory, 'absent'));
});

test('a directory that is none is a failure with a name; a disk with little room gives none', async () => {
  const directory = await scratchDirectory();
  writeFileSync(join(directory, 'file'), '');
  const ring = { blockBytes: BLOCK_BYTES, bytesMax: 2 ** 20, blocksMin: 2 };
  const place = { directory: join(directory, 'file', 'in it'), uuid: UUID };
  await expect(BlockSpool.open(place, ring)).rejects.toMatchObject({ code: 'FAILED' });
  const huge = { ...ring, bytesMax: 2 ** 62, blocksMin: 2 ** 50 };
  expect(await BlockSpool.open({ directory, uuid: UUID }, huge)).toBeUndefined();
  onTestFinished(() => expect(readdirSync(directory)).toEqual(['file']));
});

test('sources are slow by what they take, not by what the drive takes', async () => {
  const go = new AbortController().signal;
  const clock = new SimClock();
  const pace = new Pace(clock);
  const slowest = 100e6;
  const deliver = async (ms: number, heldMs: number) => {
    for (let second = 0; second < 16; second += 1) {
      await clock.sleepMs(ms, go);
      await pace.held(clock.sleepMs(heldMs, go));
      pace.came(8e6, slowest);
    }
    return pace.isSlow;
  };
  expect(await deliver(70, 1000)).toBe(false);
  expect(await deliver(90, 0)).toBe(true);
  // Hardly faster than the drive is not fast again.
  expect(await deliver(70, 0)).toBe(true);
  expect(await deliver(50, 500)).toBe(false);
});
