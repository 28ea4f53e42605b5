/**
 * The native doors: found, loaded, and refused where they do not belong to the program that loads them. Arguments and answers
 * are bare columns of numbers; a door of other sources takes them for something else, and stores wrong bytes without a word.
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { CodedError } from './errors.ts';
import { replacedFailure } from './program-files.ts';

export type NativeDoor = {
  /** Folder in native/. */
  readonly name: string;
  /** As people are told of it: `the door to SCSI devices`. */
  readonly what: string;
  /** That its sources say too; raised there and here with each change of what a call takes, answers or does. */
  readonly revision: number;
};

/**
 * The build or the prebuilt one, or the file `addonPath`.
 * @throws CodedError FAILED where there is none for this machine, or one of another revision
 */
export function loadDoor<Door extends object>(door: NativeDoor, addonPath?: string): Door {
  const require = createRequire(import.meta.url);
  let loaded: Door & { readonly revision?: unknown };
  try {
    loaded = require(addonPath ?? loadedFile(door.name, require.cache) ?? doorFile(door.name));
  } catch (cause) {
    throw notBuilt(door, cause);
  }
  checkRevision(door, loaded.revision);
  return loaded;
}

/** Where it was loaded before: its file is not looked for again, it may be another version's by now. */
function loadedFile(name: string, cache: NodeJS.Require['cache']): string | undefined {
  const folder = `${doorFolder(name)}/`;
  return Object.keys(cache).find((path) => path.startsWith(folder) && path.endsWith('.node'));
}

function doorFolder(name: string): string {
  return fileURLToPath(new URL(`../../native/${name}`, import.meta.url));
}

/** The file of a door. @throws what node-gyp-build throws where there is none for this machine */
export function doorFile(name: string): string {
  const { path }: { path(folder: string): string } = createRequire(import.meta.url)(
    'node-gyp-build',
  );
  return path(doorFolder(name));
}

export function notBuilt({ name, what }: NativeDoor, cause: unknown): CodedError {
  const replaced = replacedFailure(cause);
  if (replaced) return replaced;
  const message = `${what} (native/${name}) is not built for this machine; run npm run build in the source tree`;
  return new CodedError('FAILED', message, { cause });
}

/** @param found what the door says of itself; anything. @throws CodedError FAILED */
export function checkRevision({ name, what, revision }: NativeDoor, found: unknown): void {
  if (found === revision) return;
  const replaced = replacedFailure(undefined);
  if (replaced) throw replaced;
  const is = typeof found === 'number' ? `of revision ${found}` : 'older than revisions';
  throw new CodedError(
    'FAILED',
    `${what} (native/${name}) is ${is}, this program needs revision ${revision}; run npm run build in the source tree`,
  );
}
