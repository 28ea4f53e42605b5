/**
 * Proof of a cartridge whose label is damaged: the opening of an archive names the medium it was written to.
 *
 * Enough to read it, for bytes are proven by their hashes; never to write to it.
 */
import type { Label } from '../archive/label.ts';
import { type Opening, parseOpening } from '../archive/opening.ts';
import { CodedError, type FailureCode } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import type { Drive } from '../device/drive.ts';
import type { ForeignTape } from '../domain/foreign.ts';

/** Blocks are no longer on any medium of ours (FORMAT.md section 1). */
const BLOCK_BYTES_MAX = 8 * 2 ** 20;
/** An opening has a few KiB. */
const OPENING_BLOCKS_MAX = 4;
/** Openings of archives that were copied whole name other media: so many tape files are looked at. */
const FILES_MAX = 3;

/** The cartridge that is meant, as its label says it. */
export type MeantMedium = {
  readonly barcode: string;
  readonly uuid: string;
  /** Only to be read: then the opening of an archive on it proves it too, where its label is damaged. */
  readonly purpose?: 'read' | undefined;
  /** It has no label of ours: another program wrote it. */
  readonly foreign?: ForeignTape | undefined;
};

const NO_PROOF: ReadonlySet<FailureCode> = new Set([
  'MEDIUM_UNREADABLE',
  'ARCHIVE_INVALID',
  'FORMAT_UNSUPPORTED',
]);

/** The label cannot be read, or is not as it should be. */
const OF_LABEL: ReadonlySet<FailureCode> = new Set([...NO_PROOF, 'MEDIUM_MISMATCH']);

/**
 * The label, proven to be the medium's; else why it is not, where damage may explain that.
 * @param look reads what stands at the start of the tape
 * @throws CodedError MEDIUM_MISMATCH where it is another medium's, or the cartridge is blank; what `look` throws; where it is
 *   only to be read, not what a damaged label explains
 */
export async function labelOf(
  look: () => Promise<Label | 'blank' | 'foreign'>,
  { barcode, uuid, purpose }: MeantMedium,
  device: string,
): Promise<Label | CodedError> {
  const refused = (what: string) =>
    new CodedError('MEDIUM_MISMATCH', `${what}; nothing was written`, {
      volser: barcode.slice(0, 6),
      device,
    });
  let found: Label | 'blank' | 'foreign';
  try {
    found = await look();
  } catch (error) {
    const isOfLabel = error instanceof CodedError && OF_LABEL.has(error.code);
    if (!isOfLabel || purpose !== 'read') throw error;
    return error;
  }
  if (found === 'blank' || found === 'foreign') {
    const what = found === 'blank' ? 'is blank' : 'carries no label of shelfs';
    const refusal = refused(
      `cartridge ${barcode} in ${device} ${what}, although the catalog knows data on it`,
    );
    if (found === 'blank') throw refusal;
    return refusal;
  }
  if (found.uuid === uuid && found.barcode === barcode) return found;
  const refusal = refused(
    `the cartridge in ${device} is labelled ${printable(found.barcode)} (${found.uuid}), not ${barcode} (${uuid})`,
  );
  // Damage of one place leaves one of the two as it was.
  if (found.uuid !== uuid && found.barcode !== barcode) throw refusal;
  return refusal;
}

/**
 * @returns the length of the medium's blocks; undefined where nothing proves that it is this medium
 * @throws CodedError the drive's failures
 */
export async function blockBytesByArchive(
  drive: Drive,
  { barcode, uuid }: { readonly barcode: string; readonly uuid: string },
  signal: AbortSignal,
): Promise<number | undefined> {
  for await (const { file, opening } of firstOpenings(drive, signal)) {
    const { blockBytes, copies } = opening;
    const isIt = copies.some(
      (copy) => copy.barcode === barcode && copy.medium === uuid && copy.file === file,
    );
    if (isIt && blockBytes <= BLOCK_BYTES_MAX) return blockBytes;
  }
  return undefined;
}

/**
 * What the first archives on a tape say of themselves, whatever stands before them; those that cannot be read are passed over.
 * @throws CodedError the drive's failures
 */
export async function* firstOpenings(
  drive: Drive,
  signal: AbortSignal,
): AsyncGenerator<{ readonly file: number; readonly opening: Opening }> {
  const block = Buffer.alloc(BLOCK_BYTES_MAX);
  for (let file = 1; file <= FILES_MAX; file += 1) {
    try {
      // A filemark that the opening before has met is passed already.
      if (file === 1 || !drive.position.proven) await drive.rewind(signal);
      const { position } = drive;
      const left = file - (position.proven ? position.file : 0);
      if (left > 0) await drive.spaceFilemarks(left, signal);
    } catch (error) {
      if (error instanceof CodedError && NO_PROOF.has(error.code)) return;
      throw error;
    }
    const opening = await openingHere(drive, block, signal);
    if (opening) yield { file, opening };
  }
}

/** One that is damaged proves nothing; the next one may. */
async function openingHere(
  drive: Drive,
  block: Buffer,
  signal: AbortSignal,
): Promise<Opening | undefined> {
  try {
    return parseOpening(await readStart(drive, block, signal));
  } catch (error) {
    if (!(error instanceof CodedError) || !NO_PROOF.has(error.code)) throw error;
    return undefined;
  }
}

async function readStart(drive: Drive, block: Buffer, signal: AbortSignal): Promise<Buffer> {
  const parts: Buffer[] = [];
  while (parts.length < OPENING_BLOCKS_MAX) {
    const found = await drive.read(block, signal);
    if (found.kind !== 'block') break;
    parts.push(Buffer.from(block.subarray(0, found.lengthBytes)));
  }
  return Buffer.concat(parts);
}
