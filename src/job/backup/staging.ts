/**
 * Keeps a drive streaming when its sources are slower than its slowest speed: blocks gather on a disk until there are many,
 * then go to the tape in one go, while more gather behind them (high water, low water). Without it the drive stops for
 * each of them, goes back, and wears the tape out.
 *
 * The drive warns of the end of the tape before the blocks that lie here, so that what becomes of an archive there is the
 * same with and without.
 */
import { CodedError } from '../../base/errors.ts';
import type { BlockSpool } from './block-spool.ts';

export type StagingOptions = {
  readonly blockBytes: number;
  /** To all tapes. @throws CodedError of the last one */
  write(block: Buffer): Promise<void>;
  /** The disk takes no more: what follows goes to the tape directly. */
  onFull(error: CodedError): void;
};

export class Staging {
  readonly #spool: BlockSpool;
  readonly #options: StagingOptions;
  readonly #buffers: readonly [Buffer, Buffer];
  #burst: Promise<void> | undefined;
  #freed = Promise.withResolvers<void>();
  #failure: unknown;
  #isFull = false;
  #isStopped = false;

  constructor(spool: BlockSpool, options: StagingOptions) {
    this.#spool = spool;
    this.#options = options;
    const { blockBytes } = options;
    this.#buffers = [Buffer.allocUnsafeSlow(blockBytes), Buffer.allocUnsafeSlow(blockBytes)];
  }

  /** Takes a block, which may be used again when this resolves. One at a time. @throws what the tapes or the disk failed with */
  async take(block: Buffer): Promise<void> {
    while (this.#spool.isFull && !this.#failure) {
      this.#burst ??= this.#write();
      await this.#freed.promise;
    }
    this.#check();
    if (!this.#isFull) await this.#push(block);
    if (this.#isFull) {
      await this.drain();
      return this.#options.write(block);
    }
    if (this.#spool.isFull) this.#burst ??= this.#write();
  }

  /** Everything taken is on the tapes when this resolves. Throws as `take`. */
  async drain(): Promise<void> {
    while (!this.#spool.isEmpty && !this.#failure) {
      this.#burst ??= this.#write();
      await this.#burst;
    }
    this.#check();
  }

  /** Lets go of what is not on the tapes yet. May be called twice. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    await this.#burst;
    await this.#spool.close();
  }

  async #push(block: Buffer): Promise<void> {
    try {
      await this.#spool.push(block);
    } catch (error) {
      const { onFull } = this.#options;
      if (!(error instanceof CodedError)) throw error;
      this.#isFull = true;
      onFull(error);
    }
  }

  /** Until nothing is left; the next block is read while one is written. What fails is told to who comes next. */
  async #write(): Promise<void> {
    try {
      let [next, other] = this.#buffers;
      let reading = this.#spool.read(next);
      for (;;) {
        const block = await reading;
        if (block === undefined || this.#isStopped) break;
        [next, other] = [other, next];
        reading = this.#spool.read(next);
        reading.catch(() => {}); // met in its turn
        await this.#options.write(block);
        this.#spool.free();
        this.#tellFreed();
      }
    } catch (error) {
      this.#failure = error;
    } finally {
      this.#burst = undefined;
      this.#tellFreed();
    }
  }

  #tellFreed(): void {
    const { resolve } = this.#freed;
    this.#freed = Promise.withResolvers();
    resolve();
  }

  #check(): void {
    if (this.#failure) throw this.#failure;
  }
}
