/** Why one path is backed up or not: what decides, step by step from its source down. */
import { CodedError } from '../base/errors.ts';
import { joinRaw, type Raw, rawText } from '../base/raw.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Source } from '../catalog/job/sources.ts';
import { type ScannedEntry, statEntry } from '../source/directory.ts';
import { AT_FDCWD, type FsDoor } from '../source/door.ts';
import type { Decision, Reason } from '../source/filter.ts';
import { isNeverEntered, Mounts } from '../source/mounts.ts';
import { SourceTree } from '../source/tree.ts';
import { filterOf, parseSourceOptions } from './source-options.ts';
import { sourceOf } from './sources.ts';

export type Explanation = {
  readonly source: Source;
  readonly path: Raw;
  /** Relative to the source; empty for the source itself. */
  readonly relative: Raw;
  readonly type: ScannedEntry['type'];
  readonly sizeBytes: number;
  readonly decision: Decision;
  /** The directory above it at which the walk ends; empty where the decision is about the path itself. */
  readonly at: Raw | undefined;
};

/** The signature of the Cache Directory Tagging Specification (bford.info/cachedir). */
const CACHE_TAG = 'CACHEDIR.TAG' as Raw;
const CACHE_TAG_SIGNATURE = Buffer.from('Signature: 8a477f597d28d172789f06886806bc55');

/**
 * @param options.path absolute and normal; it must be there, for rules ask what it is
 * @throws CodedError USAGE where it is in no source, SOURCE_MISSING where it is not there
 */
export function explainPath(
  catalog: Catalog,
  options: {
    readonly path: Raw;
    readonly hostName: string;
    readonly ownDirectories: readonly Raw[];
  },
): Explanation {
  const { source, relative } = sourceOf(catalog, options);
  const { followSymlinks } = parseSourceOptions(source.options);
  const tree = SourceTree.open(source.path, { followLinks: followSymlinks });
  try {
    const entry = relative === '' ? tree.root : entryAt(tree, relative);
    const found = { source, path: options.path, relative, ...pick(entry) };
    const boundary = boundaryOf(catalog, { tree, source, relative }, options.ownDirectories);
    if (boundary) return { ...found, ...boundary };
    const filter = filterOf(catalog, source);
    if (relative !== '')
      return { ...found, decision: filter.explain(relative, entry), at: undefined };
    const reason = filter.root().excludedBy;
    const decision: Decision = reason ? { verdict: 'passage', reason } : { verdict: 'kept' };
    return { ...found, decision, at: undefined };
  } finally {
    tree.close();
  }
}

type Place = { readonly tree: SourceTree; readonly source: Source; readonly relative: Raw };

/** What ends the walk whatever the rules say: file systems, this program's own directories, and caches by option. */
function boundaryOf(
  catalog: Catalog,
  { tree, source, relative }: Place,
  ownDirectories: readonly Raw[],
): { decision: Decision; at: Raw } | undefined {
  const { oneFileSystem, cacheDirectories } = parseSourceOptions(source.options);
  const own = new Set(ownDirectories.flatMap((path) => identify(tree.door, path)));
  const filter = filterOf(catalog, source);
  const mounts = new Mounts();
  let scope = filter.root();
  const names = relative === '' ? [] : (relative.split('/') as Raw[]);
  for (let depth = 0; depth <= names.length; depth += 1) {
    const at = names.slice(0, depth).join('/') as Raw;
    const entry = depth === 0 ? tree.root : entryAt(tree, at);
    if (entry.type !== 'directory') return undefined;
    const ended = (reason: Reason) => ({ decision: { verdict: 'excluded' as const, reason }, at });
    if (own.has(keyOf(entry))) return ended({ kind: 'own' });
    if (depth > 0) {
      const name = names[depth - 1] as Raw;
      const decision = filter.decide(scope, { ...entry, name });
      if (decision.verdict === 'excluded') return undefined;
      scope = filter.enter(scope, name, decision);
    }
    const isLast = depth === names.length;
    if (isLast) return undefined;
    const type = mounts.of(entry)?.type ?? 'unknown';
    const isOther = entry.device !== tree.root.device && oneFileSystem;
    if (isNeverEntered(type) || isOther) return ended({ kind: 'file-system', type });
    const isTag = depth === names.length - 1 && names[depth] === CACHE_TAG;
    const isCache =
      cacheDirectories === 'leave-out' &&
      scope.mark?.mark !== 'track' &&
      !isTag &&
      tree.startsWith(at === '' ? CACHE_TAG : joinRaw(at, CACHE_TAG), CACHE_TAG_SIGNATURE);
    if (isCache) return ended({ kind: 'cache-directory' });
  }
  return undefined;
}

function entryAt(tree: SourceTree, relative: Raw): ScannedEntry {
  const slash = relative.lastIndexOf('/');
  const parent = relative.slice(0, Math.max(slash, 0)) as Raw;
  const name = relative.slice(slash + 1) as Raw;
  const entry = tree.inDirectory(parent, (directory) => statEntry(tree.door, directory, name));
  if (typeof entry !== 'number') return entry;
  const sentence = `${rawText(joinRaw(tree.path, relative))} is not there`;
  throw new CodedError('SOURCE_MISSING', sentence, { path: rawText(relative) });
}

function identify(door: FsDoor, path: Raw): string[] {
  const entry = statEntry(door, AT_FDCWD, joinRaw(path, '.' as Raw));
  return typeof entry === 'number' ? [] : [keyOf(entry)];
}

function keyOf({ device, inode }: ScannedEntry): string {
  return `${device}:${inode}`;
}

function pick({ type, sizeBytes }: ScannedEntry) {
  return { type, sizeBytes };
}
