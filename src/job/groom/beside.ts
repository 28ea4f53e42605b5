/**
 * Work done beside other work: while one cartridge is read, another is written. One thing at a time; where it fails, what goes on
 * beside it is told to stop.
 */
export class Beside {
  /** Aborted when the work failed, or by whom the whole is ended. */
  readonly signal: AbortSignal;
  readonly #stop = new AbortController();
  #work: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;

  constructor(signal: AbortSignal) {
    this.signal = AbortSignal.any([signal, this.#stop.signal]);
  }

  /** Begins it when what was begun before has ended. @throws the failure of that */
  async begin(work: () => Promise<void>): Promise<void> {
    await this.settled();
    this.#work = work().catch((error: unknown) => {
      this.#failure ??= { error };
      this.#stop.abort(error);
    });
  }

  /** When nothing is done beside, however it ended. */
  async quiet(): Promise<void> {
    await this.#work;
  }

  /** As `quiet`. @throws the failure of what was done */
  async settled(): Promise<void> {
    await this.#work;
    if (this.#failure) throw this.#failure.error;
  }

  /**
   * What the caller does itself. Whichever of the two fails, the other has ended when this rejects.
   * @throws the failure that came first
   */
  async with<T>(work: () => Promise<T>): Promise<T> {
    try {
      const result = await work();
      await this.settled();
      return result;
    } catch (error) {
      const first = this.#failure ?? { error };
      this.#stop.abort(error);
      await this.quiet();
      throw first.error;
    }
  }
}
