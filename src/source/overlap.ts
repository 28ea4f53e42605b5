/** Sources that contain one another would be stored twice and, with two answers for one path, restored wrongly. */
import { joinRaw, type Raw } from '../base/raw.ts';
import { normalizePath, type SourceRoots, within } from './original.ts';

const SELF = '' as Raw;

export type NamedSource = SourceRoots & { readonly name: string };

export type Overlap = {
  readonly inner: NamedSource;
  readonly outer: NamedSource;
  /** Which of the two paths meet: where files are read, or what they are known by. */
  readonly where: 'path' | 'original';
};

/**
 * The first pair of sources of one host of which one contains the other.
 * @param sources with paths whose symbolic links are resolved
 */
export function findOverlap(sources: readonly NamedSource[]): Overlap | undefined {
  return findBy(sources, 'path') ?? findBy(sources, 'original');
}

/** Sorted by path with a slash at the end, whoever contains another stands right before one it contains. */
function findBy(sources: readonly NamedSource[], where: 'path' | 'original'): Overlap | undefined {
  const sorted = sources
    .map((source) => ({ source, path: normalizePath(source[where]) }))
    .sort((a, b) => compare(joinRaw(a.path, SELF), joinRaw(b.path, SELF)));
  for (const [index, inner] of sorted.entries()) {
    const outer = sorted[index - 1];
    if (outer !== undefined && within(outer.path, inner.path) !== undefined) {
      return { inner: inner.source, outer: outer.source, where };
    }
  }
  return undefined;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
