/**
 * Patterns as in gitignore(5), matched on bytes as git does it: the last one that matches decides.
 *
 * The package `ignore` matches; here is what it leaves to others: names that are not UTF-8 (one character a byte on both
 * sides), a quick no where no pattern can match, and an end to its cache, which keeps every path it ever saw.
 */
import { strict as assert } from 'node:assert';
import ignore, { type Ignore } from 'ignore';
import type { Raw } from '../base/raw.ts';

export type Rule = {
  /** One line of a gitignore file. */
  readonly pattern: Raw;
  /** Where it comes from, for people: `global`, `preset python`, `source`. */
  readonly origin: string;
};

export type Match = { readonly rule: Rule; readonly isExcluded: boolean };

/** Paths the matcher may remember, about 200 bytes each. */
const CACHE_PATHS_MAX = 10_000;

export class PatternSet {
  readonly rules: readonly Rule[];
  readonly #quick: QuickSet;
  #matcher: Ignore;
  #tests = 0;

  constructor(rules: readonly Rule[]) {
    this.rules = rules;
    this.#matcher = newMatcher().add(
      rules.map(({ pattern }, index) => ({ pattern, mark: String(index) })),
    );
    this.#quick = new QuickSet(rules.map(({ pattern }) => pattern));
  }

  /**
   * The rule that excludes a path, or undefined.
   * @param directory relative, empty for the source itself; not excluded, nor is any above it
   */
  excludes(directory: Raw, name: Raw, kind: 'directory' | 'other'): Rule | undefined {
    if (this.rules.length === 0 || !this.#quick.mayMatch(directory, name)) return undefined;
    const path = directory === '' ? name : (`${directory}/${name}` as Raw);
    return this.#test(path, kind).excludedBy;
  }

  /** The rule that decides, an exception (`!pattern`) too; slower than `excludes`. */
  explain(path: Raw, kind: 'directory' | 'other'): Match | undefined {
    const { excludedBy, isException } = this.#test(path, kind);
    if (excludedBy !== undefined) return { rule: excludedBy, isExcluded: true };
    if (!isException) return undefined;
    const rule = this.rules.findLast(
      ({ pattern }) =>
        pattern.startsWith('!') &&
        newMatcher()
          .add([{ pattern: pattern.slice(1) }])
          .test(asked(path, kind)).ignored,
    );
    assert(rule !== undefined, 'an exception has a rule');
    return { rule, isExcluded: false };
  }

  #test(path: Raw, kind: 'directory' | 'other') {
    this.#tests += 1;
    if (this.#tests % CACHE_PATHS_MAX === 0) this.#matcher = newMatcher().add(this.#matcher);
    const { ignored, unignored, rule } = this.#matcher.test(asked(path, kind));
    if (!ignored) return { isException: unignored, excludedBy: undefined };
    const excludedBy = this.rules[Number(rule?.mark)];
    assert(excludedBy !== undefined, 'a rule of ours');
    return { isException: false, excludedBy };
  }
}

function newMatcher(): Ignore {
  return ignore({ ignoreCase: false });
}

function asked(path: Raw, kind: 'directory' | 'other'): string {
  return kind === 'directory' ? `${path}/` : path;
}

/**
 * Says for most names at once that no pattern can match: looks at the last part of each pattern, what stands in it before
 * the first and behind the last wildcard.
 */
class QuickSet {
  readonly #exact = new Set<string>();
  /** By their last character. */
  readonly #suffixes = new Map<number, string[]>();
  /** By their first character. */
  readonly #prefixes = new Map<number, string[]>();
  /** Of patterns with neither, such as `*.py[cod]`. */
  readonly #parts: string[] = [];
  /** Patterns that match any name below a literal directory; empty: anywhere. */
  readonly #heads: string[] = [];

  constructor(patterns: readonly Raw[]) {
    for (const pattern of patterns) this.#add(pattern);
  }

  mayMatch(directory: Raw, name: Raw): boolean {
    if (this.#exact.has(name)) return true;
    const suffixes = this.#suffixes.get(name.charCodeAt(name.length - 1));
    if (suffixes?.some((suffix) => name.endsWith(suffix))) return true;
    const prefixes = this.#prefixes.get(name.charCodeAt(0));
    if (prefixes?.some((prefix) => name.startsWith(prefix))) return true;
    if (this.#parts.some((part) => name.includes(part))) return true;
    return this.#heads.some((head) => head === '' || `${directory}/`.startsWith(head));
  }

  #add(pattern: Raw): void {
    // Exceptions only ever undo what another pattern did, to the same name.
    if (pattern === '' || pattern.startsWith('#') || pattern.startsWith('!')) return;
    const body = pattern.replace(/[ \t\r]+$/, '').replace(/\/$/, '');
    const slash = body.lastIndexOf('/');
    const last = body.slice(slash + 1);
    const isTrimmed = body.length < pattern.replace(/\/$/, '').length;
    const wild = last.search(/[*?[\\]/);
    // A blank at the end may be quoted, a slash may stand between brackets: such patterns are asked always.
    if (isTrimmed || body.slice(0, slash + 1).includes('[')) this.#heads.push('');
    else if (wild < 0) this.#exact.add(last);
    else {
      const suffix = /[^*?\]\\]*$/.exec(last)?.[0] ?? '';
      if (suffix !== '') put(this.#suffixes, suffix.length - 1, suffix);
      else if (wild > 0) put(this.#prefixes, 0, last.slice(0, wild));
      else {
        const part = literalPart(last);
        if (part === '') this.#heads.push(literalHead(body, slash));
        else this.#parts.push(part);
      }
    }
  }
}

/** The longest text that stands in every match, before any bracket or backslash. */
function literalPart(last: string): string {
  const plain = /^[^[\\]*/.exec(last)?.[0] ?? '';
  return plain.split(/[*?]+/).reduce((a, b) => (b.length > a.length ? b : a), '');
}

function put(lists: Map<number, string[]>, at: number, text: string): void {
  const key = text.charCodeAt(at);
  lists.set(key, [...(lists.get(key) ?? []), text]);
}

/** `a/b/` of `/a/b/*`: what is anchored and has no wildcard. */
function literalHead(body: string, slash: number): string {
  if (slash < 0) return '';
  const head = body.slice(0, slash + 1).replace(/^\//, '');
  const wild = head.search(/[*?[\\]/);
  return wild < 0 ? head : head.slice(0, head.lastIndexOf('/', wild) + 1);
}
