/** A drive that gave up on a cartridge: what is to be done is asked, where there is anybody to ask. */
import type { Clock } from '../base/clock.ts';
import { CodedError, type FailureCode } from '../base/errors.ts';
import { BY_HAND } from '../domain/health.ts';
import { cleanable, cleanDrive } from './clean.ts';
import type { Library } from './library.ts';
import type { Operator } from './operator.ts';

export type FailureRequest = {
  readonly barcode: string;
  readonly error: CodedError;
  /** `backup (job 7)` */
  readonly who: string;
  /** It waits for an answer now. */
  onAsked?(): void | Promise<void>;
};

export type FailureTools = {
  readonly operator: Operator;
  readonly library: Library;
  readonly clock: Clock;
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

/** Whether a person is asked about it. */
export function isHard(error: CodedError): boolean {
  return HARD.has(error.code);
}

/**
 * Call it with nothing held: it may take hours. Where the library has a cleaning cartridge, the drive may be cleaned; where a person
 * loads, he is asked to put one in.
 * @returns `bad`: take another medium, the default where nobody is there and for what is no such failure
 */
export async function decideFailure(
  request: FailureRequest,
  { operator, library, clock }: FailureTools,
  signal: AbortSignal,
): Promise<'retry' | 'bad' | 'abort'> {
  const { barcode, error, who, onAsked } = request;
  if (!isHard(error)) return 'bad';
  let reason = error.message;
  for (let isCleaningByHand = false; ; ) {
    const drive = await cleanableOrNone(library, request, signal);
    const mayClean = drive !== undefined || (library.isByHand && !isCleaningByHand);
    const answer = await operator.ask(
      {
        about: { kind: 'failure', barcode },
        reason,
        waiting: { who, contents: undefined, readers: undefined },
        choices: ['retry', 'bad', ...(mayClean ? (['clean'] as const) : []), 'abort'],
        byDefault: 'bad',
        ...(onAsked && { onAsked }),
      },
      signal,
    );
    if (answer === 'retry') {
      if (isCleaningByHand) await keepCleaningByHand(library, error.facts.device, signal);
      return 'retry';
    }
    if (answer !== 'clean') return answer === 'abort' ? 'abort' : 'bad';
    if (library.isByHand) {
      isCleaningByHand = true;
      const where = error.facts.device ?? 'the drive';
      reason = `put a cleaning cartridge into ${where}, which works by itself for some minutes and ejects it; then put ${barcode} back, and say retry`;
      continue;
    }
    try {
      const { outcome, cartridge } = await cleanDrive(library, drive, { clock, signal });
      if (outcome === 'cleaned') return 'retry';
      reason = `${cartridge} did not clean the drive (${outcome}); ${error.message}`;
    } catch (failure) {
      if (!(failure instanceof CodedError) || signal.aborted) throw failure;
      reason = `cleaning failed: ${failure.message}; ${error.message}`;
    }
  }
}

/** By the person's word: the drive ejected the cartridge, whichever it was, before anybody could ask it. */
async function keepCleaningByHand(
  library: Library,
  device: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (!library.keeper) return;
  const { drives } = await library.status(signal);
  const drive = drives.find((one) => one.device === device) ?? drives[0];
  if (!drive || (drive.device !== device && drives.length > 1)) return;
  const { number, serial, model } = drive;
  const name = drive.device ?? `drive ${number}`;
  await library.keeper.keepCleaning({
    ...{ cartridge: BY_HAND, outcome: 'cleaned' },
    drive: { number, name, serial: serial ?? name, model: model ?? '' },
  });
}

/** A library that cannot be asked just now cannot clean either. */
async function cleanableOrNone(
  library: Library,
  { barcode, error }: FailureRequest,
  signal: AbortSignal,
): Promise<number | undefined> {
  try {
    return await cleanable(library, { barcode, device: error.facts.device }, signal);
  } catch (failure) {
    if (!(failure instanceof CodedError) || signal.aborted) throw failure;
    return undefined;
  }
}
