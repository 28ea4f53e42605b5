/** The steps of a plan as they are wanted: the planner is asked for no more than readers can take. */
import { strict as assert } from 'node:assert';
import { CodedError } from '../../base/errors.ts';
import type { Piece, PlanItem } from '../../pack/item.ts';
import type { Planner, PlanStep } from '../../pack/plan.ts';
import type { OutgoingEntry } from './outgoing-entry.ts';
import { OutgoingSpan } from './outgoing-span.ts';

/** A step of the plan, or all rows of a span as so many pieces. */
export type Step = PlanStep<OutgoingEntry> | OutgoingSpan;

export type Steps = Generator<Step, void>;

/** The steps of a planner that is given these. @throws CodedError MEDIUM_FULL, as `Planner.add` */
export function* stepsOf(
  planner: Planner<OutgoingEntry>,
  items: Iterable<PlanItem<OutgoingEntry> | OutgoingSpan>,
): Steps {
  for (const item of items) {
    if (!(item instanceof OutgoingSpan)) yield* one(planner, item);
    else if (planner.joinAll(item.group())) yield item;
    else for (const single of item.items()) yield* one(planner, single);
  }
  yield* planner.finish();
}

function* one(planner: Planner<OutgoingEntry>, item: PlanItem<OutgoingEntry>): Steps {
  const step = planner.join(item);
  if (step) yield step;
  else yield* planner.add(item);
}

export function nextOf(steps: Steps): Step | undefined {
  const next = steps.next();
  return next.done ? undefined : next.value;
}

/** Where no medium has room for the rest, what was planned before is stored all the same; the next plan says so again. */
export function nextOrFull(steps: Steps): {
  readonly next: Step | undefined;
  readonly isFull: boolean;
} {
  try {
    return { next: nextOf(steps), isFull: false };
  } catch (error) {
    if (error instanceof CodedError && error.code === 'MEDIUM_FULL')
      return { next: undefined, isFull: true };
    throw error;
  }
}

/** The pieces of one archive, taken from the plan's steps as they are wanted. */
export class PieceSource {
  readonly #steps: Steps;
  readonly #isWanted: (piece: Piece<OutgoingEntry>) => boolean;
  isAtEnd = false;
  /** Pieces that went out. */
  taken = 0;

  constructor(steps: Steps, isWanted: (piece: Piece<OutgoingEntry>) => boolean) {
    this.#steps = steps;
    this.#isWanted = isWanted;
  }

  *take(): Generator<Piece<OutgoingEntry> | OutgoingSpan> {
    for (;;) {
      const step = nextOf(this.#steps);
      if (step instanceof OutgoingSpan) {
        this.taken += step.count;
        yield step;
        continue;
      }
      assert(step && step.kind !== 'begin', 'an archive ends before the next begins');
      if (step.kind === 'end') {
        this.isAtEnd = true;
        return;
      }
      if (!this.#isWanted(step)) continue;
      this.taken += 1;
      yield step;
    }
  }
}
