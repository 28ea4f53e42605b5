/**
 * The tree a restore writes into. Names come from tapes: nothing outside is ever touched, whatever they say and whatever
 * others do in the tree meanwhile.
 *
 * All is done beneath one open directory, never through a symbolic link (beneath.ts), by a single name in an open parent.
 * Owner and mode are given to the inode that was opened, not to a name: somebody could have linked a file of the system
 * there. What is new appears under its own name only when it is whole.
 */
import { strict as assert } from 'node:assert';
import { constants } from 'node:fs';
import { CodedError } from '../base/errors.ts';
import { type Random, systemRandom } from '../base/random.ts';
import { type Raw, rawBytes, rawText, toRaw } from '../base/raw.ts';
import type { Attributes } from '../domain/entry.ts';
import { applyAttributes } from './apply.ts';
import { openBeneath, PLACE, splitPath } from './beneath.ts';
import { renamedEntry, type ScannedEntry, statEntry } from './directory.ts';
import { type Answer, AT_FDCWD, errnoName, type FsDoor, loadFsDoor, O_PATH } from './door.ts';
import { namesBeginning } from './leftovers.ts';
import { Mounts } from './mounts.ts';
import { OwnerIds, type OwnersBy } from './owner-ids.ts';
import {
  checkPath,
  type Names,
  Place,
  type Placement,
  type SpecialPlacement,
  type Spot,
  settle,
  TargetFile,
  targetFailure,
  unlessRefused,
} from './target-file.ts';
import { noTarget, refuseTarget } from './target-place.ts';

const { O_RDONLY, O_RDWR, O_CREAT, O_EXCL, O_DIRECTORY, O_NONBLOCK } = constants;
const { S_IFIFO, S_IFCHR, S_IFBLK, S_IFSOCK } = constants;

/** Temporary names; the scan of a source knows nothing of them, so a restore into a source leaves none behind. */
const TEMPORARY = '.shelfs-restore-';
const SELF = '' as Raw;

export type TargetOptions = {
  readonly owners?: OwnersBy;
  readonly random?: Random;
  readonly door?: FsDoor;
  /** Absolute paths of this program's own directories, into which nothing is restored. */
  readonly ownDirectories?: readonly Raw[];
};

export type Replace = { readonly overwrite: boolean };

/** All paths are relative to the target, with single slashes; anything else is TARGET_UNSAFE. */
export class TargetTree {
  readonly path: Raw;
  readonly root: ScannedEntry;
  readonly owners: OwnerIds;
  readonly #door: FsDoor;
  readonly #directory: number;
  /** Of this restore: two at once do not use the same temporary names. */
  readonly #tag: string;
  /** Of the name made last: the next one is mostly beside it. */
  #place: Place | undefined;
  #temporaries = 0;

  /**
   * @throws CodedError TARGET_FAILED where there is no such directory, TARGET_UNSAFE where it is none, USAGE where nothing
   * may be restored
   */
  static open(path: Raw, options: TargetOptions = {}): TargetTree {
    const door = options.door ?? loadFsDoor();
    const directory = door.open(AT_FDCWD, rawBytes(path), O_RDONLY | O_DIRECTORY, 0, 0);
    if (directory < 0) throw noTarget(path, errnoName(directory));
    const root = statEntry(door, directory, SELF);
    assert(typeof root !== 'number', 'just opened');
    try {
      const forbidden = { own: options.ownDirectories ?? [], mounts: new Mounts() };
      refuseTarget(door, { path, directory, root }, forbidden);
    } catch (error) {
      door.close(directory);
      throw error;
    }
    return new TargetTree({ path, root, door, directory, options });
  }

  private constructor(parts: {
    path: Raw;
    root: ScannedEntry;
    door: FsDoor;
    directory: number;
    options: TargetOptions;
  }) {
    this.path = parts.path;
    this.root = parts.root;
    this.#door = parts.door;
    this.#directory = parts.directory;
    const random = parts.options.random ?? systemRandom;
    this.#tag = random
      .below(2 ** 47)
      .toString(16)
      .padStart(12, '0');
    this.owners = new OwnerIds(parts.door, parts.options.owners ?? 'names');
  }

  /**
   * Makes a directory and those above it, for the owner alone until `apply`.
   * @throws CodedError TARGET_EXISTS where something that is no directory has the name, TARGET_UNSAFE, TARGET_FAILED
   */
  makeDirectory(path: Raw): 'made' | 'present' {
    if (path === '') return 'present';
    checkPath(path);
    const { parent, name } = splitPath(path);
    const place = this.#makeParents(parent);
    try {
      return this.#makeOne(place, name, path);
    } finally {
      this.#door.close(place);
    }
  }

  /** What has the name, links not followed; undefined where nothing has. @throws CodedError TARGET_UNSAFE */
  stat(path: Raw): ScannedEntry | undefined {
    if (path !== '') checkPath(path);
    const file = this.#open(path, O_PATH);
    if (file < 0 && errnoName(file) === 'ENOENT') return undefined;
    if (file < 0) throw targetFailure(path, errnoName(file));
    const entry = statEntry(this.#door, file, SELF);
    this.#door.close(file);
    assert(typeof entry !== 'number', 'just opened');
    return renamedEntry(entry, toRaw(splitPath(path).name));
  }

  /**
   * Opens what is there already, to compare it; undefined where there is no regular file.
   * @throws CodedError TARGET_UNSAFE, TARGET_FAILED
   */
  reopen(path: Raw): { readonly descriptor: number; readonly entry: ScannedEntry } | undefined {
    if (this.stat(path)?.type !== 'file') return undefined;
    const descriptor = this.#open(path, O_RDONLY | O_NONBLOCK);
    if (descriptor < 0) throw targetFailure(path, errnoName(descriptor));
    const entry = statEntry(this.#door, descriptor, SELF);
    if (typeof entry !== 'number' && entry.type === 'file') return { descriptor, entry };
    this.#door.close(descriptor);
    return undefined;
  }

  /** For `reopen`. */
  closeFile(file: { readonly descriptor: number }): void {
    assert(this.#door.close(file.descriptor) === 0, 'open until now');
  }

  /** The directories above it exist. @throws CodedError TARGET_UNSAFE, TARGET_FULL, TARGET_FAILED */
  createFile(path: Raw): TargetFile {
    const { spot, own } = this.#spot(path);
    for (;;) {
      const temporary = this.#temporaryName();
      const flags = O_RDWR | O_CREAT | O_EXCL;
      const descriptor = this.#door.open(spot.directory, temporary, flags, 0o600, 0);
      if (descriptor < 0 && errnoName(descriptor) === 'EEXIST') continue;
      if (descriptor < 0) {
        spot.place.leave();
        throw targetFailure(path, errnoName(descriptor));
      }
      const present = this.#lock(descriptor);
      if (present !== undefined) {
        const { owners } = this;
        return new TargetFile({ spot, descriptor, owners, names: { temporary, own }, present });
      }
      this.#door.close(descriptor);
    }
  }

  /** @throws CodedError TARGET_EXISTS where a directory is to be replaced, TARGET_UNSAFE, TARGET_FAILED */
  makeSymlink(link: { readonly path: Raw; readonly target: Raw }, replace: Replace): Placement {
    const target = rawBytes(link.target);
    const placed = this.#make(link.path, replace, (directory, name) =>
      this.#door.makeSymlink(target, directory, name),
    );
    if (placed !== 'made' && placed !== 'kept') throw targetFailure(link.path, placed.errno);
    return placed;
  }

  /** FIFOs, sockets, device nodes; `apply` gives them their mode. Throws as `makeSymlink`. */
  makeSpecial(
    path: Raw,
    attributes: Pick<Attributes, 'type' | 'device'>,
    replace: Replace,
  ): SpecialPlacement {
    const { major, minor } = attributes.device ?? { major: 0, minor: 0 };
    const mode = nodeType(attributes.type) | 0o600;
    const placed = this.#make(path, replace, (directory, name) =>
      this.#door.makeNode(directory, name, mode, major, minor),
    );
    return unlessRefused(placed, path);
  }

  /** A second name for what `existing` names. Throws as `makeSymlink`. */
  makeLink(
    link: { readonly existing: Raw; readonly path: Raw },
    replace: Replace,
  ): SpecialPlacement {
    const from = this.#spot(link.existing);
    try {
      const placed = this.#make(link.path, replace, (directory, name) =>
        this.#door.makeLink(from.spot.directory, from.own, directory, name),
      );
      return unlessRefused(placed, link.path);
    } finally {
      from.spot.place.leave();
    }
  }

  /**
   * Gives an entry that is there its attributes; directories after all that is in them. A file with more than one link is
   * left alone: its other name may be somebody else's.
   * @returns what could not be set, by name
   * @throws CodedError TARGET_UNSAFE where the name is another type of entry; TARGET_FAILED where it is not there
   */
  apply(path: Raw, attributes: Attributes): string[] {
    if (path !== '') checkPath(path);
    const descriptor = this.#open(path, O_PATH);
    if (descriptor < 0) throw targetFailure(path, errnoName(descriptor));
    try {
      const present = statEntry(this.#door, descriptor, SELF);
      assert(typeof present !== 'number', 'just opened');
      if (present.type !== attributes.type) {
        const message = `${rawText(path)} is a ${present.type} now, not a ${attributes.type}`;
        throw new CodedError('TARGET_UNSAFE', message, { path: rawText(path) });
      }
      if (present.type !== 'directory' && present.links > 1) return ['all (more than one link)'];
      const to = { door: this.#door, owners: this.owners, descriptor, present };
      return applyAttributes(to, attributes);
    } finally {
      this.#door.close(descriptor);
    }
  }

  /** Removes what restores that did not end left in a directory. @returns how many */
  sweep(path: Raw): number {
    if (path !== '') checkPath(path);
    const directory = this.#open(path, O_RDONLY | O_DIRECTORY);
    if (directory < 0) throw targetFailure(path, errnoName(directory));
    try {
      return namesBeginning(directory, TEMPORARY, path).filter((name) => {
        const entry = statEntry(this.#door, directory, name);
        return typeof entry !== 'number' && this.#removeLeft(directory, entry);
      }).length;
    } finally {
      this.#door.close(directory);
    }
  }

  /** Bytes and inodes free for us. */
  room(): { readonly bytesFree: number; readonly inodesFree: number } {
    const found = this.#door.fileSystem(this.#directory);
    if (typeof found === 'number') throw targetFailure(this.path, errnoName(found));
    return { bytesFree: found[2] ?? 0, inodesFree: found[4] ?? 0 };
  }

  /** All that was written is on disk when this returns. @throws CodedError TARGET_FULL, TARGET_FAILED */
  sync(): void {
    const answer = this.#door.syncFileSystem(this.#directory);
    if (answer < 0) throw targetFailure(this.path, errnoName(answer));
  }

  close(): void {
    assert(this.#door.close(this.#directory) === 0, 'closed once');
  }

  /** By a temporary name where something may have to be replaced. */
  #make(
    path: Raw,
    { overwrite }: Replace,
    make: (directory: number, name: Buffer) => Answer,
  ): Placement | { readonly errno: string } {
    const { spot, own } = this.#spot(path);
    try {
      const temporary = overwrite ? this.#temporaryName() : own;
      const answer = make(spot.directory, temporary);
      if (answer >= 0) return overwrite ? this.#replace(spot, { temporary, own }) : 'made';
      const errno = errnoName(answer);
      return !overwrite && errno === 'EEXIST' ? 'kept' : { errno };
    } finally {
      spot.place.leave();
    }
  }

  #replace(spot: Spot, names: Names): Placement {
    const placement = settle(spot, names, 'overwrite');
    // Renaming one link of a file to another of the same file does nothing (rename(2)): the temporary name stays.
    const left = this.#door.unlink(spot.directory, names.temporary, 0);
    if (left < 0 && errnoName(left) !== 'ENOENT') throw targetFailure(spot.path, errnoName(left));
    return placement;
  }

  /** The directory a name is in; the caller leaves it. */
  #spot(path: Raw): { readonly spot: Spot; readonly own: Buffer } {
    checkPath(path);
    const { parent, name } = splitPath(path);
    let place = this.#place;
    if (place?.path !== parent || !place.join()) {
      const opened = this.#open(parent, PLACE);
      if (opened < 0) throw targetFailure(path, errnoName(opened));
      place = new Place(this.#door, opened, parent);
      this.#place = place;
    }
    return { spot: { door: this.#door, place, directory: place.directory, path }, own: name };
  }

  #open(path: Raw, flags: number): Answer {
    return openBeneath(this.#door, this.#directory, { path, flags });
  }

  /** The directory's place; those missing are made one by one, from the deepest that is there. */
  #makeParents(path: Raw): number {
    const missing: { path: Raw; name: Buffer }[] = [];
    let at = path;
    let place = this.#open(at, PLACE);
    while (place < 0 && errnoName(place) === 'ENOENT' && at !== '') {
      const { parent, name } = splitPath(at);
      missing.push({ path: at, name });
      at = parent;
      place = this.#open(at, PLACE);
    }
    if (place < 0) throw targetFailure(at, errnoName(place));
    for (const one of missing.reverse()) {
      let next: Answer;
      try {
        this.#makeOne(place, one.name, one.path);
        next = openBeneath(this.#door, place, { path: toRaw(one.name), flags: PLACE });
      } finally {
        this.#door.close(place);
      }
      if (next < 0) throw targetFailure(one.path, errnoName(next));
      place = next;
    }
    return place;
  }

  #makeOne(place: number, name: Buffer, path: Raw): 'made' | 'present' {
    const answer = this.#door.makeDirectory(place, name, 0o700);
    if (answer >= 0) return 'made';
    if (errnoName(answer) !== 'EEXIST') throw targetFailure(path, errnoName(answer));
    const there = statEntry(this.#door, place, toRaw(name));
    if (typeof there === 'number') throw targetFailure(path, errnoName(there));
    if (there.type === 'directory') return 'present';
    const message = `${rawText(path)} is a ${there.type} where a directory belongs; move it away`;
    throw new CodedError('TARGET_EXISTS', message, { path: rawText(path) });
  }

  #temporaryName(): Buffer {
    this.#temporaries += 1;
    return Buffer.from(`${TEMPORARY}${this.#tag}-${this.#temporaries}`, 'latin1');
  }

  /** Undefined where it was swept away between its making and its lock. */
  #lock(descriptor: number): ScannedEntry | undefined {
    const answer = this.#door.lock(descriptor);
    // A file system without locks is not swept either.
    if (answer < 0 && errnoName(answer) === 'EAGAIN') return undefined;
    const entry = statEntry(this.#door, descriptor, SELF);
    return typeof entry !== 'number' && entry.links > 0 ? entry : undefined;
  }

  /** A name is only a name for links and special files; a file is left alone while somebody holds its lock. */
  #removeLeft(directory: number, { name, type }: ScannedEntry): boolean {
    if (type === 'directory') return false;
    const file =
      type === 'file'
        ? openBeneath(this.#door, directory, { path: name, flags: O_RDONLY | O_NONBLOCK })
        : undefined;
    // Gone meanwhile, or not ours to open.
    if (file !== undefined && file < 0) return false;
    const isFree = file === undefined || this.#door.lock(file) >= 0;
    const isRemoved = isFree && this.#door.unlink(directory, rawBytes(name), 0) >= 0;
    if (file !== undefined) this.#door.close(file);
    return isRemoved;
  }
}

function nodeType(type: Attributes['type']): number {
  switch (type) {
    case 'fifo':
      return S_IFIFO;
    case 'character':
      return S_IFCHR;
    case 'block':
      return S_IFBLK;
    case 'socket':
      return S_IFSOCK;
    default:
      assert.fail(`${type} is not made as a node`);
  }
}
