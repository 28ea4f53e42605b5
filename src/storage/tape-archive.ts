/** One archive while it is written to one tape. */
import { strict as assert } from 'node:assert';
import type { EndWarning } from '../device/append.ts';
import type { Drive } from '../device/drive.ts';
import { proven, type TapePoint } from './tape-position.ts';

export type Written = {
  readonly fileNumber: number;
  readonly startBlock: number;
  readonly lengthBlocks: number;
};

/** Used once: blocks, then `finish`. */
export class TapeArchive {
  readonly fileNumber: number;
  readonly startBlock: number;
  /** The drive warns of the end as early as it was asked to. */
  readonly warnsEarlier: boolean;
  readonly #drive: Drive;
  readonly #onEnd: (end: TapePoint) => void;
  #lengthBlocks = 0;
  #isOpen = true;

  constructor(
    drive: Drive,
    start: TapePoint & { readonly warnsEarlier: boolean },
    onEnd: (end: TapePoint) => void,
  ) {
    this.warnsEarlier = start.warnsEarlier;
    this.#drive = drive;
    this.#onEnd = onEnd;
    this.fileNumber = start.file;
    this.startBlock = start.block;
  }

  get lengthBlocks(): number {
    return this.#lengthBlocks;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Writes one block. With `early` the block is safe, but the end of the tape is near: finish soon. */
  async writeBlock(block: Uint8Array, signal: AbortSignal): Promise<EndWarning> {
    assert(this.#isOpen, 'this archive is closed');
    const warning = await this.#drive.write(block, signal);
    this.#lengthBlocks += 1;
    return warning;
  }

  /**
   * Closes the archive with a synchronous filemark and proves the position behind it. Until this resolves nothing counts
   * as written.
   */
  async finish(signal: AbortSignal): Promise<Written> {
    assert(this.#isOpen, 'this archive is closed');
    this.#isOpen = false;
    await this.#drive.writeFilemarks(1, { immediate: false }, signal);
    await this.#drive.checkPosition(signal);
    const end = proven(this.#drive);
    assert(
      end.block === this.startBlock + this.#lengthBlocks + 1 && end.file === this.fileNumber + 1,
    );
    this.#onEnd(end);
    return {
      fileNumber: this.fileNumber,
      startBlock: this.startBlock,
      lengthBlocks: this.#lengthBlocks,
    };
  }
}
