/**
 * Watches a cartridge's stay in a drive: what chip and log pages say when it comes and when it goes, and how fast it was.
 *
 * TapeAlert flags are cleared by being read, so each is told once. That nothing can be read of a drive's health ends no job.
 */
import { CodedError } from '../base/errors.ts';
import { attributeCount, MAM } from '../device/attribute.ts';
import type { Drive } from '../device/drive.ts';
import { type Health, readHealth } from '../device/health.ts';
import { readMemory } from '../device/memory.ts';
import type { CleaningReading, HealthReading } from '../domain/health.ts';

export type Cleaned = {
  readonly cartridge: string;
  readonly drive: {
    readonly number: number;
    readonly serial: string;
    readonly name: string;
    readonly model: string;
  };
  readonly outcome: CleaningReading['outcome'];
};

export type HealthReport = {
  readonly barcode: string;
  readonly drive: {
    readonly serial: string;
    readonly name: string;
    readonly model: string;
  };
  readonly reading: Omit<HealthReading, 'timeMs'>;
};

/** Who keeps what was seen. */
export interface HealthKeeper {
  /** Never rejects but for a bug. */
  keep(report: HealthReport): Promise<void>;
  /** A cleaning cartridge was in a drive. Never rejects but for a bug. */
  keepCleaning(cleaned: Cleaned): Promise<void>;
  /** Drives that ask for it are cleaned without a word from anybody. */
  readonly cleans: boolean;
  /** Names of drives that asked for it, in whichever process, and were not cleaned since. */
  asked(): Promise<readonly string[]>;
  /** Barcodes of cleaning cartridges that no drive takes any more. */
  spent(): Promise<ReadonlySet<string>>;
  /** Nothing could be read; the job goes on. */
  warn(message: string): void;
}

/** TapeAlert: clean now. */
const CLEAN_NOW = 20;

/** A log page takes a drive a moment, whatever it does: nobody waits longer for its health than for that. */
export class HealthWatch {
  readonly #drive: Drive;
  readonly #barcode: string;
  readonly #keeper: HealthKeeper;
  readonly #before: Health;
  /** That were set until now. */
  readonly #alerts: Set<number>;

  private constructor(drive: Drive, at: { barcode: string; keeper: HealthKeeper; before: Health }) {
    this.#drive = drive;
    this.#barcode = at.barcode;
    this.#keeper = at.keeper;
    this.#before = at.before;
    this.#alerts = new Set(at.before.alerts);
  }

  /** @returns undefined where the drive says nothing of its health */
  static async begin(
    drive: Drive,
    { barcode, keeper }: { readonly barcode: string; readonly keeper: HealthKeeper },
    signal: AbortSignal,
  ): Promise<HealthWatch | undefined> {
    const before = await tolerant(keeper, () => readHealth(drive.unit, signal));
    return before && new HealthWatch(drive, { barcode, keeper, before });
  }

  /** Whether the drive asks to be cleaned now, which cannot wait until it is idle. */
  async asksForCleaning(signal: AbortSignal): Promise<boolean> {
    const alerts = await tolerant(this.#keeper, () => this.#drive.alerts(signal));
    for (const flag of alerts ?? []) this.#alerts.add(flag);
    return alerts?.includes(CLEAN_NOW) ?? false;
  }

  /** Before the drive is let go of. Never rejects but for a bug. */
  async end(): Promise<void> {
    // Also when the job was stopped: what the drive has to say would be lost.
    const { signal } = new AbortController();
    const drive = this.#drive;
    const after = await tolerant(this.#keeper, () => readHealth(drive.unit, signal));
    if (!after) return;
    const chip = await tolerant(this.#keeper, () => readMemory(drive.unit, signal));
    const { serial, vendor, product } = drive.identity;
    const before = this.#before;
    const delta = (of: (health: Health) => number | undefined) => {
      const [from, to] = [of(before), of(after)];
      return from === undefined || to === undefined || to < from ? undefined : to - from;
    };
    await this.#keeper.keep({
      barcode: this.#barcode,
      drive: { serial: serial ?? drive.name, name: drive.name, model: `${vendor} ${product}` },
      reading: {
        alerts: [...new Set([...this.#alerts, ...after.alerts])].sort((a, b) => a - b),
        needsCleaning: after.cleaningRequired ?? false,
        loads: (chip && attributeCount(chip, MAM.loadCount)) ?? after.cartridge.loads,
        writtenMib: chip && attributeCount(chip, MAM.lifetimeMibWritten),
        readMib: chip && attributeCount(chip, MAM.lifetimeMibRead),
        correctedWrites: delta(({ write }) => write.corrected),
        correctedReads: delta(({ read }) => read.corrected),
        uncorrectedWrites: delta(({ write }) => write.uncorrected),
        uncorrectedReads: delta(({ read }) => read.uncorrected),
        ...drive.busy,
      },
    });
  }
}

async function tolerant<T>(keeper: HealthKeeper, read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    if (error.code === 'INTERRUPTED') throw error;
    keeper.warn(`what the drive says of its health could not be read: ${error.message}`);
    return undefined;
  }
}
