/**
 * The tape of a virtual cartridge: one SIMH `.tap` file and, beside it, an index of its runs.
 *
 * Fault model: what `sync` confirmed survives kill -9 and a lost page cache. What came later may vanish, from some
 * record on to the end, but never comes back as other bytes than were written. The index is therefore written only
 * after the data are on disk; records behind it are taken over when the page cache cannot have been lost.
 *
 * Opening changes nothing: what lies behind the end is cut off by the first write. A disk that failed once proves
 * nothing by its next success, for the kernel reports a lost page only once: after a failed sync or cut the tape takes
 * no more writes until it is opened again, and ends where it was last confirmed.
 */
import { strict as assert } from 'node:assert';
import { writevSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncDirectory } from '../../base/durable.ts';
import { CodedError, errnoOf } from '../../base/errors.ts';
import { BlockMap, type MappedRecord, type Place } from './block-map.ts';
import { cutLine, RECORD_BYTES_MAX, readIndex, runsLine } from './tap-index.ts';
import { walkRecords } from './tap-walk.ts';

const ZEROS = Buffer.alloc(64 * 1024);

type Files = { readonly data: FileHandle; readonly index: FileHandle };

export class TapFile {
  readonly #path: string;
  readonly #data: FileHandle;
  readonly #index: FileHandle;
  readonly #map: BlockMap;
  #indexBytes: number;
  #syncedBlock: number;
  /** The files may go on behind what counts; cut off before anything is written there. */
  #hasTail: boolean;
  #failure: CodedError | undefined;

  private constructor(
    path: string,
    files: Files,
    found: { map: BlockMap; indexBytes: number; syncedBlock: number; hasTail: boolean },
  ) {
    this.#path = path;
    this.#data = files.data;
    this.#index = files.index;
    this.#map = found.map;
    this.#indexBytes = found.indexBytes;
    this.#syncedBlock = found.syncedBlock;
    this.#hasTail = found.hasTail;
  }

  /**
   * @param options.keepUnsynced take over whole records behind the index: right as long as the page cache survived
   * @throws CodedError MEDIUM_UNREADABLE when the file does not hold what its index says, or the index is damaged;
   *   FAILED when the disk does not let the files be opened or read
   */
  static async open(path: string, options: { keepUnsynced: boolean }): Promise<TapFile> {
    const opened: FileHandle[] = [];
    try {
      const data = await openOrCreate(path, opened);
      const index = await openOrCreate(`${path}.index`, opened);
      return await TapFile.#load(path, { data, index }, options.keepUnsynced);
    } catch (cause) {
      for (const file of opened) await file.close().catch(() => undefined);
      if (cause instanceof CodedError || errnoOf(cause) === undefined) throw cause;
      throw new CodedError('FAILED', `${path} cannot be opened (${errnoOf(cause)})`, {
        path,
        cause,
      });
    }
  }

  static async #load(path: string, files: Files, keepUnsynced: boolean): Promise<TapFile> {
    const map = new BlockMap();
    const text = (await files.index.readFile()).toString('latin1');
    const indexBytes = readIndex(text, map);
    if (indexBytes === undefined) {
      throw new CodedError(
        'MEDIUM_UNREADABLE',
        `${path}.index is damaged; restore it from a backup`,
        { path: `${path}.index` },
      );
    }
    const { size } = await files.data.stat();
    if (size < map.end.offset) {
      throw new CodedError(
        'MEDIUM_UNREADABLE',
        `${path} is shorter than its index says: it was cut from outside`,
        { path },
      );
    }
    const syncedBlock = map.end.block;
    if (keepUnsynced) await walkRecords(files.data, size, map);
    // Where nothing is taken over a failed write may have come before: the disk may hold more than is seen here.
    const hasTail = !keepUnsynced || text.length > indexBytes || size > map.end.offset;
    return new TapFile(path, files, { map, indexBytes, syncedBlock, hasTail });
  }

  /** Bytes behind the end may still lie in the file. */
  get hasTail(): boolean {
    return this.#hasTail;
  }

  /** Why the tape takes no more writes until it is opened again. */
  get failure(): CodedError | undefined {
    return this.#failure;
  }

  /** End of data. */
  get end(): Place {
    return this.#map.end;
  }

  /** Blocks before this one are confirmed. */
  get syncedBlock(): number {
    return this.#syncedBlock;
  }

  placeOf(block: number): Place {
    return this.#map.placeOf(block);
  }

  recordAt(block: number): MappedRecord | undefined {
    return this.#map.at(block);
  }

  filemark(index: number): number | undefined {
    return this.#map.filemark(index);
  }

  /** Adds a block at end of data. A block of zeros becomes a hole in the file. */
  async append(block: Uint8Array): Promise<void> {
    assert(
      block.byteLength > 0 && block.byteLength <= RECORD_BYTES_MAX,
      'a record has 1 byte to 16 MiB',
    );
    await this.#beginWriting();
    const { offset } = this.#map.end;
    const head = Buffer.alloc(4);
    head.writeUInt32LE(block.byteLength);
    const tail = block.byteLength % 2 === 0 ? head : Buffer.concat([Buffer.alloc(1), head]);
    if (isZero(block)) {
      await this.#write([head], offset);
      await this.#write([tail], offset + 4 + block.byteLength);
    } else {
      await this.#write([head, block, tail], offset);
    }
    this.#map.append(block.byteLength);
  }

  async appendFilemarks(count: number): Promise<void> {
    await this.#beginWriting();
    await this.#write([Buffer.alloc(4 * count)], this.#map.end.offset);
    this.#map.append(0, count);
  }

  /** Reads a record into `into`, as much as fits. The length before it must be the one it was written with. */
  async read(record: MappedRecord, into: Uint8Array): Promise<void> {
    assert(record.lengthBytes > 0, 'a filemark has no bytes');
    const part = into.subarray(0, record.lengthBytes);
    const head = Buffer.alloc(4);
    const { bytesRead } = await this.#data
      .readv([head, part], record.offset)
      .catch((cause: unknown) => {
        throw new CodedError(
          'MEDIUM_UNREADABLE',
          `${this.#path}: block ${record.block} cannot be read (${errnoOf(cause)})`,
          { path: this.#path, block: record.block, cause },
        );
      });
    if (bytesRead !== 4 + part.byteLength || head.readUInt32LE() !== record.lengthBytes) {
      throw new CodedError(
        'MEDIUM_UNREADABLE',
        `${this.#path}: block ${record.block} is not where it was written`,
        {
          path: this.#path,
          block: record.block,
        },
      );
    }
  }

  /** Cuts the tape at `block`. The index says so first: after a power cut the old records are gone or whole. */
  async truncate(block: number): Promise<void> {
    this.#refuseAfterFailure();
    if (block >= this.#map.end.block) return;
    await this.#beginWriting();
    const syncedBlock = Math.min(block, this.#syncedBlock);
    try {
      const addedBytes = block < this.#syncedBlock ? await this.#writeIndex(cutLine(block)) : 0;
      await this.#data.truncate(this.#map.placeOf(block).offset);
      this.#indexBytes += addedBytes;
    } catch (cause) {
      return this.#fail(cause);
    }
    this.#map.truncate(block);
    this.#syncedBlock = syncedBlock;
  }

  /** When this resolves, everything written is on disk. */
  async sync(): Promise<void> {
    this.#refuseAfterFailure();
    if (this.#syncedBlock === this.#map.end.block) return;
    await this.#beginWriting();
    try {
      await this.#data.datasync();
      this.#indexBytes += await this.#writeIndex(runsLine(this.#map.since(this.#syncedBlock)));
    } catch (cause) {
      return this.#fail(cause);
    }
    this.#syncedBlock = this.#map.end.block;
  }

  /** Closes without confirming anything more. */
  async close(): Promise<void> {
    const closed = await Promise.allSettled([this.#data.close(), this.#index.close()]);
    for (const file of closed) {
      if (file.status === 'rejected') throw unwritable(this.#path, file.reason);
    }
  }

  #refuseAfterFailure(): void {
    if (!this.#failure) return;
    const { message, cause } = this.#failure;
    const facts = { path: this.#path, cause };
    throw new CodedError('MEDIUM_UNWRITABLE', `${message}; load it again`, facts);
  }

  /** The index first, and on disk: no line of it may speak of bytes that are written anew. */
  async #beginWriting(): Promise<void> {
    this.#refuseAfterFailure();
    if (!this.#hasTail) return;
    try {
      await this.#index.truncate(this.#indexBytes);
      await this.#index.datasync();
      await this.#data.truncate(this.#map.end.offset);
    } catch (cause) {
      return this.#fail(cause);
    }
    this.#hasTail = false;
  }

  /** Returns the bytes that it added; they count once the caller says so. */
  async #writeIndex(line: string): Promise<number> {
    const bytes = Buffer.from(line, 'latin1');
    const { bytesWritten } = await this.#index.write(bytes, 0, bytes.length, this.#indexBytes);
    // A file takes less than it was given only where it has no room for the rest.
    if (bytesWritten !== bytes.length) throw unwritable(this.#path, undefined);
    await this.#index.datasync();
    return bytes.length;
  }

  /** Nobody knows what is on disk now: back to what was confirmed, and no more writes. */
  async #fail(cause: unknown): Promise<never> {
    this.#failure = unwritable(this.#path, cause);
    this.#map.truncate(this.#syncedBlock);
    this.#hasTail = true;
    try {
      // So that the next to open it does not find lost pages looking whole in the page cache.
      await this.#index.truncate(this.#indexBytes);
      await this.#index.datasync();
      await this.#data.truncate(this.#map.end.offset);
    } catch {
      // The next to open it is told not to trust what lies behind the end.
    }
    throw this.#failure;
  }

  async #write(parts: readonly Uint8Array[], offset: number): Promise<void> {
    const wantedBytes = parts.reduce((sum, part) => sum + part.byteLength, 0);
    let cause: unknown;
    try {
      // At once, not by a thread: it goes to the page cache, and two threads being woken take as long as that (measured: a
      // backup of 1 GiB 14 % slower).
      const bytesWritten = writevSync(this.#data.fd, parts, offset);
      if (bytesWritten === wantedBytes) return;
    } catch (error) {
      cause = error;
    }
    try {
      // What came of it must not lie below a hole that is written here later.
      await this.#data.truncate(this.#map.end.offset);
    } catch {
      return this.#fail(cause);
    }
    throw unwritable(this.#path, cause);
  }
}

/** @param cause undefined: less was written than was given */
function unwritable(path: string, cause: unknown): CodedError {
  if (cause instanceof CodedError) return cause;
  const why = cause === undefined ? 'ENOSPC' : (errnoOf(cause) ?? String(cause));
  const message = `${path}: the disk below the virtual cartridge takes no more (${why})`;
  return new CodedError('MEDIUM_UNWRITABLE', message, { path, cause });
}

/** @param opened takes the file as soon as there is one to be closed */
async function openOrCreate(path: string, opened: FileHandle[]): Promise<FileHandle> {
  try {
    const file = await open(path, 'r+');
    opened.push(file);
    return file;
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    const created = await open(path, 'wx+');
    opened.push(created);
    await syncDirectory(dirname(path));
    return created;
  }
}

function isZero(block: Uint8Array): boolean {
  // Nearly every block that is not zero shows it in its first bytes.
  if (block[0] !== 0 || block[block.byteLength - 1] !== 0) return false;
  const bytes = Buffer.from(block.buffer, block.byteOffset, block.byteLength);
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const part = bytes.subarray(at, at + ZEROS.length);
    if (ZEROS.compare(part, 0, part.length, 0, part.length) !== 0) return false;
  }
  return true;
}
