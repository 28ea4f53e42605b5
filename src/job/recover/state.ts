/**
 * The state directory while it is recovered: everything lies in one directory of its own until it is complete. Then the catalog
 * takes its place, and last the config: a directory with a config is complete, as after init.
 */
import { constants } from 'node:fs';
import { copyFile, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile, syncDirectory } from '../../base/durable.ts';
import { CodedError, errnoOf } from '../../base/errors.ts';
import { CATALOG_FILE, CONFIG_FILE } from '../../config.ts';

const WORK = 'recovery';
const LOCK = 'recover.lock';
/** With what SQLite keeps beside it. */
const ENDINGS = ['', '-wal', '-shm', '-journal'];

export type StateLock = { close(): Promise<void> };

export class RecoveryState {
  readonly stateDirectory: string;
  readonly #lock: StateLock;

  private constructor(stateDirectory: string, lock: StateLock) {
    this.stateDirectory = stateDirectory;
    this.#lock = lock;
  }

  /**
   * Beside a state that is in use, for what is to be merged into its catalog.
   * @throws CodedError STATE_MISSING where there is no catalog; LIBRARY_BUSY while another process recovers there
   */
  static async beside(
    stateDirectory: string,
    options: { readonly config: string; lock(path: string): Promise<StateLock> },
  ): Promise<RecoveryState> {
    const names = await namesIn(stateDirectory);
    if (!names.includes(CATALOG_FILE))
      throw new CodedError(
        'STATE_MISSING',
        `there is no catalog in ${stateDirectory} to merge anything into; \`shelfs recover FROM\` makes one anew`,
        { path: stateDirectory },
      );
    return RecoveryState.#open(stateDirectory, options, () => {});
  }

  /**
   * @param options.beside names that may stand there: cartridges of a virtual library
   * @throws CodedError STATE_EXISTS where the directory holds anything but a recovery that was cut; LIBRARY_BUSY while another
   *   process recovers there
   */
  static async begin(
    stateDirectory: string,
    options: {
      readonly beside: readonly string[];
      readonly config: string;
      lock(path: string): Promise<StateLock>;
    },
  ): Promise<RecoveryState> {
    const isOurs = () => expectOurs(stateDirectory, options.beside);
    await isOurs();
    return RecoveryState.#open(stateDirectory, options, isOurs);
  }

  static async #open(
    stateDirectory: string,
    options: { readonly config: string; lock(path: string): Promise<StateLock> },
    expect: () => Promise<void> | void,
  ): Promise<RecoveryState> {
    const work = join(stateDirectory, WORK);
    try {
      await mkdir(work, { recursive: true, mode: 0o700 });
    } catch (cause) {
      const sentence = `${stateDirectory} cannot be made (${errnoOf(cause) ?? 'error'})`;
      throw new CodedError('FAILED', sentence, { path: stateDirectory, cause });
    }
    const lock = await lockAlone(stateDirectory, options);
    try {
      await expect();
      await replaceFile(join(work, CONFIG_FILE), options.config, { mode: 0o600 });
    } catch (error) {
      await lock.close();
      throw error;
    }
    return new RecoveryState(stateDirectory, lock);
  }

  get spool(): string {
    return join(this.stateDirectory, WORK, 'media');
  }

  /** Of the catalog while it is built. */
  get catalog(): string {
    return join(this.stateDirectory, WORK, CATALOG_FILE);
  }

  get config(): string {
    return join(this.stateDirectory, WORK, CONFIG_FILE);
  }

  /** One that was cut is built anew: what was read of the cartridges is kept. */
  async clearCatalog(): Promise<void> {
    for (const name of await readdir(join(this.stateDirectory, WORK)))
      if (name.startsWith(CATALOG_FILE))
        await rm(join(this.stateDirectory, WORK, name), { recursive: true, force: true });
  }

  /** A copy of the catalog to be kept, as it is before anything is merged into it. @returns its path */
  async keep(nowMs: number): Promise<string> {
    const time = new Date(nowMs)
      .toISOString()
      .replace(/\.\d+Z$/, 'Z')
      .replaceAll(':', '');
    const path = join(this.stateDirectory, `${CATALOG_FILE}.before-merge-${time}`);
    await copyFile(this.catalog, `${path}.new`, constants.COPYFILE_FICLONE);
    await syncFile(`${path}.new`);
    await rename(`${path}.new`, path);
    await syncDirectory(this.stateDirectory);
    return path;
  }

  /** What was merged is in its place: nothing of it is needed any more. */
  async clear(): Promise<void> {
    await rm(join(this.stateDirectory, WORK), { recursive: true, force: true });
  }

  /** The catalog is closed: it and the config take their places. */
  async complete(): Promise<void> {
    const { stateDirectory } = this;
    await syncFile(this.catalog);
    for (const ending of ENDINGS)
      await rm(join(stateDirectory, `${CATALOG_FILE}${ending}`), { force: true });
    await rename(this.catalog, join(stateDirectory, CATALOG_FILE));
    await syncDirectory(stateDirectory);
    await rename(this.config, join(stateDirectory, CONFIG_FILE));
    await syncDirectory(stateDirectory);
    await this.clear();
  }

  async close(): Promise<void> {
    await rm(join(this.stateDirectory, LOCK), { force: true });
    await this.#lock.close();
  }
}

async function lockAlone(
  directory: string,
  { lock }: { lock(path: string): Promise<StateLock> },
): Promise<StateLock> {
  try {
    return await lock(join(directory, LOCK));
  } catch (cause) {
    if (!(cause instanceof CodedError) || cause.code !== 'DRIVE_BUSY') throw cause;
    const { pid } = cause.facts;
    const who = pid === undefined ? 'another process' : `process ${pid}`;
    throw new CodedError('LIBRARY_BUSY', `${directory} is being recovered by ${who} just now`, {
      path: directory,
      cause,
      ...(pid !== undefined && { pid }),
    });
  }
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

async function namesIn(directory: string): Promise<string[]> {
  return readdir(directory).catch((cause: unknown): string[] => {
    if (errnoOf(cause) === 'ENOENT') return [];
    const why = errnoOf(cause) ?? 'error';
    throw new CodedError(
      'STATE_EXISTS',
      `${directory} cannot be used as state directory (${why})`,
      { cause },
    );
  });
}

async function expectOurs(directory: string, beside: readonly string[]): Promise<void> {
  const names = await namesIn(directory);
  const isCut = names.includes(WORK) && !names.includes(CONFIG_FILE);
  const ours = new Set([LOCK, ...beside]);
  if (isCut) for (const name of [WORK, CATALOG_FILE, ...RUN_FILES]) ours.add(name);
  if (names.every((name) => ours.has(name))) return;
  const what = names.includes(CONFIG_FILE) ? 'holds a shelfs state already' : 'is not empty';
  throw new CodedError(
    'STATE_EXISTS',
    `${directory} ${what}; nothing was changed; name another with --state`,
    { path: directory },
  );
}

/** What processes ask of each other while cartridges are waited for. */
const RUN_FILES = ENDINGS.map((ending) => `run.db${ending}`);
