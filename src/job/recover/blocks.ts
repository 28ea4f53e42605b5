/** Whole blocks of a cartridge whose label is known, and ranges of a tape file's stream. */
import { CodedError } from '../../base/errors.ts';
import type { HeldDrive } from '../../storage/drives.ts';

/** Read at once, in whole blocks. */
const CHUNK_BYTES = 2 ** 20;

export class Blocks {
  readonly #drive: HeldDrive['drive'];
  readonly #buffer: Buffer;

  constructor(drive: HeldDrive['drive'], blockBytes: number) {
    this.#drive = drive;
    this.#buffer = Buffer.alloc(blockBytes);
  }

  /** @throws CodedError ARCHIVE_INVALID where they are not as long as the label says */
  async read(block: number, count: number, signal: AbortSignal): Promise<Buffer> {
    const { position } = this.#drive;
    if (!position.proven || position.block !== block) await this.#drive.locate(block, signal);
    const parts: Buffer[] = [];
    for (let index = 0; index < count; index += 1) {
      const result = await this.#drive.read(this.#buffer, signal);
      if (result.kind !== 'block' || result.lengthBytes !== this.#buffer.length)
        throw new CodedError('ARCHIVE_INVALID', `block ${block + index} is no block of an archive`);
      parts.push(Buffer.from(this.#buffer));
    }
    return Buffer.concat(parts);
  }

  /** Bytes of the stream that begins at a block, in portions of about a MiB. */
  async *range(
    startBlock: number,
    { offset, lengthBytes }: { readonly offset: number; readonly lengthBytes: number },
    signal: AbortSignal,
  ): AsyncGenerator<Buffer> {
    const blockBytes = this.#buffer.length;
    const chunkBlocks = Math.max(1, Math.floor(CHUNK_BYTES / blockBytes));
    const end = offset + lengthBytes;
    const last = Math.ceil(end / blockBytes);
    for (let block = Math.floor(offset / blockBytes); block < last; block += chunkBlocks) {
      const bytes = await this.read(
        startBlock + block,
        Math.min(chunkBlocks, last - block),
        signal,
      );
      const at = block * blockBytes;
      yield bytes.subarray(Math.max(0, offset - at), Math.min(bytes.length, end - at));
    }
  }
}
