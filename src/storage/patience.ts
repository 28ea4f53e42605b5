/** Drives and changers that other processes have are waited for: recalls and backups give them up after a while. */
import type { Clock } from '../base/clock.ts';
import { CodedError } from '../base/errors.ts';

const BUSY: ReadonlySet<string> = new Set(['DRIVE_BUSY', 'LIBRARY_BUSY']);
/** How often they are asked for. */
const BUSY_POLL_MS = 2000;

/** Does it as soon as nobody else is in the way. @param who.onWait told once, why it waits */
export async function whenFree<T>(
  step: () => Promise<T>,
  who: { readonly clock: Clock; onWait(reason: string): void },
  signal: AbortSignal,
): Promise<T> {
  for (let isTold = false; ; isTold = true) {
    try {
      return await step();
    } catch (error) {
      const isBusy = error instanceof CodedError && BUSY.has(error.code);
      if (!isBusy) throw error;
      if (!isTold) who.onWait(error.message);
      await who.clock.sleepMs(BUSY_POLL_MS, signal);
    }
  }
}
