/**
 * The scan of one source: each directory compared with what the catalog knows of it, and what differs recorded. Unchanged
 * files are neither opened nor remembered.
 */
import { strict as assert } from 'node:assert';
import { setImmediate as turn } from 'node:timers/promises';
import { NAME_BYTES_MAX } from '../../archive/reader.ts';
import { CodedError } from '../../base/errors.ts';
import { type Raw, rawText } from '../../base/raw.ts';
import type { Source } from '../../catalog/job/sources.ts';
import type { KnownEntry } from '../../catalog/pending/known.ts';
import type { AddedEntry, NewDirectory } from '../../catalog/run/findings.ts';
import type { Run } from '../../catalog/run/run.ts';
import { type Attributes, compareMoments } from '../../domain/entry.ts';
import type { Change, ChangePolicy } from '../../pack/change.ts';
import { OwnerNames } from '../../source/attributes.ts';
import { inside } from '../../source/beneath.ts';
import { type ScannedEntry, statEntry } from '../../source/directory.ts';
import { AT_FDCWD, loadFsDoor } from '../../source/door.ts';
import type { Filter, Reason } from '../../source/filter.ts';
import { originalPath } from '../../source/original.ts';
import { type ScannedDirectory, scanSource } from '../../source/scan.ts';
import { SourceTree } from '../../source/tree.ts';
import type { SourceOptions } from '../source-options.ts';
import { compareDirectory } from './compare.ts';
import { type Joined, LinkedNames } from './linked-names.ts';
import type { Damage, FileCounts } from './report.ts';

export type ScanOrder = {
  readonly source: Source;
  readonly options: SourceOptions;
  readonly filter: Filter;
  readonly policy: ChangePolicy;
  readonly ownDirectories: readonly Raw[];
  readonly allowEmpty: boolean;
  /** Contents with fewer good copies than the run's policy asks. */
  isWeak(contentId: number): boolean;
};

export type ScanTools = {
  readonly run: Run;
  readonly counts: FileCounts;
  onScanned(entries: number, bytes: number): void;
  onExcluded(entry: ScannedEntry, reason: Reason): void;
  onUnreadable(damage: Damage): void;
};

/** Directories between two turns of the event loop. */
const DIRECTORIES_A_TURN = 64;
/** What an archive can name (FORMAT.md section 6), less the suffix of a part and the prefix of a host. */
const PATH_BYTES_MAX = NAME_BYTES_MAX - 1024;
/** Changes recorded in one transaction at least, unless the scan ends. */
const BATCH = 512;

/** Attributes are asked for so many at once: a directory may have millions of new entries. */
const DIFFERENCES_A_PORTION = 1024;

/** The directory that is compared. */
type Here = {
  /** Relative to the source. */
  readonly path: Raw;
  readonly directoryId: number | NewDirectory;
  /** Of its original path. */
  readonly originalBytes: number;
};

type FoundDifference = {
  readonly kind: Exclude<Change, 'same'>;
  readonly entry: ScannedEntry;
  readonly known: KnownEntry | undefined;
  readonly joined: Joined;
};

/** What of a directory is recorded; `again`: unchanged, but its content has too few copies. */
type Difference =
  | FoundDifference
  | { readonly kind: 'gone' | 'again'; readonly entry: undefined; readonly known: KnownEntry };

/** @throws CodedError SOURCE_ABSENT, SOURCE_EMPTY for the source as a whole */
export async function scan(order: ScanOrder, tools: ScanTools, signal: AbortSignal): Promise<void> {
  const { source, options, filter } = order;
  const tree = openWhole(source, options);
  try {
    const scanner = new Scanner(order, tools, tree);
    scanner.addAbove();
    let directories = 0;
    const walk = scanSource(tree, {
      filter,
      oneFileSystem: options.oneFileSystem,
      cacheDirectories: options.cacheDirectories,
      ownDirectories: order.ownDirectories,
    });
    for (const directory of walk) {
      scanner.take(directory);
      directories += 1;
      if (directories % DIRECTORIES_A_TURN !== 0) continue;
      await turn();
      signal.throwIfAborted();
    }
    scanner.flush();
  } finally {
    tree.close();
  }
}

/** Of files that cannot be read the others are backed up; without the source nothing is, and nothing of it counts as deleted. */
function openWhole({ path }: Source, { followSymlinks }: SourceOptions): SourceTree {
  try {
    return SourceTree.open(path, { followLinks: followSymlinks });
  } catch (cause) {
    if (!(cause instanceof CodedError) || cause.code === 'PROGRAM_REPLACED') throw cause;
    const message = `${cause.message}: nothing is backed up; is its disk mounted?`;
    throw new CodedError('SOURCE_ABSENT', message, { cause, path: rawText(path) });
  }
}

class Scanner {
  readonly #order: ScanOrder;
  readonly #tools: ScanTools;
  readonly #tree: SourceTree;
  readonly #names: OwnerNames;
  readonly #linked = new LinkedNames();
  #batch: AddedEntry[] = [];

  constructor(order: ScanOrder, tools: ScanTools, tree: SourceTree) {
    this.#order = order;
    this.#tools = tools;
    this.#tree = tree;
    this.#names = new OwnerNames(tree.door);
  }

  /** The directories from the root down to the source itself, so that every path has all its parents. */
  addAbove(): void {
    const { original, path, hostId } = this.#order.source;
    const names = original.split('/').filter(Boolean) as Raw[];
    for (let depth = 0; depth <= names.length; depth += 1) {
      const known = `/${names.slice(0, depth).join('/')}` as Raw;
      const isSource = depth === names.length;
      // Known by another path, what stands above it may be nowhere here: then it is taken to be like the source itself.
      const isElsewhere = isSource || known === path;
      const entry = (isElsewhere ? undefined : this.#statAbove(known)) ?? this.#tree.root;
      const place = this.#placeOf(known, hostId);
      const before = this.#tools.run.knownAt(place);
      const attributes = isSource
        ? this.#tree.attributes('' as Raw, entry, this.#names)
        : this.#plain(entry);
      const change = before ? 'attributes' : 'new';
      if (
        before &&
        !(isSource ? isOtherDirectory(entry, before) : isOtherwiseOwned(entry, before))
      ) {
        continue;
      }
      this.#add({ ...place, change, attributes, sourceInode: inodeOf(entry) });
    }
  }

  take(directory: ScannedDirectory): void {
    const { run, counts } = this.#tools;
    for (const { path, failure } of directory.failures) this.#unreadable(path, failure);
    counts.excluded += directory.excluded.length;
    for (const { entry, reason } of directory.excluded) this.#tools.onExcluded(entry, reason);
    const { self, notEntered } = directory;
    // What stands there counts as one; of a cache each entry was counted.
    if (self && notEntered && notEntered.kind !== 'cache-directory') {
      counts.excluded += 1;
      this.#tools.onExcluded(self, notEntered);
    }
    const isUnknown = directory.failures.some(({ path }) => path === directory.path);
    // What could not be listed is not gone.
    if (isUnknown) return;
    const original = originalPath(this.#order.source, directory.path);
    const { hostId } = this.#order.source;
    const known = run.findDirectory(original, hostId);
    const before = known === undefined ? [] : run.known(known);
    // A new one is recorded with its first entry: a transaction of its own for each would wait for the disk.
    const directoryId = known ?? { path: original, hostId };
    if (directory.path === '') this.#refuseEmpty(directory, before);
    const here = { path: directory.path, directoryId, originalBytes: original.length };
    const refused = new Set(directory.failures.map(({ path }) => path));
    let bytes = 0;
    let found: Difference[] = [];
    const add = (difference: Difference) => {
      if (found.push(difference) < DIFFERENCES_A_PORTION) return;
      this.#record(here, found);
      found = [];
    };
    const count = ({ type, sizeBytes }: ScannedEntry) => {
      if (type === 'file') bytes += sizeBytes;
    };
    compareDirectory({ found: directory.entries, known: before }, this.#order.policy, {
      same: (entry, known) => {
        count(entry);
        // A run was cut before it stored it, and the catalog was recovered since.
        const isUnstored = entry.type === 'file' && entry.sizeBytes > 0;
        if (isUnstored && known.contentId === undefined) {
          add({ kind: 'changed', entry, known, joined: this.#linked.found(entry, undefined) });
          return;
        }
        const joined = this.#joined(entry, known, directoryId);
        if (joined) {
          add({ kind: 'attributes', entry, known, joined });
          return;
        }
        counts[known.found ?? 'same'] += 1;
        const isWeak = known.contentId !== undefined && this.#order.isWeak(known.contentId);
        if (isWeak) add({ kind: 'again', entry: undefined, known });
      },
      found: (entry, kind, known) => {
        count(entry);
        const contentId = kind === 'attributes' ? known?.contentId : undefined;
        const joined = this.#linked.found(entry, contentId);
        add({ kind, entry, known, joined: joined.twin ? this.#withGoodCopies(joined) : joined });
      },
      gone: (known) => {
        const isRefused = refused.size > 0 && refused.has(inside(directory.path, known.name));
        if (!isRefused) add({ kind: 'gone', entry: undefined, known });
      },
    });
    this.#record(here, found);
    this.#tools.onScanned(directory.entries.length, bytes);
  }

  flush(): void {
    const batch = this.#batch;
    this.#batch = [];
    this.#tools.run.add(batch);
  }

  /** Rows are recorded in the order they were found. */
  #record(here: Here, differences: readonly Difference[]): void {
    const { run, counts } = this.#tools;
    const { directoryId } = here;
    const found = differences.flatMap(({ entry }) => entry ?? []);
    const attributes = found.length === 0 ? [] : this.#attributes(here, found);
    let at = 0;
    for (const difference of differences) {
      const { kind, entry, known } = difference;
      if (entry !== undefined) {
        this.#recordFound(here, difference, attributes[at]);
        at += 1;
        continue;
      }
      this.#flushBefore();
      const { name, inodeId } = known;
      assert(typeof directoryId === 'number', 'nothing was known of a new directory');
      if (kind === 'gone') counts.gone += run.gone(directoryId, name);
      else run.again({ directoryId, name, inodeId });
    }
    if (this.#batch.length >= BATCH) this.flush();
  }

  #attributes({ path }: Here, found: readonly ScannedEntry[]): (Attributes | CodedError)[] {
    return this.#tree.attributesIn(path, found, this.#names);
  }

  #recordFound(
    { path, directoryId, originalBytes }: Here,
    { kind, entry, joined }: FoundDifference,
    attributes: Attributes | CodedError | undefined,
  ): void {
    assert(attributes, 'as many as were asked for');
    const { name } = entry;
    if (originalBytes + 1 + name.length > PATH_BYTES_MAX) {
      const message = 'its path is longer than an archive can name';
      this.#unreadable(inside(path, name), new CodedError('SOURCE_UNREADABLE', message));
      return;
    }
    if (attributes instanceof CodedError) {
      if (attributes.failure.exit !== 3) throw attributes;
      // Gone since the listing: neither new nor gone yet, the next run will see.
      if (attributes.code !== 'SOURCE_MISSING') this.#unreadable(inside(path, name), attributes);
      return;
    }
    this.#tools.counts[kind === 'new' ? 'new' : 'changed'] += 1;
    const { contentId, twin } = joined;
    const more = { attributes, sourceInode: inodeOf(entry), contentId };
    const isRead = contentId === undefined && attributes.type === 'file';
    this.#add({
      directoryId,
      name,
      change: kind === 'attributes' && isRead ? 'changed' : kind,
      ...more,
    });
    if (twin === undefined) return;
    const change = isRead ? 'changed' : 'attributes';
    this.#add({ directoryId: twin.directoryId, name: twin.name, change, ...more });
  }

  /** Of an unchanged name, where the catalog takes its file for two. */
  #joined(
    entry: ScannedEntry,
    { name, inodeId, contentId }: KnownEntry,
    directoryId: number | NewDirectory,
  ): Joined | undefined {
    assert(typeof directoryId === 'number', 'nothing was known of a new directory');
    const joined = this.#linked.same(entry, { directoryId, name, inodeId, contentId });
    return joined && this.#withGoodCopies(joined);
  }

  /** A name that is joined is not read; where too few good copies are left it is. */
  #withGoodCopies(joined: Joined): Joined {
    const { contentId, twin } = joined;
    const isWeak = contentId !== undefined && this.#order.isWeak(contentId);
    return isWeak ? { contentId: undefined, twin } : joined;
  }

  #add(entry: AddedEntry): void {
    this.#batch.push(entry);
  }

  /** Rows are recorded in the order they were found. */
  #flushBefore(): void {
    if (this.#batch.length > 0) this.flush();
  }

  #unreadable(path: Raw, failure: CodedError): void {
    this.#tools.counts.unreadable += 1;
    const known = originalPath(this.#order.source, path);
    this.#tools.onUnreadable({ path: rawText(known), reason: failure.message });
  }

  /** An empty mount point looks like a tree from which everything was deleted. */
  #refuseEmpty(directory: ScannedDirectory, before: readonly KnownEntry[]): void {
    const isEmpty = directory.entries.length === 0 && directory.excluded.length === 0;
    if (!isEmpty || before.length === 0 || this.#order.allowEmpty) return;
    const name = rawText(this.#order.source.path);
    throw new CodedError(
      'SOURCE_EMPTY',
      `${name} is empty, but ${before.length} entries of it are known: is its disk mounted? --allow-empty takes them for deleted`,
      { path: name },
    );
  }

  #placeOf(path: Raw, hostId: number): { directoryId: number; name: Raw } {
    return this.#tools.run.place(path, hostId);
  }

  #statAbove(path: Raw): ScannedEntry | undefined {
    const entry = statEntry(loadFsDoor(), AT_FDCWD, path);
    return typeof entry === 'number' ? undefined : entry;
  }

  /** Directories above a source are only passed through: their owner and mode, nothing more. */
  #plain(entry: ScannedEntry): Attributes {
    const { mode, uid, gid, mtime, ctime } = entry;
    return {
      type: 'directory',
      mode,
      uid,
      gid,
      user: this.#names.user(uid),
      group: this.#names.group(gid),
      sizeBytes: 0,
      mtime,
      ctime,
      xattrs: [],
    };
  }
}

/** Times of directories above a source change with every file beside it: they alone are no reason for a version. */
function isOtherwiseOwned(entry: ScannedEntry, known: KnownEntry): boolean {
  return entry.mode !== known.mode || entry.uid !== known.uid || entry.gid !== known.gid;
}

function isOtherDirectory(entry: ScannedEntry, known: KnownEntry): boolean {
  const isSameTime =
    compareMoments(entry.mtime, known.mtime) === 0 &&
    compareMoments(entry.ctime, known.ctime) === 0;
  return !isSameTime || isOtherwiseOwned(entry, known);
}

function inodeOf({ device, inode, links }: ScannedEntry) {
  return { device, inode, links };
}
