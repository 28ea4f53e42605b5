/** Gathers small files, and heads alone, into a batch as it travels to a reader: columns, and heads in one buffer. */
import type { Frame } from '../../archive/member.ts';
import { PAX_BYTES_MAX } from '../../archive/pax.ts';
import { TAR_BLOCK_BYTES } from '../../archive/ustar.ts';
import {
  FRAME_BYTES,
  type HeadFrame,
  NO_FRAME,
  NOTHING_TO_READ,
  STAMP_NUMBERS,
} from '../../source/door.ts';
import {
  type PackedTask,
  type ReadSource,
  SLAB_BYTES,
  type SourcePlace,
  type Stamp,
} from './fragment.ts';
import { putStamp } from './fragment-codec.ts';
import type { OutgoingSpan } from './outgoing-span.ts';

/** FACTS: 64 to 256 small files a task keep messages rare and readers even. Four times as many are no faster, and fill more slabs. */
const FILES_MAX = 256;

/** All records of a member and its headers, with a small file behind them no more than a slab. */
const HEADS_BYTES_MAX = PAX_BYTES_MAX + 2 * TAR_BLOCK_BYTES;
/** Most heads are written by their reader, over a frame. */
const HEADS_BYTES = 32 * 2 ** 10;

/** What is read behind a head. */
export type ReadFrom = { readonly place: SourcePlace; readonly stamp: Stamp };

/**
 * Writes a head.
 * @returns its length; undefined where it does not fit before the buffer's end
 */
export type WriteHead = (heads: Buffer, at: number) => number | undefined;

/** Of a file whose head its reader writes. */
export type Framed = ReadFrom & {
  readonly frame: Frame;
  /** Of the member. */
  readonly name: string;
};

/** Where the columns begin in their buffer, widest first: stamps, ends of heads, sources, frames. */
const STAMPS_BYTES = FILES_MAX * STAMP_NUMBERS * Float64Array.BYTES_PER_ELEMENT;
const HEAD_ENDS_AT = STAMPS_BYTES;
const SOURCES_AT = HEAD_ENDS_AT + FILES_MAX * Uint32Array.BYTES_PER_ELEMENT;
const FRAMES_AT = SOURCES_AT + FILES_MAX;
/** Of a file, in doubles: its stamp, and less than one for all the rest. */
const COLUMNS_NUMBERS = STAMP_NUMBERS + 1;

export class BatchPacker {
  readonly #sources: ReadSource[] = [];
  /** The columns lie in one buffer, so that they travel as one. */
  readonly #stamps = new Float64Array(FILES_MAX * COLUMNS_NUMBERS);
  readonly #headEnds = new Uint32Array(this.#stamps.buffer, HEAD_ENDS_AT, FILES_MAX);
  readonly #sourceOf = new Uint8Array(this.#stamps.buffer, SOURCES_AT, FILES_MAX);
  readonly #frameOf = new Uint8Array(this.#stamps.buffer, FRAMES_AT, FILES_MAX);
  readonly #frames: HeadFrame[] = [];
  #lastFrame: Frame | undefined;
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
    const end = this.#slabBytes + (headBytes ?? 0) + padded(from?.stamp.sizeBytes ?? 0);
    if (headBytes === undefined || end > SLAB_BYTES) return false;
    this.#slabBytes = end;
    this.#headBytes += headBytes;
    this.#put(from, source, NO_FRAME);
    return true;
  }

  /** @returns whether it has room, as `add`; a head that this batch has no more frames for is to be written by `add` */
  addFramed(from: Framed): boolean | 'no-frame' {
    if (this.#count === FILES_MAX) return false;
    const source = this.#indexOf(from.place);
    if (source === NOTHING_TO_READ) return false;
    const end = this.#slabBytes + FRAME_BYTES + padded(from.stamp.sizeBytes);
    if (end > SLAB_BYTES) return false;
    const frame = this.#frameIndexOf(from);
    if (frame === NO_FRAME) return 'no-frame';
    this.#slabBytes = end;
    this.#put(from, source, frame);
    return true;
  }

  /** As `addFramed`, of a row of a span. */
  addRow({ rows, source, prefix, memberPrefix }: OutgoingSpan, row: number, frame: Frame) {
    const index = this.#count;
    const sourceIndex = index === FILES_MAX ? NOTHING_TO_READ : this.#indexOf(source);
    if (sourceIndex === NOTHING_TO_READ) return false;
    const end = this.#slabBytes + FRAME_BYTES + padded(rows.sizeBytes(row));
    if (end > SLAB_BYTES) return false;
    const frameIndex = this.#indexOfFrame(frame, memberPrefix);
    if (frameIndex === NO_FRAME) return 'no-frame';
    this.#slabBytes = end;
    this.#count += 1;
    this.#headEnds[index] = this.#headBytes;
    this.#paths += `${prefix}${rows.name(row)}\0`;
    if (sourceIndex === this.#sources.length) this.#sources.push(sourceOf(source));
    this.#sourceOf[index] = sourceIndex;
    this.#frameOf[index] = frameIndex;
    rows.putStamp(row, this.#stamps, index * STAMP_NUMBERS);
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
      frames: this.#frames,
      frameOf: this.#frameOf.subarray(0, count),
    };
  }

  #put(from: ReadFrom | undefined, source: number, frame: number): void {
    const index = this.#count;
    this.#count += 1;
    this.#headEnds[index] = this.#headBytes;
    this.#paths += from ? `${from.place.path}\0` : '\0';
    if (from && source === this.#sources.length) this.#sources.push(sourceOf(from.place));
    this.#sourceOf[index] = source;
    this.#frameOf[index] = frame;
    if (from) putStamp(this.#stamps, index * STAMP_NUMBERS, from.stamp);
  }

  /** Thousands of extended attributes may need a buffer of a size that most batches never have. */
  #write(writeHead: WriteHead): number | undefined {
    for (;;) {
      const length = writeHead(this.#heads, this.#headBytes);
      const room = this.#heads.length;
      if (length !== undefined || room === HEADS_BYTES_MAX) return length;
      const larger = Buffer.allocUnsafeSlow(Math.min(HEADS_BYTES_MAX, 4 * room));
      larger.set(this.#heads.subarray(0, this.#headBytes));
      this.#heads = larger;
    }
  }

  /** Of the frame with what this member's name has before its path. */
  #frameIndexOf({ frame, name, place: { path } }: Framed): number {
    const prefix = name.slice(0, name.length - path.length);
    return name.endsWith(path) ? this.#indexOfFrame(frame, prefix) : NO_FRAME;
  }

  /** Mostly that of the one before; the next free one where it is not, and NO_FRAME where none is free. */
  #indexOfFrame(frame: Frame, prefix: string): number {
    if (this.#lastFrame === frame && this.#frames.at(-1)?.prefix === prefix)
      return this.#frames.length - 1;
    if (this.#frames.length === NO_FRAME) return NO_FRAME;
    this.#lastFrame = frame;
    return this.#frames.push({ ...frame, prefix }) - 1;
  }

  /** The next free one where it is not among them; NOTHING_TO_READ, and not less, where none is free. */
  #indexOf({ source, followsLinks }: ReadSource): number {
    const last = this.#sources.length - 1;
    const neighbour = this.#sources[last];
    if (neighbour?.source === source && neighbour.followsLinks === followsLinks) return last;
    const known = this.#sources.findIndex(
      (candidate) => candidate.source === source && candidate.followsLinks === followsLinks,
    );
    return known >= 0 ? known : this.#sources.length;
  }
}

function sourceOf({ source, followsLinks }: ReadSource): ReadSource {
  return { source, followsLinks };
}

function padded(bytes: number): number {
  return Math.ceil(bytes / 512) * 512;
}
