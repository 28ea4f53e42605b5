/** From a row of the run to what an archive needs of it: where it is read, in what form, and its holes. */
import { CodedError } from '../../base/errors.ts';
import type { Raw } from '../../base/raw.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import type { Source } from '../../catalog/job/sources.ts';
import type { PendingEntry, UsualRows } from '../../catalog/pending/rows.ts';
import { Directories } from '../../catalog/tree/directories.ts';
import type { Inode } from '../../catalog/tree/inodes.ts';
import {
  type Attributes,
  compareMoments,
  type DataRange,
  type SourceInode,
} from '../../domain/entry.ts';
import { OwnerNames } from '../../source/attributes.ts';
import type { ScannedEntry } from '../../source/directory.ts';
import { SourceTree } from '../../source/tree.ts';
import { parseSourceOptions } from '../source-options.ts';
import type { SourcePlace } from './fragment.ts';
import { formOf } from './items.ts';
import type { OutgoingEntry } from './outgoing-entry.ts';
import type { SpanPlace } from './outgoing-span.ts';

/** Smaller files are stored whole: a header and a map take more than their holes. */
const SPARSE_BYTES_MIN = 64 * 2 ** 10;

/** A source, and what the paths in it begin with. */
type Place = {
  readonly source: Source;
  readonly inside: string;
  readonly followSymlinks: boolean;
};

type Found = { readonly attributes: Attributes; readonly sourceInode: SourceInode };

/** Of one pass over the rows of a run. */
export class Outgoing {
  readonly #sources: readonly Source[];
  /** By host. */
  readonly #places: ReadonlyMap<number, readonly Place[]>;
  readonly #trees = new Map<number, SourceTree>();
  /** Of hosts other than the run's own. */
  readonly #foreign: ReadonlyMap<number, string>;
  /** Inodes with several names of which one has been met in this plan. */
  readonly #named = new Map<number, Raw>();

  /** @param catalog tells the hosts; `hostName` is the run's own */
  constructor(sources: readonly Source[], catalog: Catalog, hostName: string) {
    const others = new Directories(catalog).hosts().filter(({ name }) => name !== hostName);
    this.#foreign = new Map(others.map(({ id, name }) => [id, name]));
    this.#sources = sources;
    const places = sources.map((source): Place => {
      const { followSymlinks } = parseSourceOptions(source.options);
      return {
        source,
        inside: source.original === '/' ? '/' : `${source.original}/`,
        followSymlinks,
      };
    });
    this.#places = Map.groupBy(places, ({ source }) => source.hostId);
  }

  /** Undefined where it is passed over: its content comes with another row's, or its source is not part of the run. */
  of(row: PendingEntry, { isFinal }: { readonly isFinal: boolean }): OutgoingEntry | undefined {
    const { inode } = row;
    if (!inode || (row.isWaiting && row.isFollower)) return undefined;
    const place = this.placeOf(row);
    if (!place) return undefined;
    const host = this.#foreign.get(row.hostId);
    const form = formOf(row, inode, this.#isFurtherName(row));
    const ranges = form === 'data' ? this.rangesOf(place, inode) : undefined;
    return { row, inode, form, host, place, ranges, isFinal };
  }

  /** Where all rows of a span are read; undefined where each is to be looked at by itself. */
  spanPlace({ prefix, hostId }: UsualRows): SpanPlace | undefined {
    // Names in the root, and below our own, are others in an archive.
    const isOdd = prefix === '/' || prefix.startsWith('/.shelfs/');
    if (isOdd || this.#foreign.has(hostId)) return undefined;
    for (const { source, inside, followSymlinks } of this.#places.get(hostId) ?? []) {
      if (!prefix.startsWith(inside)) continue;
      const place = { source: source.path, followsLinks: followSymlinks };
      return { source: place, sourceBytes: inside.length };
    }
    return undefined;
  }

  /** Where a known path is read; undefined where no source of the run has it. */
  placeOf({ path, hostId }: Pick<PendingEntry, 'path' | 'hostId'>): SourcePlace | undefined {
    const places = this.#places.get(hostId) ?? [];
    for (const { source, inside, followSymlinks } of places) {
      const isSource = path === source.original;
      if (!isSource && !path.startsWith(inside)) continue;
      const relative = (isSource ? '' : path.slice(inside.length)) as Raw;
      return { source: source.path, followsLinks: followSymlinks, path: relative };
    }
    // What stands above a source has no bytes.
    return path === '/' || places.some(({ source }) => source.original.startsWith(`${path}/`))
      ? { source: '/' as Raw, followsLinks: false, path: path.slice(1) as Raw }
      : undefined;
  }

  /** What is there now: `same` as the row says, or unreadable, which its reader will say; `gone`; or else. */
  lookAgain(row: PendingEntry): 'same' | 'gone' | Found {
    const place = this.placeOf(row);
    if (!place || !row.inode) return 'gone';
    try {
      const tree = this.#tree(place);
      const file = tree.openFile(place.path);
      try {
        const { entry } = file;
        if (isAsSeen(entry, row.inode)) return 'same';
        const attributes = tree.attributes(place.path, entry, new OwnerNames(tree.door));
        const { device, inode, links } = entry;
        return { attributes, sourceInode: { device, inode, links } };
      } finally {
        tree.closeFile(file);
      }
    } catch (error) {
      if (!(error instanceof CodedError) || error.failure.exit !== 3) throw error;
      return error.code === 'SOURCE_MISSING' ? 'gone' : 'same';
    }
  }

  close(): void {
    for (const tree of this.#trees.values()) tree.close();
    this.#trees.clear();
  }

  /** Where a sparse file has data now; undefined where it has no holes, is small, or cannot be read. */
  rangesOf(
    place: SourcePlace,
    inode: { readonly sizeBytes: number },
  ): readonly DataRange[] | undefined {
    if (inode.sizeBytes < SPARSE_BYTES_MIN) return undefined;
    try {
      const tree = this.#tree(place);
      const file = tree.openFile(place.path);
      try {
        return file.entry.sizeBytes === inode.sizeBytes
          ? tree.dataRanges(file, place.path)
          : undefined;
      } finally {
        tree.closeFile(file);
      }
    } catch (error) {
      // The reader meets the same and reports it.
      if (error instanceof CodedError && error.failure.exit === 3) return undefined;
      throw error;
    }
  }

  #isFurtherName(row: PendingEntry): boolean {
    const { inode } = row;
    if (!inode || inode.sourceInode.links <= 1 || !row.isWaiting) return false;
    const first = this.#named.get(inode.inodeId);
    if (first === undefined) this.#named.set(inode.inodeId, row.path);
    return first !== undefined && first !== row.path;
  }

  #tree(place: SourcePlace): SourceTree {
    const index = this.#sources.findIndex(({ path }) => path === place.source);
    const known = this.#trees.get(index);
    if (known) return known;
    const tree = SourceTree.open(place.source, { followLinks: place.followsLinks });
    this.#trees.set(index, tree);
    return tree;
  }
}

function isAsSeen(entry: ScannedEntry, { sizeBytes, mtime, ctime, sourceInode }: Inode): boolean {
  return (
    entry.sizeBytes === sizeBytes &&
    entry.inode === sourceInode.inode &&
    compareMoments(entry.mtime, mtime) === 0 &&
    compareMoments(entry.ctime, ctime) === 0
  );
}
