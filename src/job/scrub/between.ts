/**
 * What of a stream is wrong besides the bytes of files: headers, the zeros that fill them up, the opening, a copy of the
 * catalog, the journal. No file is lost by it, for the catalog has it too; but `tar` may complain. And once more the hash of
 * the whole: where it is right now, the drive has read badly the first time.
 */
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { parseCount, parsePax } from '../../archive/pax.ts';
import { hasChecksum, padTo512, parseHeader, TAR_BLOCK_BYTES } from '../../archive/ustar.ts';
import { CodedError } from '../../base/errors.ts';
import type { DamagedRange } from '../../catalog/care/damages.ts';
import type { CopyToRead, ExtentToRead } from '../../catalog/care/read-back.ts';
import { type ReadableTape, TapeReader } from '../../storage/tape-reader.ts';
import { JournalCheck } from './journal.ts';
import { isZero } from './tail.ts';

export type BetweenKind = 'header' | 'padding' | 'opening' | 'journal' | 'stale';

export type Between = {
  /** The first of them, by position. */
  readonly found: readonly (DamagedRange & { readonly kind: BetweenKind })[];
  /** The hash of the stream is right. */
  readonly isRight: boolean;
};

type Order = {
  readonly copy: CopyToRead;
  /** By position. */
  readonly extents: Iterable<ExtentToRead>;
  readonly hashedBytes: number;
  readonly blake3: Buffer | undefined;
  readonly journal: { readonly offset: number; readonly lengthBytes: number } | undefined;
};

const FOUND_MAX = 100;
const CHUNK_BYTES = 2 ** 20;

/** @throws CodedError MEDIUM_UNREADABLE where a block cannot be read this time; the drive's failures */
export async function lookBetween(
  tape: ReadableTape,
  order: Order,
  signal: AbortSignal,
): Promise<Between> {
  const stream = new HashedStream(tape, order, signal);
  const walk = new Walk(stream, order);
  await walk.run();
  await stream.skipTo(order.hashedBytes);
  return {
    found: walk.found,
    isRight: order.blake3 !== undefined && stream.digest().equals(order.blake3),
  };
}

/** The stream up to where its hash ends, in order. */
class HashedStream {
  readonly #pieces;
  readonly #hasher = new Blake3Hasher();
  readonly #endBytes: number;
  #rest: Buffer = Buffer.alloc(0);
  offset = 0;

  constructor(tape: ReadableTape, { copy, hashedBytes }: Order, signal: AbortSignal) {
    const { startBlock } = copy;
    this.#endBytes = hashedBytes;
    const piece = { key: copy, startBlock, offset: 0, lengthBytes: hashedBytes };
    this.#pieces = new TapeReader(tape, signal).read([piece]);
  }

  /** As many as there are up to the end. Valid until the next call. */
  async read(lengthBytes: number): Promise<Buffer> {
    const wanted = Math.min(lengthBytes, this.#endBytes - this.offset);
    const parts: Buffer[] = [];
    for (let missing = wanted; missing > 0; ) {
      if (this.#rest.length === 0) await this.#next();
      const part = this.#rest.subarray(0, missing);
      this.#rest = this.#rest.subarray(part.length);
      missing -= part.length;
      // The block's buffer is filled anew before the next part comes.
      parts.push(missing > 0 ? Buffer.from(part) : part);
    }
    this.offset += wanted;
    const [only] = parts;
    return only && parts.length === 1 ? only : Buffer.concat(parts);
  }

  async skipTo(offset: number): Promise<void> {
    while (this.offset < offset && this.offset < this.#endBytes)
      await this.read(Math.min(CHUNK_BYTES, offset - this.offset));
  }

  digest(): Buffer {
    return this.#hasher.digestBuffer();
  }

  async #next(): Promise<void> {
    const { value } = await this.#pieces.next();
    if (!value) throw new CodedError('MEDIUM_UNREADABLE', 'the tape file is shorter than it was');
    if ('failure' in value) throw value.failure;
    this.#hasher.update(value.bytes);
    this.#rest = value.bytes;
  }
}

/** From header to header; data of extents are where the catalog says, whatever a header says. */
class Walk {
  readonly found: (DamagedRange & { readonly kind: BetweenKind })[] = [];
  readonly #stream: HashedStream;
  readonly #order: Order;
  readonly #extents: Iterator<ExtentToRead>;
  #next: ExtentToRead | undefined;
  /** Behind a header that is wrong, what follows is passed over until one is right again. */
  #isLost = false;
  /** What an extended header says of the next member; undefined where it says nothing. */
  #recordedBytes: number | undefined;

  constructor(stream: HashedStream, order: Order) {
    this.#stream = stream;
    this.#order = order;
    this.#extents = order.extents[Symbol.iterator]();
    this.#advance();
  }

  async run(): Promise<void> {
    const { hashedBytes, journal } = this.#order;
    while (this.#stream.offset < hashedBytes) {
      const { offset } = this.#stream;
      if (journal && offset === journal.offset) await this.#journal(journal.lengthBytes);
      else if (this.#next && offset >= this.#next.extent.archiveOffset) await this.#data();
      else await this.#header();
    }
  }

  #advance(): void {
    const next = this.#extents.next();
    this.#next = next.done ? undefined : next.value;
  }

  /** Bytes of a file, which were proven before; the zeros behind them. */
  async #data(): Promise<void> {
    const extent = this.#next?.extent;
    if (!extent) return;
    const { archiveOffset, storedBytes } = extent;
    this.#isLost = false;
    await this.#stream.skipTo(archiveOffset + storedBytes);
    await this.#zeros(archiveOffset + padTo512(storedBytes));
    while (this.#next && this.#next.extent.archiveOffset < this.#stream.offset) this.#advance();
  }

  async #zeros(end: number): Promise<void> {
    const { offset } = this.#stream;
    if (offset < end && !isZero(await this.#stream.read(end - offset)))
      this.#add('padding', offset, end - offset);
  }

  async #header(): Promise<void> {
    const { offset } = this.#stream;
    const header = Buffer.from(await this.#stream.read(TAR_BLOCK_BYTES));
    if (header.length < TAR_BLOCK_BYTES) return;
    const isRight = !isZero(header) && hasChecksum(header);
    if (!isRight) {
      if (!this.#isLost) this.#add('header', offset, TAR_BLOCK_BYTES);
      this.#isLost = true;
      return;
    }
    this.#isLost = false;
    const { type, name, ...own } = parsed(header) ?? { type: '0', sizeBytes: 0, name: '' };
    const sizeBytes = (type === 'x' ? undefined : this.#recordedBytes) ?? own.sizeBytes;
    this.#recordedBytes = undefined;
    if (sizeBytes === 0 || this.#stream.offset === this.#next?.extent.archiveOffset) return;
    if (type === 'x') await this.#records(sizeBytes);
    else if (type === '0' && this.#stream.offset !== this.#order.journal?.offset)
      await this.#other(name, sizeBytes);
  }

  async #records(sizeBytes: number): Promise<void> {
    const { offset } = this.#stream;
    const records = Buffer.from(await this.#stream.read(sizeBytes));
    try {
      const size = parsePax(records).findLast(({ key }) => key === 'size');
      this.#recordedBytes = parseCount(size?.value);
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      this.#add('header', offset, sizeBytes);
    }
    await this.#zeros(offset + padTo512(sizeBytes));
  }

  /** A member of our own, or one whose bytes nobody needs any more. */
  async #other(name: string, sizeBytes: number): Promise<void> {
    const { offset } = this.#stream;
    const end = offset + sizeBytes;
    // What a damaged catalog or header says must not lead past what is known to follow.
    if (end > (this.#next?.extent.archiveOffset ?? this.#order.hashedBytes)) return;
    if (name.endsWith('/archive.json')) {
      const text = await this.#stream.read(sizeBytes);
      if (!isJson(text)) this.#add('opening', offset, sizeBytes);
    } else await this.#stream.skipTo(end);
    await this.#zeros(offset + padTo512(sizeBytes));
  }

  async #journal(lengthBytes: number): Promise<void> {
    const start = this.#stream.offset;
    const end = start + lengthBytes;
    const lines = new JournalCheck(({ offset, lengthBytes: length }) =>
      this.#add('journal', start + offset, length),
    );
    while (this.#stream.offset < end)
      lines.take(await this.#stream.read(Math.min(CHUNK_BYTES, end - this.#stream.offset)));
    lines.end();
    await this.#zeros(start + padTo512(lengthBytes));
  }

  #add(kind: BetweenKind, position: number, lengthBytes: number): void {
    if (this.found.length < FOUND_MAX) this.found.push({ kind, position, lengthBytes });
  }
}

function parsed(header: Buffer) {
  try {
    return parseHeader(header);
  } catch (error) {
    if (error instanceof CodedError) return undefined;
    throw error;
  }
}

function isJson(text: Buffer): boolean {
  try {
    JSON.parse(text.toString('utf8'));
    return true;
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}
