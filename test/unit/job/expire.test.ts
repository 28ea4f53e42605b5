/** The guards of expiry, each by itself; and that no sequence of anything drops what must be kept. */
import { describe, expect, test } from 'vitest';
import { type Clock, SimClock } from '../../../src/base/clock.ts';
import { CodedError } from '../../../src/base/errors.ts';
import { seededRandom, systemRandom } from '../../../src/base/random.ts';
import { rawOf } from '../../../src/base/raw.ts';
import type { Catalog } from '../../../src/catalog/catalog.ts';
import { Expiries } from '../../../src/catalog/expiry/expiries.ts';
import { Retention } from '../../../src/catalog/expiry/retention.ts';
import { Alarms } from '../../../src/catalog/job/alarms.ts';
import { Jobs } from '../../../src/catalog/job/jobs.ts';
import { Media } from '../../../src/catalog/shelf/media.ts';
import { Snapshots } from '../../../src/catalog/tree/snapshots.ts';
import { parseConfig } from '../../../src/config.ts';
import { type ExpireEvent, expire, planExpiry } from '../../../src/job/expire.ts';
import {
  holdSnapshot,
  releaseSnapshot,
  tagSnapshot,
  untagSnapshot,
} from '../../../src/job/snapshot-marks.ts';
import { seedCount } from '../../sim/seeds.ts';
import { tellSnapshot } from '../../sim/told-run.ts';
import { attributes, content, JOB, storeAll, world } from '../catalog/scratch.ts';

const go = new AbortController().signal;
const DAY_MS = 86_400_000;
const YEAR_MS = 365.25 * DAY_MS;
const HOST = 'here';

/** As the config file says it. */
function rules(text: string) {
  return parseConfig(`[library]\nkind = "virtual"\n[retention]\n${text}`, 'config').retention;
}

/** A clock that a person may set. */
class SetClock extends SimClock implements Clock {
  #setMs = 0;
  override nowMs(): number {
    return super.nowMs() + this.#setMs;
  }
  set(byMs: number): void {
    this.#setMs += byMs;
  }
}

/** With a snapshot a day, each with bytes of its own. */
function days(count: number) {
  const clock = new SetClock();
  const { catalog } = world(clock);
  const back = (state: 'finished' | 'partial' = 'finished') => {
    clock.advanceMs(DAY_MS);
    const text = `bytes of ${clock.nowMs()} and ${Math.floor(clock.monotonicMs())}`;
    return tellSnapshot(catalog, { put: { '/file': text } }, { hostName: HOST, state });
  };
  for (let day = 0; day < count; day += 1) back();
  return { clock, catalog, back };
}

function run(
  catalog: Catalog,
  text: string,
  options: { clockIsRight?: boolean; signal?: AbortSignal; events?: ExpireEvent[] } = {},
) {
  const tools = {
    catalog,
    retention: rules(text),
    clock: catalog.clock,
    random: systemRandom,
    host: { name: HOST, system: 'test' },
    pid: process.pid,
  };
  const listen = (event: ExpireEvent) => {
    options.events?.push(event);
  };
  const request = { clockIsRight: options.clockIsRight ?? false };
  return expire(request, tools, listen, options.signal ?? go);
}

const idsOf = (catalog: Catalog) => new Snapshots(catalog).list().map(({ id }) => id);

async function refusal(running: Promise<unknown>): Promise<string> {
  const error = await running.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return error instanceof CodedError ? `${error.code}: ${error.message}` : String(error);
}

test('what no rule keeps expires, is told, recorded, and swept; a second run finds nothing to do', async () => {
  const { catalog } = days(5);
  const events: ExpireEvent[] = [];
  const plan = planExpiry(catalog, rules('keep-last = 2'));
  expect(plan.expiring.map(({ id }) => id)).toEqual([1, 2, 3]);
  expect(idsOf(catalog)).toHaveLength(5);
  const report = await run(catalog, 'keep-last = 2', { events });
  expect(report).toMatchObject({
    expired: ['2026-01-02T000000Z', '2026-01-03T000000Z', '2026-01-04T000000Z'],
    kept: 2,
    freed: plan.freed,
    swept: { versions: 3, inodes: 3, contents: 3 },
    waitsFor: null,
  });
  expect(events.map(({ event }) => event).filter((event) => event !== 'sweep')).toEqual([
    ...['begin', 'expired', 'expired', 'expired', 'end'],
  ]);
  expect(idsOf(catalog)).toEqual([4, 5]);
  const job = new Jobs(catalog).list(1)[0];
  expect(job).toMatchObject({ verb: 'expire', state: 'finished', number: report.job });
  expect(new Jobs(catalog).logs(job?.number ?? 0, 0, 10)).toHaveLength(3);
  expect(new Expiries(catalog).untold().map(({ kind, name }) => `${kind} ${name}`)).toEqual([
    'snapshot 2026-01-02T00:00:00Z',
    'snapshot 2026-01-03T00:00:00Z',
    'snapshot 2026-01-04T00:00:00Z',
  ]);
  expect(await run(catalog, 'keep-last = 2')).toMatchObject({ job: null, expired: [], kept: 2 });
});

test('no policy: everything is kept, and nothing recorded', async () => {
  const { catalog } = days(3);
  expect(await run(catalog, '')).toMatchObject({ job: null, expired: [], kept: 3 });
  expect(planExpiry(catalog, rules('')).hasPolicy).toBe(false);
});

describe('guards', () => {
  test('the newest and the held, whatever the plan says', () => {
    const { catalog } = days(4);
    const marks = new Retention(catalog);
    const job = new Jobs(catalog).add({ ...JOB, verb: 'expire', uuid: 'the guards' });
    marks.hold([2], 'mine');
    expect(marks.expire([1, 2, 3, 4], { jobNumber: job, clockIsRight: false })).toEqual([1, 3]);
    expect(marks.expire([1, 2, 3, 4], { jobNumber: job, clockIsRight: false })).toEqual([]);
    expect(idsOf(catalog)).toEqual([2, 4]);
  });

  test('an open alarm, also one that comes between plan and mark', async () => {
    const { catalog } = days(3);
    const alarm = new Alarms(catalog).add(1, ['all is encrypted']);
    expect(await refusal(run(catalog, 'keep-last = 1'))).toMatch(
      /^ALARM_OPEN: .*job 1 .*all is encrypted.*`shelfs alarms settle 1`/,
    );
    expect(planExpiry(catalog, rules('keep-last = 1')).refused).toMatch(/alarms settle/);
    const marks = new Retention(catalog);
    const order = { jobNumber: 1, clockIsRight: true };
    expect(() => marks.expire([1], order)).toThrow(/alarms settle/);
    expect(idsOf(catalog)).toHaveLength(3);
    new Alarms(catalog).settle(alarm.id);
    expect(() => new Alarms(catalog).settle(alarm.id)).toThrow(/no alarm 1 is open/);
    expect((await run(catalog, 'keep-last = 1')).expired).toHaveLength(2);
  });

  test.each([
    [
      'back by an hour',
      -3_600_000,
      /CLOCK_DOUBTFUL: the clock shows 2026-01-03T23:00:00 UTC, but 2026-01-04T00:00:00/,
    ],
    [
      'ahead by ten years',
      10 * YEAR_MS,
      /CLOCK_DOUBTFUL: the clock shows 2036.*more than a year behind/,
    ],
  ])('a clock that went %s, until a person says it is right', async (_, byMs, sentence) => {
    const { catalog, clock } = days(3);
    clock.set(byMs);
    expect(await refusal(run(catalog, 'keep-last = 1'))).toMatch(sentence);
    expect(planExpiry(catalog, rules('keep-last = 1')).refused).toMatch(/--clock-is-right/);
    const marks = new Retention(catalog);
    expect(() => marks.expire([1], { jobNumber: 1, clockIsRight: false })).toThrow(/clock/);
    expect(idsOf(catalog)).toHaveLength(3);
    const told = await run(catalog, 'keep-last = 1', { clockIsRight: true });
    expect(told.expired).toHaveLength(2);
  });

  test('a leap of less than a year that backups went through ages nothing by more than a day', async () => {
    const { catalog, clock, back } = days(10);
    clock.set(300 * DAY_MS);
    back();
    back();
    const plan = planExpiry(catalog, rules('keep-within = "8d"'));
    expect(plan.refused).toBeUndefined();
    // Twelve days, by whatever clock.
    expect(plan.expiring.map(({ id }) => id)).toEqual([1, 2, 3]);
    expect((await run(catalog, 'keep-daily-within = "8d"')).expired).toHaveLength(3);
    expect(idsOf(catalog)).toEqual([4, 5, 6, 7, 8, 9, 10, 11, 12]);
  });

  test('a clock that caught up, and one that was set back within a minute, are right', async () => {
    const { catalog, clock } = days(3);
    clock.set(-30_000);
    expect((await run(catalog, 'keep-last = 2')).expired).toHaveLength(1);
    clock.set(-DAY_MS);
    expect(await refusal(run(catalog, 'keep-last = 1'))).toMatch(/CLOCK_DOUBTFUL/);
    clock.advanceMs(2 * DAY_MS);
    expect((await run(catalog, 'keep-last = 1')).expired).toHaveLength(1);
  });

  test('a leap that a backup went through is not believed, nor its snapshot when the clock is right again', async () => {
    const { catalog, clock, back } = days(3);
    clock.set(3 * YEAR_MS);
    back();
    expect(await refusal(run(catalog, 'keep-all-within = "30d"'))).toMatch(/more than a year/);
    clock.set(-3 * YEAR_MS);
    back();
    expect(await refusal(run(catalog, 'keep-all-within = "30d"'))).toMatch(/was seen before/);
    expect(idsOf(catalog)).toHaveLength(5);
  });

  test('a partial snapshot is not taken for the good one', async () => {
    const { catalog, back } = days(2);
    for (let day = 0; day < 5; day += 1) back('partial');
    await run(catalog, 'keep-last = 1');
    expect(idsOf(catalog)).toEqual([2, 7]);
  });

  test('the last good copy of a path, however old, as long as what came later cannot be read', async () => {
    const { catalog, media, begin, hostId } = world(new SetClock());
    const put = (paths: Record<string, string>, mediumId: number) => {
      const run = begin();
      run.add(
        Object.keys(paths).map((path, index) => ({
          ...run.place(rawOf(path), hostId),
          change: 'new' as const,
          attributes: attributes({ sizeBytes: paths[path]?.length ?? 0 }),
          sourceInode: { device: 1, inode: run.jobNumber * 10 + index, links: 1 },
        })),
      );
      storeAll(run, [mediumId], (path) => content(paths[path] ?? ''));
      return run.finish({ state: 'finished', timeMs: catalog.clock.nowMs() }).id;
    };
    const [good = 0, bad = 0] = media;
    put({ '/torn': 'first', '/whole': 'other' }, good);
    put({ '/torn': 'the second', '/whole': 'other 2' }, good);
    put({ '/torn': 'the third one' }, bad);
    put({ '/whole': 'other three' }, good);
    const setState = (state: 'suspect' | 'filling') => new Media(catalog).setState(bad, state);
    setState('suspect');
    const { kept } = planExpiry(catalog, rules('keep-last = 1'));
    expect(kept.map(({ id, reasons }) => [id, reasons[0]])).toEqual([
      [2, 'last good copy'],
      [4, 'newest'],
    ]);
    await run(catalog, 'keep-last = 1');
    expect(idsOf(catalog)).toEqual([2, 4]);
    setState('filling');
    await run(catalog, 'keep-last = 1');
    expect(idsOf(catalog)).toEqual([4]);
  });

  test('one at a time; a dead one has ended', async () => {
    const { catalog } = days(3);
    const jobs = new Jobs(catalog);
    const other = jobs.add({ ...JOB, verb: 'expire', uuid: 'another' });
    expect(await refusal(run(catalog, 'keep-last = 1'))).toMatch(
      new RegExp(`SOURCE_BUSY: job ${other} \\(process ${process.pid}\\) expires just now`),
    );
    catalog.write(() => catalog.prepare('UPDATE jobs SET pid = 0 WHERE number = ?').run(other));
    expect((await run(catalog, 'keep-last = 1')).expired).toHaveLength(2);
    expect(jobs.get(other)?.state).toBe('failed');
  });
});

test('ended by a person in the sweep: what expired stays so, the next run goes on with the sweep', async () => {
  const { catalog } = days(4);
  const stop = new AbortController();
  const events: ExpireEvent[] = [];
  const running = expire(
    { clockIsRight: false },
    {
      catalog,
      retention: rules('keep-last = 1'),
      clock: catalog.clock,
      random: seededRandom(9),
      host: { name: HOST, system: 'test' },
      pid: process.pid,
    },
    (event) => {
      events.push(event);
      if (event.event === 'sweep') stop.abort(new CodedError('INTERRUPTED', 'enough'));
    },
    stop.signal,
  );
  expect(await refusal(running)).toBe('INTERRUPTED: enough');
  expect(new Jobs(catalog).list(1)[0]?.state).toBe('cancelled');
  expect(idsOf(catalog)).toEqual([4]);
  const report = await run(catalog, 'keep-last = 1');
  expect(report).toMatchObject({ expired: [], swept: { contents: 3 }, waitsFor: null });
});

test('tags and holds are said by people; golden ones by the config', async () => {
  const { catalog, clock, back } = days(40);
  const retention = rules('keep-last = 1\ngolden = "monthly"');
  const marking = (snapshot: string) => ({ catalog, retention, snapshot });
  expect(tagSnapshot(marking('3'), 'release-2.1').tags).toEqual(['release-2.1']);
  expect(tagSnapshot(marking('3'), 'release-2.1').tags).toEqual(['release-2.1']);
  expect(() => tagSnapshot(marking('3'), 'no tag')).toThrow(/is no tag/);
  expect(() => untagSnapshot(marking('3'), 'other')).toThrow(/has no tag/);
  expect(untagSnapshot(marking('3'), 'release-2.1').tags).toEqual([]);
  expect(holdSnapshot(marking('3'), 'audit')).toMatchObject({ hold: 'audit', reasons: ['held'] });
  expect(() => holdSnapshot(marking('3'), ' ')).toThrow(/--reason/);
  expect(() => releaseSnapshot(marking('4'))).toThrow(/not on hold/);
  expect(() => releaseSnapshot(marking('1'))).toThrow(/the config holds snapshot 1/);
  await run(catalog, 'keep-last = 1\ngolden = "monthly"');
  // January, February; day 1 is the 2nd of January.
  expect(new Retention(catalog).list().map(({ id, hold }) => [id, hold])).toEqual([
    [1, 'golden (monthly)'],
    [3, 'audit'],
    [31, 'golden (monthly)'],
    [40, undefined],
  ]);
  // What was held stays so without the config.
  releaseSnapshot({ catalog, retention: rules('keep-last = 1'), snapshot: '1' });
  clock.advanceMs(DAY_MS);
  back();
  await run(catalog, 'keep-last = 1');
  expect(idsOf(catalog)).toEqual([3, 31, 41]);
});

const POLICIES = [
  'keep-last = 1',
  'keep-daily = 2\npick = "earliest"',
  'keep-all-within = "1h"',
  'keep-monthly-within = "2mo"\ngolden = "yearly"',
  'keep-hourly = 3\ngolden = "monthly"',
  '',
];

test('no sequence of expiry, clock jumps and holds ever drops the newest, a held or the last complete one', async () => {
  for (let seed = 0; seed < seedCount({ usual: 4, soak: 400 }); seed += 1) {
    const random = seededRandom(seed);
    const { catalog, clock, back } = days(1);
    const held = new Set<number>();
    let newest = 1;
    let complete = 1;
    for (let step = 0; step < 40; step += 1) {
      const ids = idsOf(catalog);
      const some = ids[random.below(ids.length)] ?? 1;
      const retention = rules(POLICIES[random.below(POLICIES.length)] ?? '');
      const drawn = random.below(10);
      if (drawn < 4) {
        const isPartial = random.below(3) === 0;
        newest = back(isPartial ? 'partial' : 'finished').id;
        if (!isPartial) complete = newest;
      } else if (drawn === 4) {
        const jumps = [-YEAR_MS, -DAY_MS, DAY_MS, 300 * DAY_MS, 20 * YEAR_MS];
        clock.set(jumps[random.below(jumps.length)] ?? 0);
      } else if (drawn === 5) {
        holdSnapshot({ catalog, retention, snapshot: `${some}` });
        held.add(some);
      } else if (drawn === 6 && held.has(some)) {
        releaseSnapshot({ catalog, retention: rules(''), snapshot: `${some}` });
        held.delete(some);
      } else {
        const told = await refusal(
          run(catalog, POLICIES[random.below(POLICIES.length)] ?? '', {
            clockIsRight: random.below(2) === 0,
          }),
        );
        expect(told).toMatch(/^undefined$|^CLOCK_DOUBTFUL/);
      }
      const left = idsOf(catalog);
      expect(left, `seed ${seed}`).toContain(newest);
      expect(left, `seed ${seed}`).toContain(complete);
      for (const id of held) expect(left, `seed ${seed}`).toContain(id);
    }
    catalog.close();
  }
});
