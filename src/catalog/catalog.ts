/**
 * The catalog: one SQLite file, opened, migrated, checked, and its transactions.
 *
 * The nouns of the schema live in files of their own and take a Catalog; SCHEMA.md is the law. Everything is synchronous.
 * Statements outside `read` and `write` see one statement's own view. No call leaves a statement or a transaction open.
 */
import { strict as assert } from 'node:assert';
import { existsSync } from 'node:fs';
import Database from 'better-sqlite3';
import type { Clock } from '../base/clock.ts';
import { CodedError } from '../base/errors.ts';
import { checkMark, migrate } from './migrate.ts';
import { loadPacked } from './native.ts';
import { pause } from './pause.ts';
import { MIGRATIONS } from './schema.ts';
import { isBusy, named } from './sqlite-error.ts';
import { isAlive, ownProcess } from './writers.ts';

/** Tables whose ids are never used again. */
export type IdTable = 'directories' | 'inodes' | 'contents';

export type CatalogMode = 'read' | 'write';

/** A parameter of a statement, as SQLite takes them. */
export type Bound =
  | number
  | string
  | Buffer
  | null
  | readonly (number | string | Buffer | null)[]
  | Readonly<Record<string, number | string | Buffer | null>>;

/** Who waits for the write lock asks once a millisecond, for ten minutes. */
const LOCK_ATTEMPTS_MAX = 600_000;
/** A transaction takes no further rows after this; its commit has the rest of the 100 ms. */
const BATCH_MS = 50;
/** Between two transactions of one operation, so that somebody who asks every millisecond gets the lock. */
const BATCH_PAUSE_MS = 2;
/** Whoever waits for the lock asks for minutes: steps as short as this need no pause between them. */
const MOMENT_MS = 10;
const ID_BLOCK = 1000;
/** The busy handler of SQLite for what is no write lock: recovery after a crash, closing. */
const BUSY_TIMEOUT_MS = 30_000;
/** More than any job uses; those whose text has numbers in it would grow without end. */
const STATEMENTS_MAX = 512;
/** 64 MiB: the inner pages of all tables at ten million files, and the leaves in use. */
const CACHE_KIB = 65_536;
/** 16 MiB of log before it is moved into the file; a longer log slows readers. */
const CHECKPOINT_PAGES = 4096;

export class Catalog {
  readonly path: string;
  readonly mode: CatalogMode;
  readonly clock: Clock;
  readonly #db: Database.Database;
  readonly #ids = new Map<string, { next: number; end: number }>();
  readonly #onRollback: (() => void)[] = [];
  readonly #parts = new Map<unknown, unknown>();
  /** By their text, the one that was asked for last at the end. Their rows are of whatever kind the asker says: `never` is all. */
  readonly #statements = new Map<string, Database.Statement<Bound[], never>>();
  #isMarked = false;

  private constructor(db: Database.Database, path: string, options: OpenOptions) {
    this.#db = db;
    this.path = path;
    this.mode = options.mode;
    this.clock = options.clock;
  }

  /**
   * Makes a new catalog and opens it for writing.
   * @throws CodedError STATE_EXISTS
   */
  static create(path: string, clock: Clock): Catalog {
    return wrapped(path, () => {
      const db = connect(path, 'write', false);
      try {
        if (Number(db.pragma('user_version', { simple: true })) > 0)
          throw new CodedError('STATE_EXISTS', `there is a catalog at ${path} already`, { path });
        migrate(db, path);
      } catch (error) {
        db.close();
        throw error;
      }
      return new Catalog(db, path, { mode: 'write', clock });
    });
  }

  /**
   * Opens what `create` made; migrates an older one (after a copy), checks one whose last writer did not close it.
   * @throws CodedError STATE_MISSING, CATALOG_NEWER, CATALOG_DAMAGED, CATALOG_BUSY
   */
  static open(path: string, options: OpenOptions): Catalog {
    if (!existsSync(path)) throw missing(path);
    return wrapped(path, () => {
      let db = connect(path, options.mode, true);
      try {
        const revision = checkMark(db, path);
        if (revision === 0) throw missing(path);
        if (revision < MIGRATIONS.length) {
          db.close();
          db = connect(path, 'write', true);
          migrate(db, path);
          db.close();
          db = connect(path, options.mode, true);
        }
        if (options.mode === 'write') checkAfterCrash(db, path);
      } catch (error) {
        db.close();
        throw error;
      }
      return new Catalog(db, path, options);
    });
  }

  /** May be called twice. */
  close(): void {
    if (!this.#db.open) return;
    try {
      if (this.#isMarked) {
        this.write(() => this.prepare('DELETE FROM writers WHERE process = ?').run(ownProcess()));
      }
    } catch (error) {
      // On a full disk the mark stays: the next writer looks at the whole file, as after any unclean end.
      if (!(error instanceof CodedError)) throw error;
    } finally {
      this.#db.close();
    }
  }

  /**
   * A statement for the life of the catalog. Asked for again it is the same one: compiling costs 10 to 100 us. Who runs it for
   * each of many rows keeps it all the same. Rows are arrays.
   */
  prepare<Row extends unknown[] = unknown[]>(sql: string): Database.Statement<Bound[], Row> {
    const known = this.#statements.get(sql);
    const statement = known ?? this.#compile(sql);
    this.#statements.delete(sql);
    this.#statements.set(sql, statement);
    const [oldest] = this.#statements.keys();
    if (this.#statements.size > STATEMENTS_MAX && oldest !== undefined)
      this.#statements.delete(oldest);
    return statement;
  }

  #compile(sql: string): Database.Statement<Bound[], never> {
    const statement = this.#db.prepare<Bound[], never>(hidesParameters(sql));
    return statement.reader ? statement.raw() : statement;
  }

  /** One consistent view of the whole catalog. Calls within calls share the outer one's. */
  read<T>(work: () => T): T {
    if (this.#db.inTransaction) return work();
    return wrapped(this.path, () => {
      this.#db.exec('BEGIN');
      try {
        return work();
      } finally {
        // An error of SQLite may have ended the transaction already.
        if (this.#db.inTransaction) this.#db.exec('COMMIT');
      }
    });
  }

  /**
   * One transaction: all of it is on disk when this returns, or none. Calls within calls share the outer one's. Waits for
   * other writers as long as it takes. Keep it below 100 ms.
   * @throws CodedError CATALOG_BUSY after ten minutes, CATALOG_DAMAGED, FAILED where the disk is full
   */
  write<T>(work: () => T): T {
    assert(this.mode === 'write', 'the catalog is open for reading');
    if (this.#db.inTransaction) return work();
    return wrapped(this.path, () => {
      this.#begin();
      try {
        const result = work();
        this.#db.exec('COMMIT');
        return result;
      } catch (error) {
        this.#rollback();
        throw error;
      }
    });
  }

  /**
   * Runs `each` over the items in transactions of about 50 ms, with pauses for other writers. A crash leaves a prefix of
   * the items done. Within `write` it is all part of that one.
   */
  writeEach<Item>(items: Iterable<Item>, each: (item: Item) => void): void {
    assert(this.mode === 'write', 'the catalog is open for reading');
    const iterator = items[Symbol.iterator]();
    let next = iterator.next();
    let isFirst = true;
    try {
      while (!next.done) {
        if (!isFirst && !this.#db.inTransaction) pause(BATCH_PAUSE_MS);
        isFirst = false;
        this.write(() => {
          const endMs = this.clock.monotonicMs() + BATCH_MS;
          do {
            each(next.value);
            next = iterator.next();
          } while (!next.done && this.clock.monotonicMs() < endMs);
        });
      }
    } finally {
      iterator.return?.();
    }
  }

  /**
   * Calls `step` in a transaction of its own each time, until it returns false; for steps that do many rows at once. With pauses for
   * other writers, where the steps are not all over in a moment.
   */
  writeSteps(step: () => boolean): void {
    let startMs = this.clock.monotonicMs();
    while (this.write(step)) {
      if (this.clock.monotonicMs() - startMs < MOMENT_MS) continue;
      pause(BATCH_PAUSE_MS);
      startMs = this.clock.monotonicMs();
    }
  }

  /** The next id of a table; never given twice, also across crashes. Within `write` only. */
  nextId(table: IdTable): number {
    let block = this.#ids.get(table);
    if (!block || block.next === block.end) {
      const next = this.nextIds(table, ID_BLOCK);
      block = { next, end: next + ID_BLOCK };
      this.#ids.set(table, block);
    }
    block.next += 1;
    return block.next - 1;
  }

  /** The first of `count` ids in a row, of which not all need be used. Within `write` only. */
  nextIds(table: IdTable, count: number): number {
    assert(this.#db.inTransaction, 'ids are given in transactions');
    const end = this.prepare<[number]>(
      'UPDATE counters SET next = next + ? WHERE name = ? RETURNING next',
    ).get(count, table)?.[0];
    assert(end !== undefined, `no counter of ${table}`);
    return end - count;
  }

  /** Who remembers rows across calls forgets them when a transaction was taken back: they may never have been. */
  onRollback(forget: () => void): void {
    this.#onRollback.push(forget);
  }

  /** The one object of a class that all who share this connection share. */
  part<Part>(make: new (catalog: Catalog) => Part): Part {
    const known = this.#parts.get(make);
    if (known instanceof make) return known;
    const part = new make(this);
    this.#parts.set(make, part);
    return part;
  }

  #begin(): void {
    // By exec, for a statement object of each pragma costs more than a small transaction.
    this.#db.exec('PRAGMA busy_timeout = 0');
    try {
      for (let attempt = 1; ; attempt += 1) {
        try {
          this.#db.exec('BEGIN IMMEDIATE');
          break;
        } catch (error) {
          if (!isBusy(error) || attempt >= LOCK_ATTEMPTS_MAX) throw error;
          pause(1);
        }
      }
    } finally {
      this.#db.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    }
    if (!this.#isMarked) this.#mark();
  }

  /** The first write: whoever ended badly before was checked at open, and this process is now among the writers. */
  #mark(): void {
    try {
      // A later program may have come since it was opened, and then the schema is not the one that is known here.
      checkMark(this.#db, this.path);
      const names = this.prepare<string[]>('SELECT process FROM writers').all().flat();
      const remove = this.prepare('DELETE FROM writers WHERE process = ?');
      for (const name of names) if (!isAlive(name)) remove.run(name);
      this.prepare('INSERT OR IGNORE INTO writers VALUES(?, ?)').run(
        ownProcess(),
        Math.floor(this.clock.nowMs()),
      );
      // Committed by itself, so that a roll-back of the first work does not take the mark with it.
      this.#db.exec('COMMIT');
    } catch (error) {
      this.#rollback();
      throw error;
    }
    this.#isMarked = true;
    this.#begin();
  }

  #rollback(): void {
    // Ids of a block that was rolled back may be given to another process.
    this.#ids.clear();
    for (const forget of this.#onRollback) forget();
    if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
  }
}

export type OpenOptions = { readonly mode: CatalogMode; readonly clock: Clock };

function connect(path: string, mode: CatalogMode, mustExist: boolean): Database.Database {
  const db = new Database(path, {
    readonly: mode === 'read',
    fileMustExist: mustExist,
    timeout: BUSY_TIMEOUT_MS,
  });
  try {
    if (mode === 'write') {
      db.pragma('journal_mode = WAL');
      // This build of SQLite falls back to NORMAL in WAL mode, which loses the last commits in a power cut.
      db.pragma('synchronous = FULL');
      db.pragma('foreign_keys = ON');
      db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
    }
    db.pragma(`cache_size = -${CACHE_KIB}`);
    loadPacked(db);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** A writer that is no more and did not sign off: the file is read as a whole before anybody writes to it. */
function checkAfterCrash(db: Database.Database, path: string): void {
  const names = db.prepare<[], string>('SELECT process FROM writers').pluck().all();
  if (names.every((name) => isAlive(name))) return;
  const [finding] = db.prepare<[], string>('PRAGMA quick_check(1)').pluck().all();
  if (finding === 'ok') return;
  throw new CodedError(
    'CATALOG_DAMAGED',
    `the catalog ${path} is damaged (${finding ?? 'nothing could be read'}); put back a copy of it, or recover it from the media`,
    { path },
  );
}

function missing(path: string): CodedError {
  return new CodedError(
    'STATE_MISSING',
    `there is no catalog at ${path}; \`shelfs init\` makes one`,
    {
      path,
    },
  );
}

/**
 * SQLite built with STAT4 compiles a join anew whenever a parameter is bound, because the value might change its plan
 * (measured: 20 us instead of 2). A parameter within a sub-select is no such reason.
 */
function hidesParameters(sql: string): string {
  return /\bJOIN\b/.test(sql) ? sql.replace(/\?\d*|@\w+/g, '(SELECT $&)') : sql;
}

function wrapped<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw named(error, path);
  }
}
