/** The steps of a plan as they are wanted: the planner is asked for no more than readers can take. */
import { strict as assert } from 'node:assert';
import { CodedError } from '../../base/errors.ts';
import type { Piece } from '../../pack/item.ts';
import type { PlanStep } from '../../pack/plan.ts';
import type { OutgoingEntry } from './feed.ts';

export type Steps = Generator<PlanStep<OutgoingEntry>, void>;

export function nextOf(steps: Steps): PlanStep<OutgoingEntry> | undefined {
  const next = steps.next();
  return next.done ? undefined : next.value;
}

/** Where no medium has room for the rest, what was planned before is stored all the same; the next plan says so again. */
export function nextOrFull(steps: Steps): {
  readonly next: PlanStep<OutgoingEntry> | undefined;
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
