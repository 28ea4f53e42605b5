/** Journals by themselves: found from the end of their tape file, and each line looked at. */
import { parseLine } from '../../archive/journal-parse.ts';
import { CodedError } from '../../base/errors.ts';
import type { CopyToRead } from '../../catalog/care/read-back.ts';
import { type ReadableTape, readPieces } from '../../storage/tape-reader.ts';
import { type Tail, tailOf } from './tail.ts';

/** A line without an end is no journal (FORMAT.md section 6). */
const LINE_BYTES_MAX = 16 * 2 ** 20;
/** Where the digest lies, and what is behind a tear. */
const TAIL_BLOCKS = 3;

/** Bytes of a journal as they pass; told of each line that is none, by where it begins. */
export class JournalCheck {
  readonly #onWrong: (line: { readonly offset: number; readonly lengthBytes: number }) => void;
  #rest: Buffer = Buffer.alloc(0);
  #offset = 0;
  #number = 1;

  constructor(onWrong: (line: { readonly offset: number; readonly lengthBytes: number }) => void) {
    this.#onWrong = onWrong;
  }

  take(bytes: Buffer): void {
    let at = 0;
    for (let stop = bytes.indexOf(0x0a); stop >= 0; stop = bytes.indexOf(0x0a, at)) {
      this.#line(Buffer.concat([this.#rest, bytes.subarray(at, stop)]));
      this.#rest = Buffer.alloc(0);
      at = stop + 1;
    }
    this.#rest = Buffer.concat([this.#rest, bytes.subarray(at)]);
    if (this.#rest.length <= LINE_BYTES_MAX) return;
    this.#line(this.#rest);
    this.#rest = Buffer.alloc(0);
  }

  end(): void {
    if (this.#rest.length > 0)
      this.#onWrong({ offset: this.#offset, lengthBytes: this.#rest.length });
  }

  #line(text: Buffer): void {
    const lengthBytes = text.length + 1;
    if (!isLine(text, this.#number)) this.#onWrong({ offset: this.#offset, lengthBytes });
    this.#offset += lengthBytes;
    this.#number += 1;
  }
}

/** A line of a name that nobody knows is one too (FORMAT.md section 5); one letter is not. */
function isLine(text: Buffer, number: number): boolean {
  try {
    const line = parseLine(text.toString('latin1'), number);
    return (number === 1) === (line?.kind === 'journal');
  } catch (error) {
    if (error instanceof CodedError) return false;
    throw error;
  }
}

/**
 * Looks at digest and journal of an archive without reading its members.
 * @returns what is wrong, in words; undefined where nothing is, or where it has neither
 * @throws CodedError the drive's failures
 */
export async function lookAtJournal(
  tape: ReadableTape,
  copy: CopyToRead,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { lengthBlocks, startBlock, isTorn } = copy;
  if (lengthBlocks === undefined || isTorn) return undefined;
  const { blockBytes } = tape;
  const streamBytes = lengthBlocks * blockBytes;
  const tailBytes = Math.min(lengthBlocks, TAIL_BLOCKS) * blockBytes;
  const bytes: Buffer[] = [];
  const at = { key: copy, startBlock, offset: streamBytes - tailBytes, lengthBytes: tailBytes };
  for await (const piece of readPieces(tape, [at], signal)) {
    if ('failure' in piece) return piece.failure.message;
    bytes.push(Buffer.from(piece.bytes));
  }
  const tail: Tail = tailOf(copy, Buffer.concat(bytes), streamBytes);
  if (!tail.isDigestRight || !tail.areZerosRight) return 'its digest is not what was written';
  if (!tail.journal) return undefined;
  let wrong: string | undefined;
  const lines = new JournalCheck(({ offset }) => {
    wrong ??= `its journal is not what was written, at byte ${offset} of it`;
  });
  const journal = { key: copy, startBlock, ...tail.journal };
  for await (const piece of readPieces(tape, [journal], signal)) {
    if ('failure' in piece) return piece.failure.message;
    lines.take(piece.bytes);
    signal.throwIfAborted();
  }
  lines.end();
  return wrong;
}
