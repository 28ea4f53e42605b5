/**
 * A new label for a cartridge that was given up: the only writing over data of ours that no person asks for.
 *
 * Two guards, each by itself enough to refuse: the catalog, in which nothing of it counts any more; and the cartridge, whose
 * label and end of data must be what they were when it was given up. Then the new label is planned, then written. Cut
 * between, the next attempt finds the plan, and writes over that one old label and no other.
 */
import { z } from 'zod';
import { CodedError } from '../base/errors.ts';
import { holdsArchives, isGivenUp, planLabel } from '../catalog/shelf/label-plan.ts';
import { Media, type Medium } from '../catalog/shelf/media.ts';
import { Tape } from '../storage/tape.ts';
import { proveEnd } from './erase.ts';
import { type LabelTools, writeLabel } from './label.ts';

const LABELLED = z.object({ uuid: z.string() });

/**
 * @returns undefined where the medium was not given up: it is labelled in another way, or not at all
 * @throws CodedError MEDIUM_MISMATCH where the cartridge is not what the catalog knows; the library's failures
 */
export function relabel(
  tools: LabelTools,
  barcode: string,
  signal: AbortSignal,
): Promise<Medium> | undefined {
  const medium = new Media(tools.catalog).find(barcode);
  if (!medium || holdsArchives(tools.catalog, medium.id)) return undefined;
  const old = LABELLED.safeParse(medium.label);
  const isBegun = medium.state === 'unlabelled' && old.success;
  if (!old.success || (!isBegun && !isGivenUp(medium))) return undefined;
  return write(tools, { medium, isBegun, replaces: old.data.uuid }, signal);
}

async function write(
  tools: LabelTools,
  order: { readonly medium: Medium; readonly isBegun: boolean; readonly replaces: string },
  signal: AbortSignal,
): Promise<Medium> {
  const { medium, isBegun, replaces } = order;
  if (!isBegun) await plan(tools, { medium, uuid: replaces }, signal);
  return writeLabel(tools, { barcode: medium.barcode, overwrite: true, replaces }, signal);
}

/** With the drive held: nobody else writes to the cartridge from its proof until it has another identity. */
async function plan(
  tools: LabelTools,
  { medium, uuid }: { readonly medium: Medium; readonly uuid: string },
  signal: AbortSignal,
): Promise<void> {
  const { catalog, library, random } = tools;
  const { barcode, id } = medium;
  const tape = await Tape.attach(library, { barcode, uuid }, signal);
  try {
    await proveEnd(tools, { medium, tape }, signal);
    catalog.write(() => {
      const now = new Media(catalog).get(id);
      if (now.uuid !== uuid || !isGivenUp(now) || holdsArchives(catalog, id))
        throw new CodedError(
          'MEDIUM_MISMATCH',
          `${barcode} is in use by now; nothing was written`,
          {
            volser: barcode.slice(0, 6),
          },
        );
      planLabel(catalog, id, { pool: now.pool ?? tools.pool, newUuid: () => random.uuid() });
    });
  } finally {
    await tape.close();
  }
}
