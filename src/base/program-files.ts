/**
 * The files of the running program, which may be replaced by another version's at any time: packages are upgraded at night, when
 * backups run. Compiled, all modules of a build lie in a folder that bears a digest of its sources (rolldown.config.ts). So a
 * module that is loaded later, by the program or by a thread of it, is its own or not there; never one that speaks otherwise.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { type ResolveHookSync, registerHooks } from 'node:module';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { CodedError, errnoOf } from './errors.ts';

/** Of this module, and of all others where they are compiled. */
const FOLDER = import.meta.dirname;
/** Else it runs from its sources, which nobody installs. */
export const IS_COMPILED = import.meta.filename.endsWith('.js');

/** What begins when it is loaded, threads, and what takes longer to load than all others together. */
const NOT_AHEAD = /(^|-)worker\.js$|^mail-/;

/**
 * Where a thread's module lies: beside its caller, compiled or not.
 * @param name of the module without its ending, beside the module whose `import.meta.url` is given
 * @returns undefined where the program was replaced: what the thread would do is done by its caller, with what it has loaded
 */
export function workerFile(callerUrl: string, name: string): URL | undefined {
  if (isReplaced()) return undefined;
  return new URL(`./${name}.${IS_COMPILED ? 'js' : 'ts'}`, callerUrl);
}

/** Whether the files of this build have made way for those of another, or for none. */
export function isReplaced(): boolean {
  if (!IS_COMPILED) return false;
  try {
    // It is replaced at once, and names the folder of its modules; others may still lie about.
    return !readFileSync(join(FOLDER, '..', 'main.js'), 'latin1').includes(basename(FOLDER));
  } catch (error) {
    const errno = errnoOf(error);
    return errno === 'ENOENT' || errno === 'ENOTDIR';
  }
}

/**
 * What a failure means where the program was replaced before it had loaded all it needed.
 * @returns PROGRAM_REPLACED; undefined where it was not
 */
export function replacedFailure(cause: unknown): CodedError | undefined {
  if (!isReplaced()) return undefined;
  const sentence =
    'another version took the place of this program while it ran, and a part of it is gone; run the command again: what is done stays done, and it goes on from there';
  return new CodedError('PROGRAM_REPLACED', sentence, { cause });
}

/** Whether this is a file of the program. */
export function isOfProgram(path: string): boolean {
  return IS_COMPILED && path.startsWith(join(FOLDER, '..', '/'));
}

/**
 * Loads all modules that this program may yet ask for, one after the other; nothing where it is not compiled. Once a process.
 * @returns what could not be loaded, where that is so: it is met again when it is asked for
 */
export async function loadAhead(signal: AbortSignal): Promise<unknown> {
  try {
    for (const name of IS_COMPILED ? readdirSync(FOLDER) : []) {
      if (signal.aborted) break;
      if (!name.endsWith('.js') || NOT_AHEAD.test(name)) continue;
      await import(pathToFileURL(join(FOLDER, name)).href);
    }
    if (IS_COMPILED) registerHooks({ resolve });
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Node looks for the file of a module before it looks whether it has loaded it. */
const resolve: ResolveHookSync = (specifier, context, nextResolve) => {
  const { parentURL } = context;
  if (!specifier.startsWith('./') || !parentURL?.startsWith(pathToFileURL(`${FOLDER}/`).href))
    return nextResolve(specifier, context);
  return { url: new URL(specifier, parentURL).href, format: 'module', shortCircuit: true };
};
