/**
 * Writes one archive: opening, members as the readers deliver them, journal, digest; then filemark, proof of the position,
 * and the commit in the catalog. Until then nothing of it counts.
 */
import { strict as assert } from 'node:assert';
import { archiveTail, DIGEST_MEMBER_BYTES, encodeDigest } from '../../archive/digest.ts';
import { formatEntry, formatSegments, formatStart } from '../../archive/journal.ts';
import { encodeMember, memberPath } from '../../archive/member.ts';
import { encodeOpening } from '../../archive/opening.ts';
import { ownHead, ownPath } from '../../archive/own-member.ts';
import { blockOf, type Place } from '../../archive/place.ts';
import { CodedError } from '../../base/errors.ts';
import { type Raw, rawOf } from '../../base/raw.ts';
import type { Run } from '../../catalog/run.ts';
import type { StoredEntry } from '../../catalog/store.ts';
import type { Content, Extent } from '../../domain/content.ts';
import type { Piece } from '../../pack/item.ts';
import type { Tape, TapeArchive } from '../../storage/tape.ts';
import { ArchiveStream } from './archive-stream.ts';
import type { Digester } from './digester.ts';
import type { Feed, OutgoingEntry, PlannedMember } from './feed.ts';
import type { MemberResult } from './fragment.ts';
import { JournalSpool } from './journal-spool.ts';
import type { Located } from './locate.ts';
import type { Fragment } from './read-ahead.ts';
import { lineChange } from './run-journal.ts';
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

export type ArchiveTools = {
  readonly run: Run;
  readonly digester: Digester;
  readonly sha256: boolean;
  /** Where the journal waits until it is written. */
  readonly spoolDirectory: string;
  /** A copy's drive failed; the archive goes on with the others. */
  onCopyFailure(mediumId: number, error: CodedError): void;
  onEntry(outcome: EntryOutcome): void;
  /** Whether these bytes need not be stored: enough good copies are there, or this archive has them. */
  isStored(content: { sizeBytes: number; hash: Buffer }, archiveId: number): boolean;
  /** The entries' bytes are those of contents that are stored. */
  setDuplicates(duplicates: readonly Duplicate[]): void;
  /** Hash and places of what an inode holds, in this archive or before; undefined where it is not stored. */
  located(inodeId: number): Located | undefined;
};

export type Duplicate = { readonly entry: OutgoingEntry; readonly hash: Buffer };

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

/** Entries recorded in one transaction. */
const STORED_BATCH = 1024;

type OpenMember = { readonly dataOffset: number; readBytes: number };

export class ArchiveWriter {
  readonly archiveId: number;
  readonly identity: ArchiveIdentity;
  readonly #tools: ArchiveTools;
  readonly #copies: readonly (CopyTarget & { readonly archive: TapeArchive })[];
  readonly #stream: ArchiveStream;
  readonly #journal: JournalSpool;
  readonly #blockBytes: number;
  /** Of large files begun in earlier archives or in this one: where their parts lie. */
  readonly #parts: Map<number, Place[][]>;
  /** Members of this archive that further names of their inodes can link to. */
  readonly #linkable = new Map<number, Raw>();
  /** What the catalog has not been told of yet, and whose contents are among it. */
  #stored: StoredEntry[] = [];
  readonly #unrecorded = new Set<number>();
  /** Hashes of small contents among them. */
  readonly #fresh = new Set<string>();
  /** Files whose bytes turned out to be stored: told of when the catalog knows where. */
  #duplicates: Duplicate[] = [];
  #member: OpenMember | undefined;
  #entries = 0;
  #carried: readonly number[] = [];

  private constructor(
    tools: ArchiveTools,
    parts: {
      identity: ArchiveIdentity;
      archiveId: number;
      copies: readonly (CopyTarget & { readonly archive: TapeArchive })[];
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
    this.#parts = parts.parts;
    this.#journal = new JournalSpool(tools.spoolDirectory, `journal-${parts.identity.uuid}`);
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
    const copies = [];
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

  /** Adds a line to the journal, its LF included. */
  addLine(line: string): void {
    this.#journal.add(line);
  }

  /** Puts a fragment behind what is there, and records what it holds. The fragment is released. */
  async add(feed: Feed, fragment: Fragment): Promise<void> {
    const { members } = fragment.result;
    const duplicates = feed.task.kind === 'small' ? this.#findDuplicates(feed, members) : NONE;
    const base = this.#stream.lengthBytes;
    await this.#write(fragment, duplicates);
    let leftOutBytes = 0;
    for (const [index, planned] of feed.members.entries()) {
      const result = members[index];
      assert(result, 'a result a member');
      const entry = planned.piece.item.key;
      if (duplicates.has(index)) {
        this.#addDuplicate(entry, result);
        leftOutBytes += endOf(fragment, index) - result.offset;
        continue;
      }
      const stored =
        entry.form === 'link' || entry.form === 'line'
          ? await this.#addName(planned.piece)
          : this.#addMember(feed, planned, { result, base: base - leftOutBytes });
      if (stored) this.#stored.push(stored);
      if (stored?.content) this.#unrecorded.add(stored.inodeId);
    }
    if (this.#stored.length + this.#duplicates.length >= STORED_BATCH) this.record();
  }

  /** Tells the catalog what the archive holds by now: many entries at a time, for each commit waits for the disk. */
  record(): void {
    const { run } = this.#tools;
    run.store(this.archiveId, this.#stored);
    this.#stored = [];
    this.#unrecorded.clear();
    this.#fresh.clear();
    const duplicates = this.#duplicates;
    this.#duplicates = [];
    if (duplicates.length === 0) return;
    this.#tools.setDuplicates(duplicates);
    for (const { entry } of duplicates) {
      this.#addEntryLine(
        { ...entry, row: { ...entry.row, change: 'duplicate' } },
        this.#tools.located(entry.inode.inodeId) ?? { hash: undefined, copies: [] },
      );
    }
    run.store(
      this.archiveId,
      duplicates.map(({ entry: { row, inode } }) => ({
        directoryId: row.directoryId,
        name: row.name,
        inodeId: inode.inodeId,
      })),
    );
  }

  /** Small files that were read whole and turn out to be stored already, here or before: their members are left out. */
  #findDuplicates(feed: Feed, members: readonly MemberResult[]): ReadonlySet<number> {
    const found = new Set<number>();
    for (const [index, { piece }] of feed.members.entries()) {
      const result = members[index];
      const { form, inode } = piece.item.key;
      if (form !== 'data' || result?.outcome !== 'stored' || !result.hash) continue;
      const hash = bufferOf(result.hash);
      const key = hash.toString('latin1');
      const isHere = this.#fresh.has(key);
      if (isHere || this.#tools.isStored({ sizeBytes: inode.sizeBytes, hash }, this.archiveId)) {
        found.add(index);
      } else this.#fresh.add(key);
    }
    return found;
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

  #addDuplicate(entry: OutgoingEntry, result: MemberResult): void {
    assert(result.hash);
    this.#entries += 1;
    this.#duplicates.push({ entry, hash: Buffer.from(result.hash) });
    this.#unrecorded.add(entry.inode.inodeId);
    const { readBytes, outcome } = result;
    this.#tools.onEntry({
      entry,
      isLast: true,
      outcome,
      writtenBytes: 0,
      readBytes,
      duplicateBytes: entry.inode.sizeBytes,
      errno: undefined,
    });
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
    });
    this.#forgetLostParts(good);
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

  #addMember(
    feed: Feed,
    planned: PlannedMember,
    { result, base }: { result: MemberResult; base: number },
  ): StoredEntry | undefined {
    const { piece, encoded, isLastOfContent } = planned;
    assert(encoded);
    const entry = piece.item.key;
    const isLeftOut = result.outcome === 'changed-before' || result.outcome === 'unreadable';
    if (feed.isFirst) {
      const dataOffset = base + result.offset + encoded.head.length - encoded.mapBytes;
      this.#member = { dataOffset, readBytes: 0 };
    }
    assert(this.#member);
    this.#member.readBytes += result.readBytes;
    if (!feed.isLast) return undefined;
    const { dataOffset, readBytes } = this.#member;
    this.#member = undefined;
    this.#entries += 1;
    const writtenBytes = isLeftOut ? 0 : encoded.mapBytes + encoded.dataBytes;
    const { outcome, errno } = this.#isInGap(piece) ? AFTER_GAP : result;
    const isSound = outcome === 'stored';
    const isLast = !isSound || isLastOfContent;
    const told = { entry, isLast, outcome, errno };
    this.#tools.onEntry({ ...told, writtenBytes, readBytes, duplicateBytes: 0 });
    if (!isSound && !(outcome === 'changed-while-read' && entry.isFinal)) {
      this.#parts.delete(entry.inode.inodeId);
      return undefined;
    }
    const { row, inode } = entry;
    const stored = { directoryId: row.directoryId, name: row.name, inodeId: inode.inodeId };
    if (encoded.mapBytes + encoded.dataBytes === 0 && inode.sizeBytes === 0) {
      this.#addEntryLine(entry, { hash: undefined, copies: [] });
      return stored;
    }
    const extent: Extent = {
      contentOffset: piece.part?.offset ?? 0,
      lengthBytes: piece.part?.lengthBytes ?? inode.sizeBytes,
      archiveOffset: dataOffset,
      storedBytes: encoded.mapBytes + encoded.dataBytes,
      form: entry.ranges === undefined ? 'plain' : 'sparse',
    };
    const places = this.#placesWith(inode.inodeId, extent);
    const content = isLastOfContent ? contentOf(result, inode.sizeBytes) : undefined;
    if (content) {
      this.#parts.delete(inode.inodeId);
      if (inode.sourceInode.links > 1 && !piece.part) {
        this.#linkable.set(inode.inodeId, memberPath(row.path));
      }
    } else this.#parts.set(inode.inodeId, places);
    this.#addEntryLine(entry, {
      hash: content?.hash,
      copies: places,
      isChangedWhileRead: outcome === 'changed-while-read',
    });
    if (content?.segments) {
      for (const line of formatSegments(content.hash, content.segments)) this.addLine(line);
    }
    return { ...stored, content, extents: [extent], ranges: content && entry.ranges };
  }

  /** The part before it failed when this one was already on its way: what is left is no content. */
  #isInGap({ item, part }: Piece<OutgoingEntry>): boolean {
    if (!part || part.offset === 0) return false;
    const [places = []] = this.#parts.get(item.key.inode.inodeId) ?? [];
    return places.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0) !== part.offset;
  }

  /** A further name of an inode: a tar link where its bytes are in this archive, else its line alone. */
  async #addName(piece: Piece<OutgoingEntry>): Promise<StoredEntry | undefined> {
    const entry = piece.item.key;
    const { row, inode } = entry;
    this.#entries += 1;
    if (this.#unrecorded.has(inode.inodeId)) this.record();
    const link = this.#linkable.get(inode.inodeId);
    if (entry.form === 'link' && link !== undefined) {
      const path = memberPath(row.path);
      await this.#stream.write(
        encodeMember({ path, attributes: inode, lengthBytes: 0, link }).head,
      );
    }
    // Where the bytes were left out, so is the name: both are looked at again.
    const located = this.#tools.located(inode.inodeId);
    if (inode.type === 'file' && inode.sizeBytes > 0 && !located) return undefined;
    const line = { ...entry, row: { ...row, change: lineChange(row) } };
    this.#addEntryLine(line, located ?? { hash: undefined, copies: [] });
    this.#tools.onEntry({
      entry,
      isLast: true,
      outcome: 'stored',
      writtenBytes: 0,
      readBytes: 0,
      duplicateBytes: 0,
      errno: undefined,
    });
    return { directoryId: row.directoryId, name: row.name, inodeId: inode.inodeId };
  }

  /** Parts on a medium that failed in this archive are nowhere. */
  #forgetLostParts(good: readonly { readonly archive: TapeArchive }[]): void {
    const lost = this.#copies.filter((copy) => !good.includes(copy));
    if (lost.length === 0) return;
    const isLost = ({ medium, file }: Place) =>
      lost.some(
        ({ tape, archive }) => rawOf(tape.barcode) === medium && archive.fileNumber === file,
      );
    for (const [inodeId, copies] of this.#parts) {
      this.#parts.set(
        inodeId,
        copies.filter((places) => !places.some(isLost)),
      );
    }
  }

  #addEntryLine(
    entry: OutgoingEntry,
    content: {
      hash: Buffer | undefined;
      copies: readonly (readonly Place[])[];
      isChangedWhileRead?: boolean;
    },
  ): void {
    const { row, inode } = entry;
    const { isChangedWhileRead } = content;
    this.addLine(
      formatEntry({
        // Bytes whose copies were lost, written again: for a reader of journals they lie elsewhere now.
        change: row.change === 'again' ? 'changed' : row.change,
        path: row.path,
        attributes: inode,
        hash: content.hash,
        copies: content.copies,
        inode: inode.sourceInode,
        group: inode.sourceInode.links > 1 ? inode.inodeId : undefined,
        from: row.movedFrom,
        isChangedWhileRead: isChangedWhileRead || undefined,
      }),
    );
  }

  /** Where the content lies with this extent: a list of places for each copy. */
  #placesWith(inodeId: number, extent: Extent): Place[][] {
    const before = this.#parts.get(inodeId);
    // A copy that failed keeps its column until the archive ends, so that no list mixes one copy's places with another's.
    return this.#copies.map(({ archive, tape }, index) => {
      const at = blockOf(
        { startBlock: archive.startBlock, blockBytes: this.#blockBytes },
        extent.archiveOffset,
      );
      const place: Place = {
        medium: rawOf(tape.barcode),
        file: archive.fileNumber,
        ...at,
        storedBytes: extent.storedBytes,
        contentOffset: extent.contentOffset,
        lengthBytes: extent.lengthBytes,
        form: extent.form,
      };
      return [...(before?.[index] ?? before?.[0] ?? []), place];
    });
  }
}

function contentOf(result: MemberResult, sizeBytes: number): Content {
  assert(result.hash);
  const { hash, segments } = result;
  return { hash: Buffer.from(hash), sizeBytes, segments: segments && Buffer.from(segments) };
}

const AFTER_GAP = { outcome: 'changed-before', errno: undefined } as const;

const NONE: ReadonlySet<number> = new Set();

/** Where the member after it begins. */
function endOf({ result }: Fragment, index: number): number {
  return result.members[index + 1]?.offset ?? result.lengthBytes;
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function padding(lengthBytes: number, grain: number): number {
  return (grain - (lengthBytes % grain)) % grain;
}
