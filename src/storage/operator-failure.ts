/** A drive that gave up on a cartridge: what is to be done is asked, where there is anybody to ask. */
import type { CodedError, FailureCode } from '../base/errors.ts';
import type { Operator } from './operator.ts';

export type FailureRequest = {
  readonly barcode: string;
  readonly error: CodedError;
  /** `backup (job 7)` */
  readonly who: string;
  /** It waits for an answer now. */
  onAsked?(): void | Promise<void>;
};

/** Failures of drive, cartridge or changer that another try may mend and nobody's mistake explains. */
const HARD: ReadonlySet<FailureCode> = new Set([
  'DRIVE_FAILED',
  'DRIVE_RESET',
  'DRIVE_NEEDS_CLEANING',
  'POSITION_LOST',
  'MEDIUM_UNREADABLE',
  'MEDIUM_UNWRITABLE',
  'CHANGER_JAMMED',
  'CHANGER_FAILED',
]);

/**
 * Call it with nothing held: it may take hours.
 * @returns `bad`: take another medium, the default where nobody is there and for what is no such failure
 */
export async function decideFailure(
  { barcode, error, who, onAsked }: FailureRequest,
  operator: Operator,
  signal: AbortSignal,
): Promise<'retry' | 'bad' | 'abort'> {
  if (!HARD.has(error.code)) return 'bad';
  const answer = await operator.ask(
    {
      about: { kind: 'failure', barcode },
      reason: error.message,
      waiting: { who, contents: undefined, readers: undefined },
      choices: ['retry', 'bad', 'abort'],
      byDefault: 'bad',
      ...(onAsked && { onAsked }),
    },
    signal,
  );
  if (answer === 'retry') return 'retry';
  return answer === 'abort' ? 'abort' : 'bad';
}
