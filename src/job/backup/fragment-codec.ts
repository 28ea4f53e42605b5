/**
 * Batches of small files and their results as they travel between threads: columns instead of objects. A structured clone
 * of an object for each file cost as much as reading it (measured).
 */
import { strict as assert } from 'node:assert';
import { HASH_BYTES } from '../../domain/content.ts';
import { type FileBatch, NOTHING_TO_READ, STAMP_NUMBERS } from '../../source/door.ts';
import type {
  FragmentResult,
  MemberOutcome,
  MemberResult,
  SmallTask,
  SourcePlace,
  Stamp,
} from './fragment.ts';

/** As the native door takes it, but for the sources. Paths are empty where there is nothing to read. */
export type PackedTask = Omit<FileBatch, 'sources'> & {
  readonly sources: readonly Pick<SourcePlace, 'source' | 'followsLinks'>[];
};

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

export function packTask({ members }: SmallTask): PackedTask {
  const sources: Pick<SourcePlace, 'source' | 'followsLinks'>[] = [];
  const sourceOf = new Uint8Array(members.length);
  const headEnds = new Uint32Array(members.length);
  const stamps = new Float64Array(members.length * STAMP_NUMBERS);
  const heads = new Uint8Array(members.reduce((sum, { head }) => sum + head.length, 0));
  let paths = '';
  let end = 0;
  for (const [index, { place, head, stamp }] of members.entries()) {
    heads.set(head, end);
    end += head.length;
    headEnds[index] = end;
    paths += `${place?.path ?? ''}\0`;
    sourceOf[index] = place ? indexOf(sources, place) : NOTHING_TO_READ;
    if (stamp) putStamp(stamps, index * STAMP_NUMBERS, stamp);
  }
  return { sources, sourceOf, paths, heads, headEnds, stamps };
}

export function unpackResult(packed: PackedResult): FragmentResult {
  const { outcomes, offsets, readBytes, hasHash, hashes } = packed;
  const errnos = new Map(packed.errnos);
  const members = Array.from(outcomes, (code, index): MemberResult => {
    const outcome = OUTCOMES[code];
    assert(outcome);
    const at = index * HASH_BYTES;
    return {
      outcome,
      offset: offsets[index] ?? 0,
      hash: hasHash[index] === 1 ? hashes.subarray(at, at + HASH_BYTES) : undefined,
      segments: undefined,
      readBytes: readBytes[index] ?? 0,
      errno: errnos.get(index),
    };
  });
  return { lengthBytes: packed.lengthBytes, members };
}

/** What to hand over instead of copying it. */
export function transferList(packed: PackedTask | PackedResult): ArrayBuffer[] {
  const views = Object.values(packed).filter((value) => ArrayBuffer.isView(value));
  return views.map(({ buffer }) => buffer).filter((buffer) => buffer instanceof ArrayBuffer);
}

function indexOf(
  sources: Pick<SourcePlace, 'source' | 'followsLinks'>[],
  { source, followsLinks }: SourcePlace,
): number {
  const known = sources.findIndex(
    (candidate) => candidate.source === source && candidate.followsLinks === followsLinks,
  );
  if (known >= 0) return known;
  assert(sources.length < NOTHING_TO_READ, 'a batch is of a few sources');
  return sources.push({ source, followsLinks }) - 1;
}

export function packStamp(stamp: Stamp): Float64Array {
  const stamps = new Float64Array(STAMP_NUMBERS);
  putStamp(stamps, 0, stamp);
  return stamps;
}

function putStamp(stamps: Float64Array, at: number, stamp: Stamp): void {
  const { sizeBytes, mtime, ctime, inode } = stamp;
  stamps[at] = sizeBytes;
  stamps[at + 1] = mtime.seconds;
  stamps[at + 2] = mtime.nanoseconds;
  stamps[at + 3] = ctime.seconds;
  stamps[at + 4] = ctime.nanoseconds;
  stamps[at + 5] = inode;
}
