/** Reads requests out of a batch as the kernel wrote them: one object for all of them, set to the next by `next`. */
import { strict as assert } from 'node:assert';
import { type Raw, toRaw } from '../../base/raw.ts';
import { REQUEST_HEADER_BYTES } from './opcodes.ts';

const WORD = 2 ** 32;

export class RequestReader {
  readonly #bytes: Buffer;
  #start = 0;
  #end = 0;

  /** @param batch whole requests, back to back */
  constructor(batch: Buffer) {
    this.#bytes = batch;
  }

  /** Moves to the next request; false behind the last. */
  next(): boolean {
    this.#start = this.#end;
    if (this.#start === this.#bytes.length) return false;
    const rest = this.#bytes.length - this.#start;
    assert(rest >= REQUEST_HEADER_BYTES, 'a request has a header');
    const length = this.#bytes.readUInt32LE(this.#start);
    assert(length >= REQUEST_HEADER_BYTES && length <= rest, 'requests are whole');
    this.#end = this.#start + length;
    return true;
  }

  get opcode(): number {
    return this.#bytes.readUInt32LE(this.#start + 4);
  }
  /** Names the request in its reply; the kernel counts them, so a Number holds it. */
  get unique(): number {
    return this.#word64(this.#start + 8);
  }
  get nodeId(): number {
    return this.#word64(this.#start + 16);
  }
  get uid(): number {
    return this.#bytes.readUInt32LE(this.#start + 24);
  }
  get gid(): number {
    return this.#bytes.readUInt32LE(this.#start + 28);
  }
  /** 0 for what the kernel asks for itself, and for processes of another pid namespace. */
  get pid(): number {
    return this.#bytes.readUInt32LE(this.#start + 32);
  }

  /** @param at offset in the body, in bytes */
  u32(at: number): number {
    return this.#bytes.readUInt32LE(this.#body(at, 4));
  }
  /** Offsets beyond 2^53 become inexact: no content reaches there. */
  u64(at: number): number {
    return this.#word64(this.#body(at, 8));
  }
  /** The text from there up to its NUL. */
  name(at: number): Raw {
    const start = this.#body(at, 1);
    const end = this.#bytes.indexOf(0, start);
    assert(end >= 0 && end < this.#end, 'a name ends with NUL');
    return toRaw(this.#bytes.subarray(start, end));
  }

  #body(at: number, lengthBytes: number): number {
    const start = this.#start + REQUEST_HEADER_BYTES + at;
    assert(start + lengthBytes <= this.#end, 'a request is long enough');
    return start;
  }

  #word64(at: number): number {
    return this.#bytes.readUInt32LE(at) + this.#bytes.readUInt32LE(at + 4) * WORD;
  }
}
