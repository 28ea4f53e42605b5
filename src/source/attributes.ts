/** All attributes of one entry: what stat said, owners by name, extended attributes with the ACLs among them, a link's target. */
import { strict as assert } from 'node:assert';
import { CodedError } from '../base/errors.ts';
import { type Raw, rawBytes, toRaw } from '../base/raw.ts';
import type { Attributes, Xattr } from '../domain/entry.ts';
import { inside } from './beneath.ts';
import type { ScannedEntry } from './directory.ts';
import {
  type Answer,
  AT_FDCWD,
  errnoName,
  type FsDoor,
  sourceFailure,
  type XattrsReply,
} from './door.ts';

/** The mount shows these (PRODUCT.md, section 2); copied back from there they would be archived for ever. */
const OWN_XATTRS = 'user.shelfs.';

/** Bounds the names and replies of a directory with millions of entries; far more than pays. */
const ENTRIES_A_CALL = 1024;

const NO_XATTRS: readonly Xattr[] = [];

/** A hostile tree may have an owner a file: more than this and the cache starts anew. */
const NAMES_MAX = 4096;

/** Names of users and groups; each number is asked for once. */
export class OwnerNames {
  readonly door: FsDoor;
  readonly #users = new Map<number, Raw>();
  readonly #groups = new Map<number, Raw>();
  /** Numbers whose names the name service could not be asked for, with its errno: their names are recorded empty. */
  readonly failures = new Map<string, string>();

  constructor(door: FsDoor) {
    this.door = door;
  }

  user(uid: number): Raw {
    return this.#users.get(uid) ?? this.#ask(this.#users, uid, this.door.userName(uid));
  }

  group(gid: number): Raw {
    return this.#groups.get(gid) ?? this.#ask(this.#groups, gid, this.door.groupName(gid));
  }

  #ask(cache: Map<number, Raw>, id: number, answer: Buffer | Answer): Raw {
    if (cache.size >= NAMES_MAX) cache.clear();
    const isRefused = typeof answer === 'number';
    // A name service that is down is not asked again for the same number: each time would cost its timeout.
    if (isRefused && this.failures.size < NAMES_MAX) {
      this.failures.set(`${cache === this.#users ? 'uid' : 'gid'} ${id}`, errnoName(answer));
    }
    const name = isRefused ? toRaw(Buffer.alloc(0)) : toRaw(answer);
    cache.set(id, name);
    return name;
  }
}

/** Where an entry is: a name in an open directory, or the directory itself where the name is empty. */
export type EntryPlace = { readonly directory: number; readonly name: Raw };

/**
 * Attributes by absolute path. Links within the path are followed, at its end not; where others may change the tree
 * meanwhile use `readAttributesAt`.
 * @throws CodedError SOURCE_MISSING, SOURCE_UNREADABLE
 */
export function readAttributes(path: Raw, entry: ScannedEntry, names: OwnerNames): Attributes {
  return readAttributesAt({ directory: AT_FDCWD, name: path }, entry, { names, path });
}

/**
 * Attributes of a name in an open directory.
 * @param context.path for messages
 * @throws CodedError SOURCE_MISSING, SOURCE_UNREADABLE
 */
export function readAttributesAt(
  place: EntryPlace,
  entry: ScannedEntry,
  context: { readonly names: OwnerNames; readonly path: Raw },
): Attributes {
  const { names, path } = context;
  const xattrs = readXattrs(names.door, place, path);
  if (entry.type !== 'symlink') return attributesOf(entry, { names, xattrs });
  const target = names.door.readLink(place.directory, rawBytes(place.name));
  if (typeof target === 'number') throw sourceFailure(path, target);
  return attributesOf(entry, { names, xattrs, target: toRaw(target) });
}

/**
 * Attributes of entries of an open directory, with a few calls for all of them; of those that cannot be read the failure.
 * @param context.path of the directory, for messages
 * @throws CodedError FAILED where this system has no way to extended attributes
 */
export function readAttributesIn(
  directory: number,
  entries: readonly ScannedEntry[],
  context: { readonly names: OwnerNames; readonly path: Raw },
): (Attributes | CodedError)[] {
  const { names, path } = context;
  const place = { door: names.door, directory };
  const all: (Attributes | CodedError)[] = [];
  for (let start = 0; start < entries.length; start += ENTRIES_A_CALL) {
    const portion = entries.slice(start, start + ENTRIES_A_CALL);
    const xattrs = xattrsOf(place, portion);
    const targets = targetsOf(place, portion);
    for (let index = 0; index < portion.length; index += 1) {
      const entry = portion[index];
      assert(entry);
      const found = xattrs[index] ?? NO_XATTRS;
      const target = targets.size === 0 ? undefined : targets.get(entry);
      const refused = typeof found === 'number' ? found : target;
      if (typeof refused === 'number') all.push(sourceFailure(inside(path, entry.name), refused));
      else if (typeof found !== 'number')
        all.push(attributesOf(entry, { names, xattrs: found, target: refused }));
    }
  }
  return all;
}

function attributesOf(
  entry: ScannedEntry,
  found: {
    readonly names: OwnerNames;
    readonly xattrs: readonly Xattr[];
    readonly target?: Raw | undefined;
  },
): Attributes {
  const { type, mode, uid, gid, mtime, ctime, rdev } = entry;
  const { names, xattrs, target } = found;
  const attributes = {
    type,
    mode,
    uid,
    gid,
    user: names.user(uid),
    group: names.group(gid),
    sizeBytes: type === 'file' ? entry.sizeBytes : 0,
    mtime,
    ctime,
    xattrs,
  };
  if (target !== undefined) return { ...attributes, target };
  return rdev === undefined ? attributes : { ...attributes, device: rdev };
}
/** In order of name, without our own. None where the file system has no such thing. */
function readXattrs(door: FsDoor, place: EntryPlace, path: Raw): readonly Xattr[] {
  const reply = door.getXattrs(place.directory, rawBytes(place.name));
  if (typeof reply === 'number') {
    if (hasNoXattrs(reply)) return NO_XATTRS;
    throw sourceFailure(path, reply);
  }
  const xattrs: Xattr[] = [];
  for (let index = 0; index + 1 < reply.length; index += 2) {
    const [name, value] = [reply[index], reply[index + 1]];
    if (name && value) xattrs.push({ name: toRaw(name), value });
  }
  return inOrder(xattrs);
}

type OpenDirectory = { readonly door: FsDoor; readonly directory: number };

/** Of each entry, or an errno. */
function xattrsOf(
  { door, directory }: OpenDirectory,
  entries: readonly ScannedEntry[],
): (readonly Xattr[] | Answer)[] {
  const all: (readonly Xattr[] | Answer)[] = [];
  while (all.length < entries.length) {
    const reply = door.xattrsOf(directory, joined(entries.slice(all.length)));
    if (typeof reply === 'number') throw noXattrs(reply);
    assert(reply.answers.length > 0, 'at least one entry a call');
    const cursor = new XattrCursor(reply);
    for (const answer of reply.answers) {
      if (answer > 0) all.push(cursor.next(answer));
      else all.push(answer === 0 || hasNoXattrs(answer) ? NO_XATTRS : answer);
    }
  }
  return all;
}

/** Goes through the names and values of a reply. */
class XattrCursor {
  readonly #reply: XattrsReply;
  #length = 0;
  #byte = 0;

  constructor(reply: XattrsReply) {
    this.#reply = reply;
  }

  next(count: number): readonly Xattr[] {
    const xattrs: Xattr[] = [];
    for (let index = 0; index < count; index += 1) {
      const name = toRaw(this.#bytes());
      // With memory of its own: one value would keep a whole reply.
      xattrs.push({ name, value: Buffer.from(this.#bytes()) });
    }
    return inOrder(xattrs);
  }

  #bytes(): Buffer {
    const end = this.#byte + (this.#reply.lengths[this.#length] ?? 0);
    const bytes = this.#reply.bytes.subarray(this.#byte, end);
    this.#byte = end;
    this.#length += 1;
    return bytes;
  }
}

/** What symbolic links lead to, or an errno. */
function targetsOf(
  { door, directory }: OpenDirectory,
  entries: readonly ScannedEntry[],
): ReadonlyMap<ScannedEntry, Raw | Answer> {
  const links = entries.filter(({ type }) => type === 'symlink');
  const targets = new Map<ScannedEntry, Raw | Answer>();
  if (links.length === 0) return targets;
  const reply = door.readLinks(directory, joined(links));
  assert(typeof reply !== 'number', 'an open directory, and names');
  const texts = reply.targets.split('\0');
  for (const [index, link] of links.entries()) {
    const answer = reply.answers[index] ?? 0;
    targets.set(link, answer < 0 ? answer : (texts[index] as Raw));
  }
  return targets;
}

function joined(entries: readonly ScannedEntry[]): string {
  return entries.map(({ name }) => `${name}\0`).join('');
}

function inOrder(xattrs: readonly Xattr[]): readonly Xattr[] {
  const foreign = xattrs.filter(({ name }) => !name.startsWith(OWN_XATTRS));
  return foreign.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The file system knows no such thing. */
function hasNoXattrs(answer: Answer): boolean {
  const errno = errnoName(answer);
  return errno === 'ENOTSUP' || errno === 'EOPNOTSUPP';
}

function noXattrs(answer: Answer): CodedError {
  const errno = errnoName(answer);
  assert(errno === 'ENOSYS', `an open directory, and names (${errno})`);
  const message = `extended attributes cannot be read (${errno}): /proc has to be mounted, or the kernel to be Linux 6.13 or newer`;
  return new CodedError('FAILED', message);
}
