/**
 * Files as most are on their way into an archive, those that follow each other in a directory at once: what is planned, packed,
 * recorded of them goes by numbers. Where one turns out to be unlike the others, it becomes an entry like all that are.
 */
import { strict as assert } from 'node:assert';
import { isPlainField } from '../../archive/journal-field.ts';
import { isAscii, memberLengthMax } from '../../archive/member.ts';
import type { Raw } from '../../base/raw.ts';
import type { PendingEntry, UsualRows } from '../../catalog/pending/rows.ts';
import type { PlanGroup, PlanItem } from '../../pack/item.ts';
import { FRAME_BYTES } from '../../source/door.ts';
import type { ReadSource, SourcePlace } from './fragment.ts';
import { planItem, untoldNamesMax } from './items.ts';
import type { OutgoingEntry, PlannedMember } from './outgoing-entry.ts';

/** Larger files may have holes worth looking for. */
export const USUAL_BYTES_MAX = 64 * 2 ** 10 - 1;

/** Where the rows of a span are read. */
export type SpanPlace = {
  readonly source: ReadSource;
  /** How much of the prefix leads to the source itself. */
  readonly sourceBytes: number;
};

export class OutgoingSpan {
  readonly rows: UsualRows;
  readonly source: ReadSource;
  /** What stands before each name in a path relative to the source. */
  readonly prefix: string;
  /** What stands before that in a member's name. */
  readonly memberPrefix: string;
  /** What stands before the names is ASCII. */
  readonly isAscii: boolean;
  /** It stands in a journal as it is. */
  readonly isPlain: boolean;
  readonly #copies: number;

  constructor(rows: UsualRows, { source, sourceBytes }: SpanPlace, copies: number) {
    assert(rows.prefix.startsWith('/') && sourceBytes >= 1, 'source paths are absolute');
    this.rows = rows;
    this.source = source;
    this.prefix = rows.prefix.slice(sourceBytes);
    this.memberPrefix = rows.prefix.slice(1, sourceBytes);
    this.isAscii = isAscii(rows.prefix);
    this.isPlain = isPlainField(rows.prefix);
    this.#copies = copies;
  }

  get count(): number {
    return this.rows.count;
  }

  /** The same rows one by one. */
  *items(): Generator<PlanItem<OutgoingEntry>> {
    for (let index = 0; index < this.count; index += 1) yield this.item(index);
  }

  item(index: number): PlanItem<OutgoingEntry> {
    return planItem(this.#entry(index), this.#copies);
  }

  /** As it is in a batch, with a head over a frame. */
  planned(index: number): PlannedMember {
    const dataBytes = this.rows.sizeBytes(index);
    return {
      piece: { item: this.item(index), part: undefined },
      lengths: { headBytes: FRAME_BYTES, mapBytes: 0, dataBytes },
      isLastOfContent: true,
    };
  }

  pathOf(index: number): Raw {
    return (this.rows.prefix + this.rows.name(index)) as Raw;
  }

  /** What `planItem` says of each, added up. */
  group(): PlanGroup {
    const { rows } = this;
    const prefixBytes = rows.prefix.length;
    let ownerId = -1;
    let ownerBytes = 0;
    let storedBytesMax = 0;
    let untoldBytesMax = 0;
    for (let index = 0; index < rows.count; index += 1) {
      if (rows.ownerId(index) !== ownerId) {
        ownerId = rows.ownerId(index);
        const [, , user, group] = rows.owner(index);
        ownerBytes = user.length + group.length;
      }
      const pathBytes = prefixBytes + rows.name(index).length;
      storedBytesMax += headBytesMax(pathBytes, ownerBytes) + padded(rows.sizeBytes(index));
      untoldBytesMax += untoldNamesMax(pathBytes + ownerBytes, this.#copies);
    }
    // A file without extended attributes, segments or holes has nothing else in its line.
    const journalBytesMax = untoldBytesMax;
    return { entries: rows.count, storedBytesMax, journalBytesMax, untoldBytesMax };
  }

  #entry(index: number): OutgoingEntry {
    const row: PendingEntry = this.rows.entry(index);
    assert(row.inode);
    const path = (this.prefix + row.name) as Raw;
    const place: SourcePlace = { ...this.source, path };
    const none = { host: undefined, ranges: undefined, isFinal: false };
    return { row, inode: row.inode, form: 'data', place, ...none };
  }
}

/** Of a file without extended attributes. */
function headBytesMax(pathBytes: number, ownerBytes: number): number {
  return memberLengthMax({
    pathBytes,
    linkBytes: pathBytes,
    lengthBytes: 0,
    ownerBytes,
    xattrs: NO_XATTRS,
    isSparse: true,
  });
}

const NO_XATTRS = { count: 0, bytes: 0 };

function padded(bytes: number): number {
  return Math.ceil(bytes / 512) * 512;
}
