/** What SQLite refuses, as our own failures. Mistakes of ours (constraints, wrong SQL) stay what they are, and crash. */
import Database from 'better-sqlite3';
import { CodedError } from '../base/errors.ts';

export function isBusy(error: unknown): boolean {
  return error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY');
}

/** The failure to throw instead of `error`, or `error` itself. */
export function named(error: unknown, path: string): unknown {
  if (!(error instanceof Database.SqliteError)) return error;
  const facts = { path, cause: error };
  const { code } = error;
  if (isBusy(error)) {
    return new CodedError(
      'CATALOG_BUSY',
      `another process has held the catalog ${path} for too long; end it and try again`,
      facts,
    );
  }
  if (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB') {
    return new CodedError(
      'CATALOG_DAMAGED',
      `the catalog ${path} is damaged; put back a copy of it, or recover it from the media`,
      facts,
    );
  }
  // The index of the log beside the file grows by a write too.
  if (code === 'SQLITE_FULL' || code === 'SQLITE_IOERR_SHMSIZE')
    return new CodedError('FAILED', `no room on the disk for the catalog ${path}`, facts);
  if (code.startsWith('SQLITE_IOERR') || code.startsWith('SQLITE_CANTOPEN'))
    return new CodedError('FAILED', `the catalog ${path} cannot be used (${code})`, facts);
  if (code.startsWith('SQLITE_READONLY') || code === 'SQLITE_PERM' || code === 'SQLITE_AUTH')
    return new CodedError('FAILED', `no permission to write the catalog ${path}`, facts);
  return error;
}
