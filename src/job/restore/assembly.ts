/**
 * One content being put together in the target, from pieces that may lie on several media.
 *
 * Bytes that come in order are hashed as they are written. Parts that come in the order of the tapes instead are hashed
 * when all are there, from the file they were written to. Either way nothing gets its name before the hash is right.
 */
import { strict as assert } from 'node:assert';
import { SparseMapReader } from '../../archive/sparse.ts';
import type { WantedName } from '../../catalog/restore/wanted.ts';
import { type Content, type Extent, HASH_BYTES, SEGMENT_BYTES } from '../../domain/content.ts';
import type { DataRange } from '../../domain/entry.ts';
import type { ContentHasher } from '../../hash/content-hasher.ts';
import { hashInto } from '../../hash/small.ts';

const MAP_BLOCK_BYTES = 512;
const READ_BYTES = 2 ** 20;

/** Where the bytes of a content gather. Not written bytes below the size are holes. */
export interface Gathering {
  /** @throws CodedError TARGET_FULL, TARGET_FAILED */
  write(bytes: Uint8Array, offset: number): void;
  /** @returns bytes read: fewer where it ends */
  read(bytes: Uint8Array, offset: number): number;
  setSize(sizeBytes: number): void;
  /** Nobody wants it any more. */
  abandon(): void;
}

/** Where an extent's next bytes go. */
type Incoming = {
  readonly extent: Extent;
  /** Of its stored bytes. */
  taken: number;
  map: SparseMapReader | undefined;
  mapRest: Buffer;
  /** Of a sparse extent, from the start of the extent; known behind its map. */
  ranges: DataRange[];
  rangeIndex: number;
  rangeTaken: number;
};

export class Assembly<File extends Gathering> {
  readonly content: Content;
  /** The name it is put together under. */
  readonly first: WantedName;
  readonly file: File;
  /** May be used for another one after `isRight`. */
  readonly hasher: ContentHasher;
  readonly #incoming = new Map<number, Incoming>();
  /** Extents that are here completely, by their offset in the content. */
  readonly #complete = new Set<number>();
  /** How far the content has been hashed while it came in; undefined where it comes out of order. */
  #hashedTo: number | undefined = 0;
  /** Of a content that came in one piece, which costs less than the same by steps. */
  #hash: Buffer | undefined;
  /** The file is as long as this. */
  #writtenTo = 0;

  constructor(
    of: { readonly content: Content; readonly first: WantedName },
    file: File,
    hasher: ContentHasher,
  ) {
    this.content = of.content;
    this.first = of.first;
    this.file = file;
    this.hasher = hasher;
    hasher.reset();
  }

  /** Begins an extent, or begins it anew where another copy is tried. */
  begin(extent: Extent): void {
    if (this.#hashedTo !== extent.contentOffset) this.#hashedTo = undefined;
    this.#hash = undefined;
    this.#complete.delete(extent.contentOffset);
    this.#incoming.set(extent.contentOffset, {
      extent,
      taken: 0,
      map: extent.form === 'sparse' ? new SparseMapReader() : undefined,
      mapRest: Buffer.alloc(0),
      ranges: [],
      rangeIndex: 0,
      rangeTaken: 0,
    });
  }

  /**
   * The next stored bytes of an extent. `bytes` are not kept.
   * @throws CodedError ARCHIVE_INVALID for a broken sparse map; TARGET_FULL, TARGET_FAILED
   */
  take(extent: Extent, bytes: Buffer): void {
    const incoming = this.#incoming.get(extent.contentOffset);
    assert(incoming, 'an extent is begun before its bytes come');
    incoming.taken += bytes.length;
    const data = incoming.map ? this.#takeMap(incoming, bytes) : bytes;
    if (extent.form === 'plain') {
      this.#write(data, extent.contentOffset + incoming.rangeTaken);
      incoming.rangeTaken += data.length;
    } else if (!incoming.map) this.#takeRanges(incoming, data);
    assert(incoming.taken <= extent.storedBytes, 'no more than the extent has');
    if (incoming.taken === extent.storedBytes) this.#end(incoming);
  }

  /** How many extents are here completely. */
  get parts(): number {
    return this.#complete.size;
  }

  /** Whether the bytes are those of the content. The file has its full size afterwards. */
  isRight(): boolean {
    // A hole at the end makes it longer.
    if (this.#writtenTo !== this.content.sizeBytes) this.file.setSize(this.content.sizeBytes);
    if (this.#hash) return this.#hash.equals(this.content.hash);
    if (this.#hashedTo === this.content.sizeBytes) {
      return this.hasher.finish().hash.equals(this.content.hash);
    }
    return this.#hashOf(0, this.content.sizeBytes)?.equals(this.content.hash) ?? false;
  }

  /** Where the bytes are not the content's: segment by segment where there are several. After `isRight` said no. */
  wrongRanges(): DataRange[] {
    const { segments, sizeBytes } = this.content;
    if (!segments) return [{ offset: 0, lengthBytes: sizeBytes }];
    const wrong: DataRange[] = [];
    for (let offset = 0; offset < sizeBytes; offset += SEGMENT_BYTES) {
      const lengthBytes = Math.min(SEGMENT_BYTES, sizeBytes - offset);
      const at = (offset / SEGMENT_BYTES) * HASH_BYTES;
      const expected = segments.subarray(at, at + HASH_BYTES);
      if (!this.#hashOf(offset, lengthBytes)?.equals(expected)) wrong.push({ offset, lengthBytes });
    }
    return wrong.length > 0 ? wrong : [{ offset: 0, lengthBytes: sizeBytes }];
  }

  /** Of bytes of the file; undefined where they are not there. */
  #hashOf(offset: number, lengthBytes: number): Buffer | undefined {
    this.hasher.reset();
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    for (let at = 0; at < lengthBytes; ) {
      const wanted = buffer.subarray(0, Math.min(buffer.length, lengthBytes - at));
      if (this.file.read(wanted, offset + at) !== wanted.length) return undefined;
      this.hasher.update(wanted);
      at += wanted.length;
    }
    return this.hasher.finish().hash;
  }

  /** @returns the data behind the map */
  #takeMap(incoming: Incoming, bytes: Buffer): Buffer {
    let rest = Buffer.concat([incoming.mapRest, bytes]);
    while (incoming.map && rest.length >= MAP_BLOCK_BYTES) {
      const isComplete = incoming.map.push(rest.subarray(0, MAP_BLOCK_BYTES));
      rest = rest.subarray(MAP_BLOCK_BYTES);
      if (!isComplete) continue;
      incoming.ranges = incoming.map.ranges(incoming.extent.lengthBytes);
      incoming.map = undefined;
    }
    incoming.mapRest = incoming.map ? Buffer.from(rest) : Buffer.alloc(0);
    return incoming.map ? Buffer.alloc(0) : rest;
  }

  #takeRanges(incoming: Incoming, data: Buffer): void {
    for (let at = 0; at < data.length; ) {
      const range = incoming.ranges[incoming.rangeIndex];
      // Zeros that fill the last block of 512 may follow the last range.
      if (!range) return;
      const count = Math.min(data.length - at, range.lengthBytes - incoming.rangeTaken);
      const offset = incoming.extent.contentOffset + range.offset + incoming.rangeTaken;
      this.#write(data.subarray(at, at + count), offset);
      at += count;
      incoming.rangeTaken += count;
      if (incoming.rangeTaken < range.lengthBytes) continue;
      incoming.rangeIndex += 1;
      incoming.rangeTaken = 0;
    }
  }

  #end(incoming: Incoming): void {
    const { contentOffset, lengthBytes } = incoming.extent;
    this.#zeros(contentOffset + lengthBytes);
    this.#complete.add(contentOffset);
    this.#incoming.delete(contentOffset);
  }

  #write(bytes: Buffer, offset: number): void {
    if (bytes.length === 0) return;
    this.file.write(bytes, offset);
    this.#writtenTo = Math.max(this.#writtenTo, offset + bytes.length);
    if (this.#hashedTo === undefined) return;
    if (bytes.length === this.content.sizeBytes && bytes.length <= SEGMENT_BYTES) {
      this.#hash = Buffer.allocUnsafe(HASH_BYTES);
      hashInto(this.#hash, 0, bytes);
      this.#hashedTo = bytes.length;
      return;
    }
    this.#zeros(offset);
    if (this.#hashedTo !== offset) return;
    this.hasher.update(bytes);
    this.#hashedTo = offset + bytes.length;
  }

  /** Holes up to here. */
  #zeros(offset: number): void {
    if (this.#hashedTo === undefined || offset < this.#hashedTo) return;
    this.hasher.updateZeros(offset - this.#hashedTo);
    this.#hashedTo = offset;
  }
}
