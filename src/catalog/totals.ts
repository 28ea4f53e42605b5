/** How much each snapshot shows, and how much of it differs from the one before. Counts what is no directory. */
import type { Catalog } from './catalog.ts';
import { Snapshots } from './snapshots.ts';

export type SnapshotTotals = {
  readonly files: number;
  /** Of regular files, holes included. */
  readonly bytes: number;
  /** Paths that are there now and were not before, or not like this. */
  readonly added: number;
  readonly modified: number;
  readonly deleted: number;
};

type Span = [since: number, until: number | null, files: number, bytes: number];

const COUNTED = `count(*), coalesce(sum(CASE i.mode & 61440 WHEN 32768 THEN i.size ELSE 0 END), 0)
  FROM versions v CROSS JOIN inodes i ON i.id = v.inode WHERE i.mode & 61440 <> 16384`;

/**
 * Totals by snapshot id, of the finished ones. Looks twice at every version and its inode: half a second a million.
 */
export function snapshotTotals(catalog: Catalog): Map<number, SnapshotTotals> {
  return catalog.read(() => {
    const snapshots = new Snapshots(catalog).list();
    const spans = spansOf(catalog, snapshots[0]?.id ?? 0);
    // A path whose next version begins where this one ends; of files, on both sides.
    const replaced = new Map(
      catalog
        .prepare<[number, number]>(
          `SELECT v.until, count(*) FROM versions v CROSS JOIN inodes i ON i.id = v.inode
             JOIN versions n ON n.dir = v.dir AND n.name = v.name AND n.since = v.until
             JOIN inodes j ON j.id = n.inode
           WHERE v.until IS NOT NULL AND i.mode & 61440 <> 16384 AND j.mode & 61440 <> 16384 GROUP BY v.until`,
        )
        .all(),
    );
    return new Map(snapshots.map(({ id }) => [id, totalsOf(id, spans, replaced.get(id) ?? 0)]));
  });
}

/** Most versions are in all snapshots there are: grouping sorts, so they are counted as what the groups leave. */
function spansOf(catalog: Catalog, firstId: number): Span[] {
  const spans = catalog
    .prepare<Span>(
      `SELECT v.since, v.until, ${COUNTED} AND (v.since > ? OR v.until IS NOT NULL) GROUP BY v.since, v.until`,
    )
    .all(firstId);
  const all = catalog.prepare<[number, number]>(`SELECT ${COUNTED}`).get() ?? [0, 0];
  const sum = (index: 2 | 3) => spans.reduce((total, span) => total + span[index], 0);
  return [...spans, [firstId, null, all[0] - sum(2), all[1] - sum(3)]];
}

/** Rows of a snapshot that is still being applied lie after all finished ones and count for none. */
function totalsOf(id: number, spans: readonly Span[], modified: number): SnapshotTotals {
  const totals = { files: 0, bytes: 0, added: -modified, modified, deleted: -modified };
  for (const [since, until, files, bytes] of spans) {
    if (since === id) totals.added += files;
    if (until === id) totals.deleted += files;
    if (since > id || (until !== null && until <= id)) continue;
    totals.files += files;
    totals.bytes += bytes;
  }
  return totals;
}
