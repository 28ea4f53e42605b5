/**
 * What of a source is kept, and which rule says so.
 *
 * Strongest first: the nearest explicit track or untrack, on the path itself or on a directory above it; then patterns, the
 * last match deciding; then what an entry says of itself (nodump). A directory left out is not entered, except on the way
 * to something tracked in it.
 */
import type { Raw } from '../base/raw.ts';
import type { EntryType } from '../domain/entry.ts';
import { PatternSet, type Rule } from './pattern.ts';

export type Mark = 'track' | 'untrack';

/** Why something is left out, or kept against a rule. */
export type Reason =
  | { readonly kind: 'mark'; readonly mark: Mark; readonly path: Raw }
  | { readonly kind: 'rule'; readonly rule: Rule; readonly isException: boolean }
  | { readonly kind: 'nodump' }
  /** In a directory with a CACHEDIR.TAG. */
  | { readonly kind: 'cache-directory' }
  /** A file system that is never entered, or with one file system another one. */
  | { readonly kind: 'file-system'; readonly type: string }
  /** The program's own state, stage and virtual cartridges. */
  | { readonly kind: 'own' };

/** What holds for everything in one directory. */
export type Scope = {
  /** Of the directory, relative to the source; empty for the source itself. */
  readonly path: Raw;
  readonly mark: { readonly mark: Mark; readonly path: Raw } | undefined;
  /** The directory is left out and only walked to what is tracked in it. */
  readonly excludedBy: Reason | undefined;
};

export type Candidate = {
  readonly name: Raw;
  readonly type: EntryType;
  readonly isNodump: boolean;
};

/** `passage`: a directory left out, recorded only because of what is tracked in it. */
export type Decision =
  | { readonly verdict: 'kept'; readonly reason?: Reason }
  | { readonly verdict: 'excluded' | 'passage'; readonly reason: Reason };

export type FilterOptions = {
  /** Global ones, then presets, then the source's own: later ones win. */
  readonly rules?: readonly Rule[];
  /** By path relative to the source. */
  readonly marks?: ReadonlyMap<Raw, Mark>;
  /** Leave out what is flagged `chattr +d`. */
  readonly nodump?: boolean;
};

const KEPT: Decision = { verdict: 'kept' };

export class Filter {
  readonly #patterns: PatternSet;
  readonly #marks: ReadonlyMap<Raw, Mark>;
  /** Directories above something tracked. */
  readonly #passages = new Set<string>();
  readonly #isNodump: boolean;

  constructor({ rules = [], marks = new Map(), nodump = false }: FilterOptions) {
    this.#patterns = new PatternSet(rules);
    this.#marks = marks;
    this.#isNodump = nodump;
    for (const [path, mark] of marks) if (mark === 'track') this.#addPassages(path);
  }

  /** For the source itself, which is always entered. */
  root(): Scope {
    const path = '' as Raw;
    const mark = this.#marks.get(path);
    const scope = { path, mark: mark && { mark, path } };
    return {
      ...scope,
      excludedBy: mark === 'untrack' ? { kind: 'mark', mark, path } : undefined,
    };
  }

  decide(scope: Scope, candidate: Candidate): Decision {
    const own = this.#marks.size > 0 ? this.#marks.get(inScope(scope, candidate.name)) : undefined;
    const mark =
      own === undefined ? scope.mark : { mark: own, path: inScope(scope, candidate.name) };
    if (mark?.mark === 'track') return { verdict: 'kept', reason: { kind: 'mark', ...mark } };
    const reason: Reason | undefined =
      mark !== undefined
        ? { kind: 'mark', ...mark }
        : (scope.excludedBy ?? this.#excludes(scope, candidate));
    if (reason === undefined) return KEPT;
    const isPassage =
      candidate.type === 'directory' && this.#passages.has(inScope(scope, candidate.name));
    return { verdict: isPassage ? 'passage' : 'excluded', reason };
  }

  /** The scope of a directory that `decide` did not leave out. */
  enter(scope: Scope, name: Raw, decision: Decision): Scope {
    const path = inScope(scope, name);
    const own = this.#marks.get(path);
    return {
      path,
      mark: own === undefined ? scope.mark : { mark: own, path },
      excludedBy: decision.verdict === 'passage' ? decision.reason : undefined,
    };
  }

  /**
   * What decides about a path, step by step from the source down, ending where it is left out.
   * @param entry type and flag of what is at the end of the path
   */
  explain(path: Raw, entry: Pick<Candidate, 'type' | 'isNodump'>): Decision {
    let scope = this.root();
    const names = path.split('/') as Raw[];
    for (const [index, name] of names.entries()) {
      const isLast = index === names.length - 1;
      const above = { type: 'directory', isNodump: false } as const;
      const candidate: Candidate = { name, ...(isLast ? entry : above) };
      const decision = this.decide(scope, candidate);
      if (decision.verdict === 'excluded') return decision;
      if (isLast) return decision.reason ? decision : this.#exception(scope, candidate);
      scope = this.enter(scope, name, decision);
    }
    return KEPT;
  }

  #exception(scope: Scope, { name, type }: Candidate): Decision {
    const kind = type === 'directory' ? 'directory' : 'other';
    const match = this.#patterns.explain(inScope(scope, name), kind);
    if (match === undefined || match.isExcluded) return KEPT;
    return {
      verdict: 'kept',
      reason: { kind: 'rule', rule: match.rule, isException: true },
    };
  }

  #excludes(scope: Scope, { name, type, isNodump }: Candidate): Reason | undefined {
    if (this.#patterns.rules.length > 0) {
      const kind = type === 'directory' ? 'directory' : 'other';
      const rule = this.#patterns.excludes(scope.path, name, kind);
      if (rule !== undefined) return { kind: 'rule', rule, isException: false };
    }
    return isNodump && this.#isNodump ? { kind: 'nodump' } : undefined;
  }

  #addPassages(path: Raw): void {
    for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1)) {
      this.#passages.add(path.slice(0, slash));
    }
  }
}

function inScope(scope: Scope, name: Raw): Raw {
  return scope.path === '' ? name : (`${scope.path}/${name}` as Raw);
}
