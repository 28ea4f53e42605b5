/**
 * One source: a directory and what is beneath it, opened once.
 *
 * All reading goes through the open directory, so that neither a renamed parent nor a symbolic link put in place of a
 * directory while a backup runs leads it out of the source. Only a source that follows links on purpose leaves it.
 */
import { strict as assert } from 'node:assert';
import { constants, readSync } from 'node:fs';
import { CodedError, errnoOf } from '../base/errors.ts';
import { type Raw, rawBytes, rawText } from '../base/raw.ts';
import type { Attributes, DataRange } from '../domain/entry.ts';
import { type OwnerNames, readAttributesAt, readAttributesIn } from './attributes.ts';
import { inside, openBeneath, PLACE, RESOLVE, splitPath } from './beneath.ts';
import {
  type DirectoryListing,
  listDirectory,
  renamedEntry,
  type ScannedEntry,
  statEntry,
} from './directory.ts';
import {
  type Answer,
  AT_FDCWD,
  errnoName,
  type FsDoor,
  loadFsDoor,
  O_PATH,
  RESOLVE_NO_MAGICLINKS,
  sourceFailure,
} from './door.ts';
import { dataRangesOf } from './holes.ts';

const { O_RDONLY, O_DIRECTORY, O_NONBLOCK, O_NOATIME, O_NOCTTY, O_NOFOLLOW } = constants;
const SELF = '' as Raw;

/** Never waits, also where a FIFO or a device took the file's place. */
const FILE_FLAGS = O_RDONLY | O_NONBLOCK | O_NOCTTY;

/** How files of a source are opened natively (FileBatch in door.ts). */
export type SourceAccess = readonly [directory: number, flags: number, resolve: number];

/** An open file of a source. */
export type SourceFile = {
  readonly descriptor: number;
  /** As it was when opened: what is read belongs to this, not to what a listing said before. */
  readonly entry: ScannedEntry;
};

type OpenOptions = { readonly followLinks?: boolean; readonly door?: FsDoor };

export class SourceTree {
  readonly door: FsDoor;
  /** Absolute, as given. */
  readonly path: Raw;
  /** The directory itself when it was opened: on another file system than last time, its disk may be missing. */
  readonly root: ScannedEntry;
  /** Symbolic links stand for what they lead to. */
  readonly followsLinks: boolean;
  readonly #directory: number;

  /**
   * @throws CodedError SOURCE_MISSING where there is no such directory, SOURCE_UNREADABLE
   */
  static open(path: Raw, options: OpenOptions = {}): SourceTree {
    const tree = SourceTree.tryOpen(path, options);
    if (typeof tree === 'number') throw sourceFailure(path, tree);
    return tree;
  }

  /** As `open`, with an errno below zero where it cannot be opened. */
  static tryOpen(path: Raw, options: OpenOptions = {}): SourceTree | Answer {
    const door = options.door ?? loadFsDoor();
    const directory = door.open(AT_FDCWD, rawBytes(path), O_RDONLY | O_DIRECTORY, 0, 0);
    if (directory < 0) return directory;
    const root = statEntry(door, directory, SELF);
    if (typeof root === 'number') {
      door.close(directory);
      return root;
    }
    const followsLinks = options.followLinks === true;
    return new SourceTree({ door, path, root, directory, followsLinks });
  }

  private constructor(parts: {
    door: FsDoor;
    path: Raw;
    root: ScannedEntry;
    directory: number;
    followsLinks: boolean;
  }) {
    this.door = parts.door;
    this.path = parts.path;
    this.root = parts.root;
    this.followsLinks = parts.followsLinks;
    this.#directory = parts.directory;
  }

  /** Calls `use` with a descriptor that is only a place. @throws CodedError SOURCE_MISSING, SOURCE_UNREADABLE */
  inDirectory<T>(path: Raw, use: (directory: number) => T): T {
    const directory = this.#open(path, PLACE);
    if (directory < 0) throw sourceFailure(path, directory);
    try {
      return use(directory);
    } finally {
      this.door.close(directory);
    }
  }

  /**
   * The directory itself and what is in it.
   * @param path relative to the source; empty for the source itself
   * @param mayList asked with the opened directory before it is read; where it says no, nothing is listed
   */
  list(
    path: Raw,
    mayList: (self: ScannedEntry) => boolean = () => true,
  ): { readonly self: ScannedEntry; readonly listing: DirectoryListing | undefined } | Answer {
    const directory = this.#open(path, O_RDONLY | O_DIRECTORY);
    if (directory < 0) return directory;
    try {
      const self = statEntry(this.door, directory, SELF);
      if (typeof self === 'number') return self;
      if (!mayList(self)) return { self, listing: undefined };
      const listing = listDirectory(this.door, directory);
      return typeof listing === 'number' ? listing : { self, listing };
    } finally {
      this.door.close(directory);
    }
  }

  /** For calls of the door that open many files: as `openFile` does it. Holds while the tree is open. */
  get access(): SourceAccess {
    const flags = FILE_FLAGS | O_NOATIME;
    return this.followsLinks
      ? [this.#directory, flags, RESOLVE_NO_MAGICLINKS]
      : [this.#directory, flags | O_NOFOLLOW, RESOLVE];
  }

  /**
   * Opens a regular file for reading, without touching its access time where that is allowed. Never waits.
   * @throws CodedError SOURCE_MISSING, also where it is no regular file any more; SOURCE_UNREADABLE
   */
  openFile(path: Raw): SourceFile {
    let descriptor = this.#open(path, FILE_FLAGS | O_NOATIME);
    // Only the owner and root may leave the access time alone (open(2)).
    if (descriptor < 0 && errnoName(descriptor) === 'EPERM')
      descriptor = this.#open(path, FILE_FLAGS);
    if (descriptor < 0) throw sourceFailure(path, descriptor);
    const entry = statEntry(this.door, descriptor, SELF);
    if (typeof entry !== 'number' && entry.type === 'file') return { descriptor, entry };
    this.door.close(descriptor);
    if (typeof entry === 'number') throw sourceFailure(path, entry);
    const message = `${rawText(path)} is no longer a file (${entry.type})`;
    throw new CodedError('SOURCE_MISSING', message, { path: rawText(path) });
  }

  /** Whether a file begins with these bytes; false where it cannot be read. */
  startsWith(path: Raw, expected: Buffer): boolean {
    const descriptor = this.#open(path, FILE_FLAGS);
    if (descriptor < 0) return false;
    try {
      const found = Buffer.alloc(expected.length);
      const length = readSync(descriptor, found, 0, found.length, 0);
      return length === expected.length && found.equals(expected);
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      return false;
    } finally {
      this.door.close(descriptor);
    }
  }

  closeFile(file: SourceFile): void {
    assert(this.door.close(file.descriptor) === 0, 'open until now');
  }

  /**
   * Where the data of an open file lie; undefined where it has no holes.
   * @throws CodedError SOURCE_UNREADABLE
   */
  dataRanges(file: SourceFile, path: Raw): readonly DataRange[] | undefined {
    const ranges = dataRangesOf(this.door, file.descriptor, file.entry);
    if (typeof ranges === 'number') throw sourceFailure(path, ranges);
    return ranges;
  }

  /** @throws CodedError SOURCE_MISSING, SOURCE_UNREADABLE */
  attributes(path: Raw, entry: ScannedEntry, names: OwnerNames): Attributes {
    const context = { names, path };
    const isOpened = entry.type === 'directory' || (this.followsLinks && entry.type === 'file');
    if (!isOpened) {
      const { parent, name } = splitPath(path);
      return this.inDirectory(parent, (directory) =>
        readAttributesAt({ directory, name: name.toString('latin1') as Raw }, entry, context),
      );
    }
    const itself = this.#open(path, O_PATH);
    if (itself < 0) throw sourceFailure(path, itself);
    try {
      return readAttributesAt({ directory: itself, name: SELF }, entry, context);
    } finally {
      this.door.close(itself);
    }
  }

  /**
   * Of entries of one directory, as it listed them: much cheaper than one by one. Of those that cannot be read the failure.
   * @throws CodedError FAILED where this system has no way to extended attributes
   */
  attributesIn(
    directory: Raw,
    entries: readonly ScannedEntry[],
    names: OwnerNames,
  ): (Attributes | CodedError)[] {
    if (this.followsLinks) {
      return entries.map((entry) => this.#attempt(inside(directory, entry.name), entry, names));
    }
    const opened = this.#open(directory, PLACE);
    if (opened < 0) {
      return entries.map(({ name }) => sourceFailure(inside(directory, name), opened));
    }
    try {
      return readAttributesIn(opened, entries, { names, path: directory });
    } finally {
      this.door.close(opened);
    }
  }

  #attempt(path: Raw, entry: ScannedEntry, names: OwnerNames): Attributes | CodedError {
    try {
      return this.attributes(path, entry, names);
    } catch (error) {
      if (error instanceof CodedError && error.failure.exit === 3) return error;
      throw error;
    }
  }

  /** What a symbolic link leads to, under the link's name; an errno where it leads nowhere. */
  statThrough(directory: Raw, link: Raw): ScannedEntry | Answer {
    assert(this.followsLinks, 'only where links are followed');
    const path = directory === '' ? link : (`${directory}/${link}` as Raw);
    const place = this.#open(path, PLACE & ~O_DIRECTORY);
    if (place < 0) return place;
    const entry = statEntry(this.door, place, SELF);
    this.door.close(place);
    return typeof entry === 'number' ? entry : renamedEntry(entry, link);
  }

  close(): void {
    assert(this.door.close(this.#directory) === 0, 'closed once');
  }

  #open(path: Raw, flags: number): Answer {
    if (!this.followsLinks) return openBeneath(this.door, this.#directory, { path, flags });
    const name = rawBytes(path === '' ? ('.' as Raw) : path);
    return this.door.open(this.#directory, name, flags, 0, RESOLVE_NO_MAGICLINKS);
  }
}
