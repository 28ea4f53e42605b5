/**
 * Reads wanted pieces of a cartridge in one forward pass: neighbours are read through, what lies far apart is located.
 */
import { strict as assert } from 'node:assert';
import { CodedError } from '../base/errors.ts';
import type { Drive } from '../device/drive.ts';

/** What of an attached cartridge reading takes. */
export type ReadableTape = {
  readonly barcode: string;
  readonly blockBytes: number;
  readonly drive: Pick<Drive, 'position' | 'read' | 'locate'>;
};

/** A run of bytes of an archive's stream on one cartridge. */
export type WantedPiece<K> = {
  readonly key: K;
  /** First block of the archive on this cartridge. */
  readonly startBlock: number;
  /** From the start of the stream. */
  readonly offset: number;
  readonly lengthBytes: number;
};

export type PieceBytes<K> = {
  readonly key: K;
  /** From the start of the piece. */
  readonly at: number;
  /** Valid until the next one is asked for. */
  readonly bytes: Buffer;
};

/** A piece whose bytes did not come, and why; the pass goes on behind it. */
export type PieceFailure<K> = { readonly key: K; readonly failure: CodedError };

/** Passing over this much at streaming speed takes about as long as stopping and locating. */
const READ_THROUGH_BYTES = 256 * 2 ** 20;

/** Orders pieces as they lie on the tape. */
export function inTapeOrder<K>(pieces: readonly WantedPiece<K>[]): WantedPiece<K>[] {
  return pieces.toSorted((a, b) => a.startBlock - b.startBlock || a.offset - b.offset);
}

/**
 * The bytes of the pieces, which must be in tape order and may overlap or repeat; pieces of no bytes give nothing. A block
 * that cannot be read fails the pieces that touch it, and no others.
 */
export function readPieces<K>(
  tape: ReadableTape,
  pieces: Iterable<WantedPiece<K>>,
  signal: AbortSignal,
): AsyncGenerator<PieceBytes<K> | PieceFailure<K>> {
  return new TapeReader(tape, signal).read(pieces);
}

/** Reads pieces in several goes: the block read last is not read again where the next go begins in it. */
export class TapeReader {
  readonly #tape: ReadableTape;
  readonly #reader: BlockReader;

  constructor(tape: ReadableTape, signal: AbortSignal) {
    this.#tape = tape;
    this.#reader = new BlockReader(tape, signal);
  }

  /** As `readPieces`. Pieces out of the tape's order are located; one at a time may run. */
  async *read<K>(
    pieces: Iterable<WantedPiece<K>>,
  ): AsyncGenerator<PieceBytes<K> | PieceFailure<K>> {
    const tape = this.#tape;
    for (const piece of pieces) {
      try {
        for (let at = 0; at < piece.lengthBytes; ) {
          const position = piece.offset + at;
          const block = piece.startBlock + Math.floor(position / tape.blockBytes);
          const skip = position % tape.blockBytes;
          const whole = await this.#reader.block(block);
          const bytes = whole.subarray(skip, Math.min(whole.length, skip + piece.lengthBytes - at));
          if (bytes.length === 0) throw tooShort(tape, block);
          yield { key: piece.key, at, bytes };
          at += bytes.length;
        }
      } catch (error) {
        const isOurs = error instanceof CodedError && error.code === 'MEDIUM_UNREADABLE';
        if (!isOurs) throw error;
        yield { key: piece.key, failure: error };
      }
    }
  }
}

/** One block at a time, each read once while the order is kept. */
class BlockReader {
  readonly #tape: ReadableTape;
  readonly #signal: AbortSignal;
  readonly #buffer: Buffer;
  #current: number | undefined;
  #lengthBytes = 0;

  constructor(tape: ReadableTape, signal: AbortSignal) {
    this.#tape = tape;
    this.#signal = signal;
    this.#buffer = Buffer.alloc(tape.blockBytes);
  }

  async block(block: number): Promise<Buffer> {
    if (this.#current !== block) {
      this.#current = undefined;
      await this.#goTo(block);
      const lengthBytes = await this.#read(block);
      this.#current = block;
      this.#lengthBytes = lengthBytes;
    }
    return this.#buffer.subarray(0, this.#lengthBytes);
  }

  async #goTo(block: number): Promise<void> {
    const { drive } = this.#tape;
    const gap = drive.position.proven ? block - drive.position.block : -1;
    const isNear = gap >= 0 && gap * this.#tape.blockBytes <= READ_THROUGH_BYTES;
    if (!isNear) return drive.locate(block, this.#signal);
    for (;;) {
      const { position } = drive;
      if (!position.proven) return drive.locate(block, this.#signal);
      if (position.block === block) return;
      assert(position.block < block);
      if (!(await this.#passOver())) return drive.locate(block, this.#signal);
    }
  }

  /** What is only passed over may be anything, filemarks too. @returns false where it cannot be read: nobody wants it */
  async #passOver(): Promise<boolean> {
    try {
      const { kind } = await this.#tape.drive.read(this.#buffer, this.#signal);
      return kind !== 'end-of-data';
    } catch (error) {
      if (error instanceof CodedError && error.code === 'MEDIUM_UNREADABLE') return false;
      throw error;
    }
  }

  async #read(block: number): Promise<number> {
    const result = await this.#tape.drive.read(this.#buffer, this.#signal);
    if (result.kind === 'block') return result.lengthBytes;
    throw tooShort(this.#tape, block);
  }
}

function tooShort(tape: ReadableTape, block: number): CodedError {
  return new CodedError(
    'MEDIUM_UNREADABLE',
    `cartridge ${tape.barcode} has no data at block ${block}, where the catalog knows some`,
    { volser: tape.barcode.slice(0, 6), block },
  );
}
