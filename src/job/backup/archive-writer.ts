/**
 * Writes one archive: opening, members as the readers deliver them, journal, digest; then filemark, proof of the position,
 * and the commit in the catalog. Until then nothing of it counts.
 */
import { strict as assert } from 'node:assert';
import { archiveTail, DIGEST_MEMBER_BYTES, encodeDigest } from '../../archive/digest.ts';
import { formatSegments, formatStart, type JournalEntry } from '../../archive/journal.ts';
import { encodeMember, memberPath } from '../../archive/member.ts';
import { encodeOpening } from '../../archive/opening.ts';
import { ownHead, ownPath } from '../../archive/own-member.ts';
import type { Place } from '../../archive/place.ts';
import { CodedError } from '../../base/errors.ts';
import { type Raw, rawOf } from '../../base/raw.ts';
import type { CopyOfCatalog } from '../../catalog/catalog-copies.ts';
import type { ContentKey } from '../../catalog/content-keys.ts';
import type { CopiedFile } from '../../catalog/copy.ts';
import type { Content, Extent } from '../../domain/content.ts';
import type { Piece } from '../../pack/item.ts';
import type { Tape } from '../../storage/tape.ts';
import { type ArchiveCopy, ArchiveLines } from './archive-lines.ts';
import { ArchiveStream } from './archive-stream.ts';
import type { Digester } from './digester.ts';
import type { Feed, OutgoingEntry, PlannedMember } from './feed.ts';
import type { MemberResult } from './fragment.ts';
import { JournalSpool } from './journal-spool.ts';
import type { Fragment } from './read-ahead.ts';
import { Recorder, type RecorderTools } from './recorder.ts';
import type { ArchiveProof } from './verify.ts';

/** A medium that takes a copy. */
export type CopyTarget = { readonly mediumId: number; readonly tape: Tape };

export type ArchiveIdentity = {
  readonly uuid: string;
  readonly job: { readonly number: number; readonly uuid: string };
  readonly host: string;
  readonly sequence: number;
  readonly createdMs: number;
  readonly program: string;
};

export type ArchiveTools = RecorderTools & {
  readonly digester: Digester;
  readonly sha256: boolean;
  /** Where the journal waits until it is written. */
  readonly spoolDirectory: string;
  /** A copy's drive failed; the archive goes on with the others. */
  onCopyFailure(mediumId: number, error: CodedError): void;
  onEntry(outcome: EntryOutcome): void;
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
type OpenMember = { readonly dataOffset: number; readBytes: number };

export class ArchiveWriter {
  readonly archiveId: number;
  readonly identity: ArchiveIdentity;
  readonly #tools: ArchiveTools;
  readonly #copies: readonly ArchiveCopy[];
  readonly #stream: ArchiveStream;
  readonly #journal: JournalSpool;
  readonly #lines: ArchiveLines;
  readonly #recorder: Recorder;
  readonly #blockBytes: number;
  /** Members of this archive that further names of their inodes can link to. */
  readonly #linkable = new Map<number, Raw>();
  #member: OpenMember | undefined;
  #entries = 0;
  #carried: readonly number[] = [];
  #catalogCopy: CopyOfCatalog | undefined;

  private constructor(
    tools: ArchiveTools,
    parts: {
      identity: ArchiveIdentity;
      archiveId: number;
      copies: readonly ArchiveCopy[];
      stream: ArchiveStream;
      blockBytes: number;
      parts: Map<number, Place[][]>;
    },
  ) {
    this.#tools = tools;
    this.identity = parts.identity;
    this.archiveId = parts.archiveId;
    this.#copies = parts.copies;
    this.#stream = parts.stream;
    this.#blockBytes = parts.blockBytes;
    this.#journal = new JournalSpool(tools.spoolDirectory, `journal-${parts.identity.uuid}`);
    this.#lines = new ArchiveLines(this.#journal, parts);
    this.#recorder = new Recorder(tools, parts.archiveId);
  }

  /**
   * Begins an archive at the end of each tape's data and announces it in the catalog.
   * @param options.parts where earlier archives hold parts of files still being stored; kept up to date
   */
  static async begin(
    targets: readonly CopyTarget[],
    options: { identity: ArchiveIdentity; parts: Map<number, Place[][]>; tools: ArchiveTools },
    signal: AbortSignal,
  ): Promise<ArchiveWriter> {
    const { identity, tools, parts } = options;
    const [first] = targets;
    assert(first, 'an archive has at least one copy');
    const { blockBytes } = first.tape;
    assert(
      targets.every(({ tape }) => tape.blockBytes === blockBytes),
      'copies have equal blocks',
    );
    const copies: ArchiveCopy[] = [];
    for (const target of targets) {
      try {
        copies.push({ ...target, archive: await target.tape.beginArchive(signal) });
      } catch (error) {
        if (error instanceof CodedError) tools.onCopyFailure(target.mediumId, error);
        throw error;
      }
    }
    const archiveId = tools.run.beginArchive({
      uuid: identity.uuid,
      sequence: identity.sequence,
      blockBytes,
      copies: copies.map(({ mediumId, archive }) => ({
        mediumId,
        fileNumber: archive.fileNumber,
        startBlock: archive.startBlock,
      })),
    });
    tools.digester.begin({ sha256: tools.sha256 });
    const stream = new ArchiveStream(
      copies.map(({ archive, mediumId }) => ({
        archive,
        onFailure: (error) => tools.onCopyFailure(mediumId, error),
      })),
      { blockBytes, digester: tools.digester },
      signal,
    );
    const writer = new ArchiveWriter(tools, {
      identity,
      archiveId,
      copies,
      stream,
      blockBytes,
      parts,
    });
    try {
      await writer.#open();
    } catch (error) {
      await writer.abandon();
      writer.close();
      throw error;
    }
    return writer;
  }

  get lengthBytes(): number {
    return this.#stream.lengthBytes;
  }

  get entries(): number {
    return this.#entries;
  }

  /** Media whose drives have warned: end the archive soon. */
  get mediaNearEnd(): readonly number[] {
    const { nearEnd } = this.#stream;
    if (nearEnd.size === 0) return [];
    return this.#copies.flatMap(({ archive, mediumId }) => (nearEnd.has(archive) ? mediumId : []));
  }

  /** A member has begun whose bytes are not all in the stream. */
  get isInMember(): boolean {
    return this.#member !== undefined;
  }

  /** Snapshots of earlier runs whose end the journal tells. */
  carries(snapshotIds: readonly number[]): void {
    this.#carried = snapshotIds;
  }

  get mediumIds(): readonly number[] {
    return this.#copies.map(({ mediumId }) => mediumId);
  }

  /** Of the lines by now. */
  get journalBytes(): number {
    return this.#journal.lengthBytes;
  }

  /** One of its own members is a copy of the catalog. */
  holdsCopy(copy: CopyOfCatalog): void {
    this.#catalogCopy = copy;
  }

  /** Adds a member below `.shelfs/` behind those of entries. @returns where its data begin in the stream */
  async addOwn(file: CopiedFile): Promise<number> {
    assert(!this.isInMember, 'a member is written to its end');
    const path = ownPath(this.identity.uuid, file.name);
    await this.#stream.write(ownHead(path, file.lengthBytes, this.identity.createdMs).head);
    const position = this.#stream.lengthBytes;
    for (const bytes of file.read()) await this.#stream.write(Buffer.from(bytes));
    await this.#stream.write(Buffer.alloc(padding(file.lengthBytes, 512)));
    return position;
  }

  /** Adds a line to the journal, its LF included. */
  addLine(line: string): void {
    this.#journal.add(line);
  }

  /** Adds the line of an entry that no member tells of. */
  addEntry(entry: Omit<JournalEntry, 'kind'>): void {
    this.#journal.addEntry(entry);
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

  async #addSmall(feed: Feed, fragment: Fragment): Promise<void> {
    const { members } = fragment.result;
    const duplicates = this.#findDuplicates(feed, members);
    let base = this.#stream.lengthBytes;
    await this.#write(fragment, duplicates);
    for (const [index, planned] of feed.members.entries()) {
      const result = members[index];
      assert(result, 'a result a member');
      const entry = planned.piece.item.key;
      if (duplicates.has(index)) {
        this.#addDuplicate(entry, result);
        base -= endOf(fragment, index) - result.offset;
      } else if (entry.form === 'link' || entry.form === 'line') await this.#addName(entry);
      else this.#addWhole(planned, result, base);
    }
  }

  /** Small files that were read whole and turn out to be stored already, here or before: their members are left out. */
  #findDuplicates(feed: Feed, members: readonly MemberResult[]): ReadonlySet<number> {
    const indices: number[] = [];
    const contents: ContentKey[] = [];
    for (const [index, { piece }] of feed.members.entries()) {
      const result = members[index];
      const { form, inode } = piece.item.key;
      if (form !== 'data' || result?.outcome !== 'stored' || !result.hash) continue;
      indices.push(index);
      contents.push({ sizeBytes: inode.sizeBytes, hash: result.hash });
    }
    const found = this.#recorder.findStored(contents);
    return new Set(indices.filter((_, at) => found[at]));
  }

  /** The fragment without its duplicates. */
  async #write(fragment: Fragment, duplicates: ReadonlySet<number>): Promise<void> {
    const { lengthBytes, members } = fragment.result;
    const ranges: { start: number; end: number }[] = [];
    let start = 0;
    for (const index of duplicates) {
      const end = members[index]?.offset ?? 0;
      if (end > start) ranges.push({ start, end });
      start = endOf(fragment, index);
    }
    if (lengthBytes > start) ranges.push({ start, end: lengthBytes });
    let left = ranges.length;
    if (left === 0) fragment.release();
    const done = () => {
      left -= 1;
      if (left === 0) fragment.release();
    };
    for (const range of ranges) {
      await this.#stream.write(fragment.bytes.subarray(range.start, range.end), done);
    }
  }

  #addDuplicate(entry: OutgoingEntry, { hash, readBytes, outcome }: MemberResult): void {
    assert(hash);
    this.#entries += 1;
    this.#recorder.addDuplicate({ entry, hash: hash });
    const duplicateBytes = entry.inode.sizeBytes;
    this.#tools.onEntry({ ...TOLD, entry, outcome, readBytes, duplicateBytes });
  }

  /**
   * Ends the archive: journal, digest, filemark, position proven, and the commit.
   * @returns where it lies on each medium that holds it, and what it has to read back as
   */
  async finish(signal: AbortSignal): Promise<ReadonlyMap<number, ArchiveProof>> {
    assert(!this.isInMember, 'a member is written to its end');
    const stream = this.#stream;
    const { uuid, createdMs } = this.identity;
    const journalBytes = this.#journal.lengthBytes;
    await stream.write(ownHead(ownPath(uuid, 'journal'), journalBytes, createdMs).head);
    const journalOffset = stream.lengthBytes;
    for (const bytes of this.#journal.read()) await stream.write(Buffer.from(bytes));
    await stream.write(Buffer.alloc(padding(journalBytes, 512)));
    const lengthBytes = stream.lengthBytes;
    const { blake3, sha256 } = await stream.digests();
    const journal = { offset: journalOffset, lengthBytes: journalBytes };
    const digest = encodeDigest({ uuid, blake3, sha256, lengthBytes, journal });
    assert(digest.length === DIGEST_MEMBER_BYTES);
    await stream.writeTail(digest);
    const totalBytes = stream.lengthBytes + archiveTail(stream.lengthBytes, this.#blockBytes);
    await stream.writeTail(Buffer.alloc(totalBytes - stream.lengthBytes));
    const written = await stream.finish();
    this.record();
    const good = this.#copies.filter(({ archive }) => written.has(archive));
    const [first] = [...written.values()];
    assert(first);
    this.#tools.run.commitArchive(this.archiveId, {
      lengthBytes: totalBytes,
      lengthBlocks: first.lengthBlocks,
      blake3,
      sha256,
      copiesGood: good.map(({ mediumId }) => mediumId),
      carriedSnapshots: this.#carried,
      journalBytes,
      catalogCopy: this.#catalogCopy,
    });
    this.#lines.forgetFailed(good);
    for (const { tape, mediumId } of good) {
      try {
        await tape.countArchive(signal);
      } catch (error) {
        // The archive is safe; it is the drive that has to be proven again.
        if (!(error instanceof CodedError)) throw error;
        this.#tools.onCopyFailure(mediumId, error);
      }
    }
    const proof = { archiveId: this.archiveId, lengthBytes, blake3 };
    return new Map(
      good.map(({ mediumId, archive }) => [mediumId, { ...proof, startBlock: archive.startBlock }]),
    );
  }

  /**
   * Gives the archive up: a filemark ends it where it stands, where that is still possible, and nothing of it counts.
   */
  async abandon(): Promise<void> {
    await this.#stream.digests();
    const written = await this.#stream.tear().catch((error: unknown) => {
      if (error instanceof CodedError) return undefined;
      throw error;
    });
    const ends = this.#copies.flatMap(({ archive, mediumId }) => {
      const end = written?.get(archive);
      if (!end) return [];
      const { fileNumber, startBlock, lengthBlocks } = end;
      return [{ mediumId, nextFile: fileNumber + 1, nextBlock: startBlock + lengthBlocks + 1 }];
    });
    this.#tools.run.tearArchive(this.archiveId, ends);
  }

  close(): void {
    this.#journal.close();
  }

  async #open(): Promise<void> {
    const { uuid, job, host, sequence, createdMs, program } = this.identity;
    const opening = encodeOpening({
      uuid,
      job: { ...job },
      host,
      sequence,
      created: new Date(createdMs).toISOString(),
      program,
      blockBytes: this.#blockBytes,
      copies: this.#copies.map(({ tape, archive }) => ({
        barcode: tape.barcode,
        medium: tape.label.uuid,
        file: archive.fileNumber,
        block: archive.startBlock,
      })),
    });
    await this.#stream.write(opening);
    const created = new Date(createdMs).toISOString();
    this.addLine(formatStart({ archive: uuid, host: rawOf(host), created }));
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
    this.#tools.onEntry({ ...TOLD, entry, outcome, writtenBytes, readBytes, errno });
    if (!counts(outcome, entry)) return;
    const stored = { directoryId: row.directoryId, name: row.name, inodeId: inode.inodeId };
    if (lengths.dataBytes === 0) {
      this.#lines.addEmpty(entry);
      this.#recorder.add(stored);
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
    if (inode.sourceInode.links > 1)
      this.#linkable.set(inode.inodeId, memberPath(row.path, entry.host));
    this.#recorder.add({ ...stored, content, extents: [extent] });
  }

  /** A run of a large member; its last one makes it an entry. */
  async #addRun(feed: Feed, fragment: Fragment): Promise<void> {
    const [planned] = feed.members;
    const [result] = fragment.result.members;
    assert(planned?.lengths && result);
    const { headBytes, mapBytes } = planned.lengths;
    const dataOffset = this.#stream.lengthBytes + result.offset + headBytes - mapBytes;
    await this.#write(fragment, NONE);
    if (feed.isFirst) this.#member = { dataOffset, readBytes: 0 };
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
    if (!counts(outcome, entry)) {
      this.#lines.forgetParts(inode.inodeId);
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
      this.#recorder.add({ ...stored, extents: [extent] });
      return;
    }
    const content = contentOf(result, inode.sizeBytes);
    this.#lines.addStored(entry, extent, { hash: content.hash, isChangedWhileRead });
    if (inode.sourceInode.links > 1 && !piece.part) {
      this.#linkable.set(inode.inodeId, memberPath(row.path, entry.host));
    }
    if (content.segments) {
      for (const line of formatSegments(content.hash, content.segments)) this.addLine(line);
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

/** What was changed while it was read counts only where it is not tried again. */
function counts(outcome: MemberResult['outcome'], { isFinal }: OutgoingEntry): boolean {
  return outcome === 'stored' || (outcome === 'changed-while-read' && isFinal);
}

function contentOf({ hash, segments }: MemberResult, sizeBytes: number): Content {
  assert(hash);
  return { hash: hash, sizeBytes, segments };
}

const AFTER_GAP = { outcome: 'changed-before', errno: undefined } as const;

const NONE: ReadonlySet<number> = new Set();

/** Where the member after it begins. */
function endOf({ result }: Fragment, index: number): number {
  return result.members[index + 1]?.offset ?? result.lengthBytes;
}

function padding(lengthBytes: number, grain: number): number {
  return (grain - (lengthBytes % grain)) % grain;
}
