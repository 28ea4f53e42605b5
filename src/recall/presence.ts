/** Which media are at hand, as far as anybody has looked: asking the library takes time, and nobody may wait for it. */
import type { Clock } from '../base/clock.ts';
import { CodedError } from '../base/errors.ts';
import type { Library } from '../storage/library.ts';
import { usableDrives } from '../storage/library-status.ts';

/** What was seen is believed for so long, then looked at again by the way. */
const FRESH_MS = 60_000;

export class Presence {
  readonly #library: () => Promise<Library>;
  readonly #clock: Clock;
  /** Undefined: nobody has looked, or nobody can tell, for a person is the changer. */
  #barcodes: ReadonlySet<string> | undefined;
  /** In a drive that nobody uses. */
  #loaded: string | undefined;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #looking: Promise<unknown> | undefined;

  constructor(library: () => Promise<Library>, clock: Clock) {
    this.#library = library;
    this.#clock = clock;
  }

  get loaded(): string | undefined {
    return this.#loaded;
  }

  /** In the library; what is unknown may be. */
  isPresent(barcode: string): boolean {
    return this.#barcodes?.has(barcode) ?? true;
  }

  /** Whether anybody knows what the library holds. */
  get isKnown(): boolean {
    return this.#barcodes !== undefined;
  }

  /** @returns barcodes that were not there before */
  async look(signal: AbortSignal): Promise<string[]> {
    this.#lookedMs = this.#clock.monotonicMs();
    const status = await (await this.#library()).status(signal);
    const { changer, cartridges } = status;
    const before = this.#barcodes;
    const found = cartridges.flatMap(({ barcode }) => barcode ?? []);
    this.#barcodes = changer ? new Set(found) : undefined;
    const loaded = usableDrives(status).find(
      ({ barcode, state }) => barcode !== null && state !== 'held',
    );
    this.#loaded = loaded?.barcode ?? undefined;
    return found.filter((barcode) => before?.has(barcode) === false);
  }

  /** Looks again beside all else, if the last look is old. A library that cannot be asked is as it was. */
  refreshSoon(signal: AbortSignal): void {
    if (this.#looking || this.#clock.monotonicMs() - this.#lookedMs < FRESH_MS) return;
    this.#looking = this.look(signal)
      .catch((error: unknown) => {
        if (!(error instanceof CodedError) && !signal.aborted) throw error;
      })
      .finally(() => {
        this.#looking = undefined;
      });
  }
}
