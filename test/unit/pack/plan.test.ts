import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { itemsOf, type PlanItem } from '../../../src/pack/item.ts';
import { NO_RESERVE, type PlanLimits, planLimits } from '../../../src/pack/limits.ts';
import type { MediumRoom } from '../../../src/pack/place.ts';
import {
  type PlannedArchive,
  Planner,
  type PlanOptions,
  type PlanStep,
  planArchives,
} from '../../../src/pack/plan.ts';

type Item = PlanItem<string>;

/** Numbers one can add in the head: blocks of 10, no label, archives of 10 besides their members. */
const BOUNDS = { blockBytes: 10, labelBytes: 0, archiveBytes: 10 };

function makeLimits(freshRoomBytes: number, given: Partial<PlanLimits> = {}): PlanLimits {
  const limits = planLimits({
    freshRoomBytes,
    configured: {},
    bounds: BOUNDS,
    reserve: NO_RESERVE,
  });
  return { ...limits, ...given };
}

/** Members without headers and journal. */
function items(...sizes: number[]): Item[] {
  return sizes.map((sizeBytes, index) => ({
    key: String.fromCharCode(97 + index),
    sizeBytes,
    storedBytesMax: sizeBytes,
    headerBytesMax: 0,
    journalBytesMax: 0,
  }));
}

const scratch = (key: string, roomBytes: number): MediumRoom => ({
  key,
  state: 'scratch',
  roomBytes,
});
const appendable = (key: string, roomBytes: number): MediumRoom => ({
  key,
  state: 'appendable',
  roomBytes,
});

/** `A: a b#1/2`, an archive a line. */
function shown(archives: Iterable<PlannedArchive<string>>): string[] {
  return Array.from(archives, ({ media, pieces }) => {
    const names = pieces.map(({ item, part }) =>
      part === undefined ? item.key : `${item.key}#${part.number}/${part.count}`,
    );
    return `${media.join('+')}: ${names.join(' ')}`;
  });
}

function plan(given: Item[], options: Partial<PlanOptions> & Pick<PlanOptions, 'media'>) {
  const limits = makeLimits(Math.max(...options.media.map(({ roomBytes }) => roomBytes)));
  return shown(planArchives(given, { copies: 1, limits, ...options }));
}

describe('archives', () => {
  test('end before the member that would carry them beyond', () =>
    expect(
      plan(items(30, 30, 30, 10), {
        media: [scratch('A', 1000)],
        limits: makeLimits(1000, { archiveBytes: 70 }),
      }),
    ).toEqual(['A: a b', 'A: c d']));

  test('hold so many entries', () =>
    expect(
      plan(items(0, 0, 0, 0, 0), {
        media: [scratch('A', 1000)],
        limits: makeLimits(1000, { entriesMax: 2 }),
      }),
    ).toEqual(['A: a b', 'A: c d', 'A: e']));

  test('a larger member has one to itself', () =>
    expect(
      plan(items(10, 200, 10), {
        media: [scratch('A', 1000)],
        limits: makeLimits(1000, { archiveBytes: 70 }),
      }),
    ).toEqual(['A: a', 'A: b', 'A: c']));

  test('are counted with everything that is written', () => {
    const given = { ...items(33)[0], journalBytesMax: 600 } as Item;
    const media = [scratch('A', 10_000)];
    // 10 + 33 + 1024 of journal records, up to whole blocks
    expect([...planArchives([given], { media, copies: 1, limits: makeLimits(10_000) })]).toEqual([
      { media: ['A'], pieces: [{ item: given, part: undefined }], bytesMax: 1070 },
    ]);
  });

  test('nothing gives none', () => expect(plan([], { media: [scratch('A', 100)] })).toEqual([]));
});

describe('media', () => {
  test('the fullest that has room comes first, then scratch in order of barcode', () =>
    expect(
      plan(items(80, 80, 80, 80), {
        media: [
          scratch('S2', 100),
          scratch('S1', 100),
          appendable('A2', 95),
          appendable('A1', 90),
          appendable('FULL', 0),
        ],
      }),
    ).toEqual(['A1: a', 'A2: b', 'S1: c', 'S2: d']));

  test('a medium with hardly any room is loaded only when there is no other', () =>
    expect(
      plan(items(500, 500, 20), {
        media: [appendable('A', 30), scratch('S', 1015)],
        limits: makeLimits(10_000),
      }),
    ).toEqual(['S: a b', 'A: c']));

  test('of such media the one with the most room comes first', () =>
    expect(
      plan(items(20), {
        media: [appendable('A', 30), appendable('B', 50)],
        limits: makeLimits(10_000),
      }),
    ).toEqual(['B: a']));

  test('what is as good as full is not filled on while something waits', () =>
    expect(plan(items(985, 500, 0), { media: [scratch('A', 1000), scratch('B', 1000)] })).toEqual([
      'A: a',
      'B: b c',
    ]));

  test('of media with equal room the first by barcode', () =>
    expect(plan(items(80), { media: [appendable('B', 90), appendable('A', 90)] })).toEqual([
      'A: a',
    ]));

  test('what does not fit waits, and smaller ones fill the rest', () =>
    expect(plan(items(50, 60, 20, 10), { media: [scratch('A', 100), scratch('B', 100)] })).toEqual([
      'A: a c d',
      'B: b',
    ]));

  test('but only so many wait', () =>
    expect(
      plan(items(50, 60, 70, 20), {
        media: [scratch('A', 100), scratch('B', 100), scratch('C', 100)],
        lookAheadItems: 1,
      }),
    ).toEqual(['A: a', 'B: b', 'C: c d']));

  test('a scratch medium has room less its label', () => {
    const limits = { ...makeLimits(200), bounds: { ...BOUNDS, labelBytes: 20 } };
    const media = [scratch('A', 100), scratch('B', 200), appendable('C', 100)];
    expect(plan(items(80, 80), { media: media.slice(0, 2), limits })).toEqual(['B: a b']);
    expect(plan(items(80), { media, limits })).toEqual(['C: a']);
  });

  test('the reserve stays free', () => {
    const reserve = { fixedBytes: 20, perMediumJournalByte: 0, perRunJournalByte: 0 };
    const media = [scratch('A', 100), scratch('B', 100)];
    const limits = makeLimits(100, { reserve });
    expect(plan(items(40, 30, 10), { media, limits })).toEqual(['A: a b', 'B: c']);
  });

  test('the reserve grows with the journal of the medium and of the run', () => {
    const reserve = { fixedBytes: 0, perMediumJournalByte: 2, perRunJournalByte: 1 };
    const given = items(0, 0).map((item) => ({ ...item, journalBytesMax: 100 }));
    const media = [scratch('A', 10_000), scratch('B', 10_000)];
    const archive = 10 + 512 + 8; // one block rounded up
    const planned = (roomBytes: number) =>
      plan(given, {
        media: media.map((medium) => ({ ...medium, roomBytes })),
        limits: makeLimits(1_000_000, { reserve }),
      });
    expect(planned(archive + 2 * 200 + 200)).toEqual(['A: a b']);
    expect(planned(archive + 2 * 200 + 199)).toEqual(['A: a', 'B: b']);
    expect(planned(archive + 2 * 100 + 200)).toEqual(['A: a', 'B: b']);
    expect(() => planned(archive + 2 * 100 + 199)).toThrow('no medium has room');
  });

  test('planned anew, the journal that lies behind counts', () => {
    const reserve = { fixedBytes: 0, perMediumJournalByte: 0, perRunJournalByte: 1 };
    const options = { media: [scratch('A', 100)], limits: makeLimits(100, { reserve }) };
    expect(plan(items(50), { ...options, journalBytesBefore: 40 })).toEqual(['A: a']);
    expect(() => plan(items(50), { ...options, journalBytesBefore: 41 })).toThrow('no medium');
  });

  test('copies: two get the same, up to the smaller room; the larger stays for the next', () =>
    expect(
      plan(items(80, 80), {
        media: [scratch('A', 100), scratch('B', 200), scratch('C', 200)],
        copies: 2,
      }),
    ).toEqual(['A+B: a', 'B+C: b']));

  test('one medium is not enough for two copies', () =>
    expect(() => plan(items(1), { media: [scratch('A', 100)], copies: 2 })).toThrow(
      expect.objectContaining({ code: 'MEDIUM_FULL' }),
    ));

  test('one passed over while all that waited was too large is used for what comes later', () =>
    expect(
      plan(items(60, 20, 20), {
        media: [scratch('A', 40), scratch('B', 90)],
        lookAheadItems: 1,
      }),
    ).toEqual(['B: a b', 'A: c']));
});

describe('parts', () => {
  test('of a fixed size, only of what fits no empty medium', () =>
    expect(
      plan(items(550, 1100), {
        media: ['A', 'B', 'C', 'D'].map((key) => scratch(key, 600)),
        limits: makeLimits(600, { partBytes: 512 }),
      }),
    ).toEqual(['A: a', 'B: b#1/3', 'C: b#2/3', 'D: b#3/3']));

  test('of what is larger than the part size, however much room there is', () =>
    expect(
      plan(items(1100), {
        media: [scratch('A', 2000)],
        limits: makeLimits(2000, { partBytes: 512, wholeBytesMax: 512 }),
      }),
    ).toEqual(['A: a#1/3 a#2/3 a#3/3']));

  test('say where they lie', () => {
    const media = [scratch('A', 2000)];
    const limits = makeLimits(2000, { partBytes: 512, wholeBytesMax: 512 });
    const [archive] = planArchives(items(1100), { media, copies: 1, limits });
    expect(archive?.pieces.map(({ part }) => part)).toEqual([
      { number: 1, count: 3, offset: 0, lengthBytes: 512, totalBytes: 1100 },
      { number: 2, count: 3, offset: 512, lengthBytes: 512, totalBytes: 1100 },
      { number: 3, count: 3, offset: 1024, lengthBytes: 76, totalBytes: 1100 },
    ]);
  });

  test('wait for the next medium one behind the other, while smaller items fill this one', () =>
    expect(
      plan(items(1100, 60), {
        media: ['A', 'B'].map((key) => scratch(key, 1100)),
        limits: makeLimits(1100, { partBytes: 512 }),
      }),
    ).toEqual(['A: a#1/3 a#2/3 b', 'B: a#3/3']));

  test('have their headers each', () => {
    const [item] = items(250);
    const media = [scratch('A', 10_000)];
    const limits = makeLimits(10_000, { partBytes: 100, wholeBytesMax: 100 });
    const given = { ...item, headerBytesMax: 1024, storedBytesMax: 1024 + 512 } as Item;
    const [archive] = planArchives([given], { media, copies: 1, limits });
    expect(archive?.bytesMax).toBe(10 + 3 * (1024 + 512) + 2);
  });

  test('a part without data takes its headers only', () => {
    const [item] = items(1000);
    const media = [scratch('A', 10_000)];
    const limits = makeLimits(10_000, { partBytes: 200, wholeBytesMax: 100 });
    const ranges = [
      { offset: 0, lengthBytes: 1 },
      { offset: 150, lengthBytes: 100 },
      { offset: 999, lengthBytes: 1 },
    ];
    const given = { ...item, ranges, headerBytesMax: 20, storedBytesMax: 20 + 512 } as Item;
    const [archive] = planArchives([given], { media, copies: 1, limits });
    expect(archive?.pieces).toHaveLength(5);
    // Five headers, three parts with data.
    expect(archive?.bytesMax).toBe(10 + 5 * 20 + 3 * 512 + 4);
  });

  test('a sparse file with little data stays whole', () =>
    expect(
      plan([{ ...items(1e9)[0], storedBytesMax: 50 } as Item], { media: [scratch('A', 100)] }),
    ).toEqual(['A: a']));

  test('a file that cannot be placed at all hinders no other', () => {
    const media = [scratch('A', 100), scratch('B', 100)];
    const [huge, ...rest] = items(10, 20, 30);
    const given = [{ ...huge, headerBytesMax: 500, storedBytesMax: 510 } as Item, ...rest];
    const planner = new Planner<string>({ media, copies: 1, limits: makeLimits(100) });
    const steps: PlanStep<string>[] = [];
    for (const item of given) steps.push(...planner.add(item));
    expect(() => steps.push(...planner.finish())).toThrow('no medium has room');
    expect(planner.pending()).toEqual([given[0]]);
  });

  test('an item that met no medium at all is pending', () => {
    const planner = new Planner<string>({ media: [], copies: 1, limits: makeLimits(100) });
    const [item] = items(1);
    expect(() => [...planner.add(item as Item)]).toThrow('no medium has room');
    expect(planner.pending()).toEqual([item]);
  });
});

test('pieces of an archive that came to nothing are items again', () => {
  const media = [scratch('A', 5000)];
  const limits = makeLimits(5000, { partBytes: 512, wholeBytesMax: 512 });
  const given = items(10, 2000, 20);
  const [archive] = planArchives(given, { media, copies: 1, limits });
  const pieces = archive?.pieces ?? [];
  expect(itemsOf(pieces.slice(2))).toEqual([
    { ...given[1], parts: { partBytes: 512, first: 2, last: 4 } },
    given[2],
  ]);
  expect(itemsOf(pieces.slice(0, 2))).toEqual([
    given[0],
    { ...given[1], parts: { partBytes: 512, first: 1, last: 1 } },
  ]);
});

describe('random runs', () => {
  const media = fc
    .uniqueArray(
      fc.record({
        key: fc.string({ minLength: 1, maxLength: 3, unit: fc.constantFrom('A', 'B', '1', '2') }),
        state: fc.constantFrom('scratch' as const, 'appendable' as const),
        roomBytes: fc.oneof(fc.nat(20_000), fc.nat(200)),
      }),
      { selector: ({ key }) => key, maxLength: 6 },
    )
    .map((list) => list as MediumRoom[]);
  const item = fc
    .record({
      sizeBytes: fc.oneof(fc.nat(50), fc.nat(2_000), fc.nat(30_000)),
      headerBytesMax: fc.nat(700),
      journalBytesMax: fc.nat(300),
      untoldBytesMax: fc.nat(300),
      dataShare: fc.constantFrom(1, 1, 1, 0.5, 0),
    })
    .map(({ dataShare, ...rest }) => {
      const dataBytes = Math.floor(rest.sizeBytes * dataShare);
      return {
        ...rest,
        storedBytesMax: rest.headerBytesMax + dataBytes,
        ...(dataShare === 1 ? {} : { ranges: [{ offset: 0, lengthBytes: dataBytes }] }),
      };
    });
  const scenario = fc
    .record({
      media,
      given: fc.array(item, { maxLength: 40 }),
      copies: fc.constantFrom(1, 1, 2),
      lookAheadItems: fc.integer({ min: 1, max: 6 }),
      bounds: fc.record({
        blockBytes: fc.constantFrom(1, 10, 512, 1000),
        labelBytes: fc.nat(600),
        archiveBytes: fc.nat(600),
      }),
      reserve: fc.record({
        fixedBytes: fc.nat(400),
        perMediumJournalByte: fc.constantFrom(0, 0.5, 10),
        perRunJournalByte: fc.constantFrom(0, 0.3, 2),
        untoldBytes: fc.constantFrom(0, 0, 300, 3000),
      }),
      sizes: fc.record({
        archiveBytes: fc.integer({ min: 1, max: 20_000 }),
        entriesMax: fc.integer({ min: 1, max: 10 }),
        partBytes: fc.integer({ min: 100, max: 5_000 }),
        wholeBytesMax: fc.integer({ min: 100, max: 20_000 }),
      }),
    })
    .map(({ given, bounds, reserve, sizes, ...rest }) => ({
      given: given.map((one, index): PlanItem<number> => ({ ...one, key: index })),
      options: {
        ...rest,
        limits: { ...sizes, bounds, reserve, freshBytes: 10_000 },
      } satisfies PlanOptions,
    }));

  type Run = {
    readonly archives: readonly PlannedArchive<number>[];
    readonly left: readonly PlanItem<number>[];
  };

  /** All that can be placed, and what cannot. */
  function run(
    given: readonly PlanItem<number>[],
    options: PlanOptions,
    way: 'joined' | 'added' = 'joined',
  ): Run {
    const planner = new Planner<number>(options);
    const steps: PlanStep<number>[] = [];
    let taken = 0;
    try {
      for (const one of given) {
        taken += 1;
        const step = way === 'joined' ? planner.join(one) : undefined;
        if (step) steps.push(step);
        else for (const next of planner.add(one)) steps.push(next);
      }
      for (const step of planner.finish()) steps.push(step);
    } catch (error) {
      expect(error).toMatchObject({ code: 'MEDIUM_FULL' });
    }
    return { archives: collected(steps), left: [...planner.pending(), ...given.slice(taken)] };
  }

  function collected(steps: readonly PlanStep<number>[]): PlannedArchive<number>[] {
    const archives: PlannedArchive<number>[] = [];
    let pieces: PlannedArchive<number>['pieces'][number][] = [];
    let names: readonly string[] = [];
    for (const step of steps) {
      if (step.kind === 'begin') {
        expect(pieces).toEqual([]);
        names = step.media;
      } else if (step.kind === 'piece') {
        pieces.push({ item: step.item, part: step.part });
      } else {
        expect(step.entries).toBe(pieces.length);
        archives.push({ media: names, pieces, bytesMax: step.bytesMax });
        pieces = [];
      }
    }
    expect(pieces).toEqual([]);
    return archives;
  }

  test('what joins the archive that is open is where it would have been put', () => {
    fc.assert(
      fc.property(scenario, ({ given, options }) => {
        expect(run(given, options, 'joined')).toEqual(run(given, options, 'added'));
      }),
    );
  });

  /** Every byte of every item once, in these pieces and those left. */
  function expectAllOnce(given: readonly PlanItem<number>[], { archives, left }: Run): void {
    const pieces = [
      ...archives.flatMap((archive) => archive.pieces),
      ...left.map((one) => ({ item: one, part: undefined })),
    ];
    const byKey = Map.groupBy(pieces, (piece) => piece.item.key);
    expect(byKey.size).toBe(given.length);
    for (const one of given) {
      const found = byKey.get(one.key) ?? [];
      const spans = found.map(({ item, part }) => {
        if (part !== undefined) {
          expect(part.totalBytes).toBe(one.sizeBytes);
          return { from: part.offset, to: part.offset + part.lengthBytes };
        }
        if (item.parts === undefined) return { from: 0, to: one.sizeBytes };
        const { partBytes, first, last } = item.parts;
        return { from: (first - 1) * partBytes, to: Math.min(last * partBytes, one.sizeBytes) };
      });
      if (one.sizeBytes === 0) expect(spans).toHaveLength(1);
      let at = 0;
      for (const { from, to } of spans.toSorted((a, b) => a.from - b.from)) {
        expect(from).toBe(at);
        at = to;
      }
      expect(at).toBe(one.sizeBytes);
      const counts = new Set(found.flatMap(({ part }) => (part === undefined ? [] : [part.count])));
      expect(counts.size).toBeLessThanOrEqual(1);
      const parts = found.flatMap(({ part }) => (part === undefined ? [] : [part.number]));
      expect(parts).toEqual(parts.toSorted((a, b) => a - b));
    }
  }

  /** Writes the plan down, byte by byte as the format says, beside what is kept free. */
  function expectNoOverrun(
    archives: readonly PlannedArchive<number>[],
    options: PlanOptions,
  ): void {
    const { bounds, reserve } = options.limits;
    const up = (bytes: number, grain: number) => Math.ceil(bytes / grain) * grain;
    let runJournal = 0;
    let untold = reserve.untoldBytes ?? 0;
    const written = new Map<string, { bytes: number; journal: number; reserved: number }>();
    for (const archive of archives) {
      let data = 0;
      let journal = 0;
      for (const { item: one, part } of archive.pieces) {
        journal += one.journalBytesMax;
        if (part === undefined) data += one.storedBytesMax;
        else {
          const end = one.ranges?.[0]?.lengthBytes ?? one.sizeBytes;
          const from = Math.min(part.offset, end);
          const to = Math.min(part.offset + part.lengthBytes, end);
          data += one.headerBytesMax + up(to - from, 512);
        }
      }
      runJournal += journal;
      for (const { item: one, part } of archive.pieces)
        if (part === undefined || part.number === part.count)
          untold = Math.max(0, untold - (one.untoldBytesMax ?? 0));
      const bytes = up(bounds.archiveBytes + data + up(journal, 512), bounds.blockBytes);
      expect(bytes).toBe(archive.bytesMax);
      for (const key of archive.media) {
        const medium = options.media.find((one) => one.key === key);
        const before = written.get(key) ?? {
          bytes: medium?.state === 'scratch' ? bounds.labelBytes : 0,
          journal: 0,
          reserved: 0,
        };
        const now = {
          bytes: before.bytes + bytes,
          journal: before.journal + journal,
          reserved: 0,
        };
        now.reserved =
          reserve.fixedBytes +
          reserve.perMediumJournalByte * now.journal +
          reserve.perRunJournalByte * runJournal +
          untold;
        expect(now.bytes + now.reserved).toBeLessThanOrEqual(medium?.roomBytes ?? 0);
        written.set(key, now);
      }
    }
  }

  function expectOrder(archives: readonly PlannedArchive<number>[]): void {
    const bySet = Map.groupBy(archives, ({ media: keys }) => keys.join('+'));
    for (const set of bySet.values()) {
      const order = set.flatMap(({ pieces }) =>
        pieces.map(({ item: one, part }) => one.key * 1e6 + (part?.number ?? 0)),
      );
      expect(order).toEqual(order.toSorted((a, b) => a - b));
    }
    // Each medium is loaded once.
    const keys = new Set(archives.flatMap((archive) => archive.media));
    for (const key of keys) {
      const used = archives.map((archive) => archive.media.includes(key));
      expect(used.lastIndexOf(true) - used.indexOf(true) + 1).toBe(used.filter(Boolean).length);
    }
  }

  function expectSizes(archives: readonly PlannedArchive<number>[], options: PlanOptions): void {
    const { archiveBytes, entriesMax, partBytes, wholeBytesMax } = options.limits;
    for (const { pieces, bytesMax, media: keys } of archives) {
      expect(new Set(keys).size).toBe(options.copies);
      expect(pieces.length).toBeGreaterThan(0);
      expect(pieces.length).toBeLessThanOrEqual(entriesMax);
      if (pieces.length > 1) expect(bytesMax).toBeLessThanOrEqual(archiveBytes);
      for (const { item: one, part } of pieces) {
        if (part === undefined) {
          const dataBytes = one.storedBytesMax - one.headerBytesMax;
          expect(one.sizeBytes <= partBytes || dataBytes <= wholeBytesMax).toBe(true);
        } else {
          const isLast = part.number === part.count;
          expect(part.count).toBeGreaterThan(1);
          if (!isLast) expect(part.lengthBytes).toBe(partBytes);
        }
      }
    }
  }

  test('everything once, nothing overrun, in order, within its sizes', () =>
    fc.assert(
      fc.property(scenario, ({ given, options }) => {
        const result = run(given, options);
        expectAllOnce(given, result);
        expectNoOverrun(result.archives, options);
        expectOrder(result.archives);
        expectSizes(result.archives, options);
      }),
      { numRuns: 1_500 },
    ));

  test('the same items and media give the same plan, in whatever order the media are named', () =>
    fc.assert(
      fc.property(scenario, ({ given, options }) => {
        const again = { ...options, media: options.media.toReversed() };
        expect(run(given, again)).toEqual(run(given, options));
      }),
      { numRuns: 200 },
    ));

  test('what no split may excuse: a file that fits an empty medium stays whole', () =>
    fc.assert(
      fc.property(scenario, ({ given, options }) => {
        const { bounds, freshBytes, reserve, wholeBytesMax } = options.limits;
        const { archives } = run(given, options);
        // Each part of a split file is told of.
        const told = [
          ...given,
          ...archives.flatMap(({ pieces }) => pieces.map(({ item }) => item)),
        ];
        const journal = told.reduce((sum, one) => sum + one.journalBytesMax, 0);
        for (const { pieces } of archives) {
          for (const { item: one, part } of pieces) {
            if (part === undefined) continue;
            if (one.storedBytesMax - one.headerBytesMax > wholeBytesMax) continue;
            // With the whole run's journal and all that was untold, more than there was when it was decided.
            const most =
              bounds.archiveBytes +
              one.storedBytesMax +
              one.journalBytesMax +
              512 +
              bounds.blockBytes +
              reserve.fixedBytes +
              reserve.perMediumJournalByte * one.journalBytesMax +
              reserve.perRunJournalByte * journal +
              reserve.untoldBytes;
            expect(most).toBeGreaterThan(freshBytes);
          }
        }
      }),
      { numRuns: 500 },
    ));

  test('planned anew after a medium ended early: still everything once, nothing overrun', () =>
    fc.assert(
      fc.property(scenario, fc.nat(60), fc.nat(30_000), ({ given, options }, stopAt, newRoom) => {
        const planner = new Planner<number>(options);
        const kept: PlanStep<number>[] = [];
        const source = given[Symbol.iterator]();
        const steps = function* () {
          for (const one of { [Symbol.iterator]: () => source }) yield* planner.add(one);
          yield* planner.finish();
        };
        try {
          for (const step of steps()) {
            kept.push(step);
            if (kept.length > stopAt) break;
          }
        } catch (error) {
          expect(error).toMatchObject({ code: 'MEDIUM_FULL' });
        }
        const lastEnd = kept.findLastIndex(({ kind }) => kind === 'end');
        const lost = kept.slice(lastEnd + 1).filter((step) => step.kind === 'piece');
        const before = collected(kept.slice(0, lastEnd + 1));
        const rest = [...itemsOf(lost), ...planner.pending(), ...source];
        const next = { ...options, media: [scratch('NEW', newRoom), scratch('NEW2', newRoom)] };
        const again = run(rest, next);
        expectAllOnce(given, { archives: [...before, ...again.archives], left: again.left });
        expectNoOverrun(again.archives, next);
      }),
      { numRuns: 500 },
    ));
});
