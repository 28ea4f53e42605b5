/** A copy of the catalog as a file for people to keep: whole under its name, or as it was before. */
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { syncDirectory } from '../base/durable.ts';
import { CodedError, errnoOf } from '../base/errors.ts';
import type { Random } from '../base/random.ts';
import { printable } from '../base/text.ts';
import { CatalogCopy } from '../catalog/file/copy.ts';

export type ExportedCatalog = {
  readonly path: string;
  /** As it stands there: SQLite, compressed with zstd. */
  readonly lengthBytes: number;
  /** Unpacked. */
  readonly databaseBytes: number;
};

export type ExportTools = {
  readonly catalogPath: string;
  /** Where the copy is made. */
  readonly stateDirectory: string;
  readonly program: string;
  readonly clock: Clock;
  readonly random: Random;
};

/** @throws CodedError FAILED where it cannot be written; what stood there stays then */
export async function exportCatalog(path: string, tools: ExportTools): Promise<ExportedCatalog> {
  const { catalogPath, stateDirectory: directory, program, clock, random } = tools;
  const name = random.uuid();
  const taken = new Date(clock.nowMs()).toISOString();
  const copy = await CatalogCopy.make({
    catalogPath,
    directory,
    name,
    head: ['-', taken, program],
  });
  try {
    const [database] = copy.files;
    await write(path, database.read());
    return { path, lengthBytes: database.lengthBytes, databaseBytes: copy.databaseBytes };
  } finally {
    copy.close();
  }
}

async function write(path: string, chunks: Iterable<Buffer>): Promise<void> {
  const temporary = `${path}.new`;
  try {
    const file = await open(temporary, 'w', 0o600);
    try {
      for (const chunk of chunks) await file.writeFile(chunk);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncDirectory(dirname(path));
  } catch (cause) {
    await rm(temporary, { force: true });
    const errno = errnoOf(cause);
    if (errno === undefined) throw cause;
    throw new CodedError('FAILED', `${printable(path)} cannot be written (${errno})`, {
      path,
      cause,
    });
  }
}
