/** What a drive's refusal becomes: a named failure with advice. */
import { CodedError, type FailureCode } from '../base/errors.ts';
import type { LogicalUnit } from './logical-unit.ts';
import { describeSense, SENSE_KEY, type Sense } from './sense.ts';

/** @param doing for the sentence: "reading", "locating block 7" */
export function driveFailure(
  unit: LogicalUnit,
  sense: Sense | undefined,
  doing: string,
  onMediumError: FailureCode = 'DRIVE_FAILED',
): CodedError {
  if (!sense) return unit.fail(`${doing} failed`);
  if (sense.key === SENSE_KEY.notReady && sense.asc === 0x3a) return emptyDrive(unit);
  const code = failureOf(sense, onMediumError);
  const advice = ADVICE[code];
  const sentence = `${unit.name}: ${doing}: ${describeSense(sense)}${advice ? `; ${advice}` : ''}`;
  return new CodedError(code, sentence, { device: unit.name });
}

export function emptyDrive(unit: LogicalUnit): CodedError {
  return new CodedError('DRIVE_EMPTY', `${unit.name} is empty: load a cartridge first`, {
    device: unit.name,
  });
}

/** What drives answer to a write over data on write-once media and in append-only mode: 7h 30h/0Ch. */
export function isOverwriteRefused(sense: Sense): boolean {
  return sense.key === SENSE_KEY.dataProtect && sense.asc === 0x30 && sense.ascq === 0x0c;
}

/** 00h/05h; 00h/00h comes from older drives. 14h/03h, end of data not found, is damage and not an end. */
export function isEndOfData(sense: Sense): boolean {
  if (sense.deferred) return false;
  return sense.asc === 0x00 && (sense.ascq === 0x05 || sense.ascq === 0x00);
}

const ADVICE: Partial<Record<FailureCode, string>> = {
  DRIVE_RESET:
    'somebody else reset the drive or changed the cartridge; what was confirmed before is safe',
  MEDIUM_FULL: 'the cartridge is full: take another',
  REMOVAL_PREVENTED: 'a job holds the drive, or a program left it locked',
  MEDIUM_PROTECTED:
    'nothing was written; check the write-protect tab and whether the cartridge may be written',
  MEDIUM_UNREADABLE: 'clean the drive and try again, or use another copy',
  MEDIUM_UNWRITABLE:
    'clean the drive, or take another cartridge; what was confirmed before is safe',
};

function failureOf(sense: Sense, onMediumError: FailureCode): FailureCode {
  if (sense.deferred)
    return sense.key === SENSE_KEY.mediumError ? 'MEDIUM_UNWRITABLE' : 'DRIVE_FAILED';
  switch (sense.key) {
    case SENSE_KEY.notReady:
      return sense.asc === 0x30 ? 'DRIVE_NEEDS_CLEANING' : 'DRIVE_NOT_READY';
    case SENSE_KEY.mediumError:
      return onMediumError;
    case SENSE_KEY.unitAttention:
      return 'DRIVE_RESET';
    case SENSE_KEY.dataProtect:
      return 'MEDIUM_PROTECTED';
    case SENSE_KEY.blankCheck:
      return 'MEDIUM_UNREADABLE';
    case SENSE_KEY.volumeOverflow:
      return 'MEDIUM_FULL';
    case SENSE_KEY.illegalRequest:
      return sense.asc === 0x53 ? 'REMOVAL_PREVENTED' : 'DRIVE_FAILED';
    default:
      return 'DRIVE_FAILED';
  }
}
