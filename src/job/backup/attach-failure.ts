/** What is wrong when a medium cannot be attached. */
import { CodedError } from '../../base/errors.ts';

/** One medium could not be attached: the plan goes on without it. */
export class AttachFailure extends Error {
  readonly mediumId: number;
  readonly failure: CodedError;

  constructor(mediumId: number, failure: CodedError) {
    super(failure.message, { cause: failure });
    this.mediumId = mediumId;
    this.failure = failure;
  }
}

/** Another process has the drives, or the library. */
export function isBusy(error: unknown): error is Error {
  const failure = error instanceof AttachFailure ? error.failure : error;
  const code = failure instanceof CodedError ? failure.code : undefined;
  return code === 'DRIVE_BUSY' || code === 'LIBRARY_BUSY';
}
