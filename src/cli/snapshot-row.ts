/** How a snapshot's retention is shown. */
import { printable } from '../base/text.ts';
import type { Retained } from '../job/retention.ts';
import { nameOf } from '../job/snapshots.ts';

/** Why it is kept: its tiers. */
export function keptAs({ reasons }: Pick<Retained, 'reasons'>): string {
  return reasons.length === 0 ? 'expires' : reasons.join(', ');
}

export function holdOf({ hold, isGolden }: Pick<Retained, 'hold' | 'isGolden'>): string {
  return printable(hold ?? (isGolden ? 'golden' : ''));
}

/** ID, SNAPSHOT, KEPT AS, TAGS, HOLD. */
export function retentionRow(snapshot: Retained): (string | number)[] {
  const tags = snapshot.tags.map(printable).join(' ');
  return [snapshot.id, nameOf(snapshot), keptAs(snapshot), tags, holdOf(snapshot)];
}

export function documentSnapshot(snapshot: Retained) {
  const { id, reasons, tags, hold, isGolden, isPartial } = snapshot;
  const marks = { reasons, tags, hold: hold ?? null, isGolden, isPartial };
  return { id, name: nameOf(snapshot), ...marks };
}
