/** From one revision of the schema to the next. Each migration is one transaction; a copy is made before the first. */
import { renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import type Database from 'better-sqlite3';
import { syncNow } from '../base/durable.ts';
import { CodedError } from '../base/errors.ts';
import { APPLICATION_ID, MIGRATIONS } from './schema.ts';
import { isAlive, ownProcess } from './writers.ts';

/**
 * The revision of the file's schema; 0 for one with nothing in it.
 * @throws CodedError CATALOG_NEWER, CATALOG_DAMAGED when it is some other program's
 */
export function checkMark(db: Database.Database, path: string): number {
  const revision = Number(db.pragma('user_version', { simple: true }));
  const application = Number(db.pragma('application_id', { simple: true }));
  const tables = db.prepare<[], number>('SELECT count(*) FROM sqlite_schema').pluck().get() ?? 0;
  if (revision === 0 && application === 0 && tables === 0) return 0;
  if (application !== APPLICATION_ID)
    throw new CodedError('CATALOG_DAMAGED', `${path} is not a catalog of shelfs`, { path });
  if (revision > MIGRATIONS.length) {
    throw new CodedError(
      'CATALOG_NEWER',
      `the catalog ${path} has revision ${revision}; this program knows ${MIGRATIONS.length}: use the newer one`,
      { path },
    );
  }
  return revision;
}

/**
 * Brings the schema to the last revision. Two processes may try at once.
 * @throws CodedError CATALOG_BUSY while a program of an older revision writes: an upgrade may come in the middle of its job
 */
export function migrate(db: Database.Database, path: string): void {
  const revision = checkMark(db, path);
  if (revision < MIGRATIONS.length) refuseOlderWriters(db, path);
  if (revision > 0 && revision < MIGRATIONS.length)
    copyBefore(db, `${path}.before-${revision + 1}`);
  for (const [index, sql] of MIGRATIONS.entries()) {
    db.exec('BEGIN IMMEDIATE');
    try {
      if (checkMark(db, path) === index) {
        refuseOlderWriters(db, path);
        db.exec(sql);
        db.pragma(`application_id = ${APPLICATION_ID}`);
        db.pragma(`user_version = ${index + 1}`);
      }
      db.exec('COMMIT');
    } catch (error) {
      if (db.inTransaction) db.exec('ROLLBACK');
      throw error;
    }
  }
}

/** Who is among the writers of an older schema knows no other; who comes later looks at the revision first (`Catalog.write`). */
function refuseOlderWriters(db: Database.Database, path: string): void {
  if (Number(db.pragma('user_version', { simple: true })) === 0) return;
  const names = db.prepare<[], string>('SELECT process FROM writers').pluck().all();
  const other = names.find((name) => name !== ownProcess() && isAlive(name));
  if (other === undefined) return;
  const pid = Number(other.split(':')[1]);
  throw new CodedError(
    'CATALOG_BUSY',
    `process ${pid}, of an older version of this program, is at work on the catalog ${path}; try again when it has ended`,
    { path, pid },
  );
}

/** Whole or not there: written under another name, synced, then renamed. */
function copyBefore(db: Database.Database, copy: string): void {
  rmSync(`${copy}.new`, { force: true });
  db.prepare('VACUUM INTO ?').run(`${copy}.new`);
  syncNow(`${copy}.new`);
  renameSync(`${copy}.new`, copy);
  syncNow(dirname(copy));
}
