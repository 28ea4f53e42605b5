/** How long a restore will take. */
import { parseGeneration } from '../../domain/generation.ts';
import { tapeTimes } from '../../pack/forecast.ts';

/** Between two archives of one cartridge; half of an LTO-9 drive's mean locate, which is over the whole tape. */
const LOCATE_SECONDS = 30;
const GENERATION_DEFAULT = 'LTO-9';

/** At worst each archive is located anew; what lies between is passed over no faster than it is read. */
export function readMinutes(
  generation: string | undefined,
  { bytes, archives }: { readonly bytes: number; readonly archives: number },
): number {
  const name = parseGeneration(generation ?? '')?.name ?? GENERATION_DEFAULT;
  const { rateBytes, loadSeconds, unloadSeconds } = tapeTimes(name);
  const seconds = loadSeconds + unloadSeconds + archives * LOCATE_SECONDS + bytes / rateBytes;
  return Math.ceil(seconds / 60);
}
