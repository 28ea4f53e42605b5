/** native/sqlite: what SQLite itself does not have, loaded into a connection. Its one function is told of in packed.ts. */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type Database from 'better-sqlite3';
import { CodedError } from '../base/errors.ts';

/** @throws CodedError FAILED where it is not built for this machine */
export function loadPacked(db: Database.Database): void {
  const { path }: { path(folder: string): string } = createRequire(import.meta.url)(
    'node-gyp-build',
  );
  try {
    const file = path(fileURLToPath(new URL('../../native/sqlite', import.meta.url)));
    db.loadExtension(file);
  } catch (cause) {
    const message = 'the extension of SQLite (native/sqlite) is not built for this machine';
    throw new CodedError('FAILED', `${message}; run npm run build in the source tree`, { cause });
  }
}
