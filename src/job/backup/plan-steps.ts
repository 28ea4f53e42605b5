/** The steps of a plan as they are wanted: the planner is asked for no more than readers can take. */
import { strict as assert } from 'node:assert';
import type { Piece, PlanItem } from '../../pack/item.ts';
import type { Planner, PlanStep } from '../../pack/plan.ts';
import type { OutgoingEntry } from './feed.ts';

export type Steps = Generator<PlanStep<OutgoingEntry>, void>;

export function* allSteps(
  planner: Planner<OutgoingEntry>,
  items: Iterable<PlanItem<OutgoingEntry>>,
): Steps {
  for (const item of items) yield* planner.add(item);
  yield* planner.finish();
}

export function nextOf(steps: Steps): PlanStep<OutgoingEntry> | undefined {
  const next = steps.next();
  return next.done ? undefined : next.value;
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

  *take(): Generator<Piece<OutgoingEntry>> {
    for (;;) {
      const step = nextOf(this.#steps);
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
