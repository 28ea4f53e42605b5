import { expect, test } from 'vitest';
import { directoryNode, nodeRef } from '../../../src/mount/node-id.ts';
import { hasFolder, mediumViewNumber, snapshotViewNumber } from '../../../src/mount/views.ts';

const HALF_A_MILLION = 2 ** 19;
const named = expect.objectContaining({ code: 'FAILED' });

test('the last directory, run and medium that have a number keep theirs; behind them only they fail', () => {
  const viewNumber = mediumViewNumber(HALF_A_MILLION - 1);
  const directoryId = 2 ** 30 - 1;
  const ref = { kind: 'directory', viewNumber, directoryId };
  expect(nodeRef(directoryNode(viewNumber, directoryId))).toEqual(ref);
  expect(() => directoryNode(viewNumber, directoryId + 1)).toThrow(named);
  expect(() => directoryNode(mediumViewNumber(HALF_A_MILLION), 1)).toThrow(named);
  const last = HALF_A_MILLION - 17;
  expect([last, last + 1].map(hasFolder)).toEqual([true, false]);
  expect(snapshotViewNumber(last)).toBe(HALF_A_MILLION - 1);
  expect(() => snapshotViewNumber(last + 1)).toThrow(named);
});
