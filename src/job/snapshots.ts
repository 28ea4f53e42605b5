/** Snapshots, and what differs between two of them. */
import type { Raw } from '../base/raw.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { type Difference, diff } from '../catalog/tree/diff.ts';
import type { Inode } from '../catalog/tree/inodes.ts';
import { type Snapshot, Snapshots, snapshotName } from '../catalog/tree/snapshots.ts';
import { type SnapshotTotals, snapshotTotals } from '../catalog/tree/totals.ts';
import type { RetentionConfig } from '../config.ts';
import { type Retained, retainedSnapshots } from './retention.ts';

export type SnapshotSummary = Retained &
  SnapshotTotals & {
    readonly name: string;
    /** What was added, modified or deleted, of what is there now or was: 0 to 1. */
    readonly changeRatio: number;
  };

/** Oldest first. */
export function listSnapshots(catalog: Catalog, retention: RetentionConfig): SnapshotSummary[] {
  return catalog.read(() => {
    const totals = snapshotTotals(catalog);
    return retainedSnapshots(catalog, retention).map((snapshot) => {
      const own = totals.get(snapshot.id) ?? NOTHING;
      const changed = own.added + own.modified + own.deleted;
      const all = own.files + own.deleted;
      const changeRatio = all === 0 ? 0 : changed / all;
      return { ...snapshot, ...own, name: snapshotName(snapshot), changeRatio };
    });
  });
}

const NOTHING: SnapshotTotals = { files: 0, bytes: 0, added: 0, modified: 0, deleted: 0 };

export type Change = {
  readonly hostId: number;
  readonly path: Raw;
  readonly change: Difference['change'] | 'moved';
  /** Of what was moved: where it was before. */
  readonly movedFrom: Raw | undefined;
  readonly before: Inode | undefined;
  readonly after: Inode | undefined;
};

export type Comparison = {
  /** Undefined: before the first snapshot. */
  readonly from: Snapshot | undefined;
  readonly to: Snapshot;
  /** In order of path; each call walks anew. */
  readonly changes: () => Generator<Change>;
};

/**
 * @param a with `b` undefined it is compared with its predecessor
 * @throws CodedError USAGE where there is no such snapshot
 */
export function compareSnapshots(catalog: Catalog, a: string, b: string | undefined): Comparison {
  const snapshots = new Snapshots(catalog);
  const first = snapshots.resolve(a);
  const from = b === undefined ? snapshots.before(first.id) : first;
  const to = b === undefined ? first : snapshots.resolve(b);
  return { from, to, changes: () => changesBetween(catalog, from?.id ?? 0, to.id) };
}

/** Deleted files remembered to find where they went, about 200 bytes each; further ones are deleted and added. */
const MOVES_MAX = 200_000;

export function* changesBetween(catalog: Catalog, from: number, to: number): Generator<Change> {
  const { cameFrom, wentAway } = findMoves(catalog, from, to);
  for (const found of diff(catalog, from, to)) {
    const key = keyOf(found);
    if (found.change === 'deleted' && wentAway.has(key)) continue;
    const movedFrom = found.change === 'added' ? cameFrom.get(key) : undefined;
    yield { ...found, change: movedFrom === undefined ? found.change : 'moved', movedFrom };
  }
}

/** A file deleted here and added there with the same content has moved; several of one content go in order of path. */
function findMoves(catalog: Catalog, from: number, to: number) {
  const gone = new Map<string, Difference[]>();
  let count = 0;
  for (const found of diff(catalog, from, to)) {
    const content = contentOf(found.change === 'deleted' ? found.before : undefined, found.hostId);
    if (content === undefined) continue;
    count += 1;
    if (count > MOVES_MAX) break;
    const alike = gone.get(content);
    if (alike) alike.push(found);
    else gone.set(content, [found]);
  }
  const cameFrom = new Map<string, Raw>();
  const wentAway = new Set<string>();
  if (gone.size === 0) return { cameFrom, wentAway };
  for (const alike of gone.values()) alike.reverse();
  for (const found of diff(catalog, from, to)) {
    const content = contentOf(found.change === 'added' ? found.after : undefined, found.hostId);
    const before = content === undefined ? undefined : gone.get(content)?.pop();
    if (!before) continue;
    cameFrom.set(keyOf(found), before.path);
    wentAway.add(keyOf(before));
  }
  return { cameFrom, wentAway };
}

/** Empty files are all alike: none of them is another one moved. */
function contentOf(inode: Inode | undefined, hostId: number): string | undefined {
  if (inode?.type !== 'file' || inode.sizeBytes === 0) return undefined;
  return inode.contentId === undefined ? undefined : `${hostId}:${inode.contentId}`;
}

function keyOf({ hostId, path }: Pick<Difference, 'hostId' | 'path'>): string {
  return `${hostId}:${path}`;
}

/** `2026-11-20T090000Z` */
export function nameOf(snapshot: Pick<Snapshot, 'seconds'>): string {
  return snapshotName(snapshot);
}
