/** One cartridge in a drive: its label, the archives that were chosen, and the end of its data. Nothing is written to it. */
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { CodedError } from '../../base/errors.ts';
import type { CopyToRead, ReadBack } from '../../catalog/care/read-back.ts';
import type { Contents } from '../../catalog/content/contents.ts';
import type { Medium } from '../../catalog/shelf/media.ts';
import type { Tape } from '../../storage/tape.ts';
import { proven } from '../../storage/tape-position.ts';
import { readPieces } from '../../storage/tape-reader.ts';
import { checkCopy, type Verdict } from './check.ts';
import { lookAtJournal } from './journal.ts';
import { checkLabel } from './label.ts';
import type { Finding } from './report.ts';
import { type StreamHasher, StreamReader } from './stream.ts';

export type CartridgeTools = {
  readonly readBack: ReadBack;
  readonly contents: Contents;
  readonly hasher: StreamHasher;
  /** Told of each block that was read. */
  onBlock(bytes: number): void;
};

export class CartridgeScrub {
  readonly #tape: Tape;
  readonly #medium: Medium & { readonly uuid: string };
  readonly #tools: CartridgeTools;
  readonly #signal: AbortSignal;
  #reader: StreamReader | undefined;

  constructor(
    tape: Tape,
    at: { readonly medium: Medium & { readonly uuid: string }; readonly tools: CartridgeTools },
    signal: AbortSignal,
  ) {
    this.#tape = tape;
    this.#medium = at.medium;
    this.#tools = at.tools;
    this.#signal = signal;
  }

  async label(): Promise<readonly Finding[]> {
    const { readBack } = this.#tools;
    const { id, uuid, foreign } = this.#medium;
    // One of another program has none: it was known by its first block.
    if (foreign) return [];
    const known = readBack.label(id);
    const { findings, toKeep } = await checkLabel(this.#tape, { uuid, known }, this.#signal);
    if (toKeep) readBack.setLabel(id, toKeep);
    return findings;
  }

  /** The whole of it. */
  async check(copy: CopyToRead): Promise<Verdict> {
    const { readBack, contents, hasher, onBlock } = this.#tools;
    if (this.#medium.foreign && (await this.#isRight(copy)))
      return { state: 'right', ranges: [], undecided: [], findings: [] };
    this.#reader ??= new StreamReader(this.#tape, hasher, onBlock);
    const extentsOf = (archiveId: number) => readBack.extentsOf(archiveId);
    const tools = { tape: this.#tape, reader: this.#reader, contents, extentsOf };
    return checkCopy(copy, tools, this.#signal);
  }

  /** Of another program's archive, which ends as it likes: its last block may be short, and no digest stands there. */
  async #isRight({ startBlock, lengthBytes = 0, blake3 }: CopyToRead): Promise<boolean> {
    const all = new Blake3Hasher();
    const piece = { key: undefined, startBlock, offset: 0, lengthBytes };
    for await (const read of readPieces(this.#tape, [piece], this.#signal)) {
      if ('failure' in read) return false;
      all.update(read.bytes);
      this.#tools.onBlock(read.bytes.length);
    }
    return blake3?.equals(all.digestBuffer()) ?? false;
  }

  /** Digest and journal alone. */
  async journal(copy: CopyToRead): Promise<readonly Finding[]> {
    if (this.#medium.foreign) return [];
    const sentence = await lookAtJournal(this.#tape, copy, this.#signal);
    return sentence === undefined ? [] : [{ kind: 'journal', sentence }];
  }

  /**
   * Where the data end, against what the catalog knows.
   * @param known as the catalog has it now: while the drive is held nobody adds to it
   */
  async endOfData({
    nextFile,
    nextBlock,
  }: Pick<Medium, 'nextFile' | 'nextBlock'>): Promise<readonly Finding[]> {
    try {
      await this.#tape.drive.spaceToEndOfData(this.#signal);
    } catch (error) {
      const isOfMedium = error instanceof CodedError && error.code === 'MEDIUM_UNREADABLE';
      if (!isOfMedium) throw error;
      return [{ kind: 'end-of-data', sentence: `its end of data is not found: ${error.message}` }];
    }
    const { file, block } = proven(this.#tape.drive);
    if (file === nextFile && block === nextBlock) return [];
    if (file < nextFile || block < nextBlock) {
      const sentence = `its data end at file ${file}, block ${block}; the catalog knows some up to file ${nextFile}, block ${nextBlock}: it was overwritten or erased elsewhere`;
      return [{ kind: 'end-of-data', sentence }];
    }
    const more = file - nextFile;
    const sentence = `${more} tape ${more === 1 ? 'file stands' : 'files stand'} behind what the catalog knows: a run was cut, or another catalog wrote there`;
    return [{ kind: 'more', sentence }];
  }
}
