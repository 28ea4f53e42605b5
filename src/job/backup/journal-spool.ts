/**
 * The journal of the archive being written, on disk until its size is known: a tar header comes before its bytes. The file
 * has no name any more once it is open, so a crash leaves nothing behind.
 */
import { strict as assert } from 'node:assert';
import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Blake3Hasher } from '@napi-rs/blake-hash';
import {
  EntryEncoder,
  formatEntry,
  formatProof,
  type JournalEntry,
  PROOF_LINE_BYTES,
} from '../../archive/journal.ts';
import { CodedError, errnoOf } from '../../base/errors.ts';
import { type LineWhere, loadFsDoor } from '../../source/door.ts';
import type { OutgoingSpan } from './outgoing-span.ts';
import { type StoredLine, StoredLines, type StoredRow } from './stored-lines.ts';

const BUFFER_BYTES = 256 * 2 ** 10;

export class JournalSpool {
  readonly #fd: number;
  readonly #directory: string;
  readonly #encoder = new EntryEncoder();
  /** Lines that are not written yet, up to `#pendingBytes`. */
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  #pendingBytes = 0;
  #writtenBytes = 0;
  /** Of all lines by now. */
  readonly #hasher = new Blake3Hasher();
  #isProven = false;
  /** Behind all that is in the buffer. */
  #gathered: StoredLines | undefined;

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
    this.#settle();
    const proofBytes = this.#pendingBytes > 0 || !this.#isProven ? PROOF_LINE_BYTES : 0;
    return this.#writtenBytes + this.#pendingBytes + proofBytes;
  }

  /** @param line one character a byte, its LF included */
  add(line: string): void {
    this.#settle();
    if (line.length > BUFFER_BYTES - this.#pendingBytes) this.#flush();
    if (line.length > BUFFER_BYTES) this.#write(Buffer.from(line, 'latin1'));
    else this.#pendingBytes += this.#buffer.write(line, this.#pendingBytes, 'latin1');
  }

  /** The line of an entry: for many, without a string for each. */
  addEntry(entry: Omit<JournalEntry, 'kind'>): void {
    this.#settle();
    let end = this.#encoder.encodeInto(this.#buffer, this.#pendingBytes, entry);
    if (end === undefined) {
      this.#flush();
      end = this.#encoder.encodeInto(this.#buffer, 0, entry);
    }
    if (end === undefined) this.add(formatEntry(entry));
    else this.#pendingBytes = end;
  }

  /** Where the archive lies of which `addStored` tells: once, before that. */
  begin(where: LineWhere): void {
    assert(!this.#gathered, 'an archive lies in one place');
    this.#gathered = new StoredLines(loadFsDoor(), where, BUFFER_BYTES);
  }

  /**
   * The line of a file that is whole in this archive: for most, at a tenth of the cost.
   * @returns whether it could be told so; else it is for `addEntry`
   */
  addStored(line: StoredLine): boolean {
    assert(this.#gathered, 'it is known where the archive lies');
    const answer = this.#gathered.add(line);
    if (answer !== 'full') return answer === 'added';
    this.#settle();
    return this.#gathered.add(line) === 'added';
  }

  /** As `addStored`, of a row of a span. */
  addRow(span: OutgoingSpan, row: number, stored: StoredRow): boolean {
    assert(this.#gathered, 'it is known where the archive lies');
    const answer = this.#gathered.addRow(span, row, stored);
    if (answer !== 'full') return answer === 'added';
    this.#settle();
    return this.#gathered.addRow(span, row, stored) === 'added';
  }

  /** All lines, in portions that are valid until the next is asked for. */
  *read(): Generator<Buffer> {
    this.#settle();
    this.#flush();
    const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
    for (let at = 0; at < this.#writtenBytes; ) {
      const count = this.#attempt(() => readSync(this.#fd, buffer, 0, buffer.length, at));
      yield buffer.subarray(0, count);
      at += count;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** What is gathered goes into the buffer. */
  #settle(): void {
    const gathered = this.#gathered;
    if (!gathered || gathered.count === 0) return;
    let bytes = gathered.writeInto(this.#buffer.subarray(this.#pendingBytes));
    if (bytes === undefined) {
      this.#flush();
      bytes = gathered.writeInto(this.#buffer);
    }
    assert(bytes !== undefined, 'no more is gathered than the buffer holds');
    this.#pendingBytes += bytes;
    gathered.clear();
  }

  #flush(): void {
    if (this.#pendingBytes === 0 && this.#isProven) return;
    this.#write(this.#buffer.subarray(0, this.#pendingBytes));
    this.#pendingBytes = 0;
    this.#write(Buffer.from(formatProof(this.#hasher.digestBuffer()), 'latin1'));
    this.#isProven = true;
  }

  #write(bytes: Buffer): void {
    this.#hasher.update(bytes);
    this.#isProven = false;
    for (let at = 0; at < bytes.length; ) {
      const position = this.#writtenBytes + at;
      at += this.#attempt(() => writeSync(this.#fd, bytes, at, bytes.length - at, position));
    }
    this.#writtenBytes += bytes.length;
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
