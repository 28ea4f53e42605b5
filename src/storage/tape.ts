/**
 * A cartridge in a drive, held for a job: its label proven, archives written behind the end of its data, blocks read.
 *
 * The order in which a cartridge becomes writable: label read and equal to what the catalog says; drive set up; end of
 * data found by reading; what stands last closed; end and write generation compared with the catalog. Only then the first
 * block goes out, and before each archive mode and position are proven again.
 */
import { strict as assert } from 'node:assert';
import type { Label } from '../archive/label.ts';
import { CodedError, type FailureCode } from '../base/errors.ts';
import type { Drive } from '../device/drive.ts';
import { readBeginning } from './beginning.ts';
import type { HeldDrive } from './drives.ts';
import { proveForeign } from './foreign.ts';
import { HealthWatch } from './health-watch.ts';
import { blockBytesByArchive, labelOf, type MeantMedium } from './identity.ts';
import type { Library } from './library.ts';
import { TapeArchive } from './tape-archive.ts';
import { closeTornArchive, proven, type TapePoint } from './tape-position.ts';
import { type CartridgeMemory, readCartridgeMemory, writeGeneration } from './write-generation.ts';
import { WRITING_MODE } from './writing-mode.ts';

/** What the catalog knows of the end of a cartridge's data; at file 0 nothing. */
export type KnownEnd = TapePoint & {
  readonly writeGeneration: number;
  /**
   * Sees, before anything is written, how many tape files stand behind that end, one that was never closed among them;
   * throws where they are not ours.
   */
  permits?(unknownFiles: number): void;
};

/** The drive beside it may hold the right one. */
const PASSED_OVER: ReadonlySet<FailureCode> = new Set(['DRIVE_BUSY', 'MEDIUM_MISMATCH']);

export class Tape {
  readonly drive: Drive;
  readonly barcode: string;
  readonly blockBytes: number;
  readonly memory: CartridgeMemory;
  readonly #label: Label | undefined;
  readonly #held: HeldDrive;
  #end: TapePoint | undefined;
  #health: HealthWatch | undefined;
  #writeGeneration: number;

  private constructor(
    held: HeldDrive,
    barcode: string,
    found: { label: Label | undefined; blockBytes: number; memory: CartridgeMemory },
  ) {
    this.#held = held;
    this.drive = held.drive;
    this.barcode = barcode;
    this.#label = found.label;
    this.blockBytes = found.blockBytes;
    this.memory = found.memory;
    this.#writeGeneration = found.memory.writeGeneration ?? 0;
  }

  /**
   * Brings the cartridge into a drive and proves that it is the medium the catalog means.
   * @throws CodedError MEDIUM_MISMATCH when the label says otherwise; the library's failures
   */
  static async attach(library: Library, medium: MeantMedium, signal: AbortSignal): Promise<Tape> {
    const tape = library.isByHand
      ? await Tape.#attachByHand(library, medium, signal)
      : await Tape.#prove(await library.attach(medium.barcode, signal), medium, signal);
    const { keeper } = library;
    if (!keeper) return tape;
    try {
      const { drive, barcode } = tape;
      tape.#health = await HealthWatch.begin(drive, { barcode, keeper }, signal);
      return tape;
    } catch (error) {
      await tape.close();
      throw error;
    }
  }

  /** In whichever drive a person has put it. */
  static async #attachByHand(
    library: Library,
    medium: MeantMedium,
    signal: AbortSignal,
  ): Promise<Tape> {
    const { barcode } = medium;
    let failure: CodedError | undefined;
    for (const number of library.driveNames.keys()) {
      try {
        const held = await library.attachDrive(number, signal);
        if (held) return await Tape.#prove(held, medium, signal);
      } catch (error) {
        if (!(error instanceof CodedError) || !PASSED_OVER.has(error.code)) throw error;
        // Somebody else's drive may hold it: that is waited for rather than asked about.
        if (failure?.code !== 'DRIVE_BUSY') failure = error;
      }
    }
    if (failure) throw failure;
    throw new CodedError('MEDIUM_OFFLINE', `put cartridge ${barcode} into the drive`, {
      volser: barcode.slice(0, 6),
    });
  }

  static async #prove(held: HeldDrive, medium: MeantMedium, signal: AbortSignal): Promise<Tape> {
    const { barcode, purpose } = medium;
    try {
      const memory = await readCartridgeMemory(held.drive.unit, signal);
      const { foreign } = medium;
      if (foreign) {
        await proveForeign(held.drive, { barcode, foreign }, signal);
        const { blockBytes } = foreign;
        return new Tape(held, barcode, { label: undefined, blockBytes, memory });
      }
      const look = async () => {
        const found = await readBeginning(held.drive, signal);
        return found.kind === 'label' ? found.label : found.kind;
      };
      const label = await labelOf(look, medium, held.drive.name);
      if (!(label instanceof CodedError))
        return new Tape(held, barcode, { label, blockBytes: label.blockBytes, memory });
      const blockBytes =
        purpose === 'read' ? await blockBytesByArchive(held.drive, medium, signal) : undefined;
      if (blockBytes === undefined) throw label;
      return new Tape(held, barcode, { label: undefined, blockBytes, memory });
    } catch (error) {
      await held.close();
      throw error;
    }
  }

  /** Undefined where it is damaged: then the cartridge is only read. */
  get readableLabel(): Label | undefined {
    return this.#label;
  }

  get label(): Label {
    assert(this.#label, 'a cartridge whose label is damaged is only read');
    return this.#label;
  }

  get writeGeneration(): number {
    return this.#writeGeneration;
  }

  /** Where the next archive will begin; after `prepareToAppend`. */
  get end(): TapePoint {
    assert(this.#end, 'the end of data has not been looked for');
    return this.#end;
  }

  /**
   * Finds the end of the data, compares it with what the catalog knows, and closes what a run that ended badly has left.
   * @returns tape files behind the catalog's end: leftovers of such a run, or archives of a later state
   * @throws CodedError MEDIUM_MISMATCH when the tape ends before, or its memory has counted more archives; nothing was
   *   written then
   */
  async prepareToAppend(
    known: KnownEnd,
    signal: AbortSignal,
  ): Promise<{ readonly unknownFiles: number }> {
    assert(this.#label, 'a cartridge whose label is damaged is only read');
    this.#refuseLaterState(known);
    await this.#setUp(signal);
    let unknownFiles = 0;
    const { end } = await closeTornArchive(this.drive, signal, (found) => {
      if (found.block < known.block || found.file < known.file) {
        throw this.#mismatch(
          `ends at file ${found.file}, block ${found.block}, but the catalog knows data up to file ${known.file}, block ${known.block}: it was overwritten or erased elsewhere`,
        );
      }
      unknownFiles = found.file - known.file;
      known.permits?.(unknownFiles);
    });
    this.#end = end;
    return { unknownFiles };
  }

  /**
   * The chip counts an archive after the catalog did, so it is never ahead of the catalog that wrote it. It tells where
   * the tape does not: an archive of a later state can stand where this one has announced its own.
   */
  #refuseLaterState(known: KnownEnd): void {
    const { writeGeneration } = this.memory;
    const isLater = writeGeneration !== undefined && writeGeneration > known.writeGeneration;
    if (known.file === 0 || !isLater) return;
    const more = writeGeneration - known.writeGeneration;
    throw this.#mismatch(
      `holds ${more} ${more === 1 ? 'archive' : 'archives'} more than this catalog knows: it was written by a later state of it, or by another; run \`shelfs recover --merge\``,
    );
  }

  #mismatch(what: string): CodedError {
    return new CodedError(
      'MEDIUM_MISMATCH',
      `cartridge ${this.barcode} ${what}; nothing was written`,
      { volser: this.barcode.slice(0, 6), device: this.drive.name },
    );
  }

  /**
   * Proves mode and position once more and opens an archive at the end of the data.
   * @param options.warnBytes how much earlier than by itself the drive is to warn of the end
   */
  async beginArchive(
    signal: AbortSignal,
    { warnBytes = 0 }: { readonly warnBytes?: number } = {},
  ): Promise<TapeArchive> {
    const expected = this.end;
    const warnsEarlier = await this.#setUp(signal, warnBytes);
    const { position } = this.drive;
    const isThere = position.proven && position.atEndOfData && position.block === expected.block;
    if (!isThere) await this.drive.spaceToEndOfData(signal);
    const { block, file } = proven(this.drive);
    if (block !== expected.block || file !== expected.file) {
      throw new CodedError(
        'POSITION_LOST',
        `${this.drive.name}: the data of ${this.barcode} end at block ${block}, not at ${expected.block}, where they ended before: somebody else wrote to it; nothing was written`,
        { device: this.drive.name, block, volser: this.barcode.slice(0, 6) },
      );
    }
    return new TapeArchive(this.drive, { ...expected, warnsEarlier }, (end) => {
      this.#end = end;
    });
  }

  /** Counts one more archive on the chip, after it was committed. */
  async countArchive(signal: AbortSignal): Promise<void> {
    this.#writeGeneration += 1;
    await writeGeneration(
      this.drive.unit,
      { generation: this.#writeGeneration, mediumUuid: this.label.uuid },
      signal,
    );
  }

  /** What the chip says is left, in MiB; undefined where it says nothing. */
  async remainingMib(signal: AbortSignal): Promise<number | undefined> {
    return (await readCartridgeMemory(this.drive.unit, signal)).remainingMib;
  }

  /**
   * Reads blocks one after the other. What is normal on tape ends it: a filemark or the end of the data.
   * @param buffer holds one block at a time: use it before asking for the next
   */
  async *blocks(startBlock: number, buffer: Buffer, signal: AbortSignal): AsyncGenerator<Buffer> {
    const { position } = this.drive;
    if (!position.proven || position.block !== startBlock) {
      await this.drive.locate(startBlock, signal);
    }
    for (let block = startBlock; ; block += 1) {
      const result = await this.drive.read(buffer, signal);
      if (result.kind === 'filemark' || result.kind === 'end-of-data') return;
      if (result.kind === 'longer-block') {
        throw new CodedError(
          'MEDIUM_UNREADABLE',
          `block ${block} of ${this.barcode} has ${result.lengthBytes} bytes, more than the ${buffer.length} its label promises`,
          { volser: this.barcode.slice(0, 6), block },
        );
      }
      yield buffer.subarray(0, result.lengthBytes);
    }
  }

  /** Whether its drive asks to be cleaned at once; where nobody keeps its health, it is not asked. */
  async asksForCleaning(signal: AbortSignal): Promise<boolean> {
    return (await this.#health?.asksForCleaning(signal)) ?? false;
  }

  /** Lets go of the drive; the cartridge stays loaded. May be called twice. */
  async close(): Promise<void> {
    const health = this.#health;
    this.#health = undefined;
    try {
      await health?.end();
    } finally {
      await this.#held.close();
    }
  }

  /** @returns whether the drive warns so much earlier */
  async #setUp(signal: AbortSignal, warnBytes = 0): Promise<boolean> {
    const wantedMb = Math.ceil(warnBytes / 1e6);
    const mode = { ...WRITING_MODE, programmableEarlyWarningMb: wantedMb };
    const { writeProtected, programmableEarlyWarningMb } = await this.drive.setMode(mode, signal);
    if (!writeProtected) return programmableEarlyWarningMb === wantedMb;
    throw new CodedError(
      'MEDIUM_PROTECTED',
      `cartridge ${this.barcode} in ${this.drive.name} is write-protected; nothing was written`,
      { volser: this.barcode.slice(0, 6), device: this.drive.name },
    );
  }
}
