/**
 * What lies on a cartridge, found without the catalog and without reading a member: its label, its tape files by SPACE
 * FILEMARKS, of each the opening at its start, the digest and the journal at its end.
 *
 * Nothing is written. What cannot be read or understood is told in a sentence and left out; the rest of the cartridge counts.
 */
import { type Digest, findDigest } from '../../archive/digest.ts';
import type { Label } from '../../archive/label.ts';
import { type Opening, parseOpening } from '../../archive/opening.ts';
import { CodedError } from '../../base/errors.ts';
import { printable } from '../../base/text.ts';
import { readBeginning } from '../../storage/beginning.ts';
import type { HeldDrive } from '../../storage/drives.ts';
import { proven } from '../../storage/tape-position.ts';
import { readCartridgeMemory } from '../../storage/write-generation.ts';
import { Blocks } from './blocks.ts';
import {
  type FoundDigest,
  type FoundFile,
  type FoundMedium,
  journalFacts,
  type Spool,
} from './spool.ts';

type Drive = HeldDrive['drive'];

/** JSON of an opening is bounded to this (FORMAT.md section 6); most fit a block. */
const OPENING_BYTES_MAX = 2 ** 20;
/** The digest lies within the last two blocks of a tape file (FORMAT.md section 3.2). */
const TAIL_BLOCKS = 2;

export type Inventoried =
  | {
      readonly kind: 'medium';
      readonly medium: FoundMedium;
      /** One that was read before and says less: an older likeness of it, or what the cartridge was before. */
      readonly instead: FoundMedium | undefined;
    }
  /** The very one that was read before. */
  | { readonly kind: 'known' }
  /** Blank, another program's, or a label that cannot be read: nothing of ours is looked for behind it. */
  | { readonly kind: 'other'; readonly what: string };

export type InventoryTools = {
  readonly spool: Spool;
  /** Of the sticker, where it was read: a label that says otherwise is another cartridge's. */
  readonly sticker?: string;
  /** Those that were read by now. */
  readonly known: readonly FoundMedium[];
  warn(message: string): void;
  /** After each tape file. */
  onFile(barcode: string, file: number): void;
};

/** Reads the cartridge in a held drive. @throws CodedError the drive's failures but those of single places */
export async function inventoryTape(
  drive: Drive,
  tools: InventoryTools,
  signal: AbortSignal,
): Promise<Inventoried> {
  const memory = await readCartridgeMemory(drive.unit, signal);
  const found = await readBeginning(drive, signal).catch((error: unknown) => {
    if (!isOfMedium(error)) throw error;
    return { kind: 'unreadable', why: error.message } as const;
  });
  if (found.kind === 'blank') return { kind: 'other', what: 'is blank' };
  if (found.kind === 'unreadable') return { kind: 'other', what: `has no label: ${found.why}` };
  if (found.kind === 'foreign') return { kind: 'other', what: FOREIGN[found.start] };
  const { label } = found;
  if (tools.sticker !== undefined && tools.sticker !== label.barcode)
    return { kind: 'other', what: `is labelled ${label.barcode}, which is not its barcode` };
  const start = proven(drive);
  await drive.spaceToEndOfData(signal);
  const end = proven(drive);
  const twin = tools.known.find(
    (other) => other.label.uuid === label.uuid || other.label.barcode === label.barcode,
  );
  if (twin && !saysMore({ label, end }, twin)) {
    const isIt = twin.label.uuid === label.uuid && twin.endBlock === end.block;
    if (isIt && twin.label.barcode === label.barcode) return { kind: 'known' };
    return { kind: 'other', what: `says it is ${twin.label.barcode}, which was read already` };
  }
  const known = await tools.spool.medium(label.uuid);
  // A cut recovery may have read an older copy of it, or one that was cut.
  if (known?.endBlock === end.block && known.endFile === end.file)
    return { kind: 'medium', medium: known, instead: twin };
  await drive.locate(start.block, signal);
  const walk = new Walk(drive, label, tools);
  const files = await walk.files({ start: start.block, end }, signal);
  const medium: FoundMedium = {
    label,
    maximumMib: memory.maximumMib,
    serialNumber: memory.serialNumber,
    writeGeneration: memory.writeGeneration,
    endBlock: end.block,
    endFile: end.file,
    files,
  };
  await tools.spool.addMedium(medium);
  return { kind: 'medium', medium, instead: twin };
}

/** Of two that say they are one cartridge: under one label the longer, under two the one that was labelled later. */
function saysMore(
  one: { readonly label: Label; readonly end: { readonly block: number } },
  other: FoundMedium,
): boolean {
  if (one.label.uuid !== other.label.uuid)
    return Date.parse(one.label.created) > Date.parse(other.label.created);
  return one.label.barcode === other.label.barcode && one.end.block > other.endBlock;
}

const FOREIGN = {
  shelfs: 'begins with an archive where its label should be',
  ltfs: 'is formatted with LTFS',
  tar: 'begins with a tar archive of another program',
  zeros: 'begins with a block of zeros',
  foreign: 'carries data of another program',
} as const;

/** From tape file to tape file, forward but for the steps back to each one's end. */
class Walk {
  readonly #drive: Drive;
  readonly #label: Label;
  readonly #tools: InventoryTools;
  readonly #blocks: Blocks;

  constructor(drive: Drive, label: Label, tools: InventoryTools) {
    this.#drive = drive;
    this.#label = label;
    this.#tools = tools;
    this.#blocks = new Blocks(drive, label.blockBytes);
  }

  async files(
    bounds: { readonly start: number; readonly end: { block: number; file: number } },
    signal: AbortSignal,
  ): Promise<FoundFile[]> {
    const files: FoundFile[] = [];
    const { end } = bounds;
    for (let file = 1, start = bounds.start; start < end.block; file += 1) {
      signal.throwIfAborted();
      const next = file < end.file ? await this.#nextFile(file, start, signal) : end.block + 1;
      if (next === undefined) break;
      const lengthBlocks = next - 1 - start;
      files.push(await this.#file({ file, startBlock: start, lengthBlocks }, signal));
      this.#tools.onFile(this.#label.barcode, file);
      start = next;
    }
    return files;
  }

  /** The first block of the next tape file; undefined where the tape cannot be passed over. */
  async #nextFile(file: number, start: number, signal: AbortSignal): Promise<number | undefined> {
    try {
      await this.#drive.locate(start, signal);
      await this.#drive.spaceFilemarks(1, signal);
      return proven(this.#drive).block;
    } catch (error) {
      if (!isOfMedium(error)) throw error;
      this.#warn(file, `cannot be passed over, nor what lies behind it: ${error.message}`);
      return undefined;
    }
  }

  async #file(
    place: Pick<FoundFile, 'file' | 'startBlock' | 'lengthBlocks'>,
    signal: AbortSignal,
  ): Promise<FoundFile> {
    const found = await this.#tried(place.file, () => this.#opening(place, signal));
    // A tape may have a great many files: where else an archive lies is what other cartridges show.
    const opening = found && { ...found, copies: [] };
    const digest = opening && (await this.#tried(place.file, () => this.#digest(place, signal)));
    if (!opening || !digest) return { ...place, opening, digest: undefined, journal: undefined };
    if (digest.uuid !== opening.uuid) {
      this.#warn(place.file, `begins as archive ${opening.uuid} and ends as ${digest.uuid}`);
      return { ...place, opening, digest: undefined, journal: undefined };
    }
    const journal = await this.#tried(place.file, () =>
      this.#journal(place, { opening, digest }, signal),
    );
    return { ...place, opening, digest: inHex(digest), journal };
  }

  /** What a bad block or bytes that are not ours cost is this one thing. */
  async #tried<T>(file: number, read: () => Promise<T>): Promise<T | undefined> {
    try {
      return await read();
    } catch (error) {
      if (!isOfMedium(error)) throw error;
      this.#warn(file, error.message);
      return undefined;
    }
  }

  async #opening(
    { startBlock, lengthBlocks }: Pick<FoundFile, 'startBlock' | 'lengthBlocks'>,
    signal: AbortSignal,
  ): Promise<Opening> {
    const most = Math.ceil(OPENING_BYTES_MAX / this.#label.blockBytes) + 1;
    let bytes = Buffer.alloc(0);
    for (let blocks = 1; ; blocks += 1) {
      const more = await this.#blocks.read(startBlock + blocks - 1, 1, signal);
      bytes = Buffer.concat([bytes, more]);
      try {
        return parseOpening(bytes);
      } catch (error) {
        const isCut = isOfMedium(error) && error.code === 'ARCHIVE_INVALID';
        if (!isCut || blocks >= Math.min(most, lengthBlocks)) throw error;
      }
    }
  }

  async #digest(
    { startBlock, lengthBlocks }: Pick<FoundFile, 'startBlock' | 'lengthBlocks'>,
    signal: AbortSignal,
  ): Promise<Digest | undefined> {
    const count = Math.min(TAIL_BLOCKS, lengthBlocks);
    const tail = await this.#blocks.read(startBlock + lengthBlocks - count, count, signal);
    return findDigest(tail, lengthBlocks * this.#label.blockBytes);
  }

  async #journal(
    place: Pick<FoundFile, 'file' | 'startBlock' | 'lengthBlocks'>,
    found: { readonly opening: Opening; readonly digest: Digest },
    signal: AbortSignal,
  ): Promise<FoundFile['journal']> {
    const { journal } = found.digest;
    const name = `${this.#label.uuid}.${place.file}`;
    const path = await this.#tools.spool.addJournal(
      name,
      this.#blocks.range(place.startBlock, journal, signal),
    );
    const facts = await journalFacts(path, found.opening.job.uuid);
    if (facts.archive !== found.opening.uuid)
      throw new CodedError('ARCHIVE_INVALID', `its journal is of archive ${facts.archive}`);
    return { name, ...facts };
  }

  #warn(file: number, what: string): void {
    this.#tools.warn(`${printable(this.#label.barcode)}, tape file ${file}: ${printable(what)}`);
  }
}

function inHex({ blake3, sha256, lengthBytes }: Digest): FoundDigest {
  return { blake3: blake3.toString('hex'), sha256: sha256?.toString('hex'), lengthBytes };
}

const OF_MEDIUM: ReadonlySet<string> = new Set([
  'MEDIUM_UNREADABLE',
  'MEDIUM_MISMATCH',
  'ARCHIVE_INVALID',
  'ARCHIVE_TORN',
  'FORMAT_UNSUPPORTED',
]);

/** Damage of a place, not of the drive. */
export function isOfMedium(error: unknown): error is CodedError {
  return error instanceof CodedError && OF_MEDIUM.has(error.code);
}
