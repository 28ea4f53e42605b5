/** Sources: what is to be protected; added, removed, and single paths tracked or untracked. */
import { strict as assert } from 'node:assert';
import { realpath, stat } from 'node:fs/promises';
import { CodedError, errnoOf, usage } from '../base/errors.ts';
import { type Raw, rawPath, rawText, toRaw } from '../base/raw.ts';
import { printable } from '../base/text.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { type Rule, type Source, Sources } from '../catalog/job/sources.ts';
import { Directories } from '../catalog/tree/directories.ts';
import { relativePath, within } from '../source/original.ts';
import { findOverlap, type NamedSource } from '../source/overlap.ts';
import { parseSourceOptions, type SourceOptions } from './source-options.ts';
import { type RuleWords, rulesOf, withoutRules, withRules } from './source-rules.ts';

export type AddSourceRequest = RuleWords & {
  /** Absolute and normal. */
  readonly path: Raw;
  /** Default: the last name of the original path. */
  readonly name?: string | undefined;
  /** The path the files are known by; default: where they are read. */
  readonly original?: Raw | undefined;
  /** Whose files they are; undefined: this machine's. */
  readonly host?: string | undefined;
  readonly options: SourceOptions;
};

export type SourceTools = {
  /** Open for writing. */
  readonly catalog: Catalog;
  readonly hostName: string;
  /** Absolute: never backed up. */
  readonly ownDirectories: readonly Raw[];
};

export type SourceDetails = {
  readonly source: Source;
  /** Whose files they are. */
  readonly host: string;
  readonly options: SourceOptions;
  readonly rules: readonly Rule[];
};

const NAME_LENGTH_MAX = 100;
const HOST_BYTES_MAX = 255;

/**
 * @throws CodedError USAGE where it is no directory, overlaps another source, lies in a directory of this program, or where
 *   name, pattern or preset make no sense; SOURCE_MISSING, SOURCE_UNREADABLE
 */
export async function addSource(
  tools: SourceTools,
  request: AddSourceRequest,
): Promise<SourceDetails> {
  const { catalog, hostName } = tools;
  const { path, original = path, host = hostName, patterns, presets, options } = request;
  checkHost(host);
  const name = request.name ?? defaultName(original);
  checkName(name);
  await checkDirectory(path);
  for (const own of tools.ownDirectories) {
    if (within(await resolved(own), await resolved(path)) !== undefined)
      throw usage(`${rawText(path)} belongs to shelfs itself: it is never backed up`);
  }
  const rules = rulesOf({ patterns, presets });
  const sources = new Sources(catalog);
  const added: NamedSource = { name, path: await resolved(path), original };
  const others = await Promise.all(
    listSources(catalog).map(async ({ source }) => ({
      ...source,
      path: await resolved(source.path),
    })),
  );
  return catalog.write(() => {
    const { id: hostId } = new Directories(catalog).ensureHost(host);
    checkOverlap(
      others.filter((other) => other.hostId === hostId),
      added,
    );
    const id = sources.add({ name, hostId, path, original, options });
    sources.setRules(id, rules);
    return detailsOf(catalog, findSource(catalog, name));
  });
}

/** In order of name. */
export function listSources(catalog: Catalog): SourceDetails[] {
  const sources = new Sources(catalog);
  return catalog.read(() => sources.list().map((source) => detailsOf(catalog, source)));
}

/** @throws CodedError USAGE where there is none of this name */
export function findSource(catalog: Catalog, name: string): Source {
  const sources = new Sources(catalog);
  const found = sources.find(name);
  if (found) return found;
  const names = sources.list().map((source) => printable(source.name));
  const known = names.length > 0 ? `there are ${names.join(', ')}` : 'there is none yet';
  throw usage(`${printable(name)} is no source; ${known}`);
}

/** What was backed up of it stays in the catalog and on the media. @throws CodedError USAGE */
export function removeSource(catalog: Catalog, name: string): SourceDetails {
  return catalog.write(() => {
    const sources = new Sources(catalog);
    const details = detailsOf(catalog, findSource(catalog, name));
    sources.remove(details.source.id);
    return details;
  });
}

export type RuleChange = RuleWords & {
  readonly verb: 'add' | 'remove';
  /** The name of a source; undefined: the rules of all. */
  readonly source: string | undefined;
};

/** The rules of all sources, in the order they apply; those of a source come behind them. */
export function globalRules(catalog: Catalog): Rule[] {
  return new Sources(catalog).rules(undefined);
}

/**
 * Holds from the next scan on. What is added is stronger than what was there.
 * @returns the rules there are now
 * @throws CodedError USAGE where nothing is named, or nothing of that name is there
 */
export function changeRules(catalog: Catalog, change: RuleChange): Rule[] {
  const named = rulesOf(change);
  if (named.length === 0) throw usage('say which: --exclude, --exclude-from or --preset');
  return catalog.write(() => {
    const sources = new Sources(catalog);
    const id = change.source === undefined ? undefined : findSource(catalog, change.source).id;
    const before = sources.rules(id);
    const rules = change.verb === 'add' ? withRules(before, named) : withoutRules(before, named);
    sources.setRules(id, rules);
    return rules;
  });
}

export type MarkRequest = {
  /** `forget` takes back what was said of the path. */
  readonly mark: 'track' | 'untrack' | 'forget';
  /** Absolute and normal; they need not be there. */
  readonly paths: readonly Raw[];
  readonly hostName: string;
};

export type Marked = { readonly source: string; readonly path: Raw };

/** @throws CodedError USAGE where a path is in no source, or nothing was said of it that could be forgotten */
export function markPaths(catalog: Catalog, request: MarkRequest): Marked[] {
  const { mark, paths, hostName } = request;
  return catalog.write(() =>
    paths.map((path) => {
      const sources = new Sources(catalog);
      const { source, relative } = sourceOf(catalog, { path, hostName });
      const rules = sources.rules(source.id);
      const others = rules.filter((rule) => !isMarkOf(rule, relative));
      if (mark === 'forget') {
        if (others.length === rules.length)
          throw usage(`${rawText(path)} is neither tracked nor untracked`);
        sources.setRules(source.id, others);
      } else sources.setRules(source.id, [...others, { kind: mark, value: relative }]);
      return { source: source.name, path };
    }),
  );
}

/**
 * The source a path belongs to, by where it is read or by what it is known as.
 * @throws CodedError USAGE where it belongs to none
 */
export function sourceOf(
  catalog: Catalog,
  { path, hostName }: { readonly path: Raw; readonly hostName: string },
): { readonly source: Source; readonly relative: Raw } {
  const host = new Directories(catalog).hosts().find(({ name }) => name === hostName);
  const sources = new Sources(catalog).list();
  for (const find of [readRelative, relativePath]) {
    for (const source of sources) {
      // What another host's files are known as may be ours too: they are named by where they are read.
      if (find === relativePath && source.hostId !== host?.id) continue;
      const relative = find(source, path);
      if (relative !== undefined) return { source, relative };
    }
  }
  throw usage(`${rawText(path)} is in no source; \`shelfs source list\` shows them`);
}

/** It stands in members' names and journals (FORMAT.md sections 4 and 5). */
function checkHost(host: string): void {
  const bytes = Buffer.byteLength(host);
  if (bytes > 0 && bytes <= HOST_BYTES_MAX && !/^\.{1,2}$|[/\p{Cc}]/u.test(host)) return;
  throw usage(`--host ${printable(host)}: a host's name has 1 to ${HOST_BYTES_MAX} bytes and no /`);
}

function readRelative(source: Source, path: Raw): Raw | undefined {
  return within(source.path, path);
}

function isMarkOf({ kind, value }: Rule, relative: Raw): boolean {
  return (kind === 'track' || kind === 'untrack') && value === relative;
}

function detailsOf(catalog: Catalog, source: Source): SourceDetails {
  const host = new Directories(catalog).hosts().find(({ id }) => id === source.hostId);
  assert(host, 'a source is of a host');
  return {
    source,
    host: host.name,
    options: parseSourceOptions(source.options),
    rules: new Sources(catalog).rules(source.id),
  };
}

/** Symbolic links in it resolved; as it is where it is not there just now. */
async function resolved(path: Raw): Promise<Raw> {
  try {
    return toRaw(await realpath(rawPath(path), { encoding: 'buffer' }));
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return path;
  }
}

async function checkDirectory(path: Raw): Promise<void> {
  const found = await stat(rawPath(path)).catch((cause: unknown) => {
    const errno = errnoOf(cause);
    if (errno === undefined) throw cause;
    const isMissing = errno === 'ENOENT' || errno === 'ENOTDIR';
    const what = isMissing ? 'there is no directory' : 'nothing can be read of';
    throw new CodedError(
      isMissing ? 'SOURCE_MISSING' : 'SOURCE_UNREADABLE',
      `${what} ${rawText(path)} (${errno})`,
      { cause, path: rawText(path) },
    );
  });
  if (!found.isDirectory())
    throw usage(
      `${rawText(path)} is no directory; add the one it is in, and \`source track\` it there`,
    );
}

function checkOverlap(others: readonly NamedSource[], added: NamedSource): void {
  const overlap = findOverlap([...others, added]);
  if (!overlap) return;
  const { inner, outer, where } = overlap;
  const name = printable(added.name);
  const other = inner === added ? outer : inner;
  const how = inner === added ? 'lies within' : 'contains';
  const meaning = where === 'path' ? '' : ' as the catalog knows it (--as names another path)';
  throw usage(
    `${rawText(added[where])}${meaning} ${how} the source ${printable(other.name)} (${rawText(other[where])}): ${name} would be stored twice`,
  );
}

function defaultName(original: Raw): string {
  return rawText(original.slice(original.lastIndexOf('/') + 1) as Raw) || 'root';
}

function checkName(name: string): void {
  if (name === printable(name) && name.length <= NAME_LENGTH_MAX && /^[^\s/-][^/]*$/u.test(name))
    return;
  throw usage(
    `"${printable(name)}" is no name for a source: up to ${NAME_LENGTH_MAX} letters without a slash; say --name`,
  );
}
