/**
 * Erasing a cartridge: its archives count no more, and a new label stands where they began.
 *
 * Guards, each by itself enough to refuse: the barcode typed once more; the catalog, in which no version may need what lies
 * there; the cartridge's own label and end of data, which must be what the catalog knows; and a copy of the catalog elsewhere
 * that knows what its journals tell. Then the catalog forgets the copies and plans the new label, in one transaction; then
 * the label is written. A crash between leaves a cartridge that nobody counts on: erasing it again finishes it.
 */
import { strict as assert } from 'node:assert';
import { z } from 'zod';
import { formatSize } from '../base/bytes.ts';
import { CodedError, usage } from '../base/errors.ts';
import { rawText } from '../base/raw.ts';
import { disown, type Loss, lossOf, Quiet, whileNobodyWrites } from '../catalog/care/loss.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { Alarms } from '../catalog/job/alarms.ts';
import { Archives } from '../catalog/shelf/archives.ts';
import { holdsArchives, planLabel } from '../catalog/shelf/label-plan.ts';
import { Media, type Medium } from '../catalog/shelf/media.ts';
import { parseBarcode } from '../domain/barcode.ts';
import { Tape } from '../storage/tape.ts';
import { type LabelTools, unknownArchives, writeLabel } from './label.ts';
import { proveOthers } from './survivors.ts';

export type EraseRequest = {
  readonly medium: Medium;
  /** Its barcode once more, as the person typed it. */
  readonly confirm: string | undefined;
  /** Also where versions need what lies on it, as long as other media hold all of that too. */
  readonly force: boolean;
};

/** States of media that hold something; of these some are not to be used again, whatever is on them. */
const STATES: ReadonlySet<string> = new Set(['filling', 'full', 'suspect', 'retired']);
const KEPT_STATES: ReadonlySet<string> = new Set(['suspect', 'retired']);

const LABELLED = z.object({ uuid: z.string() });

/**
 * Makes a cartridge scratch again; one that is suspect or retired stays so, empty.
 * @throws CodedError ALARM_OPEN; USAGE where it is not to be erased, or not confirmed; MEDIUM_MISMATCH naming what would be lost, or that
 *   the cartridge is not what the catalog knows; SOURCE_BUSY while a backup runs; the library's failures
 */
export async function eraseMedium(
  tools: LabelTools,
  { medium, confirm, force }: EraseRequest,
  signal: AbortSignal,
): Promise<Medium> {
  const { catalog } = tools;
  new Alarms(catalog).refuseOpen();
  const media = new Media(catalog);
  const { barcode, state, id } = medium;
  const label = LABELLED.safeParse(medium.label);
  const isBegun = state === 'unlabelled' && label.success && !holdsArchives(catalog, id);
  if (!isBegun && !STATES.has(state)) throw usage(notToErase(medium));
  if (medium.foreign) throw usage(`${barcode} was written by another program: it is not erased`);
  const facts = parseBarcode(barcode);
  if (facts.kind === 'data' && facts.worm) throw usage(`${barcode} can be written once only`);
  if (confirm?.trim().toUpperCase() !== barcode)
    throw usage(
      `what is on ${barcode} is to be lost; --confirm ${barcode} or --yes says that you mean it`,
    );
  assert(label.success, 'a medium in use has a label');
  if (!isBegun) await giveUp(tools, { medium, force }, signal);
  const order = { barcode, overwrite: true, replaces: label.data.uuid };
  await writeLabel(tools, order, signal);
  if (KEPT_STATES.has(state)) media.setState(id, state);
  return media.get(id);
}

/** With the drive held: nobody else writes to the cartridge from its proof until it belongs to nobody. */
async function giveUp(
  tools: LabelTools,
  { medium, force }: { readonly medium: Medium; readonly force: boolean },
  signal: AbortSignal,
): Promise<void> {
  const { catalog, library, random } = tools;
  const { barcode, id, uuid } = medium;
  assert(uuid !== undefined);
  const quiet = new Quiet(catalog);
  const loss = lossOf(catalog, id);
  refuseLoss(medium, loss, force);
  if (loss.reduced.contents > 0)
    await proveOthers({ ...tools, who: `erasing ${barcode}` }, medium, signal);
  const tape = await Tape.attach(library, { barcode, uuid }, signal);
  try {
    await proveEnd(tools, { medium, tape }, signal);
    // Others may have given up in these minutes what was counted on: asked once more, with nothing between answer and deed.
    whileNobodyWrites(
      catalog,
      () => refuseLoss(medium, lossOf(catalog, id), force),
      () => {
        refuseChange(catalog, medium);
        const job = quiet.disturbedBy();
        if (job !== undefined)
          throw new CodedError(
            'SOURCE_BUSY',
            `job ${job} runs, or has run meanwhile; it may need what is on ${barcode}: try again when it has ended`,
          );
        disown(catalog, id);
        const pool = medium.pool ?? tools.pool;
        planLabel(catalog, id, { pool, newUuid: () => random.uuid() });
      },
    );
  } finally {
    await tape.close();
  }
}

/** Loading and proving took minutes, in which a person may have said otherwise. */
function refuseChange(catalog: Catalog, { id, barcode, state }: Medium): void {
  new Alarms(catalog).refuseOpen();
  const now = new Media(catalog).get(id).state;
  if (now !== state) throw usage(`${barcode} is ${now} by now; nothing was written`);
}

/** What a cut run of ours has left behind the end is no obstacle; archives that nobody knows are. */
export async function proveEnd(
  { catalog }: LabelTools,
  { medium, tape }: { readonly medium: Medium; readonly tape: Tape },
  signal: AbortSignal,
): Promise<void> {
  const { id, barcode, nextFile, nextBlock, writeGeneration } = medium;
  const announced = new Archives(catalog)
    .onMedium(id)
    .filter(({ fileNumber }) => fileNumber >= nextFile).length;
  const permits = (unknownFiles: number) => {
    if (unknownFiles > announced) throw unknownArchives(barcode);
  };
  await tape.prepareToAppend(
    { file: nextFile, block: nextBlock, writeGeneration, permits },
    signal,
  );
}

function refuseLoss({ barcode }: Medium, loss: Loss, force: boolean): void {
  const { lost, reduced, paths, isOnlyRecord } = loss;
  const refuse = (sentence: string) =>
    new CodedError('MEDIUM_MISMATCH', `${sentence}; nothing was written`, {
      volser: barcode.slice(0, 6),
    });
  if (lost.contents > 0) {
    const some = paths.map(rawText).join(', ');
    const more = lost.contents > paths.length ? ' and others' : '';
    throw refuse(
      `${barcode} alone holds ${formatSize(lost.bytes)} of ${countOf(lost.contents)} that snapshots show: ${some}${more}`,
    );
  }
  if (isOnlyRecord)
    throw refuse(
      `the journals on ${barcode} tell what no other cartridge does: let a backup close another one, or begin a new one, first`,
    );
  if (reduced.contents > 0 && !force)
    throw refuse(
      `${barcode} holds copies of ${countOf(reduced.contents)} (${formatSize(reduced.bytes)}) that snapshots show; other cartridges have them too, and --force erases these`,
    );
}

function countOf(contents: number): string {
  return `${contents} ${contents === 1 ? 'content' : 'contents'}`;
}

function notToErase({ barcode, state }: Medium): string {
  if (state === 'scratch' || state === 'unlabelled')
    return `${barcode} is ${state}: there is nothing on it to be erased`;
  return `${barcode} is ${state}: it is not erased`;
}
