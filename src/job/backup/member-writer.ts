/**
 * Members of an archive as the readers deliver them: into its stream, into its journal's lines, into the catalog. Small
 * files that turn out to be stored already are left out.
 */
import { strict as assert } from 'node:assert';
import { setImmediate as turn } from 'node:timers/promises';
import { formatSegments } from '../../archive/journal.ts';
import { encodeMember, memberPath } from '../../archive/member.ts';
import type { Place } from '../../archive/place.ts';
import { padTo512 } from '../../archive/ustar.ts';
import type { Raw } from '../../base/raw.ts';
import { type Content, type Extent, HASH_BYTES } from '../../domain/content.ts';
import type { Piece } from '../../pack/item.ts';
import { FRAME_BYTES } from '../../source/door.ts';
import { ArchiveLines } from './archive-lines.ts';
import type { ArchiveStream } from './archive-stream.ts';
import type { BatchMembers } from './batch.ts';
import { type Feed, FILES_A_TURN } from './feed.ts';
import type { MemberResult, PackedResult } from './fragment.ts';
import { bufferOf, memberAt, STORED } from './fragment-codec.ts';
import type { JournalSpool } from './journal-spool.ts';
import type { ArchiveCopy, OpenArchive } from './open-archive.ts';
import type { OutgoingEntry, PlannedMember } from './outgoing-entry.ts';
import type { OutgoingSpan } from './outgoing-span.ts';
import type { Fragment } from './read-ahead.ts';
import { Recorder, type RecorderTools } from './recorder.ts';
import type { StoredRow } from './stored-lines.ts';

export type MemberTools = RecorderTools & {
  onEntry(outcome: EntryOutcome): void;
  /** Of files of spans of which nothing else is to be told. */
  onStored(files: StoredFiles): void;
};

/** All whole, and in the archive. */
export type StoredFiles = {
  readonly files: number;
  readonly writtenBytes: number;
  readonly readBytes: number;
};

/** What became of an entry, or of a part of it. */
export type EntryOutcome = {
  readonly entry: OutgoingEntry;
  /** Nothing more of it comes. */
  readonly isLast: boolean;
  readonly outcome: MemberResult['outcome'];
  readonly writtenBytes: number;
  readonly readBytes: number;
  /** Of a file whose bytes were stored already. */
  readonly duplicateBytes: number;
  readonly errno: string | undefined;
};

/** A member of several fragments, while it is written. */
type OpenMember = {
  /** Where its head begins and its padding ends in the stream. */
  readonly start: number;
  readonly end: number;
  readonly dataOffset: number;
  readBytes: number;
};

export class MemberWriter {
  readonly #tools: MemberTools;
  readonly #stream: ArchiveStream;
  readonly #journal: JournalSpool;
  readonly #lines: ArchiveLines;
  readonly #recorder: Recorder;
  /** Members of this archive that further names of their inodes can link to. */
  readonly #linkable = new Map<number, Raw>();
  #member: OpenMember | undefined;
  #entries = 0;

  /** @param options.parts where earlier archives hold parts of files still being stored; kept up to date */
  constructor(
    archive: OpenArchive,
    options: {
      readonly journal: JournalSpool;
      readonly parts: Map<number, Place[][]>;
      readonly tools: MemberTools;
    },
  ) {
    const { journal, parts, tools } = options;
    const { copies, blockBytes, archiveId } = archive;
    this.#tools = tools;
    this.#stream = archive.stream;
    this.#journal = journal;
    this.#lines = new ArchiveLines(journal, { copies, blockBytes, parts });
    this.#recorder = new Recorder(tools, archiveId);
  }

  /** Entries by now, also those that the journal alone tells of. */
  get entries(): number {
    return this.#entries;
  }

  /** A member that has begun and whose bytes are not all in the stream: where it begins and will end there. */
  get open(): { readonly start: number; readonly end: number } | undefined {
    return this.#member;
  }

  /** The open member will never be whole. */
  dropOpen(): void {
    this.#member = undefined;
  }

  /** Parts on media that do not hold the archive are nowhere. */
  forgetFailed(good: readonly ArchiveCopy[]): void {
    this.#lines.forgetFailed(good);
  }

  /** Puts a fragment behind what is there, and records what it holds. The fragment is released. */
  async add(feed: Feed, fragment: Fragment): Promise<void> {
    if (feed.task.kind === 'small') await this.#addSmall(feed, fragment);
    else await this.#addRun(feed, fragment);
    if (this.#recorder.isFull) this.record();
  }

  /** Tells the catalog what the archive holds by now. */
  record(): void {
    for (const { entry } of this.#recorder.flush())
      this.#lines.addDuplicate(entry, this.#recorder.located(entry.inode.inodeId));
  }

  async #addSmall({ members }: Feed, fragment: Fragment): Promise<void> {
    const { packed } = fragment.result;
    assert(packed, 'a batch');
    const duplicates = this.#findDuplicates(members, packed);
    let base = this.#stream.lengthBytes;
    await this.#write(fragment, duplicates);
    const hashes = bufferOf(packed.hashes);
    const usual = { files: 0, writtenBytes: 0, readBytes: 0 };
    for (let index = 0; index < members.length; index += 1) {
      if (index % FILES_A_TURN === FILES_A_TURN - 1) await turn();
      const span = members.span(index);
      const isDuplicate = duplicates.size > 0 && duplicates.has(index);
      if (span && !isDuplicate && packed.outcomes[index] === STORED) {
        const row = members.row(index);
        const archiveOffset = base + (packed.offsets[index] ?? 0) + FRAME_BYTES;
        this.#addRow(span, row, { hashes, index, archiveOffset });
        usual.files += 1;
        usual.writtenBytes += span.rows.sizeBytes(row);
        usual.readBytes += packed.readBytes[index] ?? 0;
        continue;
      }
      const planned = members.at(index);
      const result = memberAt(fragment.result, index);
      assert(planned && result, 'a result a member');
      const entry = planned.piece.item.key;
      if (isDuplicate) {
        this.#addDuplicate(entry, result);
        base -= endOf(packed, index) - result.offset;
      } else if (entry.form === 'link' || entry.form === 'line') await this.#addName(entry);
      else this.#addWhole(planned, result, base);
    }
    this.#tools.onStored(usual);
  }

  /** A row of a span, whole in its fragment. */
  #addRow(span: OutgoingSpan, row: number, stored: StoredRow): void {
    const { rows } = span;
    this.#entries += 1;
    this.#lines.addRow(span, row, stored);
    const { directoryId } = rows;
    const [name, inodeId, sizeBytes] = [rows.name(row), rows.inodeId(row), rows.sizeBytes(row)];
    const { archiveOffset } = stored;
    this.#recorder.addPlain({ directoryId, name, inodeId, sizeBytes, archiveOffset }, stored);
  }

  /** Small files that were read whole and turn out to be stored already, here or before: their members are left out. */
  #findDuplicates(members: BatchMembers, packed: PackedResult): ReadonlySet<number> {
    const { outcomes, hasHash } = packed;
    const hashes = bufferOf(packed.hashes);
    const sizes = new Float64Array(members.length);
    const asked = Buffer.allocUnsafe(members.length * HASH_BYTES);
    const indices: number[] = [];
    for (let index = 0; index < members.length; index += 1) {
      if (outcomes[index] !== STORED || hasHash[index] !== 1) continue;
      const sizeBytes = members.contentBytesOf(index);
      if (sizeBytes === undefined) continue;
      const at = index * HASH_BYTES;
      hashes.copy(asked, indices.length * HASH_BYTES, at, at + HASH_BYTES);
      sizes[indices.length] = sizeBytes;
      indices.push(index);
    }
    const found = this.#recorder.findStored({ count: indices.length, sizes, hashes: asked });
    return found.length === 0 ? NONE : new Set(found.map((at) => indices[at] ?? 0));
  }

  /** The fragment without its duplicates. */
  async #write(
    { result, bytes, release }: Fragment,
    duplicates: ReadonlySet<number>,
  ): Promise<void> {
    const { lengthBytes, packed } = result;
    const ranges: { start: number; end: number }[] = [];
    let start = 0;
    for (const index of duplicates) {
      assert(packed, 'of a batch');
      const end = packed.offsets[index] ?? 0;
      if (end > start) ranges.push({ start, end });
      start = endOf(packed, index);
    }
    if (lengthBytes > start) ranges.push({ start, end: lengthBytes });
    let left = ranges.length;
    if (left === 0) release();
    const done = () => {
      left -= 1;
      if (left === 0) release();
    };
    for (const range of ranges) {
      await this.#stream.write(bytes.subarray(range.start, range.end), done);
    }
  }

  #addDuplicate(entry: OutgoingEntry, { hash, readBytes, outcome }: MemberResult): void {
    assert(hash);
    this.#entries += 1;
    this.#recorder.addDuplicate({ entry, hash: hash });
    const duplicateBytes = entry.inode.sizeBytes;
    this.#tools.onEntry({ ...TOLD, entry, outcome, readBytes, duplicateBytes });
  }

  /** A member that is whole in its fragment. @param base of the fragment in the stream */
  #addWhole({ piece, lengths }: PlannedMember, result: MemberResult, base: number): void {
    const entry = piece.item.key;
    const { outcome, readBytes, errno } = result;
    const { row, inode } = entry;
    assert(lengths);
    this.#entries += 1;
    const isLeftOut = outcome === 'changed-before' || outcome === 'unreadable';
    const writtenBytes = isLeftOut ? 0 : lengths.dataBytes;
    this.#tools.onEntry({
      entry,
      isLast: true,
      outcome,
      writtenBytes,
      readBytes,
      duplicateBytes: 0,
      errno,
    });
    if (!counts({ outcome, entry })) return;
    const { directoryId, name } = row;
    const { inodeId } = inode;
    if (lengths.dataBytes === 0) {
      this.#lines.addEmpty(entry);
      this.#recorder.add({ directoryId, name, inodeId });
      return;
    }
    const extent: Extent = {
      contentOffset: 0,
      lengthBytes: inode.sizeBytes,
      archiveOffset: base + result.offset + lengths.headBytes,
      storedBytes: lengths.dataBytes,
      form: 'plain',
    };
    const content = contentOf(result, inode.sizeBytes);
    const isChangedWhileRead = outcome === 'changed-while-read';
    this.#lines.addStored(entry, extent, { hash: content.hash, isChangedWhileRead });
    if (inode.sourceInode.links > 1) this.#linkable.set(inodeId, memberPath(row.path, entry.host));
    this.#recorder.add({ directoryId, name, inodeId, content, extents: [extent] });
  }

  /** A run of a large member; its last one makes it an entry. */
  async #addRun(feed: Feed, fragment: Fragment): Promise<void> {
    const planned = feed.members.at(0);
    const result = memberAt(fragment.result, 0);
    assert(planned?.lengths && result);
    const { headBytes, mapBytes, dataBytes } = planned.lengths;
    const start = this.#stream.lengthBytes + result.offset;
    await this.#write(fragment, NONE);
    if (feed.isFirst) {
      const end = start + headBytes + padTo512(dataBytes);
      this.#member = { start, end, dataOffset: start + headBytes - mapBytes, readBytes: 0 };
    }
    assert(this.#member);
    this.#member.readBytes += result.readBytes;
    if (feed.isLast) this.#endMember(planned, result, this.#member);
  }

  #endMember(planned: PlannedMember, result: MemberResult, member: OpenMember): void {
    const { piece, lengths, isLastOfContent } = planned;
    assert(lengths);
    const entry = piece.item.key;
    const { row, inode } = entry;
    this.#member = undefined;
    this.#entries += 1;
    const isLeftOut = result.outcome === 'changed-before' || result.outcome === 'unreadable';
    const storedBytes = lengths.mapBytes + lengths.dataBytes;
    const { outcome, errno } = this.#isInGap(piece) ? AFTER_GAP : result;
    this.#tools.onEntry({
      ...TOLD,
      entry,
      isLast: outcome !== 'stored' || isLastOfContent,
      outcome,
      writtenBytes: isLeftOut ? 0 : storedBytes,
      readBytes: member.readBytes,
      errno,
    });
    if (!counts({ outcome, entry })) {
      this.#lines.forgetParts(inode.inodeId);
      if (piece.part) this.#recorder.forgetParts(inode.inodeId);
      return;
    }
    const extent: Extent = {
      contentOffset: piece.part?.offset ?? 0,
      lengthBytes: piece.part?.lengthBytes ?? inode.sizeBytes,
      archiveOffset: member.dataOffset,
      storedBytes,
      form: entry.ranges === undefined ? 'plain' : 'sparse',
    };
    const stored = { directoryId: row.directoryId, name: row.name, inodeId: inode.inodeId };
    const isChangedWhileRead = outcome === 'changed-while-read';
    if (!isLastOfContent) {
      this.#lines.addPart(entry, extent, isChangedWhileRead);
      this.#recorder.add({ ...stored, extents: [extent], hashSoFar: result.hash });
      return;
    }
    const content = contentOf(result, inode.sizeBytes);
    this.#lines.addStored(entry, extent, { hash: content.hash, isChangedWhileRead });
    if (inode.sourceInode.links > 1 && !piece.part) {
      this.#linkable.set(inode.inodeId, memberPath(row.path, entry.host));
    }
    if (content.segments) {
      for (const line of formatSegments(content.hash, content.segments)) this.#journal.add(line);
    }
    this.#recorder.add({ ...stored, content, extents: [extent], ranges: entry.ranges });
  }

  /** The part before it failed when this one was already on its way: what is left is no content. */
  #isInGap({ item, part }: Piece<OutgoingEntry>): boolean {
    if (!part || part.offset === 0) return false;
    return !this.#lines.reach(item.key.inode.inodeId, part.offset);
  }

  /** A further name of an inode: a tar link where its bytes are in this archive, else its line alone. */
  async #addName(entry: OutgoingEntry): Promise<void> {
    const { row, inode } = entry;
    this.#entries += 1;
    if (this.#recorder.isUnrecorded(inode.inodeId)) this.record();
    const link = this.#linkable.get(inode.inodeId);
    if (entry.form === 'link' && link !== undefined) {
      const path = memberPath(row.path, entry.host);
      await this.#stream.write(
        encodeMember({ path, attributes: inode, lengthBytes: 0, link }).head,
      );
    }
    // Where the bytes were left out, so is the name: both are looked at again.
    const located = this.#recorder.located(inode.inodeId);
    if (inode.type === 'file' && inode.sizeBytes > 0 && !located) return;
    this.#lines.addName(entry, located);
    this.#tools.onEntry({ ...TOLD, entry });
    const { directoryId, name } = row;
    this.#recorder.add({ directoryId, name, inodeId: inode.inodeId });
  }
}

/** Of an entry that took nothing, and nothing of which is to come. */
const TOLD = {
  isLast: true,
  outcome: 'stored',
  writtenBytes: 0,
  readBytes: 0,
  duplicateBytes: 0,
  errno: undefined,
} as const;

/** Whether it is stored. What was changed while it was read counts only where it is not tried again. */
export function counts({ outcome, entry }: Pick<EntryOutcome, 'outcome' | 'entry'>): boolean {
  return outcome === 'stored' || (outcome === 'changed-while-read' && entry.isFinal);
}

function contentOf({ hash, segments }: MemberResult, sizeBytes: number): Content {
  assert(hash);
  return { hash: hash, sizeBytes, segments };
}

const AFTER_GAP = { outcome: 'changed-before', errno: undefined } as const;

const NONE: ReadonlySet<number> = new Set();

/** Where the member after it begins. */
function endOf({ offsets, lengthBytes }: PackedResult, index: number): number {
  return offsets[index + 1] ?? lengthBytes;
}
