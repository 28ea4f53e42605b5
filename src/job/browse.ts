/** Looking into the catalog: a directory, an entry, its versions, as of a snapshot. Nothing waits for a medium here. */
import { CodedError } from '../base/errors.ts';
import { type Raw, rawText } from '../base/raw.ts';
import { printable } from '../base/text.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { Contents } from '../catalog/content/contents.ts';
import type { PoolPolicy } from '../catalog/content/copies-policy.ts';
import type { LocatedExtent } from '../catalog/content/located.ts';
import { Media } from '../catalog/shelf/media.ts';
import { Directories, type Host } from '../catalog/tree/directories.ts';
import { type Snapshot, snapshotName } from '../catalog/tree/snapshots.ts';
import { Tree, type TreeEntry } from '../catalog/tree/tree.ts';
import { copiesInPools, type PoolCopiesOf } from './groom/policies.ts';

export type Where = {
  readonly hostName: string;
  /** Absolute and normal. */
  readonly path: Raw;
  /** A snapshot or a time; undefined: the newest. */
  readonly at: string | undefined;
};

export type Found = { readonly snapshot: Snapshot; readonly entry: TreeEntry };

export type Listed = Found & {
  /** In order of name; undefined where the path is no directory. */
  readonly entries: readonly TreeEntry[] | undefined;
};

/** @throws CodedError USAGE where there is no such host or snapshot; PATH_UNKNOWN */
export function listPath(catalog: Catalog, where: Where): Listed {
  const { tree, host, found } = findEntry(catalog, where);
  if (found.entry.inode.type !== 'directory') return { ...found, entries: undefined };
  const directoryId = tree.directories.find(host.id, where.path);
  const entries = directoryId === undefined ? [] : tree.list(directoryId, found.snapshot.id);
  return { ...found, entries };
}

export type CopyPlace = {
  readonly barcode: string;
  readonly location: string | undefined;
  readonly fileNumber: number;
  /** The archive's first block; the extent begins `archiveOffset` bytes behind it. */
  readonly startBlock: number;
  readonly isGood: boolean;
};

export type Details = Found & {
  /** Hexadecimal; undefined for what has no bytes. */
  readonly hash: string | undefined;
  readonly versions: number;
  /** Distinct media that hold all of it well. */
  readonly goodCopies: number | undefined;
  /** What the pools that have some of it ask for. */
  readonly pools: readonly PoolCopiesOf[];
  readonly extents: readonly (Pick<LocatedExtent, 'archiveUuid' | 'blockBytes' | 'extent'> & {
    readonly copies: readonly CopyPlace[];
  })[];
};

/** All that is known of an entry. @throws CodedError as `listPath` */
export function statPath(
  catalog: Catalog,
  where: Where,
  policies: readonly PoolPolicy[] = [],
): Details {
  const { tree, host, found } = findEntry(catalog, where);
  const versions = tree.versions(host.id, where.path).length;
  const { contentId } = found.entry.inode;
  if (contentId === undefined)
    return { ...found, hash: undefined, versions, goodCopies: undefined, pools: [], extents: [] };
  const contents = new Contents(catalog);
  const locations = new Map(
    new Media(catalog).list().map(({ barcode, location }) => [barcode, location]),
  );
  const located = contents.extentsOf(contentId);
  const poolIds = new Set(
    located.flatMap(({ copies }) => copies.flatMap(({ poolId }) => poolId ?? [])),
  );
  const extents = located.map((located) => ({
    archiveUuid: located.archiveUuid,
    blockBytes: located.blockBytes,
    extent: located.extent,
    copies: located.copies.map(({ barcode, fileNumber, startBlock, isGood }) => ({
      ...{ barcode, fileNumber, startBlock, isGood },
      location: locations.get(barcode),
    })),
  }));
  return {
    ...found,
    hash: contents.get(contentId)?.hash.toString('hex'),
    versions,
    // The empty content is everywhere.
    goodCopies: extents.length === 0 ? undefined : contents.goodCopies(contentId),
    pools: copiesInPools(catalog, contentId, { policies, poolIds }),
    extents,
  };
}

export type Version = {
  readonly entry: TreeEntry;
  readonly since: Snapshot;
  /** The first snapshot that does not show it like this; undefined: it is so still. */
  readonly until: Snapshot | undefined;
  readonly hash: string | undefined;
};

/**
 * Every version of a path, oldest first, also of one that is deleted.
 * @throws CodedError USAGE where there is no such host; PATH_UNKNOWN where it never was
 */
export function versionsOf(catalog: Catalog, where: Omit<Where, 'at'>): Version[] {
  const tree = new Tree(catalog);
  const host = hostOf(catalog, where.hostName);
  const contents = new Contents(catalog);
  const versions = tree.versions(host.id, where.path).flatMap((entry): Version[] => {
    const since = tree.snapshots.get(entry.since);
    const { contentId } = entry.inode;
    const until = entry.until === undefined ? undefined : tree.snapshots.get(entry.until);
    const hash =
      contentId === undefined ? undefined : contents.get(contentId)?.hash.toString('hex');
    return since ? [{ entry, since, until, hash }] : [];
  });
  if (versions.length > 0) return versions;
  throw new CodedError('PATH_UNKNOWN', `${rawText(where.path)} was never backed up`, {
    path: rawText(where.path),
  });
}

/** @throws CodedError USAGE naming those there are */
export function hostOf(catalog: Catalog, name: string): Host {
  const hosts = new Directories(catalog).hosts();
  const found = hosts.find((host) => host.name === name);
  if (found) return found;
  const known = hosts.map((host) => printable(host.name)).join(', ');
  const sentence =
    known === ''
      ? 'nothing was backed up yet; `shelfs source add` and `shelfs backup` change that'
      : `nothing of host ${printable(name)} was backed up; --host names one of ${known}`;
  throw new CodedError('USAGE', sentence);
}

function findEntry(
  catalog: Catalog,
  { hostName, path, at }: Where,
): { tree: Tree; host: Host; found: Found } {
  const tree = new Tree(catalog);
  const host = hostOf(catalog, hostName);
  const snapshot = tree.resolveSnapshot(at);
  const entry = tree.lookup(host.id, path, snapshot.id);
  if (entry) return { tree, host, found: { snapshot, entry } };
  const versions = tree.versions(host.id, path);
  const advice =
    versions.length === 0 ? '' : `; \`shelfs versions ${rawText(path)}\` shows when it was`;
  throw new CodedError(
    'PATH_UNKNOWN',
    `${rawText(path)} is not in snapshot ${snapshotName(snapshot)}${advice}`,
    { path: rawText(path) },
  );
}
