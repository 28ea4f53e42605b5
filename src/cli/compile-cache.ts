/**
 * Where compiled code is kept between starts, which halves the time to load it. Whoever can write there decides what runs:
 * it is a directory of the user's own, below directories that nobody else can exchange, or there is none.
 */
import { existsSync, mkdirSync, realpathSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { errnoOf } from '../base/errors.ts';

const OTHERS_WRITE = 0o022;
const STICKY = 0o1000;
const ROOT = 0;

/**
 * Makes the directory where it is missing: `$XDG_CACHE_HOME/shelfs/code`, else `~/.cache/shelfs/code`.
 * @returns undefined where there is no place for one, as for root with the home of somebody else
 */
export function compileCacheDirectory(
  environment: Readonly<Record<string, string | undefined>>,
  userId: number,
): string | undefined {
  const { XDG_CACHE_HOME: cache, HOME: home } = environment;
  const base = cache || (home && join(home, '.cache'));
  if (!base || !isAbsolute(base)) return undefined;
  const ours = join(base, 'shelfs');
  const directory = join(ours, 'code');
  try {
    // Asked before anything is made: in a home of somebody else nothing of ours has any business.
    if (!isOwn(existsSync(base) ? base : dirname(base), userId)) return undefined;
    for (const path of [base, ours, directory]) makeDirectory(path);
    return isOwn(directory, userId) ? directory : undefined;
  } catch (error) {
    // Read-only, full, no permission, no home: it is for speed alone.
    if (errnoOf(error) !== undefined) return undefined;
    throw error;
  }
}

/** One alone: Node's `recursive` never returns where the kernel says ENOENT for good, as below /proc (measured). */
function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
}

/** The user's, and nobody but root can write there or exchange a directory on the way to it. */
function isOwn(path: string, userId: number): boolean {
  const real = realpathSync(path);
  if (statSync(real).uid !== userId) return false;
  for (let at = real; ; at = dirname(at)) {
    const { uid, mode } = statSync(at);
    if (uid !== userId && uid !== ROOT) return false;
    // In a sticky directory only its owner and an entry's own can exchange the entry.
    const isSafe = (mode & OTHERS_WRITE) === 0 || (at !== real && (mode & STICKY) !== 0);
    if (!isSafe) return false;
    if (at === dirname(at)) return true;
  }
}
