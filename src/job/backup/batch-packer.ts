/** Gathers small files, and heads alone, into a batch as it travels to a reader: columns, and all heads in one buffer. */
import { PAX_BYTES_MAX } from '../../archive/pax.ts';
import { TAR_BLOCK_BYTES } from '../../archive/ustar.ts';
import { NOTHING_TO_READ, STAMP_NUMBERS } from '../../source/door.ts';
import { type PackedTask, SLAB_BYTES, type SourcePlace, type Stamp } from './fragment.ts';
import { putStamp } from './fragment-codec.ts';

/** FACTS: 64 to 256 small files a task keep messages rare and readers even. */
const FILES_MAX = 256;
/** Most heads have 1,536 bytes. */
const HEADS_BYTES = FILES_MAX * 2048;

type Source = Pick<SourcePlace, 'source' | 'followsLinks'>;

/** All records of a member and its headers, with a small file behind them no more than a slab. */
const HEAD_BYTES_MAX = PAX_BYTES_MAX + 2 * TAR_BLOCK_BYTES;

/** What is read behind a head. */
export type ReadFrom = { readonly place: SourcePlace; readonly stamp: Stamp };

/**
 * Writes a head.
 * @returns its length; undefined where it does not fit before the buffer's end
 */
export type WriteHead = (heads: Buffer, at: number) => number | undefined;

export class BatchPacker {
  readonly #sources: Source[] = [];
  readonly #sourceOf = new Uint8Array(FILES_MAX);
  readonly #headEnds = new Uint32Array(FILES_MAX);
  readonly #stamps = new Float64Array(FILES_MAX * STAMP_NUMBERS);
  /** Handed over with the batch, and never zeroed: what is not a head is not read. */
  #heads = Buffer.allocUnsafeSlow(HEADS_BYTES);
  #paths = '';
  #count = 0;
  #headBytes = 0;
  /** Of the slab that a reader fills. */
  #slabBytes = 0;

  get count(): number {
    return this.#count;
  }

  /**
   * @param from left out: the head is all there is, and may be none
   * @returns whether it has room in the batch. One that has no room in an empty batch is none of small files.
   */
  add(from: ReadFrom | undefined, writeHead: WriteHead): boolean {
    if (this.#count === FILES_MAX) return false;
    const source = from ? this.#indexOf(from.place) : NOTHING_TO_READ;
    // A source a file, in more sources than a byte can number.
    if (from && source === NOTHING_TO_READ) return false;
    const headBytes = this.#write(writeHead);
    const sizeBytes = from?.stamp.sizeBytes ?? 0;
    const end = this.#slabBytes + (headBytes ?? 0) + padded(sizeBytes);
    if (headBytes === undefined || end > SLAB_BYTES) return false;
    const index = this.#count;
    this.#count += 1;
    this.#slabBytes = end;
    this.#headBytes += headBytes;
    this.#headEnds[index] = this.#headBytes;
    this.#paths += from ? `${from.place.path}\0` : '\0';
    if (from && source === this.#sources.length) this.#sources.push(sourceOf(from.place));
    this.#sourceOf[index] = source;
    if (from) putStamp(this.#stamps, index * STAMP_NUMBERS, from.stamp);
    return true;
  }

  /** The batch; the packer is of no more use. */
  finish(): PackedTask {
    const count = this.#count;
    return {
      sources: this.#sources,
      sourceOf: this.#sourceOf.subarray(0, count),
      paths: this.#paths,
      heads: this.#heads.subarray(0, this.#headBytes),
      headEnds: this.#headEnds.subarray(0, count),
      stamps: this.#stamps.subarray(0, count * STAMP_NUMBERS),
    };
  }

  #write(writeHead: WriteHead): number | undefined {
    const length = writeHead(this.#heads, this.#headBytes);
    if (length !== undefined || this.#count > 0) return length;
    // Thousands of extended attributes: a batch of its own.
    this.#heads = Buffer.allocUnsafeSlow(HEAD_BYTES_MAX);
    return writeHead(this.#heads, 0);
  }

  /** The next free one where it is not among them; NOTHING_TO_READ, and not less, where none is free. */
  #indexOf({ source, followsLinks }: SourcePlace): number {
    const known = this.#sources.findIndex(
      (candidate) => candidate.source === source && candidate.followsLinks === followsLinks,
    );
    return known >= 0 ? known : this.#sources.length;
  }
}

function sourceOf({ source, followsLinks }: SourcePlace): Source {
  return { source, followsLinks };
}

function padded(bytes: number): number {
  return Math.ceil(bytes / 512) * 512;
}
