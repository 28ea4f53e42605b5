/** Drives that were reset, or that lost their place: they are asked again a few times, where they then stand is proven. */
import type { CodedError } from '../base/errors.ts';

const PROOFS_MAX = 3;

export class Proofs {
  readonly #warn: (message: string) => void;
  #count = 0;

  constructor(warn: (message: string) => void) {
    this.#warn = warn;
  }

  /** Counts the failure and tells it, where another try may help. */
  isAskedAgain(error: CodedError): boolean {
    if (error.failure.retry !== 'prove-position' || this.#count === PROOFS_MAX) return false;
    this.#count += 1;
    this.#warn(error.message);
    return true;
  }
}
