/** Labels for registered cartridges: of a job that needs one, and of a person who names some. */
import { usage } from '../base/errors.ts';
import type { Medium } from '../catalog/shelf/media.ts';
import { type LabelTools, writeLabel } from './label.ts';
import { findMedium } from './media.ts';
import { relabel } from './relabel.ts';

export type LabelMediaRequest = {
  readonly barcodes: readonly string[];
  /** Default: the medium's own, else the one of the config. */
  readonly pool?: string | undefined;
  readonly force: boolean;
  /** The barcode once more, as the person typed it; needed with `force`. */
  readonly confirm?: string | undefined;
};

/**
 * Labels a registered cartridge that is blank, for a job that needs one, or one that was given up. One that was being
 * labelled when something ended it counts as what it was.
 * @throws CodedError MEDIUM_MISMATCH naming what is on it; USAGE where it is not registered or not unlabelled; the
 *   library's failures
 */
export function labelMedium(
  tools: LabelTools,
  barcode: string,
  signal: AbortSignal,
): Promise<Medium> {
  return (
    relabel(tools, barcode, signal) ?? writeLabel(tools, { barcode, overwrite: false }, signal)
  );
}

/**
 * Labels cartridges in turn; stops at the first that cannot be.
 * @throws CodedError USAGE also where `force` goes without the barcode typed once more; as `labelMedium`
 */
export async function labelMedia(
  tools: LabelTools,
  request: LabelMediaRequest,
  signal: AbortSignal,
): Promise<Medium[]> {
  const { force, confirm, pool } = request;
  const media = request.barcodes.map((name) => findMedium(tools.catalog, name));
  checkConfirmed(media, { force, confirm });
  const done: Medium[] = [];
  for (const { barcode } of media) {
    signal.throwIfAborted();
    const isAnew = force && pool === undefined;
    done.push(
      await ((isAnew ? relabel(tools, barcode, signal) : undefined) ??
        writeLabel(tools, { barcode, pool, overwrite: force }, signal)),
    );
  }
  return done;
}

/** What a label is written over is lost: two guards, and the second is typed for one cartridge alone. */
function checkConfirmed(
  media: readonly Medium[],
  { force, confirm }: { force: boolean; confirm: string | undefined },
): void {
  const [medium, other] = media;
  if (!force) {
    if (confirm !== undefined) throw usage('--confirm goes with --force');
    return;
  }
  if (other) throw usage('--force goes with one cartridge at a time');
  if (confirm?.trim().toUpperCase() === medium?.barcode) return;
  throw usage(
    `what is on ${medium?.barcode} would be lost; --confirm ${medium?.barcode} says that you mean it`,
  );
}
