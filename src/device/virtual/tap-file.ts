/**
 * The tape of a virtual cartridge: one SIMH `.tap` file and, beside it, an index of its runs.
 *
 * Fault model: what `sync` confirmed survives kill -9 and a lost page cache. What came later may vanish, from some
 * record on to the end, but never comes back as other bytes than were written. The index is therefore written only
 * after the data are on disk, and trusted only up to its last whole line; records behind it are taken over when the
 * page cache cannot have been lost, and cut off when it can.
 */
import { strict as assert } from 'node:assert';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncDirectory } from '../../base/durable.ts';
import { CodedError, errnoOf } from '../../base/errors.ts';
import { BlockMap, frameBytes, type MappedRecord, type Place } from './block-map.ts';

/** SIMH keeps the upper byte of a length for a class: records are below 16 MiB. */
const RECORD_BYTES_MAX = 0x00ffffff;
const ZEROS = Buffer.alloc(64 * 1024);

export class TapFile {
  readonly #path: string;
  readonly #data: FileHandle;
  readonly #index: FileHandle;
  readonly #map: BlockMap;
  #indexBytes: number;
  #syncedBlock: number;

  private constructor(
    path: string,
    files: { data: FileHandle; index: FileHandle },
    map: BlockMap,
    indexBytes: number,
  ) {
    this.#path = path;
    this.#data = files.data;
    this.#index = files.index;
    this.#map = map;
    this.#indexBytes = indexBytes;
    this.#syncedBlock = map.end.block;
  }

  /**
   * @param options.keepUnsynced take over whole records behind the index: right as long as the page cache survived
   * @throws CodedError MEDIUM_UNREADABLE when the file does not hold what its index says
   */
  static async open(path: string, options: { keepUnsynced: boolean }): Promise<TapFile> {
    const data = await openOrCreate(path);
    const index = await openOrCreate(`${path}.index`);
    const map = new BlockMap();
    const indexBytes = await readIndex(index, map);
    await index.truncate(indexBytes);
    const { size } = await data.stat();
    if (size < map.end.offset) {
      await Promise.all([data.close(), index.close()]);
      throw new CodedError(
        'MEDIUM_UNREADABLE',
        `${path} is shorter than its index says: it was cut from outside`,
        {
          path,
        },
      );
    }
    const tap = new TapFile(path, { data, index }, map, indexBytes);
    if (options.keepUnsynced) await tap.#takeOver(size);
    if (size > map.end.offset) await data.truncate(map.end.offset);
    return tap;
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
    await this.#write([Buffer.alloc(4 * count)], this.#map.end.offset);
    this.#map.append(0, count);
  }

  /** Reads a record into `into`, as much as fits. The length before it must be the one it was written with. */
  async read(record: MappedRecord, into: Uint8Array): Promise<void> {
    assert(record.lengthBytes > 0, 'a filemark has no bytes');
    const part = into.subarray(0, record.lengthBytes);
    const head = Buffer.alloc(4);
    const { bytesRead } = await this.#data.readv([head, part], record.offset);
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
    if (block >= this.#map.end.block) return;
    this.#map.truncate(block);
    if (block < this.#syncedBlock) {
      await this.#appendIndex(`cut ${block}\n`);
      this.#syncedBlock = block;
    }
    await this.#data.truncate(this.#map.end.offset);
  }

  /** When this resolves, everything written is on disk. */
  async sync(): Promise<void> {
    if (this.#syncedBlock === this.#map.end.block) return;
    await this.#data.datasync();
    const runs = this.#map.since(this.#syncedBlock);
    const lines = runs.map((run) => `${run.offset} ${run.count} ${run.lengthBytes}\n`);
    await this.#appendIndex(lines.join(''));
    this.#syncedBlock = this.#map.end.block;
  }

  /** Closes without confirming anything more. */
  async close(): Promise<void> {
    await this.#data.close();
    await this.#index.close();
  }

  async #appendIndex(lines: string): Promise<void> {
    const text = Buffer.from(lines, 'latin1');
    await this.#index.write(text, 0, text.length, this.#indexBytes);
    this.#indexBytes += text.length;
    await this.#index.datasync();
  }

  async #write(parts: readonly Uint8Array[], offset: number): Promise<void> {
    const wantedBytes = parts.reduce((sum, part) => sum + part.byteLength, 0);
    let cause: unknown;
    try {
      const { bytesWritten } = await this.#data.writev(parts, offset);
      if (bytesWritten === wantedBytes) return;
    } catch (error) {
      cause = error;
    }
    // What came of it must not lie below a hole that is written here later.
    await this.#data.truncate(this.#map.end.offset).catch(() => undefined);
    const why = errnoOf(cause) ?? 'ENOSPC';
    throw new CodedError(
      'MEDIUM_UNWRITABLE',
      `${this.#path}: the disk below the virtual cartridge takes no more (${why})`,
      { path: this.#path, cause },
    );
  }

  /** Walks whole records behind the index, as a crashed process left them. */
  async #takeOver(sizeBytes: number): Promise<void> {
    const field = Buffer.alloc(4);
    for (;;) {
      const { offset } = this.#map.end;
      if (offset + 4 > sizeBytes) return;
      await this.#data.read(field, 0, 4, offset);
      const lengthBytes = field.readUInt32LE();
      if (lengthBytes > RECORD_BYTES_MAX) return;
      if (lengthBytes > 0) {
        const end = offset + frameBytes(lengthBytes);
        if (end > sizeBytes) return;
        await this.#data.read(field, 0, 4, end - 4);
        if (field.readUInt32LE() !== lengthBytes) return;
      }
      this.#map.append(lengthBytes);
    }
  }
}

async function openOrCreate(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r+');
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
    const created = await open(path, 'wx+');
    await syncDirectory(dirname(path));
    return created;
  }
}

/**
 * Reads the index into `map`, up to the first line that is not whole or does not follow from those before; returns how
 * many bytes of it hold. A line is `OFFSET COUNT LENGTH` for a run of records or `cut BLOCK`.
 */
async function readIndex(index: FileHandle, map: BlockMap): Promise<number> {
  const text = (await index.readFile()).toString('latin1');
  let bytes = 0;
  for (const line of text.split(/(?<=\n)/)) {
    const cut = /^cut (\d+)\n$/.exec(line);
    const run = /^(\d+) (\d+) (\d+)\n$/.exec(line);
    const [offset, count, lengthBytes] = (run ?? []).slice(1).map(Number);
    if (cut) {
      map.truncate(Number(cut[1]));
    } else if (
      offset === map.end.offset &&
      count &&
      lengthBytes !== undefined &&
      lengthBytes <= RECORD_BYTES_MAX
    ) {
      map.append(lengthBytes, count);
    } else {
      break;
    }
    bytes += line.length;
  }
  return bytes;
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
