/**
 * One file being restored, under a temporary name until it is whole.
 *
 * A lock on the temporary file says that somebody is still at it; the kernel takes the lock away with the process, so that
 * what a crash left behind can be told from what another restore is writing (`TargetTree.sweep`).
 */
import { strict as assert } from 'node:assert';
import { ftruncateSync, readSync, writeSync } from 'node:fs';
import { CodedError, errnoOf, type FailureCode } from '../base/errors.ts';
import { type Raw, rawText } from '../base/raw.ts';
import type { Attributes } from '../domain/entry.ts';
import { applyAttributes } from './apply.ts';
import type { ScannedEntry } from './directory.ts';
import { type Answer, errnoName, type FsDoor, RENAME_NOREPLACE } from './door.ts';
import type { OwnerIds } from './owner-ids.ts';

/** `kept`: something of that name was there and was not to be replaced. */
export type Placement = 'made' | 'kept';

/** `refused`: the system does not allow it here (device nodes of ordinary users, links over two file systems). */
export type SpecialPlacement = Placement | 'refused';

/** What it means that something beneath a target cannot be made. */
export function targetFailure(path: Raw, errno: string, cause?: unknown): CodedError {
  const name = rawText(path);
  const facts = { path: name, ...(cause === undefined ? {} : { cause }) };
  const code = CODES[errno] ?? 'TARGET_FAILED';
  const sentence: Partial<Record<FailureCode, string>> = {
    TARGET_UNSAFE: `${name} is not beneath the target, or something that is no directory stands in its way (${errno})`,
    TARGET_EXISTS: `${name} exists and cannot be replaced (${errno}); move it away`,
    TARGET_FULL: `there is no room for ${name} (${errno})`,
  };
  return new CodedError(code, sentence[code] ?? `${name} cannot be written (${errno})`, facts);
}

const CODES: Readonly<Record<string, FailureCode>> = {
  EXDEV: 'TARGET_UNSAFE',
  ELOOP: 'TARGET_UNSAFE',
  ENOTDIR: 'TARGET_UNSAFE',
  EEXIST: 'TARGET_EXISTS',
  EISDIR: 'TARGET_EXISTS',
  ENOTEMPTY: 'TARGET_EXISTS',
  ENOSPC: 'TARGET_FULL',
  EDQUOT: 'TARGET_FULL',
  ENOSYS: 'FAILED',
};

const REFUSALS: readonly string[] = ['EXDEV', 'EMLINK', 'EPERM', 'EINVAL', 'ENOTSUP', 'EOPNOTSUPP'];

/** @throws CodedError as `targetFailure`, for what is no refusal */
export function unlessRefused(
  placed: Placement | { readonly errno: string },
  path: Raw,
): SpecialPlacement {
  if (placed === 'made' || placed === 'kept') return placed;
  if (REFUSALS.includes(placed.errno)) return 'refused';
  throw targetFailure(path, placed.errno);
}

/** Names separated by single slashes, none of them empty, `.` or `..`; no NUL. @throws CodedError TARGET_UNSAFE */
export function checkPath(path: Raw): void {
  const isPlain =
    !path.includes('\0') &&
    path.split('/').every((name) => name !== '' && name !== '.' && name !== '..');
  if (isPlain) return;
  const message = `${rawText(path)} is no path beneath the target`;
  throw new CodedError('TARGET_UNSAFE', message, { path: rawText(path) });
}

/** After so many files a directory is looked up anew: somebody could have moved it out of the target. */
const USES_MAX = 256;

/** An open directory, shared by the files that are made in it at the same time. Its maker is its first user. */
export class Place {
  readonly directory: number;
  readonly path: Raw;
  readonly #door: FsDoor;
  #users = 1;
  #uses = 1;

  constructor(door: FsDoor, directory: number, path: Raw) {
    this.#door = door;
    this.directory = directory;
    this.path = path;
  }

  /** Whether there is one user more; else it must be opened anew. */
  join(): boolean {
    if (this.#users === 0 || this.#uses === USES_MAX) return false;
    this.#users += 1;
    this.#uses += 1;
    return true;
  }

  /** Once a user; the last one closes it. */
  leave(): void {
    assert(this.#users > 0, 'left once');
    this.#users -= 1;
    if (this.#users === 0) this.#door.close(this.directory);
  }
}

/** Names in one directory; `path` is that of the entry. */
export type Spot = {
  readonly door: FsDoor;
  readonly place: Place;
  readonly directory: number;
  readonly path: Raw;
};

export type Names = { readonly temporary: Buffer; readonly own: Buffer };

/**
 * Gives what has a temporary name its own. With `keep` nothing is ever replaced; the temporary name is gone
 * afterwards in any case.
 * @throws CodedError TARGET_EXISTS where a directory has the name, TARGET_FAILED
 */
export function settle(
  { door, directory, path }: Spot,
  names: Names,
  mode: 'overwrite' | 'keep',
): Placement {
  const { temporary, own } = names;
  const answer =
    mode === 'overwrite'
      ? door.rename(directory, temporary, directory, own, 0)
      : renameToNew(door, directory, names);
  if (answer >= 0) return 'made';
  const left = door.unlink(directory, temporary, 0);
  if (mode === 'keep' && errnoName(answer) === 'EEXIST' && left >= 0) return 'kept';
  throw targetFailure(path, errnoName(answer));
}

function renameToNew(door: FsDoor, directory: number, { temporary, own }: Names): Answer {
  const answer = door.rename(directory, temporary, directory, own, RENAME_NOREPLACE);
  if (answer >= 0 || errnoName(answer) !== 'EINVAL') return answer;
  // A file system without that flag: a second link is as safe.
  const linked = door.makeLink(directory, temporary, directory, own);
  return linked < 0 ? linked : door.unlink(directory, temporary, 0);
}

/** Used once: bytes, attributes, then `commit` or `abandon`. Not written bytes below the size are holes. */
export class TargetFile {
  readonly path: Raw;
  /** For readers and writers of their own. */
  readonly descriptor: number;
  readonly #spot: Spot;
  readonly #owners: OwnerIds;
  readonly #names: Names;
  readonly #present: ScannedEntry;
  #isOpen = true;

  /** Takes the descriptor and the use of the place over. */
  constructor(parts: {
    readonly spot: Spot;
    readonly descriptor: number;
    readonly owners: OwnerIds;
    readonly names: Names;
    /** As it was made. */
    readonly present: ScannedEntry;
  }) {
    this.#spot = parts.spot;
    this.#owners = parts.owners;
    this.#names = parts.names;
    this.#present = parts.present;
    this.path = parts.spot.path;
    this.descriptor = parts.descriptor;
  }

  /** Writes all of `bytes` at `offset`. @throws CodedError TARGET_FULL, TARGET_FAILED */
  write(bytes: Uint8Array, offset: number): void {
    this.#attempt(() => {
      for (let at = 0; at < bytes.length; ) {
        at += writeSync(this.descriptor, bytes, at, bytes.length - at, offset + at);
      }
    });
  }

  /** Reads until `bytes` is full or the file ends. @returns bytes read */
  read(bytes: Uint8Array, offset: number): number {
    return this.#attempt(() => {
      let at = 0;
      for (let got = 1; got > 0 && at < bytes.length; at += got) {
        got = readSync(this.descriptor, bytes, at, bytes.length - at, offset + at);
      }
      return at;
    });
  }

  /** Cuts, or extends by a hole. @throws CodedError TARGET_FULL, TARGET_FAILED */
  setSize(sizeBytes: number): void {
    this.#attempt(() => ftruncateSync(this.descriptor, sizeBytes));
  }

  /** Once, after the last byte, for writing takes set-id bits and capabilities away. @returns what could not be set */
  apply(attributes: Attributes): string[] {
    assert(attributes.type === 'file', 'a file');
    const { door } = this.#spot;
    const { descriptor } = this;
    const to = { door, owners: this.#owners, descriptor, present: this.#present };
    return applyAttributes(to, attributes);
  }

  /** Gives it its name. @throws CodedError TARGET_EXISTS where a directory has it; the file is gone then */
  commit(options: { readonly overwrite: boolean }): Placement {
    assert(this.#isOpen, 'used once');
    try {
      return settle(this.#spot, this.#names, options.overwrite ? 'overwrite' : 'keep');
    } finally {
      this.#close();
    }
  }

  /** Removes it. May be called after `commit`. */
  abandon(): void {
    if (!this.#isOpen) return;
    const { door, directory, path } = this.#spot;
    const answer = door.unlink(directory, this.#names.temporary, 0);
    this.#close();
    if (answer < 0 && errnoName(answer) !== 'ENOENT') throw targetFailure(path, errnoName(answer));
  }

  #close(): void {
    this.#isOpen = false;
    this.#spot.door.close(this.descriptor);
    this.#spot.place.leave();
  }

  #attempt<T>(step: () => T): T {
    assert(this.#isOpen, 'open');
    try {
      return step();
    } catch (cause) {
      const errno = errnoOf(cause);
      if (errno === undefined || errno.startsWith('ERR_')) throw cause;
      throw targetFailure(this.path, errno, cause);
    }
  }
}
