/**
 * Where everything stands in a virtual library: one JSON file, shared by all processes that use the library.
 *
 * Lock order: the drive's lock (held while a process powers the drive), then the library's (held for one change).
 */
import { strict as assert } from 'node:assert';
import { type BigIntStats, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Clock } from '../../base/clock.ts';
import { CodedError, errnoOf } from '../../base/errors.ts';
import { GENERATION_NAMES } from '../../domain/generation.ts';
import { ELEMENT_TYPES } from '../elements.ts';
import { cartridgeNameSchema, countSchema, readJson, writeJson } from './json-file.ts';

/** Element addresses have 16 bits (SMC-3). */
const ELEMENTS_MAX = 65_536;

const elementSchema = z.object({
  type: z.enum(ELEMENT_TYPES),
  address: z.int().min(0).max(0xffff),
  /** Name of the cartridge's files. */
  cartridge: cartridgeNameSchema.optional(),
  /** What the scanner reads: normally the same, but stickers can be exchanged or come off. */
  barcode: z.string().optional(),
  source: z.int().min(0).max(0xffff).optional(),
  /** A person put it there. */
  imported: z.boolean().optional(),
});

const statisticsSchema = z.object({
  loads: countSchema,
  unloads: countSchema,
  locates: countSchema,
  rewinds: countSchema,
  blocksWritten: countSchema,
  blocksRead: countSchema,
  bytesWritten: countSchema,
  bytesRead: countSchema,
  filemarks: countSchema,
  backhitches: countSchema,
  modelSeconds: z.number().nonnegative(),
});

/** What a virtual drive has done since it was made; seconds by the clock model. */
export type DriveStatistics = z.infer<typeof statisticsSchema>;

const driveSchema = z.object({
  serial: z.string(),
  /** The cartridge that is threaded, and the block at which the head stands. */
  threaded: z.object({ cartridge: cartridgeNameSchema, position: countSchema }).optional(),
  /** A cartridge stands in the drive but was unthreaded. */
  unloaded: z.boolean(),
  prevented: z.boolean(),
  statistics: statisticsSchema,
});

const librarySchema = z
  .object({
    revision: z.literal(1),
    serial: z.string(),
    generation: z.enum(GENERATION_NAMES),
    elements: z.array(elementSchema).max(ELEMENTS_MAX),
    drives: z.array(driveSchema),
    moves: countSchema,
    /** Seconds the picker has moved, by the clock model. */
    moveSeconds: z.number().nonnegative(),
  })
  .refine(({ elements, drives }) => {
    const loaded = elements.flatMap(({ cartridge }) => cartridge ?? []);
    return (
      drives.length === elements.filter(({ type }) => type === 'drive').length &&
      new Set(elements.map(({ address }) => address)).size === elements.length &&
      new Set(loaded).size === loaded.length
    );
  }, 'one record a drive, one address an element, one place a cartridge');

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

/** Changes take a few milliseconds; whoever waits longer asks less often. */
const LOCK_POLL_MS_MIN = 5;
const LOCK_POLL_MS_MAX = 100;
const LOCK_TIMEOUT_MS = 60_000;

export class LibraryState {
  readonly #path: string;
  readonly #lockFile: LockFile;
  readonly #clock: Clock;
  #tail: Promise<unknown> = Promise.resolve();
  #cached: { stamp: string; record: LibraryRecord } | undefined;

  constructor(directory: string, lockFile: LockFile, clock: Clock) {
    this.#path = libraryPath(directory);
    this.#lockFile = lockFile;
    this.#clock = clock;
  }

  static async create(directory: string, record: LibraryRecord): Promise<void> {
    await writeJson(libraryPath(directory), record, librarySchema);
  }

  /** The state as it is now, also when another process has changed it. Not to be modified. */
  async read(): Promise<LibraryRecord> {
    const { ino, mtimeNs, size } = this.#stat();
    const stamp = `${ino} ${mtimeNs} ${size}`;
    if (this.#cached?.stamp !== stamp) {
      this.#cached = { stamp, record: await readJson(this.#path, librarySchema) };
    }
    return this.#cached.record;
  }

  #stat(): BigIntStats {
    try {
      return statSync(this.#path, { bigint: true });
    } catch (cause) {
      const facts = { cause, path: this.#path };
      const why = errnoOf(cause);
      if (why !== 'ENOENT')
        throw new CodedError('FAILED', `${this.#path} cannot be read (${why})`, facts);
      throw new CodedError('STATE_MISSING', `there is no virtual library at ${this.#path}`, facts);
    }
  }

  /** Changes the state, alone among all processes; on disk when this resolves. Nothing is changed when `change` throws. */
  update<T>(change: (record: LibraryRecord) => T | Promise<T>): Promise<T> {
    // Those of one process wait for each other in order, without asking for the lock again and again.
    const done = this.#tail.then(() => this.#update(change));
    this.#tail = done.catch(() => undefined);
    return done;
  }

  async #update<T>(change: (record: LibraryRecord) => T | Promise<T>): Promise<T> {
    const lock = await this.#lock();
    try {
      // Never what was read before: two changes within one tick of the disk's clock can look like none.
      const record = await readJson(this.#path, librarySchema);
      const result = await change(record);
      await writeJson(this.#path, record, librarySchema);
      this.#cached = undefined;
      return result;
    } finally {
      await lock.close();
    }
  }

  async #lock(): Promise<FileLock> {
    const startMs = this.#clock.monotonicMs();
    let pollMs = LOCK_POLL_MS_MIN;
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
        await this.#clock.sleepMs(pollMs, new AbortController().signal);
        pollMs = Math.min(2 * pollMs, LOCK_POLL_MS_MAX);
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
