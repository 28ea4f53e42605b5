/**
 * A backup lets recalls have its drives for a while: between two archives, when everything written counts.
 *
 * Whoever waits for a file waits minutes then, not hours. In return the backup has its drives for at least half an hour
 * before it is asked again. Without a changer the cartridges would have to be exchanged by hand twice, so recalls wait
 * for its end, unless they were told to go first.
 */
import type { Clock } from '../base/clock.ts';
import type { Handover, RunRoles } from '../catalog/run-db/roles.ts';

/** What a backup knows of it. */
export interface DriveHandover {
  /**
   * Between two archives. Resolves at once where nobody asks, else when the drives are free again.
   * @throws the signal's reason when aborted
   */
  between(backup: HandingBackup, signal: AbortSignal): Promise<void>;
}

export type HandingBackup = {
  /** A robot exchanges the cartridges. */
  readonly hasChanger: boolean;
  letGo(): Promise<void>;
  /** Why it waits; undefined when it goes on. */
  onWait(reason: string | undefined): void;
};

/** A backup has its drives for so long between two handovers. */
const BACKUP_MS = 30 * 60_000;
/** Recalls give them back by themselves before that; whoever does not is in trouble. */
const RECALL_MS_MAX = 30 * 60_000;
const POLL_MS = 1000;

export class BackupHandover implements DriveHandover {
  readonly #roles: RunRoles;
  readonly #clock: Clock;
  /** Since when it has had them without a break; not by the clock on the wall, which may be set back. */
  #sinceMs = Number.NEGATIVE_INFINITY;

  /** Offers the drives from now on; `end` is to follow. */
  constructor(roles: RunRoles, clock: Clock) {
    this.#roles = roles;
    this.#clock = clock;
    roles.offer(clock.nowMs() - BACKUP_MS);
  }

  async between({ hasChanger, letGo, onWait }: HandingBackup, signal: AbortSignal): Promise<void> {
    const asked = this.#own();
    if (asked?.wantedBy === undefined) return;
    const isDue = hasChanger && this.#clock.monotonicMs() - this.#sinceMs >= BACKUP_MS;
    if (!isDue && !asked.isFirst) return;
    onWait('files are recalled from tape; the backup goes on when that is done');
    await letGo();
    const startMs = this.#clock.monotonicMs();
    this.#roles.grant(this.#clock.nowMs());
    try {
      while (this.#own()?.grantedMs !== undefined) {
        if (this.#clock.monotonicMs() - startMs > RECALL_MS_MAX) break;
        await this.#clock.sleepMs(POLL_MS, signal);
      }
    } finally {
      this.#sinceMs = this.#clock.monotonicMs();
      this.#roles.offer(this.#clock.nowMs());
    }
    onWait(undefined);
  }

  end(): void {
    this.#roles.withdraw();
  }

  #own(): Handover | undefined {
    return this.#roles.ownHandover();
  }
}
