/** Waiting for drives and changers that other processes have: recalls and backups give them up after a while. */
import type { Clock } from '../base/clock.ts';
import { CodedError } from '../base/errors.ts';

/** Others have it now. */
const BUSY: ReadonlySet<string> = new Set(['DRIVE_BUSY', 'LIBRARY_BUSY']);
/** How often drives are asked for that others have. */
const BUSY_POLL_MS = 2000;

/** @param tools.onWait told once what is waited for @throws what `step` throws, but for drives that are busy */
export async function patiently<T>(
  step: () => Promise<T>,
  tools: { readonly clock: Clock; onWait(reason: string): void },
  signal: AbortSignal,
): Promise<T> {
  for (let isTold = false; ; isTold = true) {
    try {
      return await step();
    } catch (error) {
      const isBusy = error instanceof CodedError && BUSY.has(error.code);
      if (!isBusy) throw error;
      if (!isTold) tools.onWait(error.message);
      await tools.clock.sleepMs(BUSY_POLL_MS, signal);
    }
  }
}
