/**
 * run.db: what processes ask of each other. It holds no knowledge: deleted while nothing runs, nothing is lost but the disk
 * cache's table, and the stage is filled again. Its nouns have files of their own beside this one.
 */
import { strict as assert } from 'node:assert';
import { closeSync, mkdirSync, openSync, readlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { CodedError, errnoOf } from '../../base/errors.ts';
import type { Bound } from '../catalog.ts';
import { named } from '../sqlite-error.ts';
import { isAlive, ownProcess } from '../writers.ts';

/** Each is what SCHEMA.md section 10 says. */
const TABLES: Readonly<Record<string, string>> = {
  wants: `(content INTEGER NOT NULL, process TEXT NOT NULL, since_ms INTEGER NOT NULL, readers TEXT NOT NULL,
    failure TEXT, PRIMARY KEY(content, process)) WITHOUT ROWID, STRICT`,
  walks: `(process TEXT NOT NULL, walker TEXT NOT NULL, directory INTEGER NOT NULL, snapshot INTEGER NOT NULL,
    since_ms INTEGER NOT NULL, PRIMARY KEY(process, walker)) WITHOUT ROWID, STRICT`,
  stage: `(hash BLOB PRIMARY KEY, size INTEGER NOT NULL, bytes INTEGER NOT NULL,
    state TEXT NOT NULL CHECK(state IN ('filling','complete')), process TEXT NOT NULL, proven BLOB,
    mtime INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
    boot TEXT NOT NULL, used_ms INTEGER NOT NULL, ahead_ms INTEGER) STRICT`,
  pins: '(hash BLOB NOT NULL, process TEXT NOT NULL, PRIMARY KEY(hash, process)) WITHOUT ROWID, STRICT',
  totals: '(name TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID, STRICT',
  roles:
    '(role TEXT PRIMARY KEY, process TEXT NOT NULL, since_ms INTEGER NOT NULL) WITHOUT ROWID, STRICT',
  questions: `(id INTEGER PRIMARY KEY AUTOINCREMENT, process TEXT NOT NULL, asked_ms INTEGER NOT NULL,
    question TEXT NOT NULL, answer TEXT, answered_ms INTEGER) STRICT`,
  handovers: `(holder TEXT PRIMARY KEY, since_ms INTEGER NOT NULL, wanted_by TEXT, wanted_ms INTEGER,
    is_first INTEGER NOT NULL, granted_ms INTEGER) WITHOUT ROWID, STRICT`,
};

/** The total is kept beside the rows: a sum over a million of them would take longer than anybody may wait. */
const AROUND = `
CREATE INDEX stage_by_use ON stage(used_ms) WHERE state = 'complete';
CREATE INDEX stage_filling ON stage(process) WHERE state = 'filling';
INSERT INTO totals VALUES('stage', 0);
CREATE TRIGGER stage_more AFTER INSERT ON stage
  BEGIN UPDATE totals SET bytes = bytes + NEW.bytes WHERE name = 'stage'; END;
CREATE TRIGGER stage_less AFTER DELETE ON stage
  BEGIN UPDATE totals SET bytes = bytes - OLD.bytes WHERE name = 'stage'; END;`;

const REVISION = 3;
const BUSY_TIMEOUT_MS = 30_000;

/** Who is who among the processes that share a run.db. */
export interface Processes {
  /** This one, as writers.ts names it: boot, pid and start time; then its pid namespace. */
  readonly own: string;
  isAlive(name: string): boolean;
  /**
   * Nothing that it began can reach a file any more, for certain: of a process of another pid namespace that only looks dead nobody
   * can tell. Left out: of nobody.
   */
  isGone?(name: string): boolean;
}

export function systemProcesses(): Processes {
  const named = ownProcess();
  const [boot] = named.split(':');
  const namespace = readlinkSync('/proc/self/ns/pid').replaceAll(/\D/g, '');
  // The kernel ends what a process has begun before its number goes.
  const lives = (name: string) => isAlive(name, boot);
  const isGone = (name: string) => {
    const [itsBoot, , , itsNamespace] = name.split(':');
    return itsBoot !== boot || (itsNamespace === namespace && !lives(name));
  };
  return { own: `${named}:${namespace}`, isAlive: lives, isGone };
}

export class RunDb {
  readonly path: string;
  readonly #db: Database.Database;

  private constructor(db: Database.Database, path: string) {
    this.#db = db;
    this.path = path;
  }

  /**
   * Made where there is none; one of an older revision is made anew, with everything in the stage forgotten.
   * @throws CodedError CATALOG_NEWER, CATALOG_DAMAGED, CATALOG_BUSY
   */
  static open(path: string): RunDb {
    mkdirSync(dirname(path), { recursive: true });
    let db: Database.Database | undefined;
    try {
      makePrivate(path);
      db = new Database(path, { timeout: BUSY_TIMEOUT_MS });
      db.pragma('journal_mode = WAL');
      db.pragma('synchronous = NORMAL');
      const opened = db;
      opened.transaction(() => prepareTables(opened, path)).immediate();
      return new RunDb(opened, path);
    } catch (error) {
      db?.close();
      throw named(error, path);
    }
  }

  /** May be called twice. */
  close(): void {
    this.#db.close();
  }

  /** A statement for as long as this is open. Rows are arrays. */
  prepare<Row extends unknown[] = unknown[]>(sql: string): Database.Statement<Bound[], Row> {
    const statement = this.#db.prepare<Bound[], Row>(sql);
    return statement.reader ? statement.raw() : statement;
  }

  /** One transaction, which has the write lock from its start. Calls within calls share the outer one's. */
  write<T>(work: () => T): T {
    if (this.#db.inTransaction) return work();
    try {
      return this.#db.transaction(work).immediate();
    } catch (error) {
      throw named(error, this.path);
    }
  }

  /** Changes when another process has written something. */
  get otherChanges(): number {
    return Number(this.#db.pragma('data_version', { simple: true }));
  }
}

/**
 * Who reads what, and what is asked, is nobody else's business; SQLite would make it readable for all. One that is there is not even
 * opened: with the closing of any descriptor of a file a process loses all its locks on it (fcntl(2)), also those of a connection.
 */
function makePrivate(path: string): void {
  try {
    closeSync(openSync(path, 'ax', 0o600));
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
}

function prepareTables(db: Database.Database, path: string): void {
  const revision = Number(db.pragma('user_version', { simple: true }));
  if (revision === REVISION) return;
  if (revision > REVISION)
    throw new CodedError('CATALOG_NEWER', `${path} was made by a newer shelfs`, { path });
  assert(db.inTransaction);
  for (const [name, columns] of Object.entries(TABLES)) {
    db.exec(`DROP TABLE IF EXISTS ${name}`);
    db.exec(`CREATE TABLE ${name}${columns}`);
  }
  db.exec(`${AROUND} PRAGMA user_version = ${REVISION}`);
}
