/** Small files on their way into a task, and what is known of them meanwhile. */
import { strict as assert } from 'node:assert';
import {
  isAscii,
  type Member,
  type MemberEncoder,
  type MemberLengths,
} from '../../archive/member.ts';
import type { Raw } from '../../base/raw.ts';
import type { Piece } from '../../pack/item.ts';
import { FRAME_BYTES } from '../../source/door.ts';
import { BatchPacker, type ReadFrom } from './batch-packer.ts';
import type { PackedTask } from './fragment.ts';
import {
  isSmall,
  memberOf,
  type OutgoingEntry,
  type PlannedMember,
  stampOf,
} from './outgoing-entry.ts';
import type { OutgoingSpan } from './outgoing-span.ts';

type FrameOf = ReturnType<MemberEncoder['frameFor']> & {
  readonly mode: number;
  readonly ownerId: number;
};

/** Members of a batch: of a span as its rows, all others one by one. */
export class BatchMembers {
  /** By place in the batch; undefined where the member is of a span. */
  readonly #planned: (PlannedMember | undefined)[] = [];
  readonly #spans: (OutgoingSpan | undefined)[] = [];
  readonly #rows: number[] = [];
  /** Of contents that the batch has. */
  #contentBytes = 0;

  /** Of a task that has one. */
  static of(planned: PlannedMember): BatchMembers {
    const members = new BatchMembers();
    members.add(planned);
    return members;
  }

  get length(): number {
    return this.#planned.length;
  }

  get contentBytes(): number {
    return this.#contentBytes;
  }

  add(planned: PlannedMember): void {
    const { form, inode } = planned.piece.item.key;
    if (form === 'data') this.#contentBytes += inode.sizeBytes;
    this.#planned.push(planned);
    this.#spans.push(undefined);
    this.#rows.push(0);
  }

  addRow(span: OutgoingSpan, row: number): void {
    this.#contentBytes += span.rows.sizeBytes(row);
    this.#planned.push(undefined);
    this.#spans.push(span);
    this.#rows.push(row);
  }

  /** Where the member is a row of a span; undefined where it stands by itself. */
  span(index: number): OutgoingSpan | undefined {
    return this.#spans[index];
  }

  /** Of its span. */
  row(index: number): number {
    return this.#rows[index] ?? 0;
  }

  /** Of the bytes that it brings; undefined where it brings none. */
  contentBytesOf(index: number): number | undefined {
    const span = this.#spans[index];
    if (span) return span.rows.sizeBytes(this.row(index));
    const entry = this.#planned[index]?.piece.item.key;
    return entry?.form === 'data' ? entry.inode.sizeBytes : undefined;
  }

  /** The directory of the source that it is read from. */
  sourceOf(index: number): Raw {
    const source =
      this.#spans[index]?.source.source ?? this.#planned[index]?.piece.item.key.place.source;
    assert(source !== undefined, 'a member of the batch');
    return source;
  }

  /** Of the row, in the catalog. */
  pathOf(index: number): Raw {
    const path =
      this.#spans[index]?.pathOf(this.row(index)) ?? this.#planned[index]?.piece.item.key.row.path;
    assert(path !== undefined, 'a member of the batch');
    return path;
  }

  /** As an object of its own, which is made anew for a row of a span; below 0 counted from the end. */
  at(index: number): PlannedMember | undefined {
    const place = index < 0 ? this.length + index : index;
    return this.#planned[place] ?? this.#spans[place]?.planned(this.row(place));
  }
}

export class Batch {
  readonly #packer = new BatchPacker();
  readonly #members = new BatchMembers();
  readonly #encoder: MemberEncoder;
  /** Of the last row of a span: the next mostly has it too. */
  #frame: FrameOf | undefined;

  constructor(encoder: MemberEncoder) {
    this.#encoder = encoder;
  }

  get members(): BatchMembers {
    return this.#members;
  }

  get isBegun(): boolean {
    return this.#members.length > 0;
  }

  /** @returns false where it has no room, or in an empty batch: where it is no small file */
  add(piece: Piece<OutgoingEntry>): boolean {
    const entry = piece.item.key;
    const { form, inode, place } = entry;
    if (form === 'link' || form === 'line') {
      if (!this.#packer.add(undefined, noHead)) return false;
      this.#members.add({ piece, lengths: undefined, isLastOfContent: false });
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
    if (isIn) this.#members.add({ piece, lengths, isLastOfContent: true });
    return isIn;
  }

  /**
   * Rows of a span, from one on.
   * @returns the first that found no room in the batch, which is not empty then; their number where all did
   */
  addSpan(span: OutgoingSpan, from: number): number {
    const { rows } = span;
    for (let row = from; row < rows.count; row += 1) {
      const isIn = this.#addRow(span, row);
      if (isIn === true) this.#members.addRow(span, row);
      else {
        const isAdded = isIn === 'no-frame' && this.add({ item: span.item(row), part: undefined });
        if (isAdded) continue;
        assert(this.isBegun, 'a small file finds room in an empty batch');
        return row;
      }
    }
    return rows.count;
  }

  #addRow(span: OutgoingSpan, row: number): boolean | 'no-frame' {
    const { rows } = span;
    if (!rows.hasUsualTimes(row)) return 'no-frame';
    const { frame, nameBytesMax } = this.#frameOf(span, row);
    const name = rows.name(row);
    const prefixBytes = span.memberPrefix.length + span.prefix.length;
    const isFramed = prefixBytes + name.length <= nameBytesMax && isAscii(name);
    return isFramed && span.isAscii ? this.#packer.addRow(span, row, frame) : 'no-frame';
  }

  #frameOf({ rows }: OutgoingSpan, row: number): FrameOf {
    const [mode, ownerId] = [rows.mode(row), rows.ownerId(row)];
    if (this.#frame?.mode === mode && this.#frame.ownerId === ownerId) return this.#frame;
    const [uid, gid, user, group] = rows.owner(row);
    const found = this.#encoder.frameFor({ mode, uid, gid, user, group });
    this.#frame = { ...found, mode, ownerId };
    return this.#frame;
  }

  /** Most files' heads are written where they are read. */
  #addFramed(from: ReadFrom, piece: Piece<OutgoingEntry>, member: Member): boolean | 'no-frame' {
    const frame = this.#encoder.frameOf(member);
    if (!frame) return 'no-frame';
    const isIn = this.#packer.addFramed({ ...from, frame, name: member.path });
    if (isIn === true) {
      const lengths = { headBytes: FRAME_BYTES, mapBytes: 0, dataBytes: member.lengthBytes };
      this.#members.add({ piece, lengths, isLastOfContent: true });
    }
    return isIn;
  }

  /** The batch as it travels; it takes no more. */
  finish(): PackedTask {
    return this.#packer.finish();
  }
}

function noHead(): number {
  return 0;
}
