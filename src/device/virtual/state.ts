/**
 * Where everything stands in a virtual library: one JSON file, shared by all processes that use the library.
 *
 * Lock order: the drive's lock (held while a process powers the drive), then the library's (held for one change).
 */
import { strict as assert } from 'node:assert';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Clock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import { GENERATION_NAMES } from '../../domain/generation.ts';
import { ELEMENT_TYPES } from '../elements.ts';
import { readJson, writeJson } from './json-file.ts';

const elementSchema = z.object({
  type: z.enum(ELEMENT_TYPES),
  address: z.int().min(0).max(0xffff),
  /** Name of the cartridge's files. */
  cartridge: z.string().optional(),
  /** What the scanner reads: normally the same, but stickers can be exchanged or come off. */
  barcode: z.string().optional(),
  source: z.int().optional(),
  /** A person put it there. */
  imported: z.boolean().optional(),
});

const statisticsSchema = z.object({
  loads: z.int(),
  unloads: z.int(),
  locates: z.int(),
  rewinds: z.int(),
  blocksWritten: z.int(),
  blocksRead: z.int(),
  bytesWritten: z.int(),
  bytesRead: z.int(),
  filemarks: z.int(),
  backhitches: z.int(),
  modelSeconds: z.number(),
});

/** What a virtual drive has done since it was made; seconds by the clock model. */
export type DriveStatistics = z.infer<typeof statisticsSchema>;

const driveSchema = z.object({
  serial: z.string(),
  /** The cartridge that is threaded, and the block at which the head stands. */
  threaded: z.object({ cartridge: z.string(), position: z.int() }).optional(),
  /** A cartridge stands in the drive but was unthreaded. */
  unloaded: z.boolean(),
  prevented: z.boolean(),
  statistics: statisticsSchema,
});

const librarySchema = z.object({
  revision: z.literal(1),
  serial: z.string(),
  generation: z.enum(GENERATION_NAMES),
  elements: z.array(elementSchema),
  drives: z.array(driveSchema),
  moves: z.int(),
  /** Seconds the picker has moved, by the clock model. */
  moveSeconds: z.number(),
});

export type LibraryRecord = z.infer<typeof librarySchema>;
export type ElementRecord = z.infer<typeof elementSchema>;
export type DriveRecord = z.infer<typeof driveSchema>;

export function emptyStatistics(): DriveStatistics {
  return {
    loads: 0,
    unloads: 0,
    locates: 0,
    rewinds: 0,
    blocksWritten: 0,
    blocksRead: 0,
    bytesWritten: 0,
    bytesRead: 0,
    filemarks: 0,
    backhitches: 0,
    modelSeconds: 0,
  };
}

export interface FileLock {
  close(): Promise<void>;
}

/** Takes an exclusive lock that ends with the process. @throws CodedError DRIVE_BUSY naming the holder's pid */
export type LockFile = (path: string) => Promise<FileLock>;

const LOCK_POLL_MS = 5;
const LOCK_TIMEOUT_MS = 60_000;

export class LibraryState {
  readonly #path: string;
  readonly #lockFile: LockFile;
  readonly #clock: Clock;
  #cached: { stamp: string; record: LibraryRecord } | undefined;

  constructor(directory: string, lockFile: LockFile, clock: Clock) {
    this.#path = libraryPath(directory);
    this.#lockFile = lockFile;
    this.#clock = clock;
  }

  static async create(directory: string, record: LibraryRecord): Promise<void> {
    await writeJson(libraryPath(directory), librarySchema.parse(record));
  }

  /** The state as it is now, also when another process has changed it. Not to be modified. */
  async read(): Promise<LibraryRecord> {
    const { ino, mtimeNs, size } = await stat(this.#path, { bigint: true }).catch(
      (cause: unknown) => {
        throw new CodedError('STATE_MISSING', `there is no virtual library at ${this.#path}`, {
          cause,
          path: this.#path,
        });
      },
    );
    const stamp = `${ino} ${mtimeNs} ${size}`;
    if (this.#cached?.stamp !== stamp) {
      this.#cached = { stamp, record: await readJson(this.#path, librarySchema) };
    }
    return this.#cached.record;
  }

  /** Changes the state, alone among all processes; on disk when this resolves. Nothing is changed when `change` throws. */
  async update<T>(change: (record: LibraryRecord) => T | Promise<T>): Promise<T> {
    const lock = await this.#lock();
    try {
      // Never what was read before: two changes within one tick of the disk's clock can look like none.
      const record = await readJson(this.#path, librarySchema);
      const result = await change(record);
      await writeJson(this.#path, record);
      this.#cached = undefined;
      return result;
    } finally {
      await lock.close();
    }
  }

  async #lock(): Promise<FileLock> {
    const startMs = this.#clock.monotonicMs();
    for (;;) {
      try {
        return await this.#lockFile(`${this.#path}.lock`);
      } catch (error) {
        const isBusy = error instanceof CodedError && error.code === 'DRIVE_BUSY';
        if (!isBusy) throw error;
        if (this.#clock.monotonicMs() - startMs > LOCK_TIMEOUT_MS) {
          throw new CodedError(
            'LIBRARY_BUSY',
            `another process has held the virtual library for a minute`,
            {
              cause: error,
              path: this.#path,
            },
          );
        }
        await this.#clock.sleepMs(LOCK_POLL_MS, new AbortController().signal);
      }
    }
  }
}

function libraryPath(directory: string): string {
  return join(directory, 'library.json');
}

/** The element of drive number `index`, counted from 0. */
export function driveElement(elements: readonly ElementRecord[], index: number): ElementRecord {
  const element = elements.filter(({ type }) => type === 'drive')[index];
  assert(element, `no drive ${index}`);
  return element;
}
