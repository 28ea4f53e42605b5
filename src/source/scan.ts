/**
 * The walk of one source: a directory at a time, each before what is beneath it, names in byte order.
 *
 * The order is the one the catalog lists in, so that the caller compares by merging two sorted lists. In memory are the
 * directory just listed and, for those above it, the names of directories still to come.
 */
import { strict as assert } from 'node:assert';
import type { CodedError } from '../base/errors.ts';
import type { Raw } from '../base/raw.ts';
import { inside } from './beneath.ts';
import { type ScannedEntry, statEntry } from './directory.ts';
import { type Answer, AT_FDCWD, sourceFailure } from './door.ts';
import { type Decision, Filter, type Reason, type Scope } from './filter.ts';
import { isNeverEntered, Mounts } from './mounts.ts';
import type { SourceTree } from './tree.ts';

export type ScanOptions = {
  readonly filter?: Filter;
  /** Directories on other file systems are recorded, not entered. */
  readonly oneFileSystem?: boolean;
  /** A directory with a CACHEDIR.TAG is recorded with the tag alone. */
  readonly cacheDirectories?: 'enter' | 'leave-out';
  /** Absolute paths of this program's own directories. */
  readonly ownDirectories?: readonly Raw[];
  readonly mounts?: Mounts;
};

export type Exclusion = { readonly entry: ScannedEntry; readonly reason: Reason };

export type ScannedDirectory = {
  /** Relative to the source; empty for the source itself. */
  readonly path: Raw;
  /** The directory; undefined where it could not be looked at. */
  readonly self: ScannedEntry | undefined;
  /** What is kept, in order of the bytes of the names. */
  readonly entries: readonly ScannedEntry[];
  readonly excluded: readonly Exclusion[];
  /**
   * Why nothing beneath is listed although the directory is kept: on another file system, or a cache. What the last
   * snapshot had beneath it is gone from the source's view.
   */
  readonly notEntered: Reason | undefined;
  /**
   * What could not be read: the directory itself (then `entries` is empty and what was beneath it is not known to be
   * gone), or single names in it.
   */
  readonly failures: readonly { readonly path: Raw; readonly failure: CodedError }[];
};

/** The tag of the Cache Directory Tagging Specification (bford.info/cachedir). */
const CACHE_TAG = 'CACHEDIR.TAG';
const CACHE_TAG_SIGNATURE = 'Signature: 8a477f597d28d172789f06886806bc55';

type Task = {
  readonly path: Raw;
  readonly scope: Scope;
  readonly device: number;
  readonly mountId: number;
  /** Of the directories above, where links are followed: `device:inode`. */
  readonly above: Above | undefined;
};

/** The directory being visited, as opened. */
type Here = Task & {
  readonly self: ScannedEntry;
  readonly failures: ScannedDirectory['failures'];
};

/** Chain of directories from one up to the source. */
type Above = { readonly key: string; readonly parent: Above | undefined };

/** Directories to enter in one directory: names alone, for there may be millions. */
type Beneath = {
  readonly parent: Task;
  readonly names: readonly Raw[];
  readonly passages: ReadonlyMap<Raw, Decision>;
  next: number;
};

/** Walks a source. A generator is used once; breaking off leaves nothing open. */
export function* scanSource(
  tree: SourceTree,
  options: ScanOptions = {},
): Generator<ScannedDirectory, void, void> {
  const walk = new Walk(tree, options);
  // The directories still to come, those of the deepest directory last.
  const pending: Beneath[] = [];
  for (let task: Task | undefined = walk.first(); task !== undefined; task = next(walk, pending)) {
    const { directory, beneath } = walk.visit(task);
    yield directory;
    if (beneath.names.length > 0) pending.push(beneath);
  }
}

function next(walk: Walk, pending: Beneath[]): Task | undefined {
  for (let last = pending.at(-1); last !== undefined; last = pending.at(-1)) {
    const name = last.names[last.next];
    last.next += 1;
    if (name !== undefined) return walk.taskOf(last, name);
    pending.pop();
  }
  return undefined;
}

class Walk {
  readonly #tree: SourceTree;
  readonly #filter: Filter;
  readonly #mounts: Mounts;
  readonly #options: ScanOptions;
  readonly #own: ReadonlySet<string>;
  /** Directories entered through a link: once each, or a few links would make an endless tree. */
  readonly #linked = new Set<string>();

  constructor(tree: SourceTree, options: ScanOptions) {
    this.#tree = tree;
    this.#options = options;
    this.#filter = options.filter ?? new Filter({});
    this.#mounts = options.mounts ?? new Mounts();
    this.#own = new Set((options.ownDirectories ?? []).flatMap((path) => this.#identify(path)));
  }

  first(): Task {
    const { root } = this.#tree;
    return {
      path: '' as Raw,
      scope: this.#filter.root(),
      device: root.device,
      mountId: root.mountId,
      above: undefined,
    };
  }

  taskOf({ parent, passages }: Beneath, name: Raw): Task {
    const decision = passages.get(name) ?? { verdict: 'kept' };
    return {
      ...parent,
      path: inside(parent.path, name),
      scope: this.#filter.enter(parent.scope, name, decision),
    };
  }

  visit(task: Task): { directory: ScannedDirectory; beneath: Beneath } {
    const { path } = task;
    let notEntered: Reason | undefined;
    const listed = this.#tree.list(path, (self) => {
      notEntered = this.#refuses(task, self);
      return notEntered === undefined;
    });
    const none = { path, self: undefined, entries: [], excluded: [], notEntered, failures: [] };
    const nothing: Beneath = { parent: task, names: [], passages: new Map(), next: 0 };
    if (typeof listed === 'number') {
      const failures = [this.#failure(path, listed)];
      return { directory: { ...none, failures }, beneath: nothing };
    }
    const { self, listing } = listed;
    if (listing === undefined) return { directory: { ...none, self }, beneath: nothing };

    const here: Here = {
      ...task,
      self,
      device: self.device,
      mountId: self.mountId,
      above: this.#tree.followsLinks ? { key: keyOf(self), parent: task.above } : undefined,
      failures: listing.refused.map(({ name, answer }) =>
        this.#failure(inside(path, name), answer),
      ),
    };
    const found = this.#tree.followsLinks
      ? listing.entries.map((entry) => this.#follow(here, entry))
      : listing.entries;
    return this.#isCache(here, listing.entries)
      ? { directory: cacheDirectory(here, found), beneath: nothing }
      : this.#sort(here, found);
  }

  #sort(here: Here, found: readonly ScannedEntry[]) {
    const { path, scope, self, failures } = here;
    const entries: ScannedEntry[] = [];
    const excluded: Exclusion[] = [];
    const names: Raw[] = [];
    const passages = new Map<Raw, Decision>();
    for (const entry of found) {
      const decision = this.#decide(scope, entry);
      if (decision.verdict === 'excluded') {
        excluded.push({ entry, reason: decision.reason });
        continue;
      }
      entries.push(entry);
      if (entry.type !== 'directory') continue;
      names.push(entry.name);
      if (decision.verdict === 'passage') passages.set(entry.name, decision);
    }
    const directory = { path, self, entries, excluded, notEntered: undefined, failures };
    return { directory, beneath: { parent: here, names, passages, next: 0 } };
  }

  #decide(scope: Scope, entry: ScannedEntry): Decision {
    if (entry.type === 'directory' && this.#own.size > 0 && this.#own.has(keyOf(entry))) {
      return { verdict: 'excluded', reason: { kind: 'own' } };
    }
    return this.#filter.decide(scope, entry);
  }

  /** Asked of the open directory, so that what is mounted over it meanwhile counts. */
  #refuses(task: Task, self: ScannedEntry): Reason | undefined {
    if (this.#own.size > 0 && this.#own.has(keyOf(self))) return { kind: 'own' };
    const isRoot = task.path === '';
    const isCrossing = self.device !== task.device || self.mountId !== task.mountId;
    if (!isRoot && !isCrossing) return undefined;
    const type = this.#mounts.of(self)?.type ?? 'unknown';
    if (isNeverEntered(type)) return { kind: 'file-system', type };
    const isOther = !isRoot && self.device !== this.#tree.root.device;
    return isOther && this.#options.oneFileSystem === true
      ? { kind: 'file-system', type }
      : undefined;
  }

  /** What a link stands for; the link itself where it leads nowhere, back, or where others led before. */
  #follow({ path, above }: Here, entry: ScannedEntry): ScannedEntry {
    if (entry.type !== 'symlink') return entry;
    const target = this.#tree.statThrough(path, entry.name);
    if (typeof target === 'number') return entry;
    if (target.type !== 'directory') return target;
    const key = keyOf(target);
    for (let at = above; at !== undefined; at = at.parent) if (at.key === key) return entry;
    if (this.#linked.has(key)) return entry;
    this.#linked.add(key);
    return target;
  }

  /** By its signature, as the specification wants it; what is tracked by name is no cache. */
  #isCache({ path, scope }: Here, entries: readonly ScannedEntry[]): boolean {
    if (this.#options.cacheDirectories !== 'leave-out' || scope.mark?.mark === 'track')
      return false;
    const tag = entries.find(({ name }) => name === CACHE_TAG);
    if (tag?.type !== 'file' || tag.sizeBytes < CACHE_TAG_SIGNATURE.length) return false;
    return this.#tree.startsWith(inside(path, tag.name), Buffer.from(CACHE_TAG_SIGNATURE));
  }

  #failure(path: Raw, answer: Answer): { path: Raw; failure: CodedError } {
    return { path, failure: sourceFailure(inside(this.#tree.path, path), answer) };
  }

  #identify(path: Raw): string[] {
    assert(path.startsWith('/'), 'absolute');
    const entry = statEntry(this.#tree.door, AT_FDCWD, `${path}/.` as Raw);
    return typeof entry === 'number' ? [] : [keyOf(entry)];
  }
}

/** The tag alone is kept, so that a restored cache is known as one. */
function cacheDirectory(here: Here, found: readonly ScannedEntry[]): ScannedDirectory {
  const { path, self, failures } = here;
  const reason: Reason = { kind: 'cache-directory' };
  return {
    path,
    self,
    entries: found.filter(({ name }) => name === CACHE_TAG),
    excluded: found.filter(({ name }) => name !== CACHE_TAG).map((entry) => ({ entry, reason })),
    notEntered: reason,
    failures,
  };
}

function keyOf({ device, inode }: ScannedEntry): string {
  return `${device}:${inode}`;
}
