/**
 * The journal of the archive being written, on disk until its size is known: a tar header comes before its bytes. The file
 * has no name any more once it is open, so a crash leaves nothing behind.
 */
import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { CodedError, errnoOf } from '../../base/errors.ts';

const BUFFER_BYTES = 256 * 2 ** 10;

export class JournalSpool {
  readonly #fd: number;
  #lines: string[] = [];
  #pendingBytes = 0;
  #lengthBytes = 0;

  readonly #directory: string;

  /**
   * @param directory of the state: as much room is needed as the journal of one archive takes
   * @throws CodedError FAILED where there is no room, or no permission; as all others
   */
  constructor(directory: string, name: string) {
    const path = join(directory, name);
    this.#directory = directory;
    this.#fd = this.#attempt(() => openSync(path, 'w+', 0o600));
    this.#attempt(() => unlinkSync(path));
  }

  get lengthBytes(): number {
    return this.#lengthBytes;
  }

  /** @param line one character a byte, its LF included */
  add(line: string): void {
    this.#lines.push(line);
    this.#pendingBytes += line.length;
    this.#lengthBytes += line.length;
    if (this.#pendingBytes >= BUFFER_BYTES) this.#flush();
  }

  /** All lines, in portions that are valid until the next is asked for. */
  *read(): Generator<Buffer> {
    this.#flush();
    const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
    for (let at = 0; at < this.#lengthBytes; ) {
      const count = this.#attempt(() => readSync(this.#fd, buffer, 0, buffer.length, at));
      yield buffer.subarray(0, count);
      at += count;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }

  #flush(): void {
    if (this.#pendingBytes === 0) return;
    const bytes = Buffer.from(this.#lines.join(''), 'latin1');
    for (let at = 0; at < bytes.length; ) {
      const position = this.#lengthBytes - this.#pendingBytes + at;
      at += this.#attempt(() => writeSync(this.#fd, bytes, at, bytes.length - at, position));
    }
    this.#lines = [];
    this.#pendingBytes = 0;
  }

  #attempt<T>(step: () => T): T {
    try {
      return step();
    } catch (cause) {
      const errno = errnoOf(cause);
      if (errno === undefined || errno.startsWith('ERR_')) throw cause;
      const what = errno === 'ENOSPC' ? 'no room' : 'no way to write';
      const message = `${what} for an archive's journal in ${this.#directory} (${errno})`;
      throw new CodedError('FAILED', message, { cause, path: this.#directory });
    }
  }
}
