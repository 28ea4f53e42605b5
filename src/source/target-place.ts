/** Where a restore may not go: into this program's own directories, into the kernel's, or into what is on tape already. */
import { strict as assert } from 'node:assert';
import { CodedError } from '../base/errors.ts';
import { type Raw, rawText } from '../base/raw.ts';
import { PLACE } from './beneath.ts';
import { type ScannedEntry, statEntry } from './directory.ts';
import { AT_FDCWD, errnoName, type FsDoor } from './door.ts';
import { isNeverEntered, type Mounts } from './mounts.ts';
import { targetFailure } from './target-file.ts';

const SELF = '' as Raw;
const UP = Buffer.from('..');

/**
 * Looks at an open directory and at all above it, by inode, so that no link or bind mount hides what it is.
 * @param own absolute paths; those that are not there are passed over
 * @throws CodedError USAGE
 */
export function refuseTarget(
  door: FsDoor,
  target: { readonly path: Raw; readonly directory: number; readonly root: ScannedEntry },
  forbidden: { readonly own: readonly Raw[]; readonly mounts: Mounts },
): void {
  const path = rawText(target.path);
  const type = forbidden.mounts.of(target.root)?.type ?? '';
  if (isNeverEntered(type)) {
    throw new CodedError(
      'USAGE',
      `${path} is in a file system of type ${type}: nothing can be restored there`,
      { path },
    );
  }
  const own = new Map(
    forbidden.own.flatMap((one) => {
      assert(one.startsWith('/'), 'absolute');
      const entry = statEntry(door, AT_FDCWD, `${one}/.` as Raw);
      return typeof entry === 'number' ? [] : [[keyOf(entry), one] as const];
    }),
  );
  for (const key of above(door, target)) {
    const found = own.get(key);
    if (found === undefined) continue;
    const message = `${path} is within ${rawText(found)}, which belongs to this program; restore somewhere else`;
    throw new CodedError('USAGE', message, { path });
  }
}

/** Of the directory and each one above it. */
function* above(
  door: FsDoor,
  target: { readonly path: Raw; readonly directory: number; readonly root: ScannedEntry },
): Generator<string> {
  let at = target.directory;
  let last: string | undefined;
  try {
    for (let entry: ScannedEntry | number = target.root; ; entry = statEntry(door, at, SELF)) {
      if (typeof entry === 'number') throw unreadable(target.path, entry);
      // The root is above itself; what is mounted onto a directory within itself is not.
      const here = `${keyOf(entry)}:${entry.mountId}`;
      if (here === last) return;
      yield keyOf(entry);
      last = here;
      const next = door.open(at, UP, PLACE, 0, 0);
      if (next < 0) throw unreadable(target.path, next);
      if (at !== target.directory) door.close(at);
      at = next;
    }
  } finally {
    if (at !== target.directory) door.close(at);
  }
}

function unreadable(path: Raw, answer: number): CodedError {
  const name = rawText(path);
  const message = `what is above ${name} cannot be looked at (${errnoName(answer)})`;
  return new CodedError('TARGET_FAILED', message, { path: name });
}

function keyOf({ device, inode }: ScannedEntry): string {
  return `${device}:${inode}`;
}

/** The directory itself cannot be opened. */
export function noTarget(path: Raw, errno: string): CodedError {
  const name = rawText(path);
  const sentence: Record<string, string> = {
    ENOENT: `there is no directory ${name} to restore into; make it first`,
    ENOTDIR: `${name} is no directory; name one to restore into`,
  };
  const message = sentence[errno];
  if (message === undefined) return targetFailure(path, errno);
  return new CodedError('TARGET_FAILED', message, { path: name });
}
