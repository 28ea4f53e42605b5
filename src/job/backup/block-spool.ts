/**
 * Blocks on a disk, first in, first out: a ring in a file. The file has no name once it is open, so that a crash leaves
 * nothing behind; what a crash leaves in the moment before is swept by the next run.
 */
import { strict as assert } from 'node:assert';
import { type FileHandle, mkdir, open, readdir, statfs, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError, errnoOf } from '../../base/errors.ts';

export type SpoolPlace = {
  readonly directory: string;
  /** Of the file, while it has one. */
  readonly uuid: string;
};

const NAME = /^staging-[0-9a-f]{8}-[0-9a-f-]{27}$/;
/** Others use the disk too. */
const SHARE_OF_FREE = 0.5;

export class BlockSpool {
  readonly #file: FileHandle;
  readonly #directory: string;
  readonly #blockBytes: number;
  readonly #blocksMax: number;
  #pushed = 0;
  #read = 0;
  #freed = 0;

  private constructor(
    file: FileHandle,
    options: { directory: string; blockBytes: number; blocksMax: number },
  ) {
    this.#file = file;
    this.#directory = options.directory;
    this.#blockBytes = options.blockBytes;
    this.#blocksMax = options.blocksMax;
  }

  /**
   * @param ring.bytesMax at most; less where the disk has no more than twice as much free
   * @returns undefined where there is no room for `blocksMin`
   * @throws CodedError FAILED where the directory cannot be written
   */
  static async open(
    { directory, uuid }: SpoolPlace,
    ring: { readonly blockBytes: number; readonly bytesMax: number; readonly blocksMin: number },
  ): Promise<BlockSpool | undefined> {
    const { blockBytes, bytesMax, blocksMin } = ring;
    return attempt(directory, async () => {
      await makeDirectory(directory);
      const { bavail, bsize } = await statfs(directory);
      const bytes = Math.min(bytesMax, bavail * bsize * SHARE_OF_FREE);
      const blocksMax = Math.floor(bytes / blockBytes);
      if (blocksMax < blocksMin) return undefined;
      const path = join(directory, `staging-${uuid}`);
      assert(NAME.test(`staging-${uuid}`));
      const file = await open(path, 'wx+', 0o600);
      try {
        await removeIfThere(path);
      } catch (error) {
        await file.close();
        throw error;
      }
      return new BlockSpool(file, { directory, blockBytes, blocksMax });
    });
  }

  /** Removes what a crash has left. @throws CodedError FAILED */
  static async sweep(directory: string): Promise<void> {
    await attempt(directory, async () => {
      const names = await readdir(directory).catch((error: unknown) => {
        if (errnoOf(error) === 'ENOENT') return [];
        throw error;
      });
      for (const name of names) if (NAME.test(name)) await removeIfThere(join(directory, name));
    });
  }

  get isEmpty(): boolean {
    return this.#freed === this.#pushed;
  }

  get isFull(): boolean {
    return this.#pushed - this.#freed === this.#blocksMax;
  }

  /** One at a time; the ring is not full. @throws CodedError FAILED where the disk takes no more: the block is not in */
  async push(block: Buffer): Promise<void> {
    assert(!this.isFull && block.length === this.#blockBytes);
    await attempt(this.#directory, async () => {
      const at = (this.#pushed % this.#blocksMax) * this.#blockBytes;
      for (let done = 0; done < block.length; ) {
        const left = block.length - done;
        done += (await this.#file.write(block, done, left, at + done)).bytesWritten;
      }
    });
    this.#pushed += 1;
  }

  /**
   * The next block, whose place is not free before `free`. @returns undefined where none is left to be read
   * @throws CodedError FAILED where the disk does not give it back
   */
  async read(into: Buffer): Promise<Buffer | undefined> {
    if (this.#read === this.#pushed) return undefined;
    const at = (this.#read % this.#blocksMax) * this.#blockBytes;
    this.#read += 1;
    return attempt(this.#directory, async () => {
      const block = into.subarray(0, this.#blockBytes);
      for (let done = 0; done < block.length; ) {
        const { bytesRead } = await this.#file.read(block, done, block.length - done, at + done);
        assert(bytesRead > 0, 'what was written is there');
        done += bytesRead;
      }
      return block;
    });
  }

  /** The block read first is on the tapes. */
  free(): void {
    assert(this.#freed < this.#read);
    this.#freed += 1;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** With `recursive` the runtime would try for ever where the kernel lets nobody make one (/proc). */
async function makeDirectory(directory: string): Promise<void> {
  await mkdir(directory, { mode: 0o700 }).catch((error: unknown) => {
    if (errnoOf(error) !== 'EEXIST') throw error;
  });
}

/** Another process sweeps too. */
async function removeIfThere(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if (errnoOf(error) !== 'ENOENT') throw error;
  });
}

async function attempt<T>(directory: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (cause) {
    const errno = errnoOf(cause);
    if (errno === undefined || errno.startsWith('ERR_')) throw cause;
    const what = errno === 'ENOSPC' ? 'no room' : 'no way to work';
    const message = `${what} for staging in ${directory} (${errno})`;
    throw new CodedError('FAILED', message, { cause, path: directory });
  }
}
