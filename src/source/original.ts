/** Where a source says its files belong: a snapshot of /home mounted elsewhere is still /home to those who restore. */
import { strict as assert } from 'node:assert';
import { joinRaw, type Raw } from '../base/raw.ts';

/** A source's directory, and the path its files are known by; both absolute, without a slash at the end but for `/`. */
export type SourceRoots = { readonly path: Raw; readonly original: Raw };

/** The path an entry is known by. @param relative within the source; empty for the source itself */
export function originalPath({ original }: SourceRoots, relative: Raw): Raw {
  return relative === '' ? original : joinRaw(original, relative);
}

/** Where an entry is read, or undefined where its known path is not within the source. */
export function relativePath({ original }: SourceRoots, known: Raw): Raw | undefined {
  return within(original, known);
}

/** `known` relative to `directory`: empty where they are equal, undefined where it is elsewhere. */
export function within(directory: Raw, known: Raw): Raw | undefined {
  if (known === directory) return '' as Raw;
  const start = directory === '/' ? '/' : `${directory}/`;
  return known.startsWith(start) ? (known.slice(start.length) as Raw) : undefined;
}

/**
 * An absolute path without `.`, `..`, doubled slashes and a slash at its end. By its words alone: nothing is looked up.
 */
export function normalizePath(path: Raw): Raw {
  assert(path.startsWith('/'), 'absolute');
  const names: string[] = [];
  for (const name of path.split('/')) {
    if (name === '..') names.pop();
    else if (name !== '' && name !== '.') names.push(name);
  }
  return `/${names.join('/')}` as Raw;
}
