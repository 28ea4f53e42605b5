/** What befalls a virtual drive: planned faults, and what the disk below refuses. */
import type { Clock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import { SENSE_KEY } from '../sense.ts';
import { type Answer, check } from './answer.ts';
import type { Condition } from './condition.ts';
import type { FaultEffect } from './faults.ts';

/** Linux DID_NO_CONNECT and DID_TIME_OUT. */
const HOST_GONE = 0x01;
const HOST_TIMEOUT = 0x03;

/** @returns the answer in place of the drive's, or the adapter's host status; undefined: the command is carried out */
export async function suffer(
  effect: FaultEffect,
  condition: Condition,
  { clock, timeoutMs }: { readonly clock: Clock; readonly timeoutMs: number },
): Promise<Answer | number | undefined> {
  const never = new AbortController().signal;
  const { bay } = condition;
  switch (effect.kind) {
    case 'sense': {
      const { key, code, deferred, endOfMedium = false } = effect;
      if (key === SENSE_KEY.mediumError) condition.alert(3);
      return check({ key, code, deferred, endOfMedium });
    }
    case 'late-write-error': {
      const { key, code, afterCommands } = effect;
      condition.alert(3);
      bay.deck?.failWritesLate(check({ key, code, deferred: true }), afterCommands);
      return undefined;
    }
    case 'delay':
      await clock.sleepMs(effect.ms, never);
      return undefined;
    case 'hang':
      await clock.sleepMs(timeoutMs, never);
      await condition.reset(0x2902);
      return HOST_TIMEOUT;
    case 'power-loss':
      await bay.losePower(effect.survivors);
      condition.loseSettings(0x2901);
      await bay.lock(false);
      return HOST_GONE;
    case 'reset':
      await condition.reset(effect.swallowed ? undefined : 0x2902);
      return undefined;
    case 'tape-alert':
      condition.alert(effect.flag);
      return undefined;
    default:
      return undefined;
  }
}

/** The disk below is the tape's medium: what it refuses is answered as a drive does, 0Ch/00h and 11h/00h of SPC-4. */
export function blameMedium(
  condition: Condition,
  { isWrite }: { readonly isWrite: boolean },
  error: unknown,
): Answer {
  const code = error instanceof CodedError ? error.code : undefined;
  const isLost = code === 'MEDIUM_UNWRITABLE' || (isWrite && code === 'FAILED');
  if (!isLost && code !== 'MEDIUM_UNREADABLE') throw error;
  condition.alert(3);
  condition.bay.deck?.returnToData();
  if (!isLost) {
    condition.session.uncorrectedReads += 1;
    return check({ key: SENSE_KEY.mediumError, code: 0x1100 });
  }
  condition.session.uncorrectedWrites += 1;
  // A command that only wanted to move has met the error of a write before it.
  return check({ key: SENSE_KEY.mediumError, code: 0x0c00, deferred: !isWrite });
}
