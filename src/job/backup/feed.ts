/** From the plan's pieces to tasks for the readers: small files in batches, large ones in runs of a slab each. */
import { strict as assert } from 'node:assert';
import { type EncodedMember, encodeMember, memberPath } from '../../archive/member.ts';
import type { Inode } from '../../catalog/inodes.ts';
import type { PendingEntry } from '../../catalog/pending.ts';
import type { DataRange } from '../../domain/entry.ts';
import type { Part, Piece } from '../../pack/item.ts';
import {
  type ReadTask,
  type RunTask,
  SLAB_BYTES,
  SMALL_BYTES_MAX,
  type SmallMember,
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
  readonly place: SourcePlace;
  /** Where a sparse file has data. */
  readonly ranges: readonly DataRange[] | undefined;
  /** It is not tried again: what could be read counts, even if it was changed meanwhile. */
  readonly isFinal: boolean;
};

export type PlannedMember = {
  readonly piece: Piece<OutgoingEntry>;
  /** Undefined for links, which are made when it is known what they can link to, and for lines. */
  readonly encoded: EncodedMember | undefined;
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

/** FACTS: 64 to 256 small files a task keep messages rare and readers even. */
const BATCH_FILES_MAX = 256;
const READ_GRAIN_BYTES = 64 * 2 ** 10;

export class Feeder {
  #member = 0;

  /** Tasks for pieces of one archive, in their order. */
  *tasks(pieces: Iterable<Piece<OutgoingEntry>>): Generator<Feed> {
    let batch: { member: SmallMember; planned: PlannedMember }[] = [];
    let batchBytes = 0;
    const flush = function* (): Generator<Feed> {
      if (batch.length === 0) return;
      const members = batch.map(({ member }) => member);
      const planned = batch.map((entry) => entry.planned);
      batch = [];
      batchBytes = 0;
      yield { task: { kind: 'small', members }, members: planned, isFirst: true, isLast: true };
    };
    for (const piece of pieces) {
      const { form } = piece.item.key;
      if (form === 'link' || form === 'line') {
        const planned = { piece, encoded: undefined, isLastOfContent: false };
        if (batch.length === BATCH_FILES_MAX) yield* flush();
        batch.push({ member: EMPTY_MEMBER, planned });
        continue;
      }
      const encoded = encode(piece);
      const planned = { piece, encoded, isLastOfContent: isLastOfContent(piece) };
      const bytes = encoded.head.length + padded(encoded.dataBytes);
      if (!isSmall(piece, encoded)) {
        yield* flush();
        yield* this.#runs(planned, encoded);
        continue;
      }
      if (batchBytes + bytes > SLAB_BYTES || batch.length === BATCH_FILES_MAX) yield* flush();
      batch.push({ member: smallMember(piece, encoded), planned });
      batchBytes += bytes;
    }
    yield* flush();
  }

  *#runs(planned: PlannedMember, encoded: EncodedMember): Generator<Feed> {
    const { piece } = planned;
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
        isLast: isLast && planned.isLastOfContent,
      };
      hashedTo = hashTo;
      yield { task, members: [planned], isFirst, isLast };
    }
  }
}

const EMPTY_MEMBER: SmallMember = { place: undefined, head: new Uint8Array(0), stamp: undefined };

function encode({ item, part }: Piece<OutgoingEntry>): EncodedMember {
  const { row, inode, ranges } = item.key;
  const lengthBytes = part?.lengthBytes ?? inode.sizeBytes;
  const offset = part?.offset ?? 0;
  return encodeMember({
    path: memberPath(row.path),
    attributes: inode,
    lengthBytes: inode.type === 'file' ? lengthBytes : 0,
    part: part && { number: part.number, count: part.count, offset, totalBytes: part.totalBytes },
    ranges:
      ranges &&
      rangesOf(item.key, part).map((range) => ({ ...range, offset: range.offset - offset })),
  });
}

function isLastOfContent({ part }: Piece<OutgoingEntry>): boolean {
  return part === undefined || part.number === part.count;
}

function isSmall(piece: Piece<OutgoingEntry>, encoded: EncodedMember): boolean {
  const isWhole = piece.part === undefined && piece.item.key.ranges === undefined;
  return isWhole && encoded.dataBytes <= SMALL_BYTES_MAX && encoded.head.length <= SMALL_BYTES_MAX;
}

function smallMember(piece: Piece<OutgoingEntry>, encoded: EncodedMember): SmallMember {
  const entry = piece.item.key;
  const isRead = encoded.dataBytes > 0;
  return {
    place: isRead ? entry.place : undefined,
    head: encoded.head,
    stamp: isRead ? stampOf(entry) : undefined,
  };
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
