import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PASSES_MAX, PATIENCE_MS, Queue, type Run } from '../../../src/recall/queue.ts';

const run = (contentId: number, mediumId: number, startByte: number): Run => ({
  contentId,
  mediumId,
  startByte,
  endByte: startByte + 10,
});
const inOrder = (runs: readonly Run[]) => runs.toSorted((a, b) => a.startByte - b.startByte);

type Wanted = { id: number; medium: number; at: number; readers?: number; sinceMs?: number };

function queueOf(wanted: readonly Wanted[]): Queue<Run> {
  const queue = new Queue<Run>();
  for (const { id, medium, at, readers = 1, sinceMs = 0 } of wanted) {
    queue.want({ contentId: id, readers, sinceMs });
    queue.place(id, [run(id, medium, at)]);
  }
  return queue;
}

const choose = (
  queue: Queue<Run>,
  { loaded, nowMs = 0, not }: { loaded?: number; nowMs?: number; not?: number } = {},
) => queue.choose({ loaded, nowMs, isUsable: (medium) => medium !== not });

test.each<[string, Wanted[], Parameters<typeof choose>[1], number | undefined]>([
  ['nothing wanted', [], {}, undefined],
  [
    'the one in the drive, though others are wanted by more',
    [
      { id: 1, medium: 1, at: 0 },
      { id: 2, medium: 2, at: 0, readers: 9 },
    ],
    { loaded: 1 },
    1,
  ],
  [
    'the one that most wait for',
    [
      { id: 1, medium: 1, at: 0, sinceMs: 1 },
      { id: 2, medium: 2, at: 0, readers: 2, sinceMs: 5 },
    ],
    {},
    2,
  ],
  [
    'of equals the one waited for longest',
    [
      { id: 1, medium: 1, at: 0, sinceMs: 5 },
      { id: 2, medium: 2, at: 0, sinceMs: 1 },
    ],
    {},
    2,
  ],
  [
    'not the one that is being asked for',
    [
      { id: 1, medium: 1, at: 0 },
      { id: 2, medium: 2, at: 0 },
    ],
    { loaded: 1, not: 1 },
    2,
  ],
  [
    'whoever has waited too long, whatever is in the drive',
    [
      { id: 1, medium: 1, at: 0, sinceMs: 10, readers: 9 },
      { id: 2, medium: 2, at: 0, sinceMs: 0 },
    ],
    { loaded: 1, nowMs: PATIENCE_MS + 5 },
    2,
  ],
])('%s', (_, wanted, at, expected) => {
  expect(choose(queueOf(wanted), at)).toBe(expected);
});

test('what is wanted by nobody yet does not pass over anybody', () => {
  const queue = queueOf([
    { id: 1, medium: 1, at: 0, readers: 0 },
    { id: 2, medium: 2, at: 0 },
  ]);
  expect(choose(queue)).toBe(2);
});

test('a cartridge is passed over so often, then it is served', () => {
  const queue = queueOf([
    { id: 1, medium: 1, at: 0 },
    { id: 2, medium: 2, at: 0, sinceMs: 1 },
  ]);
  const served = Array.from({ length: PASSES_MAX + 1 }, () => choose(queue, { loaded: 1 }));
  expect(served).toEqual([...Array.from({ length: PASSES_MAX }, () => 1), 2]);
  // Served, its count begins anew.
  expect(choose(queue, { loaded: 2 })).toBe(2);
});

test('what arrives ahead of the head joins the sweep, what lies behind waits for the next', () => {
  const queue = queueOf([
    { id: 1, medium: 1, at: 100 },
    { id: 2, medium: 1, at: 300 },
  ]);
  const sweep = queue.sweep(1, inOrder);
  expect(sweep.next()?.contentId).toBe(1);
  for (const [id, at] of [
    [3, 200],
    [4, 50],
    [5, 400],
  ] as const) {
    queue.want({ contentId: id, readers: 1, sinceMs: 0 });
    queue.place(id, [run(id, 1, at)]);
  }
  queue.want({ contentId: 6, readers: 1, sinceMs: 0 });
  queue.place(6, [run(6, 2, 250)]);
  expect(
    [sweep.next(), sweep.next(), sweep.next(), sweep.next()].map((one) => one?.contentId),
  ).toEqual([3, 2, 5, undefined]);
  queue.endSweep();
  expect(queue.sweep(1, inOrder).next()?.contentId).toBe(4);
});

test('an order that is not that of the tape is gone through as it is: nothing joins', () => {
  const queue = queueOf([
    { id: 1, medium: 1, at: 100 },
    { id: 2, medium: 1, at: 300 },
  ]);
  const sweep = queue.sweep(1, (runs) => inOrder(runs).toReversed());
  expect(sweep.next()?.contentId).toBe(2);
  queue.want({ contentId: 3, readers: 1, sinceMs: 0 });
  queue.place(3, [run(3, 1, 500)]);
  expect([sweep.next()?.contentId, sweep.next()]).toEqual([1, undefined]);
});

test('what nobody wants any more is not read, also within a sweep', () => {
  const queue = queueOf([
    { id: 1, medium: 1, at: 1 },
    { id: 2, medium: 1, at: 2 },
  ]);
  const sweep = queue.sweep(1, inOrder);
  queue.remove(1);
  expect(sweep.next()?.contentId).toBe(2);
  queue.remove(2);
  expect([queue.size, queue.lines(), choose(queue)]).toEqual([0, [], undefined]);
});

test('equal requests are one; the readers of all count', () => {
  const queue = queueOf([{ id: 1, medium: 1, at: 1 }]);
  queue.want({ contentId: 1, readers: 3, sinceMs: 0 });
  expect(queue.lines()).toEqual([
    { mediumId: 1, contents: 1, readers: 3, oldestMs: 0, passedOver: 0 },
  ]);
});

test('nobody starves, and each sweep goes forward over one cartridge, whatever arrives when', () => {
  const arrival = fc.record({
    medium: fc.integer({ min: 1, max: 5 }),
    at: fc.integer({ min: 0, max: 1000 }),
    /** After so many runs were read. */
    after: fc.integer({ min: 0, max: 60 }),
  });
  fc.assert(
    fc.property(fc.array(arrival, { maxLength: 80 }), (arrivals) => {
      const queue = new Queue<Run>();
      const arrivedAtChoice = new Map<number, number>();
      let [read, choices, next] = [0, 0, 0];
      const left = arrivals
        .map((one, index) => ({ ...one, id: index + 1 }))
        .toSorted((a, b) => a.after - b.after);
      const admit = () => {
        for (; next < left.length && (left[next]?.after ?? 0) <= read; next += 1) {
          const { id, medium, at } = left[next] ?? { id: 0, medium: 0, at: 0 };
          arrivedAtChoice.set(id, choices);
          queue.want({ contentId: id, readers: 1, sinceMs: id });
          queue.place(id, [run(id, medium, at)]);
        }
      };
      let loaded: number | undefined;
      const waited: number[] = [];
      for (admit(); next < left.length || queue.size > 0; admit()) {
        const chosen = queue.choose({ loaded, nowMs: 0, isUsable: () => true });
        choices += 1;
        if (chosen === undefined) {
          read += 1;
          continue;
        }
        loaded = chosen;
        const sweep = queue.sweep(chosen, inOrder);
        for (let one = sweep.next(), head = -1; one; one = sweep.next()) {
          expect(one.mediumId).toBe(chosen);
          expect(one.startByte).toBeGreaterThanOrEqual(head);
          head = one.startByte;
          queue.remove(one.contentId);
          waited.push(choices - (arrivedAtChoice.get(one.contentId) ?? 0));
          read += 1;
          admit();
        }
        queue.endSweep();
      }
      expect(waited).toHaveLength(arrivals.length);
      // Passed over so often, and behind those that were passed over as often.
      expect(Math.max(0, ...waited)).toBeLessThanOrEqual(PASSES_MAX + 6);
    }),
  );
});
