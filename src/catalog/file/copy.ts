/**
 * A copy of the whole catalog on its way onto a medium: made as files beside the catalog, read once, gone.
 *
 * It is as of the moment at which it is begun; others may write meanwhile. Nothing of it is kept in memory. Its directory
 * bears the name of its process: what a process that ended badly has left is removed by the next copy.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { CodedError, errnoOf } from '../../base/errors.ts';
import { workerFile } from '../../base/program-files.ts';
import type { Catalog } from '../catalog.ts';
import { isAlive, ownProcess } from '../writers.ts';
import { type CopyOrder, makeCopyFiles } from './copy-files.ts';
import type { CopyReply } from './copy-worker.ts';
import { exportBytes as textBytes } from './export.ts';

/** A file of the copy. */
export type CopiedFile = {
  readonly name: string;
  readonly lengthBytes: number;
  /** All of it, in portions that are valid until the next is asked for. */
  read(): Generator<Buffer>;
};

export type CopyRequest = {
  readonly catalogPath: string;
  readonly directory: string;
  /** Unlike those of others that are being made. */
  readonly name: string;
  /** Fields of the text's first line. */
  readonly head: readonly string[];
};

/** Names of the files, here and on the medium (archive/FORMAT.md section 3.4). */
const DATABASE = 'catalog.sqlite.zst';
const TEXT = 'catalog.txt';
const PREFIX = 'catalog-copy.';
const BUFFER_BYTES = 256 * 2 ** 10;
/** A smaller catalog is copied before a thread has begun (measured: 20 to 30 ms either). */
const THREAD_BYTES_MIN = 2 * 2 ** 20;

export class CatalogCopy {
  /** The database, compressed, then its text. */
  readonly files: readonly [database: CopiedFile, text: CopiedFile];
  /** Of the SQLite file, as it was before it was compressed. */
  readonly databaseBytes: number;
  readonly #open: readonly number[];

  private constructor(directory: string, databaseBytes: number) {
    this.databaseBytes = databaseBytes;
    const database = openSync(join(directory, DATABASE), 'r');
    const text = openSync(join(directory, TEXT), 'r');
    this.#open = [database, text];
    this.files = [copiedFile(DATABASE, database), copiedFile(TEXT, text)];
  }

  /**
   * @param options.directory of the state: as much room as the catalog and its copy is needed
   * @throws CodedError FAILED where there is no room; CATALOG_DAMAGED
   */
  static async make(options: CopyRequest): Promise<CatalogCopy> {
    try {
      return await CatalogCopy.#make(options);
    } catch (cause) {
      if (cause instanceof CodedError) throw cause;
      const errno = errnoOf(cause);
      if (errno === undefined || errno.startsWith('ERR_')) throw cause;
      const { directory: path } = options;
      throw new CodedError('FAILED', `it cannot be written to ${path} (${errno})`, { cause, path });
    }
  }

  static async #make(options: CopyRequest): Promise<CatalogCopy> {
    await sweepCopies(options.directory);
    const directory = join(options.directory, `${PREFIX}${ownProcess()}.${options.name}`);
    await mkdir(directory, { mode: 0o700 });
    try {
      const order = { catalogPath: options.catalogPath, directory, head: options.head };
      return new CatalogCopy(directory, await work(order));
    } finally {
      // What is open stays readable without a name.
      await rm(directory, { recursive: true, force: true });
    }
  }

  get lengthBytes(): number {
    return this.files.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  }

  close(): void {
    for (const file of this.#open) closeSync(file);
  }
}

/** Removes what processes that are no more have left. */
export async function sweepCopies(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.startsWith(PREFIX)) continue;
    const owner = name.slice(PREFIX.length, name.lastIndexOf('.'));
    if (!isAlive(owner)) await rm(join(directory, name), { recursive: true, force: true });
  }
}

async function work(order: CopyOrder): Promise<number> {
  const file = workerFile(import.meta.url, 'copy-worker');
  if (!file || (await stat(order.catalogPath)).size < THREAD_BYTES_MIN) return makeCopyFiles(order);
  const worker = new Worker(file, { workerData: order });
  const reply = await new Promise<CopyReply>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  }).finally(() => worker.terminate());
  if (reply.kind === 'made') return reply.databaseBytes;
  throw new CodedError(reply.code, reply.message, { path: order.catalogPath });
}

function copiedFile(name: string, file: number): CopiedFile {
  const lengthBytes = fstatSync(file).size;
  return {
    name,
    lengthBytes,
    *read() {
      const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
      for (let at = 0; at < lengthBytes; ) {
        const count = readSync(file, buffer, 0, Math.min(buffer.length, lengthBytes - at), at);
        if (count === 0) throw new CodedError('FAILED', `${name} has become shorter`);
        yield buffer.subarray(0, count);
        at += count;
      }
    },
  };
}

/** Of the file as it is; a copy is packed, and so no larger but for a few pages. */
export function databaseBytes(catalog: Catalog): number {
  const row = catalog
    .prepare<[number]>(
      'SELECT c.page_count * s.page_size FROM pragma_page_count c, pragma_page_size s',
    )
    .get();
  return row?.[0] ?? 0;
}

/**
 * Of the text of a copy, if it were made now. It is measured once a process: within a run it grows by rows of the archives that
 * were begun since, and by little else.
 */
export function exportBytes(catalog: Catalog): number {
  return catalog.part(ExportSize).bytes();
}

/** Of an archive's rows, in several copies, with what its job says of it; far above what was met. */
const ARCHIVE_TEXT_BYTES = 4096;
/** After so many it is measured anew. */
const ARCHIVES_MAX = 64;

class ExportSize {
  readonly #catalog: Catalog;
  #measured: { readonly bytes: number; readonly at: readonly number[] } | undefined;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  bytes(): number {
    const now = this.#mark();
    const [archive = 0, ...others] = now;
    const [before = 0, ...othersBefore] = this.#measured?.at ?? [];
    const isSame = others.join() === othersBefore.join() && archive - before <= ARCHIVES_MAX;
    if (!this.#measured || !isSame) this.#measured = { bytes: this.#measure(), at: now };
    const [from = 0] = this.#measured.at;
    return this.#measured.bytes + (archive - from) * ARCHIVE_TEXT_BYTES;
  }

  /** Changes with each job, medium or source that comes. */
  #mark(): readonly number[] {
    const row = this.#catalog
      .prepare<number[]>(
        `SELECT (SELECT coalesce(max(id), 0) FROM archives), (SELECT coalesce(max(number), 0) FROM jobs),
           (SELECT count(*) FROM media), (SELECT count(*) FROM sources), (SELECT count(*) FROM rules),
           (SELECT count(*) FROM damages)`,
      )
      .get();
    return row ?? [];
  }

  #measure(): number {
    return textBytes((sql) => this.#catalog.prepare(sql).all());
  }
}
