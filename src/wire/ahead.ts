/**
 * A job that outlives an upgrade of its program: once it has run for a moment, all that it may yet need is loaded, native doors
 * included. Short commands end before. What starts threads later does without them (base/program-files.ts).
 */
import { CodedError } from '../base/errors.ts';
import { IS_COMPILED, loadAhead } from '../base/program-files.ts';
import type { Surroundings, WireOptions } from './surroundings.ts';

/** Most commands have ended by then; a tenth of a second of a processor and some 15 MB are little for the others (measured). */
const LONG_MS = 2000;

/** @param ended aborted when the command has ended. Resolves then; never rejects but for a mistake of ours */
export async function keepWhole(
  { clock, warn, openDoor }: Pick<Surroundings, 'clock' | 'warn' | 'openDoor'>,
  trace: WireOptions['trace'],
  ended: AbortSignal,
): Promise<void> {
  if (!IS_COMPILED) return;
  try {
    await clock.sleepMs(LONG_MS, ended);
  } catch (error) {
    if (ended.aborted) return;
    throw error;
  }
  const missing = await loadAhead(ended);
  if (ended.aborted) return;
  if (missing !== undefined) {
    warn(`a part of the program is gone; what needs it has to be run again (${String(missing)})`);
    return;
  }
  const [{ loadFsDoor }, { holdPacked }] = await Promise.all([
    import('../source/door.ts'),
    import('../catalog/native.ts'),
  ]);
  opened(openDoor);
  opened(loadFsDoor);
  const held = opened(holdPacked);
  ended.addEventListener('abort', () => held?.close(), { once: true });
  trace?.('program: all of it is loaded');
}

/** One that is not to be had is met by who needs it. */
function opened<Door>(open: () => Door): Door | undefined {
  try {
    return open();
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return undefined;
  }
}
