/**
 * run.db: what processes ask of each other. It holds no knowledge: deleted while nothing runs, nothing is lost but the disk
 * cache's table, and the stage is filled again.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { CodedError } from '../base/errors.ts';
import { named } from './sqlite-error.ts';

const SCHEMA = `
CREATE TABLE IF NOT EXISTS wants(
  id INTEGER PRIMARY KEY AUTOINCREMENT, content INTEGER NOT NULL, process TEXT NOT NULL,
  since_ms INTEGER NOT NULL, UNIQUE(content, process)) STRICT;
CREATE TABLE IF NOT EXISTS stage(
  content INTEGER PRIMARY KEY, size INTEGER NOT NULL, state TEXT NOT NULL CHECK(state IN ('filling','complete')),
  mtime INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
  boot TEXT NOT NULL, used_ms INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS handovers(
  drive TEXT PRIMARY KEY, holder TEXT NOT NULL, since_ms INTEGER NOT NULL, wanted_by TEXT) STRICT;`;

const REVISION = 1;
const BUSY_TIMEOUT_MS = 30_000;

export type Want = {
  readonly contentId: number;
  readonly process: string;
  readonly sinceMs: number;
};

export class RunDb {
  readonly #db: Database.Database;
  readonly #path: string;

  private constructor(db: Database.Database, path: string) {
    this.#db = db;
    this.#path = path;
  }

  /** Made where there is none. @throws CodedError CATALOG_NEWER, CATALOG_DAMAGED, CATALOG_BUSY */
  static open(path: string): RunDb {
    mkdirSync(dirname(path), { recursive: true });
    let db: Database.Database | undefined;
    try {
      db = new Database(path, { timeout: BUSY_TIMEOUT_MS });
      db.pragma('journal_mode = WAL');
      db.pragma('synchronous = NORMAL');
      const revision = Number(db.pragma('user_version', { simple: true }));
      if (revision > REVISION)
        throw new CodedError('CATALOG_NEWER', `${path} was made by a newer shelfs`, { path });
      db.transaction(() => db?.exec(`${SCHEMA} PRAGMA user_version = ${REVISION}`)).immediate();
      return new RunDb(db, path);
    } catch (error) {
      db?.close();
      throw named(error, path);
    }
  }

  close(): void {
    this.#db.close();
  }

  /** May be told twice. */
  want(want: Want): void {
    this.#run('INSERT OR IGNORE INTO wants(content, process, since_ms) VALUES(?, ?, ?)', [
      want.contentId,
      want.process,
      Math.floor(want.sinceMs),
    ]);
  }

  /** The bytes are staged, or the waiter gave up. */
  unwant(want: Pick<Want, 'contentId' | 'process'>): void {
    this.#run('DELETE FROM wants WHERE content = ? AND process = ?', [
      want.contentId,
      want.process,
    ]);
  }

  /** Longest waiting first. */
  wants(): Want[] {
    return this.#db
      .prepare<[], [number, string, number]>(
        'SELECT content, process, since_ms FROM wants ORDER BY id',
      )
      .raw()
      .all()
      .map(([contentId, process, sinceMs]) => ({ contentId, process, sinceMs }));
  }

  #run(sql: string, parameters: (number | string)[]): void {
    try {
      this.#db.prepare(sql).run(...parameters);
    } catch (error) {
      throw named(error, this.#path);
    }
  }
}
