import { describe, expect, test } from 'vitest';
import { GENERATIONS } from '../../../src/domain/generation.ts';
import {
  type ConfiguredLimits,
  defaultMarginBytes,
  FORMAT_BOUNDS,
  NO_RESERVE,
  planLimits,
  roomBytes,
} from '../../../src/pack/limits.ts';
import { freshRoomBytes } from '../../../src/pack/place.ts';

const limitsOf = (freshBytes: number, configured: ConfiguredLimits = {}) =>
  planLimits({
    freshRoomBytes: freshBytes,
    configured,
    bounds: FORMAT_BOUNDS,
    reserve: { ...NO_RESERVE, fixedBytes: 2 ** 20 },
  });

test('on an LTO-9 cartridge: 32 GB, 64 GiB, a million', () =>
  expect(limitsOf(GENERATIONS['LTO-9'].targetFillBytes)).toMatchObject({
    archiveBytes: 32e9,
    partBytes: 64 * 2 ** 30,
    wholeBytesMax: 64 * 2 ** 30,
    entriesMax: 1_000_000,
  }));

test('on a small one what fits: parts of whole segments', () => {
  const { archiveBytes, partBytes } = limitsOf(2 ** 30);
  // Less label and reserve of a MiB each
  expect(archiveBytes).toBe(2 ** 30 - 2 * 2 ** 20);
  expect(partBytes).toBe(64 * 2 ** 20);
});

test('on a tiny one parts smaller than a segment', () => {
  const { archiveBytes, partBytes } = limitsOf(6 * 2 ** 20);
  expect(archiveBytes).toBe(4 * 2 ** 20);
  expect(partBytes).toBe(126 * 4096); // an eighth of 4 MiB less 64 KiB
});

test('what is configured holds, for what is split too', () =>
  expect(limitsOf(18e12, { archiveBytes: 100e9, partBytes: 5e9, entriesMax: 10 })).toMatchObject({
    archiveBytes: 100e9,
    partBytes: 5e9,
    wholeBytesMax: 5e9,
    entriesMax: 10,
  }));

test.each<[ConfiguredLimits, string]>([
  [{ archiveBytes: 2 ** 30 }, 'an archive of 1.07 GB cannot be: an empty medium of the pool has'],
  [{ partBytes: 2 ** 30 }, 'a part of 1.07 GB cannot be: an empty medium of the pool has room for'],
  [{ partBytes: 1 }, 'a part of 1 B cannot be: a block has 524 kB; give more, or leave it out'],
  [{ archiveBytes: 0 }, 'an archive of 0 B cannot be: a block has'],
  [{ entriesMax: 0 }, 'an archive has at least one entry, not 0'],
])('%o cannot fit', (configured, message) =>
  expect(() => limitsOf(2 ** 30, configured)).toThrow(
    expect.objectContaining({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(message),
    }),
  ),
);

test('the largest that fits, does', () => {
  const fits = limitsOf(2 ** 30).archiveBytes;
  const overhead = FORMAT_BOUNDS.archiveBytes;
  const given = { archiveBytes: fits, partBytes: fits - overhead };
  expect(limitsOf(2 ** 30, given)).toMatchObject(given);
  expect(() => limitsOf(2 ** 30, { archiveBytes: fits + 1 })).toThrow('cannot be');
  expect(() => limitsOf(2 ** 30, { partBytes: fits - overhead + 1 })).toThrow('cannot be');
});

describe('room', () => {
  const medium = { targetFillBytes: 1000, writtenBytes: 300, marginBytes: 50 };
  test.each([
    ['by the fill', { remainingBytes: 2000 }, 700],
    ['by the chip less the margin', { remainingBytes: 600 }, 550],
    ['without a chip', { remainingBytes: undefined }, 700],
    ['none', { remainingBytes: 20 }, 0],
  ])('%s', (_name, { remainingBytes }, expected) =>
    expect(roomBytes({ ...medium, remainingBytes })).toBe(expected),
  );
  test('none beyond the fill', () =>
    expect(roomBytes({ ...medium, writtenBytes: 1001, remainingBytes: 9999 })).toBe(0));
});

test.each([
  [18e12, 50e9],
  [1.5e12, 45e9],
  [1e9, 30e6],
])('of %d bytes %d are kept before the end', (capacityBytes, marginBytes) =>
  expect(defaultMarginBytes(capacityBytes)).toBe(marginBytes),
);

test('an empty medium, for so many copies', () => {
  const media = [
    { key: 'A', state: 'scratch', roomBytes: 5 },
    { key: 'B', state: 'scratch', roomBytes: 9 },
    { key: 'C', state: 'appendable', roomBytes: 99 },
  ] as const;
  expect(freshRoomBytes(media, 1)).toBe(9);
  expect(freshRoomBytes(media, 2)).toBe(5);
  expect(freshRoomBytes(media, 3)).toBeUndefined();
});
