/** From the plan's pieces to tasks for the readers: small files in batches, large ones in runs of a slab each. */
import { strict as assert } from 'node:assert';
import { setImmediate as turn } from 'node:timers/promises';
import { MemberEncoder } from '../../archive/member.ts';
import type { DataRange } from '../../domain/entry.ts';
import type { Piece } from '../../pack/item.ts';
import { Batch, BatchMembers } from './batch.ts';
import { type ReadTask, type RunTask, SLAB_BYTES } from './fragment.ts';
import { memberOf, type OutgoingEntry, rangesOf, stampOf } from './outgoing-entry.ts';
import { OutgoingSpan } from './outgoing-span.ts';

export type Feed = {
  readonly task: ReadTask;
  /** As the task's; a run has one. */
  readonly members: BatchMembers;
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
  async *tasks(pieces: Iterable<Piece<OutgoingEntry> | OutgoingSpan>): AsyncGenerator<Feed> {
    let batch = new Batch(this.#encoder);
    let count = 0;
    for (const piece of pieces) {
      if (piece instanceof OutgoingSpan) {
        for (let at = batch.addSpan(piece, 0); at < piece.count; at = batch.addSpan(piece, at)) {
          yield fed(batch);
          batch = new Batch(this.#encoder);
        }
        await turn();
        continue;
      }
      count += 1;
      if (count % FILES_A_TURN === 0) await turn();
      if (batch.add(piece)) continue;
      if (batch.isBegun) yield fed(batch);
      batch = new Batch(this.#encoder);
      if (!batch.add(piece)) yield* this.#runs(piece);
    }
    if (batch.isBegun) yield fed(batch);
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
      yield { task, members: BatchMembers.of(planned), isFirst, isLast };
    }
  }
}

function fed(batch: Batch): Feed {
  const task = { kind: 'small', packed: batch.finish() } as const;
  return { task, members: batch.members, isFirst: true, isLast: true };
}

function isLastOfContent({ part }: Piece<OutgoingEntry>): boolean {
  return part === undefined || part.number === part.count;
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
