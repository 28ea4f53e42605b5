/**
 * Contents on their way from one cartridge to another: read, proven, waiting to be written. Of bounded size, in files that
 * have no name once they are open, so that a crash leaves nothing behind.
 *
 * Which contents wait is in a temporary table, in the order in which they are written: those of one directory together.
 */
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  statfsSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { formatSize } from '../../base/bytes.ts';
import { CodedError, errnoOf } from '../../base/errors.ts';
import type { Gathering } from '../restore/assembly.ts';

/** Holes of the content are holes of the file: they take no room, if they are aligned as file systems make them. */
const GRAIN_BYTES = 4096;
/** Others use the disk too. */
const SHARE_OF_FREE = 0.5;

/** Where parts of the spool lie, and how much they hold together. */
export class Spool {
  readonly #directory: string;
  readonly #name: string;
  /** Bytes of contents it takes. */
  readonly bytesMax: number;
  readonly #parts: SpoolPart[] = [];

  private constructor(directory: string, name: string, bytesMax: number) {
    this.#directory = directory;
    this.#name = name;
    this.bytesMax = bytesMax;
  }

  /**
   * @param options.bytesMax at most; less where the disk has no more than twice as much free
   * @throws CodedError TARGET_FAILED where the directory cannot be written
   */
  static open(options: {
    readonly directory: string;
    readonly name: string;
    readonly bytesMax: number;
  }): Spool {
    const { directory, name } = options;
    return attempt(directory, () => {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      const { bavail, bsize } = statfsSync(directory);
      const bytesMax = Math.min(options.bytesMax, Math.floor(bavail * bsize * SHARE_OF_FREE));
      const spool = new Spool(directory, name, bytesMax);
      // That nothing can be written there is found out before a cartridge is moved.
      spool.part(0);
      return spool;
    });
  }

  /** One that is written while another is read. @param index from 0; the same part for the same one */
  part(index: number): SpoolPart {
    const known = this.#parts[index];
    if (known) return known;
    const part = attempt(this.#directory, () => {
      const path = join(this.#directory, `${this.#name}-${index}`);
      const fd = openSync(path, 'wx+', 0o600);
      unlinkSync(path);
      return new SpoolPart(fd, this.#directory);
    });
    this.#parts[index] = part;
    return part;
  }

  close(): void {
    for (const part of this.#parts) part?.close();
  }
}

export class SpoolPart {
  readonly #fd: number;
  readonly #directory: string;
  #next = 0;

  constructor(fd: number, directory: string) {
    this.#fd = fd;
    this.#directory = directory;
  }

  /** Room for a content of so many bytes, holes included. */
  createFile(sizeBytes: number): SpooledFile {
    const base = this.#next;
    this.#next += Math.ceil(sizeBytes / GRAIN_BYTES) * GRAIN_BYTES;
    return new SpooledFile(this, base);
  }

  /** @throws CodedError TARGET_FULL where the disk is full, TARGET_FAILED */
  write(bytes: Uint8Array, position: number): void {
    attempt(this.#directory, () => {
      for (let at = 0; at < bytes.length; )
        at += writeSync(this.#fd, bytes, at, bytes.length - at, position + at);
    });
  }

  /** @returns bytes read; what was never written is zeros */
  read(bytes: Uint8Array, position: number): number {
    return attempt(this.#directory, () => {
      let at = 0;
      for (let got = 1; got > 0 && at < bytes.length; at += got)
        got = readSync(this.#fd, bytes, at, bytes.length - at, position + at);
      // Holes at its very end.
      bytes.fill(0, at);
      return bytes.length;
    });
  }

  /** Nothing waits in it any more. */
  clear(): void {
    attempt(this.#directory, () => ftruncateSync(this.#fd, 0));
    this.#next = 0;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** The room of one content. */
export class SpooledFile implements Gathering {
  readonly base: number;
  readonly #spool: SpoolPart;

  constructor(spool: SpoolPart, base: number) {
    this.#spool = spool;
    this.base = base;
  }

  write(bytes: Uint8Array, offset: number): void {
    this.#spool.write(bytes, this.base + offset);
  }

  read(bytes: Uint8Array, offset: number): number {
    return this.#spool.read(bytes, this.base + offset);
  }

  /** Holes are where nothing was written: there is nothing to be done. */
  setSize(): void {}

  /** Its room is free with the whole spool. */
  abandon(): void {}
}

function attempt<T>(directory: string, step: () => T): T {
  try {
    return step();
  } catch (cause) {
    const errno = errnoOf(cause);
    if (errno === undefined || errno.startsWith('ERR_')) throw cause;
    const isFull = errno === 'ENOSPC' || errno === 'EDQUOT';
    throw new CodedError(
      isFull ? 'TARGET_FULL' : 'TARGET_FAILED',
      isFull
        ? `the disk of ${directory} is full: groom needs room there for what it moves; groom.spool bounds it`
        : `groom cannot use ${directory} for what it moves (${errno})`,
      { cause, path: directory },
    );
  }
}

/** @returns the refusal of a content that does not fit */
export function tooLarge(path: string, neededBytes: number, bytesMax: number): CodedError {
  return new CodedError(
    'TARGET_FULL',
    `${path} has ${formatSize(neededBytes)}, and the spool takes ${formatSize(bytesMax)}: give groom.spool more, or its disk more room`,
    { path },
  );
}
