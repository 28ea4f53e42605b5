/** All attributes of one entry: what stat said, owners by name, extended attributes with the ACLs among them, a link's target. */
import { type Raw, rawBytes, toRaw } from '../base/raw.ts';
import type { Attributes, Xattr } from '../domain/entry.ts';
import type { ScannedEntry } from './directory.ts';
import { type Answer, AT_FDCWD, errnoName, type FsDoor, sourceFailure } from './door.ts';

/** The mount shows these (PRODUCT.md, section 2); copied back from there they would be archived for ever. */
const OWN_XATTRS = 'user.shelfs.';

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
  const { type, mode, uid, gid, mtime, ctime } = entry;
  const attributes: Attributes = {
    type,
    mode,
    uid,
    gid,
    user: names.user(uid),
    group: names.group(gid),
    sizeBytes: type === 'file' ? entry.sizeBytes : 0,
    mtime,
    ctime,
    xattrs: readXattrs(names.door, place, path),
  };
  if (type === 'symlink') {
    const target = names.door.readLink(place.directory, rawBytes(place.name));
    if (typeof target === 'number') throw sourceFailure(path, target);
    return { ...attributes, target: toRaw(target) };
  }
  return entry.rdev === undefined ? attributes : { ...attributes, device: entry.rdev };
}

/** In order of name, without our own. None where the file system has no such thing. */
function readXattrs(door: FsDoor, place: EntryPlace, path: Raw): Xattr[] {
  const reply = door.getXattrs(place.directory, rawBytes(place.name));
  if (typeof reply === 'number') {
    const errno = errnoName(reply);
    if (errno === 'ENOTSUP' || errno === 'EOPNOTSUPP') return [];
    throw sourceFailure(path, reply);
  }
  const xattrs: Xattr[] = [];
  for (let index = 0; index + 1 < reply.length; index += 2) {
    const name = toRaw(reply[index] ?? Buffer.alloc(0));
    if (!name.startsWith(OWN_XATTRS))
      xattrs.push({ name, value: reply[index + 1] ?? Buffer.alloc(0) });
  }
  return xattrs.sort((a, b) => (a.name < b.name ? -1 : 1));
}
