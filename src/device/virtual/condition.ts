/** What a virtual drive has in mind while it has power: its mode, what it says before anything else, its alerts and counters. */
import type { Clock } from '../../base/clock.ts';
import type { Arrival, Bay } from './bay.ts';
import { defaultMode } from './drive-pages.ts';

/** A universal cleaning cartridge is good for 50 cleanings. */
const CLEANINGS_MAX = 50;
/** Then it is ejected; a real drive takes some minutes. */
const CLEANING_MS = 1000;
/** The TapeAlert flag by which a drive asks for it. */
const CLEAN_NOW = 20;

export class Condition {
  readonly bay: Bay;
  readonly #clock: Clock;
  mode = defaultMode();
  /** Unit attentions, `asc << 8 | ascq`, in the order in which they are said. */
  attentions: number[] = [];
  readonly alerts = new Set<number>();
  readonly session = { bytesWritten: 0, bytesRead: 0, uncorrectedWrites: 0, uncorrectedReads: 0 };
  /** Until a cleaning cartridge has been at work; reading the flag does not clean the drive. */
  #needsCleaning = false;
  /** Since when a cleaning cartridge is at work, or this process knows of it. */
  #cleaningSinceMs: number | undefined;

  constructor(bay: Bay, clock: Clock) {
    this.bay = bay;
    this.#clock = clock;
  }

  get needsCleaning(): boolean {
    return this.#needsCleaning;
  }

  alert(flag: number): void {
    this.alerts.add(flag);
    if (flag === CLEAN_NOW) this.#needsCleaning = true;
  }

  /** What came into the drive; a cleaning cartridge goes to work as soon as it is loaded. */
  greet(arrival: Arrival): void {
    const record = this.bay.deck?.cartridge.record;
    if (arrival !== 'none' && record?.kind === 'cleaning')
      this.#cleaningSinceMs = this.#clock.monotonicMs();
    if (arrival !== 'loaded' || record?.kind !== 'cleaning') return;
    this.alerts.add(record.loads > CLEANINGS_MAX ? 22 : 11);
    this.alerts.delete(CLEAN_NOW);
    this.#needsCleaning = false;
  }

  /** A drive ejects a cleaning cartridge by itself, a spent one too. */
  async endCleaning(): Promise<void> {
    const sinceMs = this.#cleaningSinceMs;
    if (sinceMs === undefined || this.#clock.monotonicMs() - sinceMs < CLEANING_MS) return;
    this.#cleaningSinceMs = undefined;
    if (this.bay.deck?.cartridge.record.kind === 'cleaning') await this.bay.unload();
  }

  /** A reset by anybody: settings back to their defaults, buffer written, tape rewound. */
  async reset(attention: number | undefined): Promise<void> {
    await this.bay.deck?.locate(0);
    this.loseSettings(attention);
    await this.bay.lock(false);
  }

  loseSettings(attention: number | undefined): void {
    this.mode = defaultMode();
    this.bay.deck?.forbidOverwrite();
    this.attentions = attention === undefined ? [] : [attention];
  }
}
