/**
 * Opening what lies beneath a directory, whatever the names say and whoever changes the tree meanwhile.
 *
 * The kernel resolves (openat2 with RESOLVE_BENEATH, no symbolic link and no magic link anywhere on the way), so there is
 * no moment between a check and a use. Paths longer than the kernel takes at once are walked in portions.
 */
import { constants } from 'node:fs';
import { type Raw, rawBytes } from '../base/raw.ts';
import {
  type Answer,
  type FsDoor,
  O_PATH,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
} from './door.ts';

/** How names beneath a directory are resolved: by openat2(2), whatever the names say. */
export const RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;

/** linux/limits.h: PATH_MAX counts the closing NUL. */
const PORTION_BYTES_MAX = 4095;

const { O_DIRECTORY, O_NOFOLLOW } = constants;

/** A place: not for reading, only to name things beneath it. */
export const PLACE = O_PATH | O_DIRECTORY;

/**
 * Opens `path` (relative; empty for `root` itself) beneath the directory `root`.
 * @returns the new descriptor; -EXDEV where the path leads out, -ELOOP where it meets a symbolic link.
 */
export function openBeneath(
  door: FsDoor,
  root: number,
  how: { readonly path: Raw; readonly flags: number; readonly mode?: number },
): Answer {
  const { path, flags, mode = 0 } = how;
  const portions = portionsOf(path);
  const last = portions.pop() ?? '.';
  let place = root;
  for (const portion of portions) {
    const next = door.open(place, Buffer.from(portion, 'latin1'), PLACE, 0, RESOLVE);
    if (place !== root) door.close(place);
    if (next < 0) return next;
    place = next;
  }
  const file = door.open(place, Buffer.from(last, 'latin1'), flags | O_NOFOLLOW, mode, RESOLVE);
  if (place !== root) door.close(place);
  return file;
}

/** Cut at slashes so that each portion can be given to the kernel; a name longer than that is refused by it. */
function portionsOf(path: Raw): string[] {
  const portions: string[] = [];
  let rest: string = path === '' ? '.' : path;
  while (rest.length > PORTION_BYTES_MAX) {
    const slash = rest.lastIndexOf('/', PORTION_BYTES_MAX);
    if (slash <= 0) break;
    portions.push(rest.slice(0, slash));
    rest = rest.slice(slash + 1);
  }
  portions.push(rest);
  return portions;
}

/** `a/b` and `c` of `a/b/c`; an empty parent is the root. */
export function splitPath(path: Raw): { readonly parent: Raw; readonly name: Buffer } {
  const slash = path.lastIndexOf('/');
  return {
    parent: path.slice(0, Math.max(slash, 0)) as Raw,
    name: rawBytes(path.slice(slash + 1) as Raw),
  };
}

/** `a/b` of `a` and `b`; an empty directory is the root, an empty name the directory itself. */
export function inside(directory: Raw, name: Raw): Raw {
  if (directory === '') return name;
  return name === '' ? directory : (`${directory}/${name}` as Raw);
}
