import { expect, test } from 'vitest';
import { type AdvisedRun, advisedOrder, type BlockSegment } from '../../../src/recall/advice.ts';
import { nearBytes, tapeShape } from '../../../src/recall/order.ts';

const SHAPE = tapeShape('LTO-9', 18e12);
const BLOCK = 512 * 1024;

/** Bytes of an archive that begins at block 1000. */
function run(offset: number, lengthBytes: number): AdvisedRun {
  const startByte = 1000 * BLOCK + offset;
  return {
    startByte,
    endByte: startByte + lengthBytes,
    offset,
    lengthBytes,
    copy: { startBlock: 1000, blockBytes: BLOCK },
  };
}

const NEAR = nearBytes(SHAPE);

test('what lies close is one segment, and the drive’s order is that of the groups', async () => {
  const [a, b, c] = [run(10, 100), run(200, BLOCK), run(NEAR / 2, 1)];
  const [far, farther] = [run(10 * NEAR, BLOCK * 2), run(30 * NEAR, 5)];
  const asked: (readonly BlockSegment[])[] = [];
  const order = await advisedOrder([farther, c, a, far, b], SHAPE, async (segments) => {
    asked.push(segments);
    return [2, 0, 1];
  });
  expect(order).toEqual([farther, a, b, c, far]);
  const blockOf = (offset: number) => 1000 + Math.floor(offset / BLOCK);
  expect(asked).toEqual([
    [
      { firstBlock: 1000, lastBlock: blockOf(NEAR / 2) },
      { firstBlock: blockOf(10 * NEAR), lastBlock: blockOf(10 * NEAR + BLOCK * 2 - 1) },
      { firstBlock: blockOf(30 * NEAR), lastBlock: blockOf(30 * NEAR) },
    ],
  ]);
});

test('nothing is asked where there is nothing to choose', async () => {
  const never = async () => {
    throw new Error('nobody asks');
  };
  expect(await advisedOrder([], SHAPE, never)).toBeUndefined();
  expect(await advisedOrder([run(5, 5), run(NEAR / 2, 1)], SHAPE, never)).toBeUndefined();
  // An earlier one may end behind a later one.
  const long = run(0, 100 * NEAR);
  expect(await advisedOrder([long, run(50 * NEAR, 1)], SHAPE, never)).toBeUndefined();
});

test('a drive that does not say leaves it to others', async () => {
  const runs = [run(0, 1), run(50 * NEAR, 1)];
  expect(await advisedOrder(runs, SHAPE, async () => undefined)).toBeUndefined();
});
