/**
 * Drives that were reset, or that lost their place: each medium is asked for again a few times, and where the drive then stands is
 * proven. One rule for all that read and write; what becomes of a medium that is not asked for any more is the job's to say.
 */
import type { CodedError } from '../base/errors.ts';

const TRIES_MAX = 3;

/** @typeParam Medium by what the job tells media apart */
export class LostPlaces<Medium> {
  readonly #tries = new Map<Medium, number>();

  /** Counts the failure, where it is one that another try may help. */
  mayTryAgain(medium: Medium, error: CodedError): boolean {
    const tries = this.#tries.get(medium) ?? 0;
    if (error.failure.retry !== 'prove-position' || tries === TRIES_MAX) return false;
    this.#tries.set(medium, tries + 1);
    return true;
  }

  /** Whether it was tried again. */
  has(medium: Medium): boolean {
    return this.#tries.has(medium);
  }

  /** It went well, or a person wants it to be tried anew. */
  forget(medium: Medium): void {
    this.#tries.delete(medium);
  }
}
