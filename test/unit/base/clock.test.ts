import { describe, expect, test } from 'vitest';
import { SimClock, systemClock } from '../../../src/base/clock.ts';

const never = new AbortController().signal;

describe.each([
  ['system', () => systemClock],
  ['simulated', () => new SimClock()],
])('%s clock', (_, make) => {
  test('a sleep ends, and time has not gone backwards', async () => {
    const clock = make();
    const start = clock.monotonicMs();
    await clock.sleepMs(5, never);
    expect(clock.monotonicMs()).toBeGreaterThanOrEqual(start);
  });

  test('an aborted sleep rejects with the reason', async () => {
    const clock = make();
    const abort = new AbortController();
    const sleep = clock.sleepMs(3_600_000, abort.signal);
    abort.abort(new Error('enough'));
    await expect(sleep).rejects.toThrow('enough');
    await expect(clock.sleepMs(1, abort.signal)).rejects.toThrow('enough');
  });
});

describe('SimClock', () => {
  test('a sleep lasts exactly as long as asked', async () => {
    const clock = new SimClock();
    await clock.sleepMs(5, never);
    expect(clock.monotonicMs()).toBe(5);
  });

  test('a thousand hours pass at once, sleepers wake in order of time', async () => {
    const clock = new SimClock();
    const woken: string[] = [];
    const sleeper = async (name: string, hours: number) => {
      await clock.sleepMs(hours * 3_600_000, never);
      woken.push(`${name} ${clock.monotonicMs() / 3_600_000}`);
    };
    await Promise.all([sleeper('late', 1000), sleeper('early', 1), sleeper('same', 1)]);
    expect(woken).toEqual(['early 1', 'same 1', 'late 1000']);
  });

  test('a sleeper that sleeps again keeps its place among the others', async () => {
    const clock = new SimClock(0);
    const woken: number[] = [];
    const tick = async () => {
      for (let i = 0; i < 3; i++) {
        await clock.sleepMs(10, never);
        woken.push(clock.nowMs());
      }
    };
    const once = async () => {
      await clock.sleepMs(25, never);
      woken.push(clock.nowMs());
    };
    await Promise.all([tick(), once()]);
    expect(woken).toEqual([10, 20, 25, 30]);
  });
});
