/** Whether a drive has a cartridge threaded, and how it gets and lets go of one. */
import { CodedError } from '../base/errors.ts';
import {
  type Answer,
  isDone,
  type LogicalUnit,
  type Request,
  UNIT_ATTENTIONS_MAX,
} from './logical-unit.ts';
import { driveFailure, emptyDrive } from './refusal.ts';
import { SENSE_KEY } from './sense.ts';

/** `unloaded`: a cartridge is there but not threaded; `cleaning`: a cleaning cartridge is at work or spent. */
export type DriveState =
  | 'ready'
  | 'empty'
  | 'becoming-ready'
  | 'unloaded'
  | 'cleaning'
  | 'needs-help';

const READY_POLL_MS = 1000;
/** A first load of an LTO-9 cartridge calibrates for up to two hours. */
export const READY_TIMEOUT_MS = 3 * 3_600_000;

/** TEST UNIT READY, past any unit attentions. */
export async function askState(unit: LogicalUnit, signal: AbortSignal): Promise<DriveState> {
  for (let attempt = 0; attempt < UNIT_ATTENTIONS_MAX; attempt += 1) {
    const { sense } = await unit.send({ cdb: [0x00, 0, 0, 0, 0, 0] }, signal);
    if (!sense || isDone(sense)) return 'ready';
    if (sense.key === SENSE_KEY.unitAttention) continue;
    if (sense.key !== SENSE_KEY.notReady) {
      throw driveFailure(unit, sense, 'asking whether it is ready');
    }
    if (sense.asc === 0x3a) return 'empty';
    if (sense.asc === 0x30) return 'cleaning';
    if (sense.asc === 0x04 && sense.ascq === 0x02) return 'unloaded';
    // 04h/00h cause not reportable, 01h becoming ready, 07h operation in progress
    if (sense.asc === 0x04 && [0x00, 0x01, 0x07].includes(sense.ascq)) return 'becoming-ready';
    return 'needs-help';
  }
  throw unit.fail('it reports one unit attention after the other');
}

/** Waits until a cartridge is threaded; `load` threads one that stands in the drive. */
export async function waitReady(
  unit: LogicalUnit,
  { load, timeoutMs }: { load(): Promise<void>; readonly timeoutMs: number },
  signal: AbortSignal,
): Promise<void> {
  const { clock, name } = unit;
  const startMs = clock.monotonicMs();
  for (;;) {
    const state = await askState(unit, signal);
    if (state === 'ready') return;
    if (state === 'empty') throw emptyDrive(unit);
    const isLate = clock.monotonicMs() - startMs > timeoutMs;
    if (state === 'unloaded' && !isLate) {
      await load();
    } else if (state !== 'becoming-ready' || isLate) {
      const why = state === 'cleaning' ? 'a cleaning cartridge is in it' : `it is ${state}`;
      throw new CodedError('DRIVE_NOT_READY', `${name} is not ready: ${why}`, { device: name });
    }
    await clock.sleepMs(READY_POLL_MS, signal);
  }
}

/**
 * For commands that a unit attention may precede without harm: they are simply said again.
 * @param order.before happens with the unit ours alone, before the first attempt
 */
export function doPastAttentions(
  unit: LogicalUnit,
  order: { readonly request: Request; readonly what: string; before?(): void },
  signal: AbortSignal,
): Promise<Answer> {
  return unit.exclusively(async (send) => {
    order.before?.();
    for (let attempt = 1; ; attempt += 1) {
      const answer = await send(order.request, signal);
      if (isDone(answer.sense)) return answer;
      const isAttention = answer.sense?.key === SENSE_KEY.unitAttention;
      if (!isAttention || attempt >= UNIT_ATTENTIONS_MAX) {
        throw driveFailure(unit, answer.sense, order.what);
      }
    }
  });
}
