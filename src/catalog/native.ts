/** native/sqlite: what SQLite itself does not have, loaded into a connection. Its functions are told of in row/packed.ts and tree/records.ts. */
import Database from 'better-sqlite3';
import { checkRevision, doorFile, notBuilt } from '../base/native-door.ts';

/** kRevision of native/sqlite/src/extension.c. */
const SQLITE = { name: 'sqlite', what: 'the extension of SQLite', revision: 1 };

/** @throws CodedError FAILED where it is not built for this machine, or of another revision */
export function loadPacked(db: Database.Database): void {
  try {
    db.loadExtension(doorFile(SQLITE.name));
  } catch (cause) {
    throw notBuilt(SQLITE, cause);
  }
  checkRevision(SQLITE, revisionOf(db));
}

/** Undefined where the extension is from before revisions. */
function revisionOf(db: Database.Database): unknown {
  const has = db.prepare("SELECT 1 FROM pragma_function_list WHERE name = 'shelfs_revision'");
  return has.get() && db.prepare('SELECT shelfs_revision()').pluck().get();
}

/** A connection to nothing: while it is open, the extension that was loaded is the one of all that are opened later. */
export function holdPacked(): { close(): void } {
  const db = new Database(':memory:');
  try {
    loadPacked(db);
  } catch (error) {
    db.close();
    throw error;
  }
  return db;
}
