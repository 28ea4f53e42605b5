/**
 * Bytes that no reader has filled a slab with, journals and copies of the catalog, on their way into an archive's stream.
 *
 * They go by way of a few buffers that threads share: nothing is copied for the digest, no more waits for it than there are
 * buffers, and a copy of hundreds of MiB leaves no garbage.
 */
import type { ArchiveStream } from './archive-stream.ts';

const BUFFERS = 4;
const BUFFER_BYTES = 256 * 2 ** 10;

/** @param portions each is used before the next is asked for. Throws as `ArchiveStream.write` */
export async function writeOwn(
  stream: Pick<ArchiveStream, 'write'>,
  portions: Iterable<Buffer>,
): Promise<void> {
  const buffers = new Buffers();
  for (const portion of portions) {
    for (let at = 0; at < portion.length; at += BUFFER_BYTES) {
      const buffer = await buffers.take();
      const count = portion.copy(buffer, 0, at);
      await stream.write(buffer.subarray(0, count), () => buffers.giveBack(buffer));
    }
  }
}

class Buffers {
  readonly #free: Buffer[] = [];
  #made = 0;
  #freed = Promise.withResolvers<void>();

  async take(): Promise<Buffer> {
    for (;;) {
      const buffer = this.#free.pop();
      if (buffer) return buffer;
      if (this.#made < BUFFERS) {
        this.#made += 1;
        return Buffer.from(new SharedArrayBuffer(BUFFER_BYTES));
      }
      await this.#freed.promise;
      this.#freed = Promise.withResolvers();
    }
  }

  giveBack(buffer: Buffer): void {
    this.#free.push(buffer);
    this.#freed.resolve();
  }
}
