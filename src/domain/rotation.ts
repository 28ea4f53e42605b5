/**
 * Rotation: which cartridges go to a vault, which come back from it, and when. Pure.
 *
 * A set is what was brought there on one day. At each trip everything goes that holds an archive of which the vault has no
 * copy yet; of several copies one goes, the others stay at hand. When more sets are there than are to stay, the oldest come
 * back, but none that holds what no other one there does.
 */

export type RotationRule = {
  readonly pool: string;
  /** Where they go, as people call it. */
  readonly vault: string;
  /** A trip each so many ms. */
  readonly everyMs: number;
  /** So many stay there. */
  readonly sets: number;
};

export type RotatedMedium = {
  readonly id: number;
  readonly barcode: string;
  readonly location: string | undefined;
  /** When it came to the vault, where it is there. */
  readonly arrivedMs: number | undefined;
  /** It holds archives, and may be carried about. */
  readonly isCarried: boolean;
  /** Good archives on it. */
  readonly archives: readonly number[];
};

export type RotationPlan = {
  readonly rule: RotationRule;
  /** Of the next trip; in the past where it is overdue. */
  readonly dueMs: number;
  readonly goes: readonly RotatedMedium[];
  readonly comes: readonly RotatedMedium[];
  /** Would come back, but hold what nothing else there does. */
  readonly stays: readonly RotatedMedium[];
  /** Sets that are there now. */
  readonly setsThere: number;
};

const DAY_MS = 86_400_000;

/**
 * @param options.lastTripMs when something of the pool was last brought there; undefined: never
 * @param options.isAlone whether a medium holds what none of the media with the given ids does
 */
export function planRotation(
  rule: RotationRule,
  media: readonly RotatedMedium[],
  options: {
    readonly nowMs: number;
    readonly lastTripMs: number | undefined;
    readonly isAlone: (mediumId: number, others: readonly number[]) => boolean;
  },
): RotationPlan {
  const { nowMs, lastTripMs, isAlone } = options;
  const there = media.filter(({ location }) => location === rule.vault);
  const goes = going(rule, media, there);
  const sets = Map.groupBy(there, ({ arrivedMs = 0 }) => Math.floor(arrivedMs / DAY_MS));
  const after = sets.size + (goes.length > 0 ? 1 : 0);
  const oldest = [...sets.keys()]
    .toSorted((a, b) => a - b)
    .slice(0, Math.max(0, after - rule.sets));
  const candidates = oldest.flatMap((day) => sets.get(day) ?? []);
  // One by one: of two that hold the same, the second stays for the first.
  const staying = new Set([...there, ...goes].map(({ id }) => id));
  const comes: RotatedMedium[] = [];
  const stays: RotatedMedium[] = [];
  for (const medium of candidates) {
    const others = [...staying].filter((id) => id !== medium.id);
    if (isAlone(medium.id, others)) stays.push(medium);
    else {
      staying.delete(medium.id);
      comes.push(medium);
    }
  }
  const dueMs = lastTripMs === undefined ? nowMs : lastTripMs + rule.everyMs;
  return { rule, dueMs, goes, comes, stays, setsThere: sets.size };
}

function going(
  { vault }: RotationRule,
  media: readonly RotatedMedium[],
  there: readonly RotatedMedium[],
): RotatedMedium[] {
  const covered = new Set(there.flatMap(({ archives }) => archives));
  const goes: RotatedMedium[] = [];
  for (const medium of media) {
    if (medium.location === vault || !medium.isCarried) continue;
    if (medium.archives.every((archive) => covered.has(archive))) continue;
    for (const archive of medium.archives) covered.add(archive);
    goes.push(medium);
  }
  return goes;
}
