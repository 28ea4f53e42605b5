/** From the plan's pieces to tasks for the readers: small files in batches, large ones in runs of a slab each. */
import { strict as assert } from 'node:assert';
import { setImmediate as turn } from 'node:timers/promises';
import {
  type Member,
  MemberEncoder,
  type MemberLengths,
  memberPath,
} from '../../archive/member.ts';
import type { Inode } from '../../catalog/inodes.ts';
import type { PendingEntry } from '../../catalog/pending.ts';
import type { DataRange } from '../../domain/entry.ts';
import type { Part, Piece } from '../../pack/item.ts';
import { FRAME_BYTES } from '../../source/door.ts';
import { BatchPacker, type ReadFrom } from './batch-packer.ts';
import {
  type ReadTask,
  type RunTask,
  SLAB_BYTES,
  SMALL_BYTES_MAX,
  type SourcePlace,
} from './fragment.ts';

/**
 * What an archive has of an entry: `data` a member with the file's bytes, `head` a member without any, `link` a hard link
 * to a member of the same archive, where its bytes turn out to be there; `line` its line in the journal alone.
 */
export type EntryForm = 'data' | 'head' | 'link' | 'line';

/** A row of the run on its way into an archive. */
export type OutgoingEntry = {
  readonly row: PendingEntry;
  readonly inode: Inode;
  readonly form: EntryForm;
  /** Where it is not the run's own: its members stand below a prefix that says so. */
  readonly host: string | undefined;
  readonly place: SourcePlace;
  /** Where a sparse file has data. */
  readonly ranges: readonly DataRange[] | undefined;
  /** It is not tried again: what could be read counts, even if it was changed meanwhile. */
  readonly isFinal: boolean;
  /** The first parts of it that an earlier process has stored: how many bytes, and their hash. */
  readonly stored?: { readonly lengthBytes: number; readonly hash: Uint8Array };
};

export type PlannedMember = {
  readonly piece: Piece<OutgoingEntry>;
  /** Of its head and what follows; undefined for links, which are made when it is known what they can link to, and for lines. */
  readonly lengths: MemberLengths | undefined;
  /** The content ends with this member. */
  readonly isLastOfContent: boolean;
};

export type Feed = {
  readonly task: ReadTask;
  /** As the task's; a run has one. */
  readonly members: readonly PlannedMember[];
  /** Of a run: the member begins, ends here. */
  readonly isFirst: boolean;
  readonly isLast: boolean;
};

/**
 * Files between two turns of the event loop. A drive takes its next block in a turn of its own: without them it would stand still
 * while a batch is gone through, and then be waited for.
 */
export const FILES_A_TURN = 32;

const READ_GRAIN_BYTES = 64 * 2 ** 10;

export class Feeder {
  readonly #encoder = new MemberEncoder();
  #member = 0;

  /** Tasks for pieces of one archive, in their order. */
  async *tasks(pieces: Iterable<Piece<OutgoingEntry>>): AsyncGenerator<Feed> {
    let batch = new Batch(this.#encoder);
    let count = 0;
    for (const piece of pieces) {
      count += 1;
      if (count % FILES_A_TURN === 0) await turn();
      if (batch.add(piece)) continue;
      if (batch.isBegun) yield batch.finish();
      batch = new Batch(this.#encoder);
      if (!batch.add(piece)) yield* this.#runs(piece);
    }
    if (batch.isBegun) yield batch.finish();
  }

  *#runs(piece: Piece<OutgoingEntry>): Generator<Feed> {
    const encoded = this.#encoder.encode(memberOf(piece));
    const lengths = { ...encoded, headBytes: encoded.head.length };
    const planned = { piece, lengths, isLastOfContent: isLastOfContent(piece) };
    const entry = piece.item.key;
    const offset = piece.part?.offset ?? 0;
    const end = offset + (piece.part?.lengthBytes ?? entry.inode.sizeBytes);
    const stamp = stampOf(entry);
    this.#member += 1;
    const member = this.#member;
    let hashedTo = offset;
    const runs = cutRuns(rangesOf(entry, piece.part), SLAB_BYTES, encoded.head.length);
    for (const [index, ranges] of runs.entries()) {
      const isFirst = index === 0;
      const isLast = index === runs.length - 1;
      const last = ranges.at(-1);
      const hashTo = isLast || !last ? end : last.offset + last.lengthBytes;
      const task: RunTask = {
        kind: 'run',
        member,
        place: entry.place,
        stamp,
        isFirst,
        head: isFirst ? encoded.head : new Uint8Array(0),
        ranges,
        hashFrom: hashedTo,
        hashTo,
        paddingBytes: isLast ? padded(encoded.dataBytes) - encoded.dataBytes : 0,
        hashBefore: isFirst && entry.stored?.lengthBytes === offset ? entry.stored.hash : undefined,
        isMemberEnd: isLast,
        isLast: isLast && planned.isLastOfContent,
      };
      hashedTo = hashTo;
      yield { task, members: [planned], isFirst, isLast };
    }
  }
}

/** Small files on their way into a task. */
class Batch {
  readonly #packer = new BatchPacker();
  readonly #planned: PlannedMember[] = [];
  readonly #encoder: MemberEncoder;

  constructor(encoder: MemberEncoder) {
    this.#encoder = encoder;
  }

  get isBegun(): boolean {
    return this.#planned.length > 0;
  }

  /** @returns false where it has no room, or in an empty batch: where it is no small file */
  add(piece: Piece<OutgoingEntry>): boolean {
    const entry = piece.item.key;
    const { form, inode, place } = entry;
    if (form === 'link' || form === 'line') {
      if (!this.#packer.add(undefined, noHead)) return false;
      this.#planned.push({ piece, lengths: undefined, isLastOfContent: false });
      return true;
    }
    if (!isSmall(piece)) return false;
    const isRead = form === 'data' && inode.sizeBytes > 0;
    const from = isRead ? { place, stamp: stampOf(entry) } : undefined;
    const member = memberOf(piece);
    const isFramed = from === undefined ? 'no-frame' : this.#addFramed(from, piece, member);
    if (isFramed !== 'no-frame') return isFramed;
    let lengths: MemberLengths | undefined;
    const isIn = this.#packer.add(from, (heads, at) => {
      lengths = this.#encoder.encodeInto(heads, at, member);
      return lengths?.headBytes;
    });
    if (isIn) this.#planned.push({ piece, lengths, isLastOfContent: true });
    return isIn;
  }

  /** Most files' heads are written where they are read. */
  #addFramed(from: ReadFrom, piece: Piece<OutgoingEntry>, member: Member): boolean | 'no-frame' {
    const frame = this.#encoder.frameOf(member);
    if (!frame) return 'no-frame';
    const isIn = this.#packer.addFramed({ ...from, frame, name: member.path });
    if (isIn === true) {
      const lengths = { headBytes: FRAME_BYTES, mapBytes: 0, dataBytes: member.lengthBytes };
      this.#planned.push({ piece, lengths, isLastOfContent: true });
    }
    return isIn;
  }

  finish(): Feed {
    const task = { kind: 'small', packed: this.#packer.finish() } as const;
    return { task, members: this.#planned, isFirst: true, isLast: true };
  }
}

function noHead(): number {
  return 0;
}

function memberOf({ item, part }: Piece<OutgoingEntry>): Member {
  const { row, inode, host, ranges } = item.key;
  const path = memberPath(row.path, host);
  const isFile = inode.type === 'file';
  const lengthBytes = isFile ? (part?.lengthBytes ?? inode.sizeBytes) : 0;
  if (part === undefined && ranges === undefined) return { path, attributes: inode, lengthBytes };
  const offset = part?.offset ?? 0;
  return {
    path,
    attributes: inode,
    lengthBytes,
    part: part && { number: part.number, count: part.count, offset, totalBytes: part.totalBytes },
    ranges:
      ranges &&
      rangesOf(item.key, part).map((range) => ({ ...range, offset: range.offset - offset })),
  };
}

function isLastOfContent({ part }: Piece<OutgoingEntry>): boolean {
  return part === undefined || part.number === part.count;
}

function isSmall({ item, part }: Piece<OutgoingEntry>): boolean {
  const isWhole = part === undefined && item.key.ranges === undefined;
  return isWhole && item.key.inode.sizeBytes <= SMALL_BYTES_MAX;
}

function stampOf({ inode }: OutgoingEntry) {
  const { sizeBytes, mtime, ctime, sourceInode } = inode;
  return { sizeBytes, mtime, ctime, inode: sourceInode.inode };
}

/** The data of a file or of one of its parts, by offset in the file. */
function rangesOf(entry: OutgoingEntry, part: Part | undefined): readonly DataRange[] {
  const start = part?.offset ?? 0;
  const end = start + (part?.lengthBytes ?? entry.inode.sizeBytes);
  const all = entry.ranges ?? [{ offset: 0, lengthBytes: entry.inode.sizeBytes }];
  const found: DataRange[] = [];
  for (const range of all) {
    const from = Math.max(range.offset, start);
    const to = Math.min(range.offset + range.lengthBytes, end);
    if (to > from) found.push({ offset: from, lengthBytes: to - from });
  }
  return found;
}

/** Ranges in portions of at most `roomBytes`, the first with `headBytes` less; at least one portion. */
export function cutRuns(
  ranges: readonly DataRange[],
  roomBytes: number,
  headBytes: number,
): DataRange[][] {
  assert(dataRoom(roomBytes - headBytes) > 0, 'a head leaves room in its slab');
  const runs: DataRange[][] = [[]];
  let leftBytes = dataRoom(roomBytes - headBytes);
  for (const { offset, lengthBytes } of ranges) {
    for (let at = 0; at < lengthBytes; ) {
      if (leftBytes === 0) {
        runs.push([]);
        leftBytes = dataRoom(roomBytes);
      }
      const count = Math.min(lengthBytes - at, leftBytes);
      runs.at(-1)?.push({ offset: offset + at, lengthBytes: count });
      at += count;
      leftBytes -= count;
    }
  }
  return runs;
}

/** Whole pages, so that reads are aligned, with room for the padding behind them. */
function dataRoom(bytes: number): number {
  return Math.floor((bytes - 512) / READ_GRAIN_BYTES) * READ_GRAIN_BYTES;
}

function padded(bytes: number): number {
  return Math.ceil(bytes / 512) * 512;
}
