/**
 * Replies as the kernel wants them, gathered in one buffer: a batch of requests is answered by one call. A reply is begun and
 * ended here as a whole; none is ever cut.
 */
import { strict as assert } from 'node:assert';
import { constants } from 'node:os';
import type { Raw } from '../../base/raw.ts';
import {
  ATTRIBUTES_BYTES,
  type FileAttributes,
  putAttributes,
  putStatx,
  putU64,
  STATX_BYTES,
} from './attributes.ts';
import { type EntryReply, putEntry } from './entry.ts';
import { ENTRY_BYTES, REPLY_HEADER_BYTES } from './opcodes.ts';

/** struct fuse_kstatfs, of blocks of `blockBytes`. */
export type StatfsReply = {
  readonly blockBytes: number;
  readonly blocks: number;
  readonly freeBlocks: number;
  readonly files: number;
  readonly nameBytesMax: number;
};

const BATCH_BYTES = 2 ** 20;

export class ReplyBatch {
  readonly #send: (replies: Uint8Array) => void;
  #bytes = Buffer.alloc(BATCH_BYTES);
  #view = viewOf(this.#bytes);
  /** Behind the last whole reply. */
  #end = 0;
  /** Behind what the reply begun has so far. */
  #at = 0;

  constructor(send: (replies: Uint8Array) => void) {
    this.#send = send;
  }

  /** Sends what is there. */
  flush(): void {
    if (this.#end === 0) return;
    const replies = this.#bytes.subarray(0, this.#end);
    this.#end = 0;
    this.#send(replies);
  }

  /** @param errno its name, such as `ENOENT` */
  error(unique: number, errno: string): void {
    this.#begin(unique, 0);
    this.#view.setInt32(this.#end + 4, -errnoNumber(errno), true);
    this.#finish();
  }

  /** Done, without anything to tell. */
  empty(unique: number): void {
    this.#begin(unique, 0);
    this.#finish();
  }

  entry(unique: number, entry: EntryReply): void {
    this.#begin(unique, ENTRY_BYTES);
    putEntry(this.#view, this.#at, entry);
    this.#at += ENTRY_BYTES;
    this.#finish();
  }

  attributes(unique: number, seconds: number, file: FileAttributes): void {
    this.#begin(unique, 16 + ATTRIBUTES_BYTES);
    putU64(this.#view, this.#at, seconds);
    putU64(this.#view, this.#at + 8, 0);
    putAttributes(this.#view, this.#at + 16, file);
    this.#at += 16 + ATTRIBUTES_BYTES;
    this.#finish();
  }

  statx(unique: number, seconds: number, file: FileAttributes): void {
    this.#begin(unique, 32 + STATX_BYTES);
    this.#bytes.fill(0, this.#at, this.#at + 32 + STATX_BYTES);
    putU64(this.#view, this.#at, seconds);
    putStatx(this.#view, this.#at + 32, file);
    this.#at += 32 + STATX_BYTES;
    this.#finish();
  }

  /** @param flags of OPEN_FLAGS; `backingId` with PASSTHROUGH alone */
  open(unique: number, opened: { handle: number; flags: number; backingId: number }): void {
    this.#begin(unique, 16);
    putU64(this.#view, this.#at, opened.handle);
    this.#view.setUint32(this.#at + 8, opened.flags, true);
    this.#view.setUint32(this.#at + 12, opened.backingId, true);
    this.#at += 16;
    this.#finish();
  }

  bytes(unique: number, bytes: Uint8Array): void {
    this.#begin(unique, bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
    this.#finish();
  }

  text(unique: number, text: Raw): void {
    this.#begin(unique, text.length);
    this.#at += this.#bytes.write(text, this.#at, 'latin1');
    this.#finish();
  }

  /** How long an attribute's value or the list of their names is: struct fuse_getxattr_out. */
  length(unique: number, lengthBytes: number): void {
    this.#begin(unique, 8);
    this.#view.setUint32(this.#at, lengthBytes, true);
    this.#view.setUint32(this.#at + 4, 0, true);
    this.#at += 8;
    this.#finish();
  }

  offset(unique: number, offset: number): void {
    this.#begin(unique, 8);
    putU64(this.#view, this.#at, offset);
    this.#at += 8;
    this.#finish();
  }

  statfs(
    unique: number,
    { blockBytes, blocks, freeBlocks, files, nameBytesMax }: StatfsReply,
  ): void {
    this.#begin(unique, 80);
    this.#bytes.fill(0, this.#at, this.#at + 80);
    for (const [index, count] of [blocks, freeBlocks, freeBlocks, files, 0].entries())
      putU64(this.#view, this.#at + index * 8, count);
    for (const [index, value] of [blockBytes, nameBytesMax, blockBytes].entries())
      this.#view.setUint32(this.#at + 40 + index * 4, value, true);
    this.#at += 80;
    this.#finish();
  }

  #begin(unique: number, bodyBytesMax: number): void {
    const needed = REPLY_HEADER_BYTES + bodyBytesMax;
    if (this.#end + needed > this.#bytes.length) {
      this.flush();
      if (needed > this.#bytes.length) {
        this.#bytes = Buffer.alloc(needed);
        this.#view = viewOf(this.#bytes);
      }
    }
    this.#view.setInt32(this.#end + 4, 0, true);
    putU64(this.#view, this.#end + 8, unique);
    this.#at = this.#end + REPLY_HEADER_BYTES;
  }

  #finish(): void {
    this.#view.setUint32(this.#end, this.#at - this.#end, true);
    this.#end = this.#at;
  }
}

const viewOf = (bytes: Buffer): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Of asm-generic/errno.h, as on x86-64 and arm64; Node does not name it. */
const MORE_ERRNOS: Readonly<Record<string, number>> = { ENOMEDIUM: 123 };

function errnoNumber(name: string): number {
  const number: unknown = MORE_ERRNOS[name] ?? Reflect.get(constants.errno, name);
  assert(typeof number === 'number', `no errno ${name}`);
  return number;
}
