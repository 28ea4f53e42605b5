/** `.snapshots`: a directory a snapshot; `latest`, and by the hour, day and month, as links to them. */
import type { Raw } from '../base/raw.ts';
import { type Snapshot, type Snapshots, snapshotName } from '../catalog/tree/snapshots.ts';

export const PERIODS = ['hourly', 'daily', 'monthly'] as const;
export type Period = (typeof PERIODS)[number];

/** Of a name like 2026-11-20T090000Z what is the same within the period. */
const PERIOD_CHARACTERS = { hourly: 13, daily: 10, monthly: 7 } as const;

/** `2026-11-20T09:00:00Z`, as other tools write the same time. */
const COLONS = /^(\d{4}-\d\d-\d\dT\d\d):(\d\d):(\d\dZ)$/;
const NAME = /^(\d{4})-(\d\d)-(\d\d)T(\d\d)(\d\d)(\d\d)Z$/;

/** Names in `.snapshots`, from the catalog's own rows. */
export class SnapshotNames {
  readonly #snapshots: Snapshots;

  constructor(snapshots: Snapshots) {
    this.#snapshots = snapshots;
  }

  all(): Snapshot[] {
    return this.#snapshots.list();
  }

  /** The snapshot of exactly this name. */
  find(name: Raw): Snapshot | undefined {
    const match = NAME.exec(name);
    if (!match) return undefined;
    const seconds =
      Date.UTC(
        Number(match[1]),
        Number(match[2]) - 1,
        Number(match[3]),
        Number(match[4]),
        Number(match[5]),
        Number(match[6]),
      ) / 1000;
    const found = this.#snapshots.at(seconds);
    return found && snapshotName(found) === name ? found : undefined;
  }

  /** What a link of this name in `.snapshots` leads to: `latest`, or a name with colons. */
  linkTarget(name: Raw): Raw | undefined {
    const latest = name === 'latest' ? this.#snapshots.live() : undefined;
    if (latest) return snapshotName(latest) as Raw;
    const plain = name.replace(COLONS, '$1$2$3') as Raw;
    return plain !== name && this.find(plain) ? plain : undefined;
  }

  /** The newest of each hour, day or month, oldest first. */
  ofPeriod(period: Period): Snapshot[] {
    const newest = new Map<string, Snapshot>();
    for (const snapshot of this.#snapshots.list())
      newest.set(snapshotName(snapshot).slice(0, PERIOD_CHARACTERS[period]), snapshot);
    return [...newest.values()];
  }
}
