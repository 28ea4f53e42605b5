import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Forecaster, type ForecastOptions, tapeTimes } from '../../../src/pack/forecast.ts';
import type { PlanItem } from '../../../src/pack/item.ts';
import { NO_RESERVE, planLimits } from '../../../src/pack/limits.ts';
import type { MediumRoom } from '../../../src/pack/place.ts';
import { planSteps } from '../../../src/pack/plan.ts';

const BOUNDS = { blockBytes: 1, labelBytes: 10, archiveBytes: 0 };
/** One byte a second, and a second for each thing. */
const TIMES = { rateBytes: 1, loadSeconds: 1, unloadSeconds: 1, archiveSeconds: 1 };

function forecast(sizes: number[], rooms: number[], given: Partial<ForecastOptions> = {}) {
  const media = rooms.map(
    (roomBytes, index): MediumRoom => ({ key: `M${index}`, state: 'scratch', roomBytes }),
  );
  const copies = given.copies ?? 1;
  const options = { media, labelBytes: 10, drives: 1, copies, times: TIMES, ...given };
  const limits = planLimits({
    freshRoomBytes: Math.max(...rooms),
    configured: {},
    bounds: BOUNDS,
    reserve: NO_RESERVE,
  });
  const items = sizes.map(
    (sizeBytes, key): PlanItem<number> => ({
      key,
      sizeBytes,
      storedBytesMax: sizeBytes,
      headerBytesMax: 0,
      journalBytesMax: 0,
    }),
  );
  const forecaster = new Forecaster<number>(options);
  for (const step of planSteps(items, { media, copies, limits })) forecaster.take(step);
  return forecaster.forecast();
}

test('media with their fill, the label counted', () =>
  expect(forecast([60, 30, 50], [100, 100, 100])).toMatchObject({
    media: [
      { key: 'M0', writtenBytes: 100, roomBytes: 100, archives: 1 },
      { key: 'M1', writtenBytes: 60, roomBytes: 100, archives: 1 },
    ],
    entries: 3,
    archives: 2,
    storedBytes: 140,
    wasteBytes: 0,
  }));

test('waste beside first-fit decreasing', () => {
  // In path order: 40 40 | 50 | 50; decreasing: 50 40 | 50 40
  expect(forecast([40, 40, 50, 50], [100, 100, 100])).toMatchObject({
    media: [{ writtenBytes: 90 }, { writtenBytes: 60 }, { writtenBytes: 60 }],
    wasteBytes: 10 + 40,
    tightest: { media: 2, wasteBytes: 0 },
  });
});

test('of several copies one is compared', () =>
  // In path order: 60 | 70 80; decreasing: 80 | 70 60
  expect(forecast([60, 70, 80], [100, 100, 200, 200], { copies: 2 })).toMatchObject({
    media: [{ key: 'M0' }, { key: 'M1' }, { key: 'M2' }, { key: 'M3' }],
    storedBytes: 210,
    wasteBytes: 60,
    tightest: { media: 2, wasteBytes: 10 },
  }));

test('small pieces fill every gap', () =>
  expect(forecast([60_000, 30_000, ...Array(1000).fill(50)], [100_010, 100_010]).tightest).toEqual({
    media: 2,
    wasteBytes: 0,
  }));

test('a piece that only an appendable medium has room for', () => {
  const media: MediumRoom[] = [
    { key: 'A', state: 'appendable', roomBytes: 100 },
    { key: 'B', state: 'scratch', roomBytes: 100 },
  ];
  const options = { media, labelBytes: 10, drives: 1, copies: 1, times: TIMES };
  const forecaster = new Forecaster<string>(options);
  const item = {
    key: 'a',
    sizeBytes: 95,
    storedBytesMax: 95,
    headerBytesMax: 0,
    journalBytesMax: 0,
  };
  forecaster.take({ kind: 'begin', media: ['A'] });
  forecaster.take({ kind: 'piece', item, part: undefined });
  forecaster.take({ kind: 'end', bytesMax: 95, entries: 1 });
  expect(forecaster.forecast()).toMatchObject({
    media: [{ key: 'A', writtenBytes: 95 }],
    tightest: { media: 1, wasteBytes: 0 },
  });
});

test('nothing takes nothing', () =>
  expect(forecast([], [100])).toEqual({
    media: [],
    entries: 0,
    archives: 0,
    storedBytes: 0,
    wasteBytes: 0,
    tightest: { media: 0, wasteBytes: 0 },
    hours: 0,
  }));

describe('hours', () => {
  const hours = (given: Partial<ForecastOptions>) =>
    forecast([60, 70], [100, 100, 100, 100], given).hours * 3600;
  // Two media: label and file a byte a second; load, filemark and unload
  test('one drive', () => expect(hours({})).toBeCloseTo(70 + 80 + 2 * 3));
  test('a slow source', () => expect(hours({ sourceBytes: 0.5 })).toBeCloseTo(2 * 150 + 6));
  test('a fast source does not help', () => expect(hours({ sourceBytes: 100 })).toBeCloseTo(156));
  test('two copies one after the other', () => expect(hours({ copies: 2 })).toBeCloseTo(312));
  test('two copies at once', () => expect(hours({ copies: 2, drives: 2 })).toBeCloseTo(156));
  test('a second drive does not help one copy', () =>
    expect(hours({ drives: 2 })).toBeCloseTo(156));
  test('a full LTO-9 cartridge takes half a day', () => {
    const { rateBytes } = tapeTimes('LTO-9');
    expect(18e12 / rateBytes / 3600).toBeCloseTo(12.5);
  });
});

test('first-fit decreasing takes no less than the bytes need, nor more than its known bound', () =>
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 9_000 }), { maxLength: 60 }), (sizes) => {
      const { media, tightest, storedBytes } = forecast(sizes, Array(100).fill(10_010));
      expect(tightest.media).toBeGreaterThanOrEqual(Math.ceil(storedBytes / 10_000));
      // By the known bound of the method: 11/9 of the best, and the best is at most ours.
      expect(tightest.media).toBeLessThanOrEqual((11 / 9) * media.length + 1);
    }),
  ));
