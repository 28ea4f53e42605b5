/**
 * Batches of small files and their results as they travel between threads: columns instead of objects. A structured clone
 * of an object for each file cost as much as reading it (measured).
 */
import { strict as assert } from 'node:assert';
import { HASH_BYTES } from '../../domain/content.ts';
import { STAMP_NUMBERS } from '../../source/door.ts';
import type {
  FragmentResult,
  MemberOutcome,
  MemberResult,
  PackedResult,
  PackedTask,
  Stamp,
} from './fragment.ts';

export const OUTCOMES: readonly MemberOutcome[] = [
  'stored',
  'changed-before',
  'changed-while-read',
  'unreadable',
];

/** Of those of which nothing has to be told. */
export const STORED = OUTCOMES.indexOf('stored');

/** As all others tell of theirs; objects are made for those that are asked for. */
export function unpackResult(packed: PackedResult): FragmentResult {
  return new Unpacked(packed);
}

class Unpacked implements FragmentResult {
  readonly packed: PackedResult;
  #members: readonly MemberResult[] | undefined;

  constructor(packed: PackedResult) {
    this.packed = packed;
  }

  get lengthBytes(): number {
    return this.packed.lengthBytes;
  }

  get members(): readonly MemberResult[] {
    this.#members ??= Array.from(this.packed.outcomes, (_, index) => memberOf(this.packed, index));
    return this.#members;
  }
}

/** One of them alone. */
export function memberAt(result: FragmentResult, index: number): MemberResult | undefined {
  const { packed } = result;
  if (!packed) return result.members[index];
  return index < packed.outcomes.length ? memberOf(packed, index) : undefined;
}

function memberOf(packed: PackedResult, index: number): MemberResult {
  const { outcomes, offsets, readBytes, hasHash, hashes, errnos } = packed;
  const outcome = OUTCOMES[outcomes[index] ?? 0];
  assert(outcome);
  const at = index * HASH_BYTES;
  return {
    outcome,
    offset: offsets[index] ?? 0,
    hash: hasHash[index] === 1 ? bufferOf(hashes).subarray(at, at + HASH_BYTES) : undefined,
    segments: undefined,
    readBytes: readBytes[index] ?? 0,
    errno: errnos.find(([number]) => number === index)?.[1],
  };
}

/** What to hand over instead of copying it: columns share a buffer, and each that is handed over costs as much as ten files. */
export function transferList(packed: PackedTask | PackedResult): ArrayBuffer[] {
  const views = 'heads' in packed ? [packed.heads, packed.stamps] : [packed.hashes];
  return views.map(({ buffer }) => buffer).filter((buffer) => buffer instanceof ArrayBuffer);
}

/** Columns of a result, to be filled, in one buffer. */
export function resultColumns(count: number) {
  const buffer = new ArrayBuffer(count * (3 * Uint32Array.BYTES_PER_ELEMENT + HASH_BYTES + 2));
  const numbers = (index: number) => index * count * Uint32Array.BYTES_PER_ELEMENT;
  const hashesAt = numbers(3);
  const bytesAt = hashesAt + count * HASH_BYTES;
  return {
    answers: new Int32Array(buffer, 0, count),
    offsets: new Uint32Array(buffer, numbers(1), count),
    readBytes: new Uint32Array(buffer, numbers(2), count),
    hashes: Buffer.from(buffer, hashesAt, count * HASH_BYTES),
    outcomes: new Uint8Array(buffer, bytesAt, count),
    hasHash: new Uint8Array(buffer, bytesAt + count, count),
  };
}

export function packStamp(stamp: Stamp): Float64Array {
  const stamps = new Float64Array(STAMP_NUMBERS);
  putStamp(stamps, 0, stamp);
  return stamps;
}

export function putStamp(stamps: Float64Array, at: number, stamp: Stamp): void {
  const { sizeBytes, mtime, ctime, inode } = stamp;
  stamps[at] = sizeBytes;
  stamps[at + 1] = mtime.seconds;
  stamps[at + 2] = mtime.nanoseconds;
  stamps[at + 3] = ctime.seconds;
  stamps[at + 4] = ctime.nanoseconds;
  stamps[at + 5] = inode;
}

/** As it came from a thread, which makes plain arrays of buffers. */
export function receivedResult({ lengthBytes, members }: FragmentResult): FragmentResult {
  const received = members.map((member) => ({
    ...member,
    hash: member.hash && bufferOf(member.hash),
    segments: member.segments && bufferOf(member.segments),
  }));
  return { lengthBytes, members: received };
}

/** The same memory. */
export function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
