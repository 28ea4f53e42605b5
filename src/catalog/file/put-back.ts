/**
 * A catalog that is worked on as a file of its own, and put back as a whole: until then it is as it was, and afterwards
 * it is the other one, for every process and across a power cut.
 *
 * Nobody else may write meanwhile. That is not locked for the hours it may take but proven at the end, under the write lock:
 * where somebody has, nothing is put back.
 */
import { strict as assert } from 'node:assert';
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import type { Clock } from '../../base/clock.ts';
import { syncNow } from '../../base/durable.ts';
import { CodedError } from '../../base/errors.ts';
import { Catalog } from '../catalog.ts';
import { named } from '../sqlite-error.ts';
import { isAlive, ownProcess } from '../writers.ts';

const BUSY_POLL_MS = 100;
const BUSY_MS_MAX = 60_000;
/** Pages between two looks at whether it is to be ended; 16 MiB. */
const PAGES = 4096;

export class TakenOut {
  readonly #db: Database.Database;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #version: unknown;

  private constructor(path: string, clock: Clock) {
    this.#path = path;
    this.#clock = clock;
    this.#db = new Database(path, { readonly: true, fileMustExist: true });
    // Of what others commit; this connection commits nothing.
    this.#version = this.#db.pragma('data_version', { simple: true });
  }

  /**
   * Copies the catalog at `path`, as it is now, to `to`, where nothing stands. It is migrated before, and whole.
   * @throws CodedError STATE_MISSING, CATALOG_DAMAGED, CATALOG_NEWER; CATALOG_BUSY while another process writes it
   */
  static take(path: string, to: string, clock: Clock): TakenOut {
    assert(!existsSync(to));
    Catalog.open(path, { mode: 'write', clock }).close();
    const taken = new TakenOut(path, clock);
    try {
      taken.#refuseWriters();
      attempt(to, () => taken.#db.prepare('VACUUM INTO ?').run(to));
      syncNow(to);
      syncNow(dirname(to));
      return taken;
    } catch (error) {
      taken.close();
      throw error;
    }
  }

  /**
   * Puts the catalog of `from`, which is closed, in its place: all of it in one transaction.
   * @throws CodedError CATALOG_BUSY where somebody wrote meanwhile; nothing was changed then
   */
  async putBack(from: string, signal: AbortSignal): Promise<void> {
    const startMs = this.#clock.monotonicMs();
    const source = new Database(from, { readonly: true, fileMustExist: true });
    try {
      for (;;) {
        if (await this.#attempt(source, signal)) break;
        if (this.#clock.monotonicMs() - startMs > BUSY_MS_MAX) throw this.#busy('another process');
        await this.#clock.sleepMs(BUSY_POLL_MS, signal);
      }
    } catch (error) {
      throw named(error, this.#path);
    } finally {
      source.close();
    }
    // A file that is closed takes all locks along that this process has on it (fcntl(2)): no connection may need them any more.
    this.close();
    // SQLite's own backup commits without a sync: what it wrote is in the log.
    for (const file of [`${this.#path}-wal`, this.#path]) if (existsSync(file)) syncNow(file);
  }

  /** @returns false where somebody else had the write lock */
  async #attempt(source: Database.Database, signal: AbortSignal): Promise<boolean> {
    const { totalPages } = await source.backup(this.#path, {
      // The first call follows on a step of no pages, with which the write lock is taken.
      progress: () => {
        signal.throwIfAborted();
        if (this.#db.pragma('data_version', { simple: true }) !== this.#version)
          throw this.#busy('somebody');
        this.#refuseWriters();
        return PAGES;
      },
    });
    return totalPages > 0;
  }

  /** May be called twice. */
  close(): void {
    this.#db.close();
  }

  /** Whoever has written may remember rows that will not be there, or have others by then. */
  #refuseWriters(): void {
    const names = this.#db.prepare<[], string>('SELECT process FROM writers').pluck().all();
    const other = names.find((name) => name !== ownProcess() && isAlive(name));
    if (other !== undefined) throw this.#busy(`process ${other.split(':')[1] ?? ''}`);
  }

  #busy(who: string): CodedError {
    return new CodedError(
      'CATALOG_BUSY',
      `${who} has written the catalog ${this.#path} meanwhile, or still may; nothing was changed: end it and try again`,
      { path: this.#path },
    );
  }
}

function attempt(path: string, step: () => unknown): void {
  try {
    step();
  } catch (error) {
    throw named(error, path);
  }
}
