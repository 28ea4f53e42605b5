/**
 * Looking at a source as a backup would, without one: what is kept, what is left out by which rule and how much that is.
 *
 * Memory grows with the directories that are shown, not with those that are walked.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { CodedError } from '../base/errors.ts';
import { joinRaw, type Raw, rawText } from '../base/raw.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Source } from '../catalog/job/sources.ts';
import type { ScannedEntry } from '../source/directory.ts';
import type { Reason } from '../source/filter.ts';
import { type Exclusion, type ScannedDirectory, scanSource } from '../source/scan.ts';
import { SourceTree } from '../source/tree.ts';
import { filterOf, parseSourceOptions } from './source-options.ts';

/** Files are everything that is no directory. */
export type Tally = { directories: number; files: number; bytes: number };

export type SurveyedDirectory = {
  /** Relative to the source; empty for the source itself. */
  readonly path: Raw;
  /** Kept, everything beneath included. */
  readonly kept: Readonly<Tally>;
  readonly leftOut: Readonly<Tally>;
  /** Why it is left out as a whole, or not entered. */
  readonly reason: Reason | undefined;
};

export type Survey = {
  readonly source: Source;
  readonly kept: Readonly<Tally>;
  readonly leftOut: Readonly<Tally>;
  /** Bytes of what is left out by each rule, in order of bytes. */
  readonly rules: readonly ({ readonly reason: Reason } & Readonly<Tally>)[];
  /** Down to the depth asked for, in order of path. */
  readonly directories: readonly SurveyedDirectory[];
  readonly unreadable: {
    readonly count: number;
    /** The first of them. */
    readonly first: readonly { readonly path: Raw; readonly failure: CodedError }[];
  };
};

export type SurveyOptions = {
  readonly ownDirectories: readonly Raw[];
  /** 0 shows the source alone. */
  readonly depth: number;
  /** Whether what is left out is walked too, to tell how much it is; else only its topmost entries count. */
  readonly measuresLeftOut: boolean;
};

const DIRECTORIES_A_TURN = 64;
const UNREADABLE_SHOWN = 100;

/** @throws CodedError SOURCE_MISSING, SOURCE_UNREADABLE for the source as a whole */
export async function surveySource(
  catalog: Catalog,
  source: Source,
  options: SurveyOptions & { readonly signal: AbortSignal },
): Promise<Survey> {
  const { followSymlinks, oneFileSystem, cacheDirectories } = parseSourceOptions(source.options);
  const filter = filterOf(catalog, source);
  const tree = SourceTree.open(source.path, { followLinks: followSymlinks });
  try {
    const { ownDirectories } = options;
    const walk = { filter, oneFileSystem, cacheDirectories, ownDirectories };
    const surveyor = new Surveyor(tree, options);
    let directories = 0;
    for (const directory of scanSource(tree, walk)) {
      surveyor.take(directory);
      directories += 1;
      if (directories % DIRECTORIES_A_TURN !== 0) continue;
      await turn();
      options.signal.throwIfAborted();
    }
    return surveyor.result(source);
  } finally {
    tree.close();
  }
}

type Row = { kept: Tally; leftOut: Tally; reason: Reason | undefined };

class Surveyor {
  readonly #tree: SourceTree;
  readonly #options: SurveyOptions;
  readonly #rows = new Map<Raw, Row>();
  readonly #rules = new Map<string, { reason: Reason } & Tally>();
  readonly #unreadable: { path: Raw; failure: CodedError }[] = [];
  #unreadableCount = 0;

  constructor(tree: SourceTree, options: SurveyOptions) {
    this.#tree = tree;
    this.#options = options;
  }

  take(directory: ScannedDirectory): void {
    const { path, entries, excluded, notEntered, failures } = directory;
    const rows = this.#rowsOf(path);
    const own = this.#rows.get(path);
    if (own && notEntered !== undefined) own.reason = notEntered;
    for (const failure of failures) {
      this.#unreadableCount += 1;
      if (this.#unreadable.length < UNREADABLE_SHOWN) this.#unreadable.push(failure);
    }
    for (const entry of entries) for (const { kept } of rows) count(kept, entry);
    for (const exclusion of excluded) {
      const tally = this.#measure(path, exclusion);
      for (const { leftOut } of rows) add(leftOut, tally);
      this.#addRule(exclusion.reason, tally);
      const inner = inside(path, exclusion.entry.name);
      const isShown = exclusion.entry.type === 'directory' && depthOf(inner) <= this.#options.depth;
      if (isShown)
        this.#rows.set(inner, { kept: none(), leftOut: tally, reason: exclusion.reason });
    }
  }

  result(source: Source): Survey {
    const root = this.#rows.get('' as Raw) ?? { kept: none(), leftOut: none() };
    const directories = [...this.#rows]
      .map(([path, row]) => ({ path, ...row }))
      .sort((a, b) => compare(`${a.path}/`, `${b.path}/`));
    return {
      source,
      kept: root.kept,
      leftOut: root.leftOut,
      rules: [...this.#rules.values()].sort((a, b) => b.bytes - a.bytes || b.files - a.files),
      directories,
      unreadable: { count: this.#unreadableCount, first: this.#unreadable },
    };
  }

  /** Those that a directory counts for: the shown ones above it, and itself where it is shown. */
  #rowsOf(path: Raw): Row[] {
    const names = path === '' ? [] : path.split('/');
    return Array.from({ length: Math.min(names.length, this.#options.depth) + 1 }, (_, depth) => {
      const shown = names.slice(0, depth).join('/') as Raw;
      const row = this.#rows.get(shown) ?? { kept: none(), leftOut: none(), reason: undefined };
      this.#rows.set(shown, row);
      return row;
    });
  }

  #measure(directory: Raw, { entry, reason }: Exclusion): Tally {
    const tally = none();
    count(tally, entry);
    // What is on another file system, or this program's own, is not the source's to be measured.
    const isElsewhere = reason.kind === 'file-system' || reason.kind === 'own';
    if (entry.type !== 'directory' || isElsewhere || !this.#options.measuresLeftOut) return tally;
    const pending = [inside(directory, entry.name)];
    for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
      const found = this.#tree.list(path, ({ device }) => device === entry.device);
      // What is left out anyway may be unreadable, or gone by now.
      if (typeof found === 'number' || !found.listing) continue;
      for (const inner of found.listing.entries) {
        count(tally, inner);
        if (inner.type === 'directory') pending.push(inside(path, inner.name));
      }
    }
    return tally;
  }

  #addRule(reason: Reason, tally: Tally): void {
    const key = describeReason(reason);
    const known = this.#rules.get(key) ?? { reason, ...none() };
    add(known, tally);
    this.#rules.set(key, known);
  }
}

/** Why something is left out or kept, for people; the same for everything one rule decides. */
export function describeReason(reason: Reason): string {
  switch (reason.kind) {
    case 'mark':
      return `${reason.mark}ed: ${reason.path === '' ? 'the source' : rawText(reason.path)}`;
    case 'rule':
      return `${reason.rule.origin}: ${rawText(reason.rule.pattern)}`;
    case 'nodump':
      return 'flagged nodump (chattr +d)';
    case 'cache-directory':
      return 'in a directory with a CACHEDIR.TAG';
    case 'file-system':
      return `another file system (${reason.type})`;
    case 'own':
      return 'belongs to shelfs itself';
  }
}

function count(tally: Tally, { type, sizeBytes }: ScannedEntry): void {
  if (type === 'directory') tally.directories += 1;
  else tally.files += 1;
  if (type === 'file') tally.bytes += sizeBytes;
}

function add(to: Tally, other: Readonly<Tally>): void {
  to.directories += other.directories;
  to.files += other.files;
  to.bytes += other.bytes;
}

function none(): Tally {
  return { directories: 0, files: 0, bytes: 0 };
}

function depthOf(path: Raw): number {
  return path === '' ? 0 : path.split('/').length;
}

function inside(directory: Raw, name: Raw): Raw {
  return directory === '' ? name : joinRaw(directory, name);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
