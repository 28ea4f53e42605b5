/** The inventory of media: registered, labelled, moved, retired. */
import type { Medium } from '../catalog/media.ts';
import { type LabelTools, writeLabel } from './label.ts';

/**
 * Labels a registered cartridge that is blank, for a job that needs one. One that was being labelled when something ended
 * it counts as blank.
 * @throws CodedError MEDIUM_MISMATCH naming what is on it; USAGE where it is not registered or not unlabelled; the
 *   library's failures
 */
export function labelMedium(
  tools: LabelTools,
  barcode: string,
  signal: AbortSignal,
): Promise<Medium> {
  return writeLabel(tools, { barcode, overwrite: false }, signal);
}
