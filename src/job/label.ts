/**
 * Labelling a medium: what may be written over, and in which order tape and catalog learn of it.
 *
 * The identity is recorded first, then the label is written, then the medium counts as scratch. A crash between leaves a
 * cartridge with a label that the catalog knows as its own plan: the next labelling finishes it, and nobody is asked.
 */
import { strict as assert } from 'node:assert';
import { z } from 'zod';
import { BLOCK_BYTES_DEFAULT, type Label } from '../archive/label.ts';
import type { Start } from '../archive/recognise.ts';
import type { Clock } from '../base/clock.ts';
import { CodedError, usage } from '../base/errors.ts';
import type { Random } from '../base/random.ts';
import { printable } from '../base/text.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { Archives } from '../catalog/shelf/archives.ts';
import { holdsArchives, type LabelPlan, planLabel } from '../catalog/shelf/label-plan.ts';
import { Media, type Medium } from '../catalog/shelf/media.ts';
import { parseBarcode } from '../domain/barcode.ts';
import { type Beginning, readBeginning } from '../storage/beginning.ts';
import type { HeldDrive } from '../storage/drives.ts';
import { firstOpenings } from '../storage/identity.ts';
import { type Labelled, labelTape } from '../storage/label-tape.ts';
import type { Library } from '../storage/library.ts';
import { Tape } from '../storage/tape.ts';
import { proven } from '../storage/tape-position.ts';

export type LabelTools = {
  /** Open for writing. */
  readonly catalog: Catalog;
  readonly library: Library;
  readonly clock: Clock;
  readonly random: Random;
  /** For the label, which says who wrote it. */
  readonly host: string;
  /** Name and version. */
  readonly program: string;
  /** Pool of media that have none yet. */
  readonly pool: string;
  /** Of every block of the medium; default: 512 KiB. */
  readonly blockBytes?: number | undefined;
};

export type LabelRequest = {
  readonly barcode: string;
  /** Default: the medium's own, else that of the tools. */
  readonly pool?: string | undefined;
  /** What stands on the cartridge may be lost; never true for archives of this catalog. */
  readonly overwrite: boolean;
  /** UUID of the only label that may be written over; nothing else may stand there then. */
  readonly replaces?: string | undefined;
};

type Found = Exclude<Beginning, { kind: 'blank' }>;

/** Tape file 0 is the label (FORMAT.md section 2); archives are behind it. */
const FILES_OF_LABEL = 1;

/**
 * Labels a registered cartridge that is blank, or one whose labelling was cut short; by request also over what stands on
 * it. Archives of this catalog are refused whatever is requested.
 * @throws CodedError USAGE where it is not registered or not to be labelled; MEDIUM_MISMATCH naming what is on it; the
 *   library's failures
 */
export async function writeLabel(
  tools: LabelTools,
  request: LabelRequest,
  signal: AbortSignal,
): Promise<Medium> {
  const media = new Media(tools.catalog);
  const medium = mediumToLabel(tools.catalog, request);
  // What is on the cartridge may forbid it: looked at before the catalog forgets the identity it had.
  if (request.overwrite) await look(tools, request, signal);
  const pool = request.pool ?? medium.pool ?? tools.pool;
  const plan = planLabel(tools.catalog, medium.id, { pool, newUuid: () => tools.random.uuid() });
  const label = labelOf(tools, medium, { ...plan, pool });
  const done = await labelOnce(tools, { ...request, label }, signal);
  tools.catalog.write(() => {
    if (done.maximumBytes !== undefined) media.setCapacity(medium.id, done.maximumBytes);
    media.setLabelled(medium.id, {
      ...plan,
      blockBytes: label.blockBytes,
      nextFile: done.end.file,
      nextBlock: done.end.block,
      writeGeneration: 1,
      labelBytes: done.labelBytes,
      labelBlake3: done.labelBlake3,
      label: { ...label, ...(done.serialNumber && { serialNumber: done.serialNumber }) },
    });
  });
  return media.get(medium.id);
}

function mediumToLabel(catalog: Catalog, { barcode, overwrite }: LabelRequest): Medium {
  const medium = new Media(catalog).find(barcode);
  const name = printable(barcode);
  if (!medium) throw usage(`${name} is not registered; \`shelfs media add ${name}\` does that`);
  if (medium.kind !== 'tape') throw usage(`${name} is no tape: it has no label to be written`);
  if (holdsArchives(catalog, medium.id)) {
    throw new CodedError(
      'MEDIUM_MISMATCH',
      `${name} holds archives of this catalog: it is never labelled over; nothing was written`,
      { volser: barcode.slice(0, 6) },
    );
  }
  const { state } = medium;
  if (state === 'unlabelled' || (overwrite && state === 'scratch')) return medium;
  if (state === 'scratch')
    throw usage(`${name} is labelled already; --force with --confirm ${name} labels it anew`);
  throw usage(`${name} is ${state}: it is not labelled`);
}

/** Goes to the end of the data too where the label is one of ours: the catalog may have been set back to an older day. */
async function look(
  { catalog, library }: LabelTools,
  request: LabelRequest,
  signal: AbortSignal,
): Promise<void> {
  const { drive, close } = await library.attach(request.barcode, signal);
  try {
    const found = await readBeginning(drive, signal);
    if (found.kind === 'blank') return;
    permit(catalog, { found, request });
    const uuid = found.kind === 'label' ? found.label.uuid : undefined;
    const known =
      uuid !== undefined && uuid === request.replaces
        ? endsOf(catalog, request.barcode)
        : undefined;
    if (!known && (uuid === undefined || !new Media(catalog).findUuid(uuid))) {
      await refuseOwnArchives(catalog, { drive, barcode: request.barcode }, signal);
      return;
    }
    await drive.spaceToEndOfData(signal);
    const { file } = proven(drive);
    const { first, last } = known ?? { first: 0, last: FILES_OF_LABEL };
    if (file < first || file > last) throw unknownArchives(request.barcode);
  } finally {
    await close();
  }
}

/** Whatever a label says, archives that count may lie behind it: a label is soon forged, or copied. */
async function refuseOwnArchives(
  catalog: Catalog,
  { drive, barcode }: Pick<HeldDrive, 'drive'> & { readonly barcode: string },
  signal: AbortSignal,
): Promise<void> {
  const archives = new Archives(catalog);
  for await (const { opening } of firstOpenings(drive, signal)) {
    const known = archives.find(opening.uuid);
    if (!known || !archives.copies(known.archiveId).some(({ state }) => state === 'good')) continue;
    throw new CodedError(
      'MEDIUM_MISMATCH',
      `${barcode} does not begin as a medium of this catalog, but holds archives of it: it is never labelled over; nothing was written`,
      { volser: barcode.slice(0, 6) },
    );
  }
}

/** Where data may end that were given up: as known then, or behind what a run had announced when it was cut. */
function endsOf(
  catalog: Catalog,
  barcode: string,
): { readonly first: number; readonly last: number } {
  const medium = new Media(catalog).find(barcode);
  assert(medium, 'it was found a moment ago');
  const { id, nextFile } = medium;
  const announced = new Archives(catalog)
    .onMedium(id)
    .filter(({ fileNumber }) => fileNumber >= nextFile).length;
  return { first: nextFile, last: nextFile + announced };
}

/** One whose label is the planned one was being labelled when something ended it; nothing may stand behind that label. */
async function labelOnce(
  { catalog, library }: LabelTools,
  request: LabelRequest & { readonly label: Label },
  signal: AbortSignal,
): Promise<Labelled> {
  const { barcode, label } = request;
  let isBegun = false;
  const permits = (found: Found) => {
    isBegun = found.kind === 'label' && found.label.uuid === label.uuid;
    permit(catalog, { found, request });
  };
  try {
    return await labelTape(library, label, permits, signal);
  } catch (error) {
    if (!isBegun) throw error;
  }
  const tape = await Tape.attach(library, { barcode, uuid: label.uuid }, signal);
  try {
    await tape.prepareToAppend({ block: 0, file: 0, writeGeneration: 0 }, signal);
    if (tape.end.file > FILES_OF_LABEL) throw unknownArchives(barcode);
  } finally {
    await tape.close();
  }
  return labelTape(library, label, () => {}, signal);
}

/** @throws CodedError MEDIUM_MISMATCH naming what is there */
function permit(
  catalog: Catalog,
  { found, request }: { readonly found: Found; readonly request: LabelRequest },
): void {
  const { barcode, overwrite, replaces } = request;
  if (replaces !== undefined && !isOwnLabel(catalog, found, { barcode, replaces }))
    throw new CodedError(
      'MEDIUM_MISMATCH',
      `${barcode} ${describeFound(found)}, which is not what the catalog knows of it; nothing was written`,
      { volser: barcode.slice(0, 6) },
    );
  const medium = found.kind === 'label' ? new Media(catalog).findUuid(found.label.uuid) : undefined;
  const isLive = medium !== undefined && holdsArchives(catalog, medium.id);
  const facts = parseBarcode(barcode);
  const isWorm = facts.kind === 'data' && facts.worm;
  if (overwrite && !isLive && !isWorm) return;
  const over = isWorm
    ? 'it can be written once only'
    : `--force with --confirm ${barcode} writes over it`;
  const advice = isLive
    ? `the catalog knows archives on it as ${medium.barcode}: it is never labelled over`
    : over;
  throw new CodedError(
    'MEDIUM_MISMATCH',
    `${barcode} is not blank: it ${describeFound(found)}; nothing was written; ${advice}`,
    { volser: barcode.slice(0, 6) },
  );
}

/** The label that is to go, or the one that came in its place before something ended it. */
function isOwnLabel(
  catalog: Catalog,
  found: Found,
  { barcode, replaces }: { readonly barcode: string; readonly replaces: string },
): boolean {
  if (found.kind !== 'label') return false;
  const { uuid } = found.label;
  return uuid === replaces || new Media(catalog).findUuid(uuid)?.barcode === barcode;
}

/** What a person would want to know before it is lost. */
function describeFound(found: Found): string {
  if (found.kind === 'foreign') return STARTS[found.start];
  const { barcode, pool, host, created } = found.label;
  return `carries a label of shelfs: ${printable(barcode)} of pool ${printable(pool)}, written by ${printable(host)} on ${created.slice(0, 10)}`;
}

const STARTS: Readonly<Record<Start, string>> = {
  shelfs: 'begins with an archive of shelfs where its label should be',
  ltfs: 'is formatted with LTFS',
  tar: 'begins with a tar archive of another program',
  zeros: 'begins with a block of zeros',
  foreign: 'carries data of another program',
};

function labelOf(
  tools: LabelTools,
  medium: Medium,
  { uuid, setUuid, setNumber, pool }: LabelPlan & { readonly pool: string },
): Label {
  const parsed = parseBarcode(medium.barcode);
  const byBarcode = 'generation' in parsed ? parsed.generation.name : undefined;
  const before = z.object({ writeGeneration: z.int() }).safeParse(medium.label);
  return {
    barcode: medium.barcode,
    uuid,
    pool,
    set: { uuid: setUuid, number: setNumber },
    generation: medium.generation ?? byBarcode ?? 'unknown',
    blockBytes: tools.blockBytes ?? BLOCK_BYTES_DEFAULT,
    created: new Date(tools.clock.nowMs()).toISOString(),
    program: tools.program,
    host: tools.host,
    writeGeneration: (before.success ? before.data.writeGeneration : 0) + 1,
  };
}

/** @returns the refusal of a cartridge that somebody else has written to */
export function unknownArchives(barcode: string): CodedError {
  return new CodedError(
    'MEDIUM_MISMATCH',
    `${barcode} holds archives that this catalog does not know: it may be older than they are; nothing was written`,
    { volser: barcode.slice(0, 6) },
  );
}
