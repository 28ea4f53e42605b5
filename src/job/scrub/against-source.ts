/**
 * Live files against the catalog: what is missing, what has changed without a backup, what the rules leave out, whose
 * attributes differ, which links lead nowhere. It only looks; a backup is what mends it. Files are not read.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import { type Raw, rawText } from '../../base/raw.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { type Source, Sources } from '../../catalog/job/sources.ts';
import { Known, type KnownEntry } from '../../catalog/pending/known.ts';
import { Inodes } from '../../catalog/tree/inodes.ts';
import { Tree } from '../../catalog/tree/tree.ts';
import { ACL_ACCESS, ACL_DEFAULT, type Attributes, compareMoments } from '../../domain/entry.ts';
import type { Change } from '../../pack/change.ts';
import { OwnerNames } from '../../source/attributes.ts';
import { inside } from '../../source/beneath.ts';
import type { ScannedEntry } from '../../source/directory.ts';
import { linkEnd } from '../../source/links.ts';
import { originalPath } from '../../source/original.ts';
import { type ScannedDirectory, scanSource } from '../../source/scan.ts';
import { SourceTree } from '../../source/tree.ts';
import { compareDirectory } from '../backup/compare.ts';
import { changePolicyOf, filterOf, parseSourceOptions } from '../source-options.ts';
import { describeReason } from '../source-survey.ts';
import { findSource } from '../sources.ts';

/**
 * `missing`: in the newest snapshot, and no more there. `new`: never backed up. `changed`: its bytes may be others.
 * `attributes`: only those listed. `excluded`: by the rules as they are now.
 */
export type DifferenceKind =
  | 'missing'
  | 'new'
  | 'changed'
  | 'attributes'
  | 'excluded'
  | 'dangling'
  | 'looping'
  | 'unreadable';

export type Difference = {
  readonly kind: DifferenceKind;
  readonly source: string;
  /** For people, as it is known. */
  readonly path: string;
  /** Which attributes, by which rule, or why. */
  readonly detail: string;
};

export type SourceCheck = {
  readonly snapshot: number;
  readonly sources: readonly string[];
  /** Entries looked at. */
  readonly entries: number;
  readonly counts: Readonly<Record<DifferenceKind, number>>;
  /** The first of them; each is an event too. */
  readonly differences: readonly Difference[];
  readonly seconds: number;
};

export type SourceCheckEvent =
  | { readonly event: 'begin'; readonly sources: readonly string[] }
  | { readonly event: 'progress'; readonly source: string; readonly entries: number }
  | ({ readonly event: 'difference' } & Difference)
  | ({ readonly event: 'end' } & SourceCheck);

export type SourceCheckTools = {
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly ownDirectories: readonly Raw[];
};

const DIRECTORIES_A_TURN = 64;
const LISTED_MAX = 1000;

/**
 * @param names of sources; none: all
 * @throws CodedError USAGE for a name that is none, or before the first snapshot
 */
export async function checkSources(
  names: readonly string[],
  tools: SourceCheckTools,
  listen: (event: SourceCheckEvent) => void,
  signal: AbortSignal,
): Promise<SourceCheck> {
  const { catalog, clock } = tools;
  const sources =
    names.length > 0 ? names.map((name) => findSource(catalog, name)) : new Sources(catalog).list();
  const startMs = clock.monotonicMs();
  const check = new SourcesCheck(tools, listen);
  listen({ event: 'begin', sources: sources.map(({ name }) => name) });
  for (const source of sources) await check.attempt(source, signal);
  const seconds = (clock.monotonicMs() - startMs) / 1000;
  const report = { ...check.result(), sources: sources.map(({ name }) => name), seconds };
  listen({ event: 'end', ...report });
  return report;
}

class SourcesCheck {
  readonly #catalog: Catalog;
  readonly #listen: (event: SourceCheckEvent) => void;
  readonly #ownDirectories: readonly Raw[];
  readonly #tree: Tree;
  readonly #snapshotId: number;
  readonly #inodes: Inodes;
  readonly #known: Known;
  readonly #counts: Record<DifferenceKind, number> = {
    ...{ missing: 0, new: 0, changed: 0, attributes: 0 },
    ...{ excluded: 0, dangling: 0, looping: 0, unreadable: 0 },
  };
  readonly #listed: Difference[] = [];
  #entries = 0;

  constructor(tools: SourceCheckTools, listen: (event: SourceCheckEvent) => void) {
    const { catalog } = tools;
    this.#catalog = catalog;
    this.#listen = listen;
    this.#ownDirectories = tools.ownDirectories;
    this.#tree = new Tree(catalog);
    this.#snapshotId = this.#tree.resolveSnapshot().id;
    this.#inodes = new Inodes(catalog);
    this.#known = new Known(catalog, this.#inodes, { snapshotId: this.#snapshotId, job: 0 });
  }

  /** One that is missing as a whole keeps the others from nothing. */
  async attempt(source: Source, signal: AbortSignal): Promise<void> {
    try {
      await this.#run(source, signal);
    } catch (error) {
      if (!(error instanceof CodedError) || error.failure.exit !== 3) throw error;
      this.#tell({ source }, 'unreadable', '' as Raw, error.message);
    }
  }

  async #run(source: Source, signal: AbortSignal): Promise<void> {
    const options = parseSourceOptions(source.options);
    const filter = filterOf(this.#catalog, source);
    const tree = SourceTree.open(source.path, { followLinks: options.followSymlinks });
    try {
      const { oneFileSystem, cacheDirectories } = options;
      const ownDirectories = this.#ownDirectories;
      const policy = changePolicyOf(options);
      const names = new OwnerNames(tree.door);
      let directories = 0;
      const walk = { filter, oneFileSystem, cacheDirectories, ownDirectories };
      for (const directory of scanSource(tree, walk)) {
        this.#take({ source, tree, names, policy }, directory);
        directories += 1;
        if (directories % DIRECTORIES_A_TURN !== 0) continue;
        this.#listen({ event: 'progress', source: source.name, entries: this.#entries });
        await turn();
        signal.throwIfAborted();
      }
    } finally {
      tree.close();
    }
  }

  result(): Omit<SourceCheck, 'sources' | 'seconds'> {
    return {
      snapshot: this.#snapshotId,
      entries: this.#entries,
      counts: this.#counts,
      differences: this.#listed,
    };
  }

  #take(at: Place, directory: ScannedDirectory): void {
    const { source } = at;
    const { path, entries, excluded, failures } = directory;
    for (const failure of failures)
      this.#tell(at, 'unreadable', failure.path, failure.failure.message);
    for (const { entry, reason } of excluded)
      this.#tell(at, 'excluded', inside(path, entry.name), describeReason(reason));
    if (failures.some((failure) => failure.path === path)) return;
    const directoryId = this.#tree.directories.find(source.hostId, originalPath(source, path));
    const known = directoryId === undefined ? [] : this.#known.list(directoryId);
    if (directory.notEntered !== undefined) {
      if (known.length > 0) this.#tell(at, 'excluded', path, describeReason(directory.notEntered));
      return;
    }
    const unseen = new Set([
      ...failures.map((failure) => failure.path),
      ...excluded.map(({ entry }) => inside(path, entry.name)),
    ]);
    const pairs: Pair[] = [];
    compareDirectory({ found: entries, known }, at.policy, {
      same: (entry, before) => pairs.push({ kind: 'same', entry, before }),
      found: (entry, kind, before) => pairs.push({ kind, entry, before }),
      gone: (before) => {
        const name = inside(path, before.name);
        if (!unseen.has(name)) this.#missing(at, name, before);
      },
    });
    this.#entries += entries.length;
    this.#comparePairs(at, path, pairs);
  }

  #comparePairs(at: Place, path: Raw, pairs: readonly Pair[]): void {
    const live = at.tree.attributesIn(
      path,
      pairs.map(({ entry }) => entry),
      at.names,
    );
    for (const [index, { kind, entry, before }] of pairs.entries()) {
      const attributes = live[index];
      const name = inside(path, entry.name);
      if (entry.type === 'symlink') this.#link(at, name);
      if (kind === 'new' || before === undefined) this.#tell(at, 'new', name, entry.type);
      else if (attributes === undefined || attributes instanceof CodedError)
        this.#tell(at, 'unreadable', name, attributes?.message ?? '');
      else {
        const what = differing(attributes, this.#inodes.get(before.inodeId));
        const isOther = kind === 'changed' || what.includes('target');
        if (isOther) this.#tell(at, 'changed', name, what.join(', '));
        else if ((kind === 'attributes' && entry.type !== 'directory') || what.length > 0)
          this.#tell(at, 'attributes', name, what.join(', ') || 'ctime');
      }
    }
  }

  #link(at: Place, name: Raw): void {
    const path = `${at.source.path === '/' ? '' : at.source.path}/${name}` as Raw;
    const end = linkEnd(path);
    if (end === 'dangling') this.#tell(at, end, name, 'leads nowhere');
    if (end === 'looping') this.#tell(at, end, name, 'leads to itself, or to where it is in');
  }

  /** With a directory everything below it is missing. */
  #missing(at: Place, name: Raw, { type }: KnownEntry): void {
    let below = 0;
    if (type === 'directory') {
      const path = originalPath(at.source, name);
      for (const _ of this.#tree.walk(at.source.hostId, path, this.#snapshotId)) below += 1;
    }
    this.#tell(at, 'missing', name, below > 1 ? `${type}, ${below} entries with it` : type);
  }

  #tell(
    { source }: Pick<Place, 'source'>,
    kind: DifferenceKind,
    relative: Raw,
    detail: string,
  ): void {
    const path = rawText(originalPath(source, relative));
    const difference = { kind, source: source.name, path, detail };
    this.#counts[kind] += 1;
    if (this.#listed.length < LISTED_MAX) this.#listed.push(difference);
    this.#listen({ event: 'difference', ...difference });
  }
}

type Place = {
  readonly source: Source;
  readonly tree: SourceTree;
  readonly names: OwnerNames;
  readonly policy: ReturnType<typeof changePolicyOf>;
};

type Pair = {
  readonly kind: Change;
  readonly entry: ScannedEntry;
  readonly before: KnownEntry | undefined;
};

const ACLS: ReadonlySet<string> = new Set([ACL_ACCESS, ACL_DEFAULT]);

/** @returns names of attributes, for people */
function differing(live: Attributes, known: Attributes): string[] {
  const isDirectory = live.type === 'directory';
  const what: [string, boolean][] = [
    ['type', live.type !== known.type],
    ['size', live.sizeBytes !== known.sizeBytes],
    ['mtime', compareMoments(live.mtime, known.mtime) !== 0],
    ['mode', live.mode !== known.mode],
    ['owner', live.uid !== known.uid || live.gid !== known.gid],
    ['target', live.target !== known.target],
    [
      'device',
      live.device?.major !== known.device?.major || live.device?.minor !== known.device?.minor,
    ],
    ['acl', xattrsOf(live, 'acl') !== xattrsOf(known, 'acl')],
    ['xattrs', xattrsOf(live, 'other') !== xattrsOf(known, 'other')],
  ];
  // What is in a directory tells of itself.
  return what
    .filter(([name, isOther]) => isOther && !(isDirectory && name === 'mtime'))
    .map(([name]) => name);
}

function xattrsOf({ xattrs }: Attributes, which: 'acl' | 'other'): string {
  return xattrs
    .filter(({ name }) => ACLS.has(name) === (which === 'acl'))
    .map(({ name, value }) => `${name}=${value.toString('hex')}`)
    .sort()
    .join(' ');
}
