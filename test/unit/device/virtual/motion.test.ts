import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  BACKHITCH_SECONDS,
  MECHANICS,
  START_STOP_SECONDS,
  WRAP_CHANGE_SECONDS,
} from '../../../../src/device/virtual/mechanics.ts';
import { Motion } from '../../../../src/device/virtual/motion.ts';

/** 280 wraps of 1 GB each: half a wrap is 517.5 m of 1035 m, 30 of the 60 s that travelling takes without start and stop. */
const CAPACITY = 280e9;
const LTO9 = MECHANICS['LTO-9'];
const make = () => new Motion(LTO9, CAPACITY);
const MB = 1e6;

describe('places on an LTO-9 tape', () => {
  test.each([
    [0, 0, 0],
    [0.5e9, 0, 517.5],
    [1e9, 1, 1035], // the far end, where wrap 1 begins
    [1.5e9, 1, 517.5],
    [2e9, 2, 0],
    [279e9, 279, 1035],
    [280e9, 279, 0],
    [281e9, 279, 0],
  ])('byte %d lies on wrap %i, %d m from the beginning', (bytes, wrap, metres) => {
    expect(make().placeOf(bytes)).toEqual({ wrap, metres: expect.closeTo(metres, 6) });
  });
});

describe('seconds by hand, LTO-9', () => {
  test.each([
    ['nowhere', 0, 0, 0],
    ['half a wrap', 0, 0.5e9, 2 + 30],
    ['back', 0.5e9, 0, 2 + 30],
    ['a tenth of a wrap', 0, 0.1e9, 2 + 6],
    ['to the far end', 0, 1e9, 1 + 2 + 60],
    ['a whole wrap on, and back at the beginning', 0, 2e9, 1 + 2],
    ['to the same metre on the next wrap', 0.25e9, 1.75e9, 1 + 2],
    ['over the whole capacity: the last wrap ends at the beginning', 0, 280e9, 1 + 2],
    ['from the middle of the first to the middle of the last', 0.5e9, 279.5e9, 1 + 2],
  ])('locate %s', (_, from, to, seconds) =>
    expect(make().locate(from, to)).toBeCloseTo(seconds, 6),
  );

  test.each([
    [0, 0],
    [2e9, 0],
    [0.5e9, 32],
    [1e9, 62],
    [1.75e9, 17],
  ])('rewind from %d', (from, seconds) => {
    expect(make().rewind(from)).toBeCloseTo(seconds, 6);
    expect(make().unload(from)).toBeCloseTo(seconds + 56, 6);
  });

  test('load', () => expect(make().load()).toBe(16));

  test('the first write starts the tape, the buffer takes a gibibyte, then the tape sets the pace', () => {
    const motion = make();
    expect(motion.write(MB, 0)).toEqual({ seconds: 2, backhitches: 0 });
    expect(motion.write(2 ** 30 - MB, 0)).toEqual({ seconds: 0, backhitches: 0 });
    expect(motion.write(400 * MB, 0)).toEqual({ seconds: 1, backhitches: 0 });
    expect(motion.flush()).toBeCloseTo(2 ** 30 / 400e6, 9);
    expect(motion.flush()).toBe(0);
    expect(motion.write(MB, 99)).toEqual({ seconds: 2, backhitches: 0 });
  });

  test('a host that is late for longer than the buffer lasts makes the tape go back', () => {
    const motion = make();
    motion.write(177 * MB, 0);
    // at 177 MB/s the buffer lasts a second
    expect(motion.write(177 * MB, 1)).toEqual({ seconds: 1, backhitches: 0 });
    expect(motion.write(177 * MB, 1.5)).toEqual({ seconds: 1.5 + 2.5, backhitches: 1 });
  });

  test('reading: the first block starts the tape, then the tape sets the pace, or the host', () => {
    const motion = make();
    expect(motion.read(400 * MB, 0)).toEqual({ seconds: 2 + 1, backhitches: 0 });
    expect(motion.read(400 * MB, 0)).toEqual({ seconds: 1, backhitches: 0 });
    // half a second of 400 MB/s is there already
    expect(motion.read(400 * MB, 0.5)).toEqual({ seconds: 0.5 + 0.5, backhitches: 0 });
    expect(motion.read(100 * MB, 1)).toEqual({ seconds: 1, backhitches: 0 });
    // 300 MB ahead; ten more seconds fill the buffer, and the tape stops
    expect(motion.read(MB, 10)).toEqual({ seconds: 10, backhitches: 1 });
  });

  test('turning from writing to reading empties the buffer and starts again', () => {
    const motion = make();
    motion.write(400 * MB, 0);
    expect(motion.read(400 * MB, 9).seconds).toBeCloseTo(1 + 2 + 1, 9);
    expect(motion.write(MB, 9)).toEqual({ seconds: 2, backhitches: 0 });
  });

  test('a locate empties the buffer first', () => {
    const motion = make();
    motion.write(400 * MB, 0);
    expect(motion.locate(0.5e9, 0)).toBeCloseTo(1 + 32, 9);
  });
});

describe('whatever the drive', () => {
  const mechanics = fc.constantFrom(...Object.values(MECHANICS));
  const capacity = fc.integer({ min: 8 * 2 ** 20, max: 30e12 });
  const share = fc.double({ min: 0, max: 1, noNaN: true });

  test('a locate takes as long there as back, nothing for no move, and has an upper bound', () =>
    fc.assert(
      fc.property(mechanics, capacity, share, share, (of, bytes, a, b) => {
        const [from, to] = [Math.floor(a * bytes), Math.floor(b * bytes)];
        const seconds = new Motion(of, bytes).locate(from, to);
        expect(seconds).toBe(new Motion(of, bytes).locate(to, from));
        expect(seconds <= of.endToEndSeconds + WRAP_CHANGE_SECONDS + 1e-9).toBe(true);
        expect(seconds >= START_STOP_SECONDS || from === to).toBe(true);
        expect(new Motion(of, bytes).locate(from, from)).toBe(0);
        expect(new Motion(of, bytes).rewind(from)).toBeLessThanOrEqual(of.endToEndSeconds + 1e-9);
      }),
      { numRuns: 500 },
    ));

  const host = fc.record({
    of: mechanics,
    blockBytes: fc.integer({ min: 64 * 1024, max: 8 * 2 ** 20 }),
    blocks: fc.integer({ min: 2, max: 3000 }),
    share: fc.double({ min: 0.001, max: 0.999, noNaN: true }),
  });
  type Host = typeof host extends fc.Arbitrary<infer T> ? T : never;

  function write({ of, blockBytes, blocks }: Host, rateMbs: number) {
    const motion = new Motion(of, 10e12);
    const lateSeconds = blockBytes / (rateMbs * MB);
    const sum = { seconds: 0, backhitches: 0 };
    for (let count = 0; count < blocks; count += 1) {
      const spent = motion.write(blockBytes, count === 0 ? 0 : lateSeconds);
      sum.seconds += spent.seconds;
      sum.backhitches += spent.backhitches;
    }
    return { ...sum, lateSeconds, flushSeconds: motion.flush() };
  }

  test('a host between the slowest and the native rate streams at its own pace', () =>
    fc.assert(
      fc.property(host, (made) => {
        const { slowestRateMbs, rateMbs } = made.of;
        const rate = slowestRateMbs * 1.0001 + (rateMbs - slowestRateMbs * 1.0001) * made.share;
        const { seconds, backhitches, lateSeconds } = write(made, rate);
        expect(backhitches).toBe(0);
        expect(seconds).toBeCloseTo(START_STOP_SECONDS + (made.blocks - 1) * lateSeconds, 6);
      }),
      { numRuns: 100 },
    ));

  test('at the native rate, to the second', () =>
    fc.assert(
      fc.property(host, (made) => {
        const { seconds, backhitches } = write(made, made.of.rateMbs);
        expect(backhitches).toBe(0);
        const bytes = made.blockBytes * (made.blocks - 1);
        expect(seconds).toBeCloseTo(START_STOP_SECONDS + bytes / (made.of.rateMbs * MB), 6);
      }),
      { numRuns: 100 },
    ));

  test('a host faster than the tape waits for it, and never makes it go back', () =>
    fc.assert(
      fc.property(host, (made) => {
        const { seconds, backhitches, flushSeconds } = write(made, made.of.rateMbs / made.share);
        expect(backhitches).toBe(0);
        const tapeSeconds = (made.blockBytes * made.blocks) / (made.of.rateMbs * MB);
        // not faster than the tape, and no more than one buffer slower
        const least = tapeSeconds + START_STOP_SECONDS;
        expect(seconds + flushSeconds).toBeGreaterThan(least - 1e-6);
        expect(seconds + flushSeconds).toBeLessThan(
          least + made.of.bufferBytes / (made.of.rateMbs * MB) + 1,
        );
      }),
      { numRuns: 100 },
    ));

  test('a host slower than the slowest rate makes it go back', () =>
    fc.assert(
      fc.property(host, (made) => {
        const { seconds, backhitches, lateSeconds } = write(
          made,
          made.of.slowestRateMbs * made.share,
        );
        expect(backhitches).toBeGreaterThan(0);
        const expected = START_STOP_SECONDS + (made.blocks - 1) * lateSeconds;
        expect(seconds).toBeCloseTo(expected + backhitches * BACKHITCH_SECONDS, 5);
      }),
      { numRuns: 100 },
    ));

  test('time never runs backwards', () =>
    fc.assert(
      fc.property(
        mechanics,
        fc.array(
          fc.tuple(
            fc.constantFrom('write', 'read', 'flush'),
            fc.integer({ min: 1, max: 2 ** 24 }),
            fc.double({ min: 0, max: 100, noNaN: true }),
          ),
        ),
        (of, steps) => {
          const motion = new Motion(of, 1e12);
          for (const [kind, bytes, late] of steps) {
            const seconds =
              kind === 'flush'
                ? motion.flush()
                : kind === 'read'
                  ? motion.read(bytes, late).seconds
                  : motion.write(bytes, late).seconds;
            expect(seconds).toBeGreaterThanOrEqual(0);
          }
        },
      ),
    ));
});
