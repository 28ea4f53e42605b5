/** Finds the whole records that a killed process left behind the end its index knows. */
import type { FileHandle } from 'node:fs/promises';
import { type BlockMap, frameBytes } from './block-map.ts';
import { RECORD_BYTES_MAX } from './tap-index.ts';

/** Read at once: headers of small records are taken out of it, large records are jumped over. */
const CHUNK_BYTES = 2 ** 20;
/**
 * More filemarks in a row than this were never written: formats end files with one mark or two. A longer run of zeros is
 * the hole of a file that was lengthened from outside; the walk ends before it, so that terabytes of hole cost nothing.
 */
const FILEMARKS_IN_A_ROW_MAX = 65_536;

/** Adds them to `map`, up to the first that is not whole. Reads each byte of the file at most once. */
export async function walkRecords(
  data: FileHandle,
  sizeBytes: number,
  map: BlockMap,
): Promise<void> {
  const fields = new Fields(data);
  let marks = 0;
  for (;;) {
    const { offset } = map.end;
    if (offset + 4 > sizeBytes || !(fields.has(offset) || (await fields.load(offset)))) return;
    const lengthBytes = fields.at(offset);
    if (lengthBytes > RECORD_BYTES_MAX) return;
    if (lengthBytes > 0) {
      const trailer = offset + frameBytes(lengthBytes) - 4;
      if (trailer + 4 > sizeBytes) return;
      if (!(fields.has(trailer) || (await fields.load(trailer)))) return;
      if (fields.at(trailer) !== lengthBytes) return;
    }
    marks = lengthBytes === 0 ? marks + 1 : 0;
    map.append(lengthBytes);
    if (marks > FILEMARKS_IN_A_ROW_MAX) {
      map.truncate(map.end.block - marks);
      return;
    }
  }
}

/** The 4-byte fields of a file, by large reads. */
class Fields {
  readonly #data: FileHandle;
  /** Made with the first read: nearly every file ends where its index does. */
  #chunk = Buffer.alloc(0);
  #start = 0;
  #length = 0;

  constructor(data: FileHandle) {
    this.#data = data;
  }

  has(offset: number): boolean {
    return offset >= this.#start && offset + 4 <= this.#start + this.#length;
  }

  /** False where the file ends before the field does. */
  async load(offset: number): Promise<boolean> {
    if (this.#chunk.length === 0) this.#chunk = Buffer.alloc(CHUNK_BYTES);
    const { bytesRead } = await this.#data.read(this.#chunk, 0, CHUNK_BYTES, offset);
    this.#start = offset;
    this.#length = bytesRead;
    return bytesRead >= 4;
  }

  at(offset: number): number {
    return this.#chunk.readUInt32LE(offset - this.#start);
  }
}
