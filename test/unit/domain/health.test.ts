/** What of wear and errors becomes a warning, and what does not. */
import { describe, expect, test } from 'vitest';
import {
  asksForCleaning,
  cleaningsLeft,
  cleaningWarning,
  driveWarnings,
  type HealthReading,
  mediumWarnings,
} from '../../../src/domain/health.ts';

const GB = 1e9;
const reading = (changed: Partial<HealthReading> = {}): HealthReading => ({
  timeMs: 0,
  alerts: [],
  needsCleaning: false,
  loads: 100,
  writtenMib: 1e6,
  readMib: 1e6,
  correctedWrites: 10,
  correctedReads: 0,
  uncorrectedWrites: 0,
  uncorrectedReads: 0,
  writtenBytes: 100 * GB,
  writeMs: 300_000,
  readBytes: 0,
  readMs: 0,
  ...changed,
});
/** LTO-8: 360 MB/s. */
const LTO8 = { nativeBytesASecond: 360e6 };
const of = (...readings: HealthReading[]) => mediumWarnings(readings, LTO8);
const usual = [1, 2, 3, 4].map((timeMs) => reading({ timeMs }));

describe('a medium', () => {
  test('that is well says nothing, nor does one that nobody knows', () => {
    expect(of(...usual)).toEqual([]);
    expect(of()).toEqual([]);
  });

  test.each([3, 4, 7, 15, 19, 51])('TapeAlert %i', (flag) => {
    const [warning, ...rest] = of(reading({ alerts: [flag] }), ...usual);
    expect(rest).toEqual([]);
    expect(warning).toMatch(new RegExp(`: .+ \\(TapeAlert ${flag}\\)$`));
  });

  test('alerts of the drive are not its own', () => {
    expect(of(reading({ alerts: [20, 21, 22, 30, 36] }))).toEqual([]);
  });

  test.each([
    [17_999, 0],
    [18_000, 1],
    [30_000, 1],
  ])('loaded %i times', (loads, warnings) => {
    expect(of(reading({ loads }), reading({ loads: undefined }))).toHaveLength(warnings);
  });

  test.each([
    ['four times as many', { correctedWrites: 40_000 }, 1],
    ['a few more', { correctedWrites: 25_000 }, 0],
    ['on little data nothing is a trend', { correctedWrites: 40_000, writtenBytes: GB / 2 }, 0],
    [
      'read errors count too',
      { correctedWrites: 0, correctedReads: 90_000, readBytes: 100 * GB },
      1,
    ],
    ['unknown counters', { correctedWrites: undefined, correctedReads: undefined }, 0],
  ])('rising errors: %s', (_, changed, warnings) => {
    const before = usual.map((one) => ({ ...one, correctedWrites: 10_000 }));
    expect(of(...before, reading(changed))).toHaveLength(warnings);
    // Nobody knows what is usual yet.
    expect(of(...before.slice(0, 2), reading(changed))).toEqual([]);
  });

  test.each([
    ['twice slow', [700_000, 700_000], {}, 1],
    ['once slow', [300_000, 700_000], {}, 0],
    ['slow with errors is no speed but an error', [700_000, 700_000], { uncorrectedWrites: 1 }, 0],
    ['slow on little', [700_000, 700_000], { writtenBytes: 5 * GB }, 0],
    ['a clock that does not run', [0, 0], {}, 0],
  ])('speed: %s', (_, times, changed, warnings) => {
    expect(of(...times.map((writeMs) => reading({ writeMs, ...changed })))).toHaveLength(warnings);
  });
});

describe('a drive', () => {
  test.each([20, 21, 22, 23, 30, 36, 39])('TapeAlert %i, until it was cleaned', (flag) => {
    const readings = [reading({ timeMs: 5, alerts: [flag] }), ...usual];
    expect(driveWarnings(readings, [])).toHaveLength(1);
    const cleaned = { timeMs: 6, cleanedBy: 'CLN001L1', outcome: 'cleaned' } as const;
    expect(driveWarnings(readings, [cleaned])).toEqual([]);
  });

  test('asks by its log page alone', () => {
    expect(driveWarnings([reading({ needsCleaning: true })], [])).toEqual([
      expect.stringMatching(/cleaned soon/),
    ]);
    expect(driveWarnings([reading({ needsCleaning: true, alerts: [20] })], [])).toHaveLength(1);
  });

  test('a cleaning cartridge that did not help is named', () => {
    const at = { timeMs: 6, cleanedBy: 'CLN001L1' };
    expect(driveWarnings([], [{ ...at, outcome: 'spent' }])).toEqual([
      expect.stringMatching(/CLN001L1 is used up: put a new one/),
    ]);
    const refused = driveWarnings([], [{ ...at, outcome: 'refused' }]);
    expect(refused[0]).toMatch(/CLN001L1 is not one that it takes/);
    expect(driveWarnings([], [{ ...at, outcome: 'unknown' }])).toEqual([]);
  });
});

test.each([
  [{}, false],
  [{ alerts: [20] }, true],
  [{ alerts: [21] }, true],
  [{ needsCleaning: true }, true],
  [{ alerts: [22, 3] }, false],
])('%j asks to be cleaned: %j, until it was tried', (changed, asks) => {
  const readings = [reading({ timeMs: 5, ...changed }), reading({ timeMs: 6 })];
  expect(asksForCleaning(readings, [])).toBe(asks);
  const tried = { timeMs: 5, cleanedBy: 'CLN001L1', outcome: 'unknown' } as const;
  expect(asksForCleaning(readings, [tried])).toBe(false);
  expect(asksForCleaning(readings, [{ ...tried, timeMs: 4 }])).toBe(asks);
});

test('a cleaning cartridge is counted down, and spent when a drive says so', () => {
  const use = { timeMs: 0, cleanedBy: 'CLN001L1', outcome: 'cleaned' } as const;
  const uses = (count: number) => Array.from({ length: count }, () => use);
  expect(cleaningsLeft(uses(3))).toBe(47);
  expect(cleaningWarning('CLN001L1', uses(44))).toBeUndefined();
  expect(cleaningWarning('CLN001L1', uses(45))).toMatch(/good for 5 more cleanings/);
  expect(cleaningsLeft(uses(60))).toBe(0);
  const spent = [...uses(2), { ...use, outcome: 'spent' } as const];
  expect(cleaningsLeft(spent)).toBe(0);
  expect(cleaningWarning('CLN001L1', spent)).toMatch(/CLN001L1 is used up: take it out/);
});
