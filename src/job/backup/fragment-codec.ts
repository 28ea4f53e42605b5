/**
 * Batches of small files and their results as they travel between threads: columns instead of objects. A structured clone
 * of an object for each file cost as much as reading it (measured).
 */
import { strict as assert } from 'node:assert';
import { HASH_BYTES } from '../../domain/content.ts';
import { STAMP_NUMBERS } from '../../source/door.ts';
import type { FragmentResult, MemberOutcome, MemberResult, PackedTask, Stamp } from './fragment.ts';

export type PackedResult = {
  readonly lengthBytes: number;
  /** Indices of OUTCOMES. */
  readonly outcomes: Uint8Array;
  readonly offsets: Uint32Array;
  readonly readBytes: Uint32Array;
  readonly hasHash: Uint8Array;
  /** HASH_BYTES a member. */
  readonly hashes: Uint8Array;
  readonly errnos: readonly (readonly [index: number, errno: string])[];
};

export const OUTCOMES: readonly MemberOutcome[] = [
  'stored',
  'changed-before',
  'changed-while-read',
  'unreadable',
];

export function unpackResult(packed: PackedResult): FragmentResult {
  const { outcomes, offsets, readBytes, hasHash, hashes } = packed;
  const errnos = new Map(packed.errnos);
  const all = bufferOf(hashes);
  const members = Array.from(outcomes, (code, index): MemberResult => {
    const outcome = OUTCOMES[code];
    assert(outcome);
    const at = index * HASH_BYTES;
    return {
      outcome,
      offset: offsets[index] ?? 0,
      hash: hasHash[index] === 1 ? all.subarray(at, at + HASH_BYTES) : undefined,
      segments: undefined,
      readBytes: readBytes[index] ?? 0,
      errno: errnos.get(index),
    };
  });
  return { lengthBytes: packed.lengthBytes, members };
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
function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
