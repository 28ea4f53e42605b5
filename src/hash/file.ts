/**
 * Reads and hashes files of a source, synchronously, through one buffer: the fastest way there is (in a worker).
 *
 * A source lives on while it is read: files grow, shrink, are exchanged or vanish. None of that is a failure of ours;
 * it is in the result.
 */
import { strict as assert } from 'node:assert';
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { errnoOf } from '../base/errors.ts';
import { type Raw, rawPath } from '../base/raw.ts';
import { settle } from '../base/settle.ts';
import { type Content, SEGMENT_BYTES } from '../domain/content.ts';
import type { DataRange, Moment } from '../domain/entry.ts';
import { ContentHasher } from './content-hasher.ts';

/** What the scan saw. A file that is otherwise when it is opened counts as changed. */
export type ExpectedFile = {
  readonly sizeBytes: number;
  readonly mtime: Moment;
  readonly ctime: Moment;
  readonly inode: number;
};

export type HashRequest = {
  readonly path: Raw;
  readonly expected?: ExpectedFile;
  /** Where a sparse file has data; the rest is taken for zeros unread. Only heeded with `expected`, while that holds. */
  readonly ranges?: readonly DataRange[];
  /**
   * Only so many bytes from its start and from its end: two files whose samples differ are not the same. The hash is of
   * both, one behind the other.
   */
  readonly sampleBytes?: number;
  /** Nothing but these bytes, as if they were a file of their own. A file that ends before them counts as changed. */
  readonly span?: DataRange;
};

export type FileHash =
  | (Content & {
      /** Not the file the scan saw, or written to while it was read: these bytes may be a mixture. */
      readonly changed: boolean;
    })
  /** It could not be read: ENOENT it vanished, ELOOP a symlink stands there, ENXIO no file, EISDIR a directory, EAGAIN leased... */
  | { readonly errno: string };

/** Measured best between 256 KiB and 4 MiB: the buffer stays in the core's cache. */
const BUFFER_BYTES = 2 ** 20;

/** Bytes between two chances to stop: some 20 ms. */
const STEP_BYTES = 64 * 2 ** 20;

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_NOATIME, O_NOCTTY } = constants;
// O_NONBLOCK: a FIFO put in the file's place must not hold us for ever.
const FLAGS = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

/**
 * Opens a file of a source for reading: no symlink followed as its last part, no wait for a FIFO's writer or a lease,
 * and no new atime where the kernel allows that (to the file's owner and root).
 * @throws what node:fs throws
 */
export function openSource(path: Raw): number {
  try {
    return openSync(rawPath(path), FLAGS | O_NOATIME);
  } catch (error) {
    if (errnoOf(error) !== 'EPERM') throw error;
    return openSync(rawPath(path), FLAGS);
  }
}

/** One file after another. Holds one buffer of 1 MiB and two hashers. */
export class FileHasher {
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  readonly #hasher = new ContentHasher();

  /**
   * Waits first until the tick of the clock that an expected file was changed in is over: what is hashed and changed within
   * one would look unchanged, and be taken for a duplicate of what it was. Yields every 64 MiB, for the caller to let others have a turn or to stop by `return`, which closes the file.
   * @throws what is neither the file's nor the file system's doing
   */
  *hash(request: HashRequest): Generator<void, FileHash> {
    let fd: number | undefined;
    if (request.expected) {
      const { seconds, nanoseconds } = request.expected.ctime;
      settle([seconds, nanoseconds]);
    }
    try {
      fd = openSource(request.path);
      return yield* this.#hashOpen(fd, request);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === undefined || errno.startsWith('ERR_')) throw error;
      return { errno };
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }

  *#hashOpen(fd: number, request: HashRequest): Generator<void, FileHash> {
    const before = fstatSync(fd);
    if (!before.isFile()) return { errno: before.isDirectory() ? 'EISDIR' : 'ENXIO' };
    const { sizeBytes, isAsSeen } = compared(before, request.expected);
    if (!Number.isSafeInteger(sizeBytes)) return { errno: 'EFBIG' };
    this.#hasher.reset();
    const { sampleBytes, span } = request;
    if (span !== undefined) {
      yield* this.#read(fd, span);
      const content = this.#hasher.finish();
      return { ...content, changed: content.sizeBytes !== span.lengthBytes };
    }
    if (sampleBytes !== undefined && sizeBytes > 2 * sampleBytes) {
      const { hash } = yield* this.#sample(fd, { sizeBytes, sampleBytes });
      return { hash, sizeBytes, segments: undefined, changed: !isAsSeen };
    }
    const ranges = isAsSeen && request.expected !== undefined ? request.ranges : undefined;
    if (ranges === undefined) yield* this.#read(fd, { offset: undefined, lengthBytes: sizeBytes });
    else yield* this.#readRanges(fd, ranges, sizeBytes);
    const after = fstatSync(fd);
    const changed = !isAsSeen || this.#hasher.sizeBytes !== sizeBytes || !isSame(before, after);
    return { ...this.#hasher.finish(), changed };
  }

  *#sample(fd: number, of: { sizeBytes: number; sampleBytes: number }): Generator<void, Content> {
    yield* this.#read(fd, { offset: 0, lengthBytes: of.sampleBytes });
    const offset = of.sizeBytes - of.sampleBytes;
    yield* this.#read(fd, { offset, lengthBytes: of.sampleBytes });
    return this.#hasher.finish();
  }

  *#readRanges(fd: number, ranges: readonly DataRange[], sizeBytes: number): Generator<void> {
    for (const { offset, lengthBytes } of ranges) {
      yield* this.#zeros(offset - this.#hasher.sizeBytes);
      yield* this.#read(fd, { offset, lengthBytes });
      // Shorter now: what follows would not be at its place.
      if (this.#hasher.sizeBytes !== offset + lengthBytes) return;
    }
    yield* this.#zeros(sizeBytes - this.#hasher.sizeBytes);
  }

  /** @param range.offset undefined: from where the file stands */
  *#read(fd: number, range: { offset: number | undefined; lengthBytes: number }): Generator<void> {
    const { offset, lengthBytes } = range;
    for (let at = 0; at < lengthBytes; ) {
      const length = Math.min(BUFFER_BYTES, lengthBytes - at);
      const position = offset === undefined ? null : offset + at;
      const got = readSync(fd, this.#buffer, 0, length, position);
      if (got === 0) return;
      this.#hasher.update(got === BUFFER_BYTES ? this.#buffer : this.#buffer.subarray(0, got));
      const steps = Math.floor(at / STEP_BYTES);
      at += got;
      if (Math.floor(at / STEP_BYTES) !== steps) yield;
    }
  }

  *#zeros(lengthBytes: number): Generator<void> {
    assert(lengthBytes >= 0, 'ranges ascend and do not overlap');
    for (let rest = lengthBytes; rest > 0; ) {
      // Up to a segment's end, where whole segments of zeros are cheaper.
      const step = Math.min(rest, SEGMENT_BYTES - (this.#hasher.sizeBytes % SEGMENT_BYTES));
      this.#hasher.updateZeros(step);
      rest -= step;
      if (rest > 0) yield;
    }
  }
}

function compared(
  stat: Stats,
  expected: ExpectedFile | undefined,
): { sizeBytes: number; isAsSeen: boolean } {
  const isAsSeen =
    expected === undefined ||
    (stat.size === expected.sizeBytes &&
      stat.ino === expected.inode &&
      stat.mtimeMs === milliseconds(expected.mtime) &&
      stat.ctimeMs === milliseconds(expected.ctime));
  return { sizeBytes: stat.size, isAsSeen };
}

/** As node:fs makes its milliseconds: the same times give the same number, and differing ones differ from 250 ns on. */
function milliseconds({ seconds, nanoseconds }: Moment): number {
  return seconds * 1000 + nanoseconds / 1e6;
}

function isSame(before: Stats, after: Stats): boolean {
  return (
    before.size === after.size &&
    before.mtimeMs === after.mtimeMs &&
    before.ctimeMs === after.ctimeMs
  );
}
