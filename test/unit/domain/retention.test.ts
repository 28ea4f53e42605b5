/** What policies keep: tables of vectors, and what must hold whatever the history. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Candidate,
  chosenOf,
  decide,
  PERIODS,
  type Policies,
  type Policy,
} from '../../../src/domain/retention.ts';
import { lessSpan, parseSpan, type Span } from '../../../src/domain/span.ts';

const at = (text: string) => Date.parse(text) / 1000;
const span = (text: string): Span => {
  const parsed = parseSpan(text);
  if (!parsed) throw new Error(`${text} is no span`);
  return parsed;
};

const policy = (changed: Partial<Policy>): Policy => ({
  counts: {},
  windows: {},
  pick: 'latest',
  ...changed,
});
const onlyGeneral = (general: Policy | undefined): Policies => ({
  general,
  sources: {},
  pools: {},
});

const candidate = (id: number, seconds: number, changed: Partial<Candidate> = {}): Candidate => ({
  id,
  seconds,
  isPartial: false,
  sources: ['home'],
  pool: 'main',
  isHeld: false,
  ...changed,
});

/** Every twelve hours from 2026-01-01T00:00Z. */
const HALF_DAYS = (count: number) =>
  Array.from({ length: count }, (_, index) =>
    candidate(index + 1, at('2026-01-01T00:00:00Z') + index * 43_200),
  );

function told(candidates: readonly Candidate[], policies: Policies, asOf = 1e11): string[] {
  return decide(candidates, policies, asOf).flatMap(({ id, reasons }) =>
    reasons.length > 0 ? [`${id}: ${reasons.join(', ')}`] : [],
  );
}

describe('spans', () => {
  test.each([
    ['720h', { count: 720, unit: 'h' }],
    [' 180 D ', { count: 180, unit: 'd' }],
    ['24mo', { count: 24, unit: 'mo' }],
    ['10y', { count: 10, unit: 'y' }],
    ['0d', undefined],
    ['-1d', undefined],
    ['1.5d', undefined],
    ['7m', undefined],
    ['99999y', undefined],
    ['', undefined],
  ])('%s', (text, parsed) => expect(parseSpan(text)).toEqual(parsed));

  test.each([
    ['2026-03-15T10:00:00Z', '1mo', '2026-02-15T10:00:00Z'],
    ['2026-03-31T10:00:00Z', '1mo', '2026-03-01T00:00:00Z'],
    ['2024-03-31T10:00:00Z', '1mo', '2024-03-01T00:00:00Z'],
    ['2024-02-29T12:00:00Z', '1y', '2023-03-01T00:00:00Z'],
    ['2026-01-10T00:00:00Z', '24mo', '2024-01-10T00:00:00Z'],
    ['2026-01-31T00:00:00Z', '2w', '2026-01-17T00:00:00Z'],
    ['2026-01-31T00:00:00Z', '720h', '2026-01-01T00:00:00Z'],
    ['0050-03-31T00:00:00Z', '1mo', '0050-03-01T00:00:00Z'],
  ])('%s less %s', (from, less, expected) =>
    expect(lessSpan(at(from), span(less))).toBe(at(expected)),
  );

  test('a later moment never leads to an earlier one', () => {
    const seconds = fc.integer({ min: -6e10, max: 2e11 });
    const spans = fc.constantFrom('1mo', '13mo', '4y', '24mo', '3d').map(span);
    fc.assert(
      fc.property(seconds, fc.nat(40 * 86_400), spans, (from, later, less) => {
        expect(lessSpan(from + later, less)).toBeGreaterThanOrEqual(lessSpan(from, less));
      }),
    );
  });
});

describe('vectors', () => {
  const ten = HALF_DAYS(10);
  test.each<[string, Partial<Policy>, string[]]>([
    ['keep-last', { last: 3 }, ['8: last', '9: last', '10: newest, last, complete']],
    ['keep-daily', { counts: { daily: 2 } }, ['8: daily', '10: newest, daily, complete']],
    [
      'keep-daily, the earliest of each day',
      { counts: { daily: 2 }, pick: 'earliest' },
      ['7: daily', '9: daily', '10: newest, complete'],
    ],
    // 2026-01-05 is a Monday.
    ['keep-weekly', { counts: { weekly: 9 } }, ['8: weekly', '10: newest, weekly, complete']],
    [
      'keep-all-within',
      { within: span('24h') },
      ['8: within', '9: within', '10: newest, within, complete'],
    ],
    [
      'keep-daily-within, at its edge',
      { windows: { daily: span('36h') } },
      ['8: daily', '10: newest, daily, complete'],
    ],
    [
      'several rules at once',
      { last: 2, counts: { daily: 1, monthly: 5 } },
      ['9: last', '10: newest, last, daily, monthly, complete'],
    ],
  ])('%s', (_, rules, expected) => expect(told(ten, onlyGeneral(policy(rules)))).toEqual(expected));

  test('grandfather, father, son over four years', () => {
    const days = Array.from({ length: 4 * 365 }, (_, index) =>
      candidate(index + 1, at('2022-11-21T21:00:00Z') + index * 86_400),
    );
    const gfs = policy({ counts: { daily: 7, weekly: 4, monthly: 12, yearly: 10 } });
    const kept = decide(days, onlyGeneral(gfs), 1e11).filter(({ reasons }) => reasons.length > 0);
    const date = (id: number) =>
      new Date((days[id - 1]?.seconds ?? 0) * 1000).toISOString().slice(0, 10);
    const ofTier = (tier: string) =>
      kept
        .filter(({ reasons }) => reasons.some((reason) => reason === tier))
        .map(({ id }) => date(id));
    expect(ofTier('yearly')).toEqual([
      '2022-12-31',
      '2023-12-31',
      '2024-12-31',
      '2025-12-31',
      '2026-11-19',
    ]);
    expect(ofTier('weekly')).toEqual(['2026-11-01', '2026-11-08', '2026-11-15', '2026-11-19']);
    expect(ofTier('monthly').slice(-3)).toEqual(['2026-09-30', '2026-10-31', '2026-11-19']);
    expect(ofTier('daily')).toHaveLength(7);
    expect(kept).toHaveLength(7 + 2 + 11 + 3);
  });

  test('windows as they are written: 720h, 180d, 24mo', () => {
    const windows = policy({
      within: span('720h'),
      windows: { daily: span('180d'), monthly: span('24mo') },
    });
    const hours = Array.from({ length: 3 * 365 * 4 }, (_, index) =>
      candidate(index + 1, at('2024-01-01T00:00:00Z') + index * 6 * 3600),
    );
    const decisions = decide(hours, onlyGeneral(windows), 1e11);
    const count = (tier: string) =>
      decisions.filter(({ reasons }) => reasons.some((reason) => reason === tier)).length;
    expect([count('within'), count('daily'), count('monthly')]).toEqual([121, 181, 25]);
  });

  test('no policy keeps everything; so does one for other sources', () => {
    const three = HALF_DAYS(3);
    const everything = ['1: no policy', '2: no policy', '3: newest, complete, no policy'];
    expect(told(three, onlyGeneral(undefined))).toEqual(everything);
    const other = { general: undefined, sources: { photos: policy({ last: 1 }) }, pools: {} };
    expect(told(three, other)).toEqual(everything);
    expect(told([], other)).toEqual([]);
  });

  test('a source or pool of its own takes the place of the general policy; any that applies keeps', () => {
    const runs = [
      candidate(1, 1000, { sources: ['home'] }),
      candidate(2, 2000, { sources: ['photos'] }),
      candidate(3, 3000, { sources: ['home', 'photos'] }),
      candidate(4, 4000, { sources: ['home'], pool: 'vault' }),
      candidate(5, 5000, { sources: ['home'] }),
    ];
    const policies = {
      general: policy({ last: 1 }),
      sources: { photos: policy({ last: 2 }) },
      pools: { vault: policy({ last: 9 }) },
    };
    expect(told(runs, policies)).toEqual([
      '2: last',
      '3: last, complete',
      '4: last, complete',
      '5: newest, last, complete',
    ]);
    const named = { ...policies, sources: { constructor: policy({ last: 1 }) } };
    expect(told([candidate(1, 1, { sources: ['toString'] })], named)).toHaveLength(1);
  });

  test('a partial one is never taken for the good one of its period, nor makes the last complete one go', () => {
    const day = at('2026-05-05T00:00:00Z');
    const runs = [
      candidate(1, day, {}),
      candidate(2, day + 3600, { isPartial: true }),
      candidate(3, day + 86_400, { isPartial: true }),
      candidate(4, day + 90_000, { isPartial: true }),
      candidate(5, day + 2 * 86_400, { isPartial: true }),
    ];
    expect(told(runs, onlyGeneral(policy({ counts: { daily: 3 } })))).toEqual([
      '1: daily, complete',
      '4: daily',
      '5: newest, daily',
    ]);
    expect(told(runs, onlyGeneral(policy({ last: 2 })))).toEqual([
      '1: complete',
      '4: last',
      '5: newest, last',
    ]);
  });

  test('spans reach back from the newest snapshot, not from a clock that has run away', () => {
    const general = onlyGeneral(policy({ within: span('24h') }));
    expect(told(HALF_DAYS(10), general, at('2199-01-01T00:00:00Z'))).toHaveLength(3);
    expect(told(HALF_DAYS(10), general, at('2026-01-02T00:00:00Z'))).toHaveLength(10);
  });

  test('one golden snapshot of each month: the first that is complete', () => {
    const runs = [
      candidate(1, at('2026-01-30T00:00:00Z'), { isPartial: true }),
      candidate(2, at('2026-01-31T00:00:00Z')),
      candidate(3, at('2026-02-01T00:00:00Z')),
      candidate(4, at('2026-02-02T00:00:00Z')),
    ];
    expect(chosenOf(runs, 'monthly', 'earliest').map(({ id }) => id)).toEqual([2, 3]);
  });
});

const spans = fc.constantFrom('6h', '1d', '10d', '3w', '1mo', '5mo', '2y').map(span);
const counts = fc.dictionary(fc.constantFrom(...PERIODS), fc.integer({ min: 1, max: 6 }));
const windows = fc.dictionary(fc.constantFrom(...PERIODS), spans);
const anyPolicy: fc.Arbitrary<Policy> = fc
  .record({
    last: fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined }),
    within: fc.option(spans, { nil: undefined }),
    counts,
    windows,
    pick: fc.constantFrom('latest', 'earliest'),
  })
  .filter(
    ({ last, within, counts, windows }) =>
      last !== undefined ||
      within !== undefined ||
      Object.keys(counts).length + Object.keys(windows).length > 0,
  );
const anyPolicies: fc.Arbitrary<Policies> = fc.record({
  general: fc.option(anyPolicy, { nil: undefined }),
  sources: fc.dictionary(fc.constantFrom('home', 'photos'), anyPolicy),
  pools: fc.dictionary(fc.constantFrom('main', 'vault'), anyPolicy),
});
const anyHistory: fc.Arbitrary<Candidate[]> = fc
  .array(
    fc.record({
      gap: fc.oneof(fc.integer({ min: 1, max: 100_000 }), fc.integer({ min: 1, max: 60 * 86_400 })),
      isPartial: fc.boolean(),
      isHeld: fc.integer({ min: 0, max: 9 }).map((drawn) => drawn === 0),
      sources: fc.subarray(['home', 'photos']),
      pool: fc.constantFrom('main', 'vault', undefined),
    }),
    { minLength: 1, maxLength: 40 },
  )
  .map((runs) => {
    let seconds = at('2020-02-25T00:00:00Z');
    return runs.map(({ gap, ...run }, index) => {
      seconds += gap;
      return { id: index + 1, seconds, ...run };
    });
  });

describe('whatever the history and the policies', () => {
  const kept = (history: readonly Candidate[], policies: Policies, asOf = 1e11) =>
    new Set(decide(history, policies, asOf).flatMap(({ id, reasons }) => (reasons[0] ? [id] : [])));

  test('the newest and the held are kept, and the order is of no matter', () => {
    fc.assert(
      fc.property(
        anyHistory,
        anyPolicies,
        fc.integer({ min: 0, max: 1e10 }),
        (history, policies, asOf) => {
          const found = kept(history, policies, asOf);
          expect(found).toContain(history.at(-1)?.id);
          for (const { id, isHeld } of history) if (isHeld) expect(found).toContain(id);
          const shuffled = history.toSorted((a, b) => ((a.id * 7919) % 31) - ((b.id * 7919) % 31));
          expect(decide(shuffled, policies, asOf)).toEqual(decide(history, policies, asOf));
        },
      ),
    );
  });

  test('what is not kept once is never kept later; asking each day leaves what asking once leaves', () => {
    fc.assert(
      fc.property(anyHistory, anyPolicies, (history, policies) => {
        let left: Candidate[] = [];
        for (const [index, next] of history.entries()) {
          left.push(next);
          const found = kept(left, policies);
          expect(found).toEqual(
            new Set([...kept(history.slice(0, index + 1), policies)].filter((id) => found.has(id))),
          );
          left = left.filter(({ id }) => found.has(id));
        }
        expect(new Set(left.map(({ id }) => id))).toEqual(kept(history, policies));
      }),
    );
  });

  test('each series keeps its newest complete one', () => {
    fc.assert(
      fc.property(anyHistory, anyPolicies, (history, policies) => {
        const found = kept(history, policies);
        for (const source of ['home', 'photos']) {
          const ofSource = history.filter(({ sources }) => sources.includes(source));
          const complete = ofSource.findLast(({ isPartial }) => !isPartial);
          if (complete) expect(found).toContain(complete.id);
        }
      }),
    );
  });
});
