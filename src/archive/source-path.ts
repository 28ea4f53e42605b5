/** From a member's name back to the source path: for archives whose journal was never written. */
import { type Raw, rawBytes } from '../base/raw.ts';
import type { Part } from './part.ts';
import { invalid } from './ustar.ts';

const HOSTS = '.shelfs/hosts/';
const TREE = '.shelfs/tree/';

export type SourcePath = {
  readonly path: Raw;
  /** Undefined: the archive's own. */
  readonly host: string | undefined;
};

/**
 * The inverse of `memberPath` and `storedName`; undefined for members that are the archive's own.
 * @throws CodedError ARCHIVE_INVALID for a name that no source path has: one that climbs, or has an empty component
 */
export function sourcePath(name: Raw, part: Part | undefined): SourcePath | undefined {
  const { path, host } = split(withoutSuffix(name, part));
  if (path === undefined) return undefined;
  const bare = path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
  const names = bare === '/' ? [] : bare.slice(1).split('/');
  if (names.some((one) => one === '' || one === '.' || one === '..'))
    throw invalid('a name that is no path of a source');
  return { path: bare as Raw, host };
}

function split(name: string): { path: string | undefined; host?: string | undefined } {
  if (name === './') return { path: '/', host: undefined };
  if (name.startsWith(TREE)) return { path: name.slice(TREE.length - 1), host: undefined };
  if (!name.startsWith(HOSTS)) {
    const isOwn = name === '.shelfs' || name.startsWith('.shelfs/');
    return { path: isOwn ? undefined : `/${name}`, host: undefined };
  }
  const slash = name.indexOf('/', HOSTS.length);
  if (slash <= HOSTS.length) throw invalid('a name of another host without its path');
  const host = rawBytes(name.slice(HOSTS.length, slash) as Raw).toString('utf8');
  return { path: name.slice(slash), host };
}

function withoutSuffix(name: Raw, part: Part | undefined): string {
  return part === undefined ? name : name.replace(/\.shelfs-part-\d{4,}-of-\d{4,}$/, '');
}
