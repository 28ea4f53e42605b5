/**
 * Which tree a directory's node belongs to. A directory of the catalog stands in the mount at several places (live, in a
 * snapshot, on a medium, ...), each with a view of its own, numbered in its node id.
 */
import { CodedError } from '../base/errors.ts';
import type { TreeView } from '../catalog/tree/nodes.ts';
import { VIEWS_MAX } from './node-id.ts';

/** How a directory of the view is shown, and whether that can change. */
export type View = {
  readonly number: number;
  readonly tree: TreeView;
  /** A snapshot: it never changes, so the kernel may keep all it knows of it. */
  readonly isFixed: boolean;
  /** Every name is a directory of its versions. */
  readonly isVersions: boolean;
};

/** What stands at the root of the mount. */
export type RootView =
  | { readonly kind: 'live' | 'all' }
  | { readonly kind: 'snapshot'; readonly snapshotId: number };

export const VIEW_NUMBER = { root: 0, tree: 1, hosts: 2, versions: 3, deleted: 4 } as const;
const SNAPSHOTS = 16;
/** Media are fewer than a shelf of half a million. */
const MEDIA = VIEWS_MAX / 2;

/** Whether a run's number is one that a mount can show a folder for. */
export const hasFolder = (snapshotId: number): boolean => SNAPSHOTS + snapshotId < MEDIA;

/** @throws CodedError FAILED behind the half-millionth run: a mount goes on without its folder */
export const snapshotViewNumber = (snapshotId: number): number => {
  if (hasFolder(snapshotId)) return SNAPSHOTS + snapshotId;
  const sentence = `a mount has numbers for the first ${MEDIA - SNAPSHOTS} runs only; mount --view shows a later one, restore --at brings it back`;
  throw new CodedError('FAILED', sentence);
};

export const mediumViewNumber = (mediumId: number): number => MEDIA + mediumId;

/** @param liveSnapshotId the newest finished snapshot; 0 while there is none: then all is empty */
export function viewOf(viewNumber: number, root: RootView, liveSnapshotId: number): View {
  const view = (tree: TreeView, isFixed = false): View => ({
    number: viewNumber,
    tree,
    isFixed,
    isVersions: viewNumber === VIEW_NUMBER.versions,
  });
  if (viewNumber >= MEDIA) {
    const mediumId = viewNumber - MEDIA;
    return view({ kind: 'medium', snapshotId: liveSnapshotId, mediumId });
  }
  if (viewNumber >= SNAPSHOTS)
    return view({ kind: 'as-of', snapshotId: viewNumber - SNAPSHOTS }, true);
  if (viewNumber === VIEW_NUMBER.versions) return view({ kind: 'all', snapshotId: liveSnapshotId });
  if (viewNumber === VIEW_NUMBER.deleted)
    return view({ kind: 'deleted', snapshotId: liveSnapshotId });
  if (viewNumber === VIEW_NUMBER.hosts) return view({ kind: 'as-of', snapshotId: liveSnapshotId });
  if (root.kind === 'snapshot') return view({ kind: 'as-of', snapshotId: root.snapshotId }, true);
  const kind = root.kind === 'live' ? 'as-of' : 'all';
  return view({ kind, snapshotId: liveSnapshotId });
}
