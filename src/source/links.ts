/** Where symbolic links of a source lead: nowhere, round in a circle, or somewhere. Nothing is opened. */
import { realpathSync } from 'node:fs';
import { errnoOf } from '../base/errors.ts';
import { type Raw, rawBytes, toRaw } from '../base/raw.ts';

/** `looping`: through itself, or to a directory that it is in. `unknown`: this user may not look. */
export type LinkEnd = 'whole' | 'dangling' | 'looping' | 'unknown';

/** @param path of the link, absolute */
export function linkEnd(path: Raw): LinkEnd {
  try {
    const above = real(path.slice(0, Math.max(1, path.lastIndexOf('/'))) as Raw);
    const end = real(path);
    const isAbove = end === '/' || above === end || above.startsWith(`${end}/`);
    return isAbove ? 'looping' : 'whole';
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ELOOP') return 'looping';
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return 'dangling';
    if (errno === undefined) throw error;
    return 'unknown';
  }
}

function real(path: Raw): Raw {
  return toRaw(realpathSync.native(rawBytes(path), 'buffer'));
}
