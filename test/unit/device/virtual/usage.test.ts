import { describe, expect, test } from 'vitest';
import { SimClock } from '../../../../src/base/clock.ts';
import { MECHANICS } from '../../../../src/device/virtual/mechanics.ts';
import { emptyStatistics } from '../../../../src/device/virtual/state.ts';
import { type Carried, type Speed, Usage } from '../../../../src/device/virtual/usage.ts';

const NOTHING: Carried = {
  operation: 'position',
  fromBytes: 0,
  toBytes: 0,
  movedBytes: 0,
  filemarks: 0,
  immediate: false,
  lateSeconds: 0,
};

/** A day in the life of a drive, LTO-9 with 1 GB a wrap. */
async function day(usage: Usage): Promise<void> {
  usage.begin(MECHANICS['LTO-9'], 280e9);
  await usage.load(); // 16
  const charge = (carried: Partial<Carried>) => usage.charge({ ...NOTHING, ...carried });
  await charge({ operation: 'write', toBytes: 400e6, movedBytes: 400e6 }); // 2
  await charge({
    operation: 'write',
    fromBytes: 400e6,
    toBytes: 401e6,
    movedBytes: 1e6,
    lateSeconds: 3,
  }); // 3 + 2.5
  await charge({
    operation: 'filemark',
    filemarks: 2,
    immediate: true,
    fromBytes: 401e6,
    toBytes: 401e6,
  });
  await charge({ operation: 'filemark', filemarks: 1, fromBytes: 401e6, toBytes: 401e6 }); // 1/400
  await charge({ operation: 'rewind', fromBytes: 401e6 }); // 2 + 60 * 0.401
  await charge({ operation: 'locate', toBytes: 0.5e9 }); // 32
  await charge({ operation: 'space', fromBytes: 0.5e9, toBytes: 0.5e9 }); // 0
  await charge({ operation: 'position' });
  await charge({ operation: 'read', fromBytes: 0, toBytes: 400e6, movedBytes: 400e6 }); // 2 + 1
  await charge({ operation: 'read', fromBytes: 400e6, toBytes: 400e6 }); // a mark
  await usage.unload(0.5e9); // 32 + 56
}

const SECONDS = 16 + 2 + 5.5 + 1 / 400 + 26.06 + 32 + 3 + 88;

const COUNTS = {
  loads: 1,
  unloads: 1,
  locates: 2,
  rewinds: 1,
  blocksWritten: 2,
  blocksRead: 1,
  bytesWritten: 401e6,
  bytesRead: 400e6,
  filemarks: 3,
  backhitches: 1,
};

async function run(speed: Speed) {
  const clock = new SimClock();
  const usage = new Usage(emptyStatistics(), clock, speed);
  await day(usage);
  return { usage, clock };
}

describe('speed', () => {
  test('model adds up the seconds and waits for none', async () => {
    const { usage, clock } = await run('model');
    expect(usage.statistics).toEqual({ ...COUNTS, modelSeconds: expect.closeTo(SECONDS, 6) });
    expect(clock.monotonicMs()).toBe(0);
  });

  test('real waits for exactly what it adds up', async () => {
    const { usage, clock } = await run('real');
    expect(usage.statistics.modelSeconds).toBeCloseTo(SECONDS, 6);
    expect(clock.monotonicMs()).toBeCloseTo(usage.statistics.modelSeconds * 1000, 6);
  });

  test('instant counts everything but seconds', async () => {
    const { usage, clock } = await run('instant');
    expect(usage.statistics).toEqual({ ...COUNTS, modelSeconds: 0 });
    expect(clock.monotonicMs()).toBe(0);
  });
});

test('what is refused is not counted', async () => {
  const usage = new Usage(emptyStatistics(), new SimClock(), 'model');
  usage.begin(MECHANICS['LTO-9'], 280e9);
  await usage.charge({ ...NOTHING, operation: 'write', movedBytes: 100 });
  await usage.charge({ ...NOTHING, operation: 'read' });
  expect(usage.statistics).toEqual(emptyStatistics());
});

test('without a tape nothing is charged', async () => {
  const usage = new Usage(emptyStatistics(), new SimClock(), 'real');
  await usage.charge({ ...NOTHING, operation: 'rewind', fromBytes: 1e9 });
  expect(usage.statistics).toEqual(emptyStatistics());
});

test('counts go on from those of the process before, and theirs stay theirs', async () => {
  const before = { ...emptyStatistics(), loads: 7, modelSeconds: 5 };
  const usage = new Usage(before, new SimClock(), 'model');
  usage.begin(MECHANICS['LTO-9'], 280e9);
  await usage.load();
  expect(usage.statistics).toMatchObject({ loads: 8, modelSeconds: 21 });
  expect(before.loads).toBe(7);
});
