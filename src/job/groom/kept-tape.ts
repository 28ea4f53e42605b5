/**
 * The cartridge that is read stays in its drive, as it stands, from one portion to the next: proving its label again would cost a
 * rewind and a locate, two minutes for each. One at a time; whoever lets others have the drives lets go of it. One that may be
 * written to a moment later does not stay: the job would wait for itself.
 */
import type { DriveHandover } from '../../recall/handover.ts';
import type { Tape } from '../../storage/tape.ts';

export class KeptTape {
  #tape: Tape | undefined;
  #isInUse = false;
  #isWanted = false;
  readonly #mayBeWritten: (barcode: string) => boolean;

  constructor(mayBeWritten: (barcode: string) => boolean) {
    this.#mayBeWritten = mayBeWritten;
  }

  /** Whether the job that reads it may write to it too. */
  mayBeWritten(barcode: string): boolean {
    return this.#mayBeWritten(barcode);
  }

  /** @returns the cartridge, if it is here; another one that is here leaves its drive */
  async take(barcode: string): Promise<Tape | undefined> {
    this.#isWanted = false;
    const tape = this.#tape;
    this.#tape = undefined;
    this.#isInUse = true;
    if (tape?.barcode === barcode) return tape;
    await tape?.close();
    return undefined;
  }

  /** One that was read without a failure. */
  async give(tape: Tape): Promise<void> {
    this.#isInUse = false;
    if (this.#isWanted || this.mayBeWritten(tape.barcode)) return tape.close();
    this.#tape = tape;
  }

  /** Others want the drives: at once where nobody reads, else when whoever does has ended. */
  async release(): Promise<void> {
    this.#isWanted = this.#isInUse;
    await this.close();
  }

  /** What is being read stays. */
  async close(): Promise<void> {
    const tape = this.#tape;
    this.#tape = undefined;
    await tape?.close();
  }
}

/** Whoever waits for files has the drive that is read in too. */
export function releasing(kept: KeptTape, handover: DriveHandover): DriveHandover {
  return {
    between: (held, signal) => {
      const letGo = async () => {
        await kept.release();
        await held.letGo();
      };
      return handover.between({ ...held, letGo }, signal);
    },
  };
}
