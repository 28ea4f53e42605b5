/** Which copies a scrub reads, and in which order. */
import { expect, test } from 'vitest';
import type { CopyToRead } from '../../../../src/catalog/care/read-back.ts';
import { chooseCopies } from '../../../../src/job/scrub/choose.ts';

const MIB = 2 ** 20;

/** @param readMs of each archive of the medium, in order of tape; each has ten blocks of a MiB */
function medium(barcode: string, ...readMs: number[]) {
  const copies = readMs.map(
    (ms, index): CopyToRead => ({
      ...{
        archiveId: index + 1,
        uuid: `${barcode}-${index + 1}`,
        mediumId: 1,
        fileNumber: index + 1,
      },
      ...{ startBlock: 1 + 11 * index, blockBytes: MIB, lengthBytes: 10 * MIB, lengthBlocks: 10 },
      ...{ blake3: undefined, sha256: undefined, journalBytes: undefined, isTorn: false },
      ...{ readMs: ms, verifiedMs: undefined },
    }),
  );
  return { barcode, copies };
}

const ALL = { maxBytes: Number.POSITIVE_INFINITY, samplePercent: 100, isDone: () => false };
const media = [medium('B', 30, 10, 20), medium('A', 40, 15), medium('C')];

test.each([
  [
    'all: the medium with what was unread for longest first, each in order of tape',
    {},
    ['B 1 2 3', 'A 1 2', 'C'],
  ],
  ['of so many bytes: begun below the bound, oldest first', { maxBytes: 15 * MIB }, ['B 2 3']],
  ['of more than one medium has', { maxBytes: 35 * MIB }, ['B 1 2 3', 'A 2']],
  ['a sample: of each the oldest, at least one', { samplePercent: 1 }, ['B 2', 'A 2', 'C']],
  ['half of each by bytes', { samplePercent: 50 }, ['B 2 3', 'A 2', 'C']],
  [
    'what is done is not read again, and counts for the sample',
    { samplePercent: 50, isDone: ({ uuid }: CopyToRead) => uuid === 'B-2' },
    ['B 3', 'A 2', 'C'],
  ],
])('%s', (_, bounds, expected) => {
  const chosen = chooseCopies(media, { ...ALL, ...bounds });
  const words = chosen.map(({ barcode, copies }) =>
    [barcode, ...copies.map(({ fileNumber }) => fileNumber)].join(' '),
  );
  expect(words).toEqual(expected);
});
