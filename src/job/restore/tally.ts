/** What a restore has done so far: counted for its report, told while it goes on. */
import type { Clock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import { type Raw, rawText } from '../../base/raw.ts';
import type { RestoreEvent, RestoreFailure, RestoreReport } from './report.ts';
import { NAMES_TOLD_MAX } from './round.ts';

type Named = { readonly path: Raw };

export class RestoreTally {
  readonly #clock: Clock;
  readonly #listen: (event: RestoreEvent) => void;
  readonly #startMs: number;
  readonly #failed: RestoreFailure[] = [];
  readonly #notSet: Record<string, number> = {};
  readonly #used: string[] = [];
  #failures = 0;
  #restored = 0;
  #kept = 0;
  #other = 0;
  #bytes = 0;

  constructor(clock: Clock, listen: (event: RestoreEvent) => void) {
    this.#clock = clock;
    this.#listen = listen;
    this.#startMs = clock.monotonicMs();
  }

  /** It is in a drive, perhaps not for the first time. */
  medium(barcode: string): void {
    if (!this.#used.includes(barcode)) this.#used.push(barcode);
    this.#listen({ event: 'medium', barcode });
  }

  /** One entry's failure is the report's, not the restore's; a full target ends it. */
  attempt(entry: Named, step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof CodedError) || error.code === 'TARGET_FULL') throw error;
      this.fail(entry, error);
    }
  }

  fail(entry: Named, { message, code }: CodedError): void {
    const failure = { path: rawText(entry.path), reason: message, code };
    this.#failures += 1;
    if (this.#failed.length < NAMES_TOLD_MAX) this.#failed.push(failure);
    this.#listen({ event: 'failure', ...failure });
  }

  /** One of those kept is not what the snapshot has. */
  keptOther(): void {
    this.#other += 1;
  }

  placed(placed: 'made' | 'kept', bytes: number): void {
    if (placed === 'kept') this.#kept += 1;
    else {
      this.#restored += 1;
      this.#bytes += bytes;
    }
  }

  /** Attributes that the target did not take. */
  note(notSet: readonly string[]): void {
    for (const what of notSet) this.#notSet[what] = (this.#notSet[what] ?? 0) + 1;
  }

  report(): RestoreReport {
    return {
      restored: this.#restored,
      kept: this.#kept,
      keptOther: this.#other,
      bytes: this.#bytes,
      media: this.#used,
      failures: this.#failures,
      failed: this.#failed,
      notSet: this.#notSet,
      seconds: (this.#clock.monotonicMs() - this.#startMs) / 1000,
    };
  }
}
