/**
 * Batches of small files and their results as they travel between threads: columns instead of objects. A structured clone
 * of an object for each file cost as much as reading it (measured).
 */
import { strict as assert } from 'node:assert';
import type { Raw } from '../../base/raw.ts';
import { HASH_BYTES } from '../../domain/content.ts';
import type {
  FragmentResult,
  MemberOutcome,
  MemberResult,
  SmallMember,
  SmallTask,
  SourcePlace,
  Stamp,
} from './fragment.ts';

export type PackedTask = {
  readonly sources: readonly Pick<SourcePlace, 'source' | 'followsLinks'>[];
  /** Of each member in `sources`; NOTHING_TO_READ where it has no bytes. */
  readonly sourceOf: Uint8Array;
  /** Ended by NUL each, empty where there is nothing to read. */
  readonly paths: string;
  readonly heads: Uint8Array;
  readonly headEnds: Uint32Array;
  /** STAMP_NUMBERS a member. */
  readonly stamps: Float64Array;
};

export type PackedResult = {
  readonly lengthBytes: number;
  /** Indices of OUTCOMES. */
  readonly outcomes: Uint8Array;
  readonly offsets: Uint32Array;
  readonly readBytes: Float64Array;
  readonly hasHash: Uint8Array;
  /** HASH_BYTES a member. */
  readonly hashes: Uint8Array;
  readonly errnos: readonly (readonly [index: number, errno: string])[];
};

const OUTCOMES: readonly MemberOutcome[] = [
  'stored',
  'changed-before',
  'changed-while-read',
  'unreadable',
];
const NOTHING_TO_READ = 255;
const STAMP_NUMBERS = 6;

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
    if (stamp) packStamp(stamps, index * STAMP_NUMBERS, stamp);
  }
  return { sources, sourceOf, paths, heads, headEnds, stamps };
}

export function unpackTask(packed: PackedTask): SmallTask {
  const { sources, sourceOf, heads, headEnds, stamps } = packed;
  const paths = packed.paths.split('\0');
  let start = 0;
  const members = Array.from(sourceOf, (sourceIndex, index): SmallMember => {
    const end = headEnds[index] ?? start;
    const head = heads.subarray(start, end);
    start = end;
    const source = sources[sourceIndex];
    if (!source) return { place: undefined, head, stamp: undefined };
    const path = paths[index] as Raw;
    return {
      place: { ...source, path },
      head,
      stamp: unpackStamp(stamps, index * STAMP_NUMBERS),
    };
  });
  return { kind: 'small', members };
}

export function packResult({ lengthBytes, members }: FragmentResult): PackedResult {
  const outcomes = new Uint8Array(members.length);
  const offsets = new Uint32Array(members.length);
  const readBytes = new Float64Array(members.length);
  const hasHash = new Uint8Array(members.length);
  const hashes = new Uint8Array(members.length * HASH_BYTES);
  const errnos: [number, string][] = [];
  for (const [index, member] of members.entries()) {
    assert(member.segments === undefined, 'small files have no segments');
    outcomes[index] = OUTCOMES.indexOf(member.outcome);
    offsets[index] = member.offset;
    readBytes[index] = member.readBytes;
    if (member.errno !== undefined) errnos.push([index, member.errno]);
    if (!member.hash) continue;
    hasHash[index] = 1;
    hashes.set(member.hash, index * HASH_BYTES);
  }
  return { lengthBytes, outcomes, offsets, readBytes, hasHash, hashes, errnos };
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

function packStamp(stamps: Float64Array, at: number, stamp: Stamp): void {
  const { sizeBytes, mtime, ctime, inode } = stamp;
  stamps[at] = sizeBytes;
  stamps[at + 1] = mtime.seconds;
  stamps[at + 2] = mtime.nanoseconds;
  stamps[at + 3] = ctime.seconds;
  stamps[at + 4] = ctime.nanoseconds;
  stamps[at + 5] = inode;
}

function unpackStamp(stamps: Float64Array, at: number): Stamp {
  const number = (index: number) => stamps[at + index] ?? 0;
  return {
    sizeBytes: number(0),
    mtime: { seconds: number(1), nanoseconds: number(2) },
    ctime: { seconds: number(3), nanoseconds: number(4) },
    inode: number(5),
  };
}
