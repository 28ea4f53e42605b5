/**
 * One archive of what is moved: members from the spool, their lines in its journal, and at its end the commit. Until then
 * nothing of it counts.
 */
import { strict as assert } from 'node:assert';
import type { JournalEntry } from '../../archive/journal.ts';
import { MemberEncoder } from '../../archive/member.ts';
import { padTo512 } from '../../archive/ustar.ts';
import { CodedError } from '../../base/errors.ts';
import type { MovedExtent, MovedExtents } from '../../catalog/care/moved.ts';
import type { CopiedFile } from '../../catalog/file/copy.ts';
import type { Archives } from '../../catalog/shelf/archives.ts';
import type { CopyOfCatalog } from '../../catalog/shelf/catalog-copies.ts';
import type { Extent } from '../../domain/content.ts';
import type { Part } from '../../pack/item.ts';
import { JournalSpool } from '../backup/journal-spool.ts';
import {
  type ArchiveIdentity,
  type CopyTarget,
  type EndedArchive,
  OpenArchive,
  type OpeningTools,
} from '../backup/open-archive.ts';
import type { ArchiveProof } from '../backup/verify.ts';
import { type MovedEntry, movedMember } from './moved-member.ts';
import type { SpoolPart } from './spool.ts';

export type MovedArchiveTools = OpeningTools & {
  readonly archives: Archives;
  readonly extents: MovedExtents;
  readonly spoolDirectory: string;
};

/** A content, or a part of one, and where its bytes wait. */
export type MovedMember = {
  readonly entry: MovedEntry;
  readonly part: Part | undefined;
  readonly file: SpoolPart;
};

/** What the commit tells besides the archive itself. */
export type ToldElsewhere = {
  readonly retoldSnapshots?: readonly number[];
};

/** Members are put together in memory of this size, twice. */
const SLAB_BYTES = 4 * 2 ** 20;
/** Extents are told to the catalog so many at a time. */
const EXTENTS_MAX = 4096;

type Slab = { readonly bytes: Buffer; isFree: Promise<void> };

export class MovedArchive {
  readonly #tools: MovedArchiveTools;
  readonly #archive: OpenArchive;
  readonly #journal: JournalSpool;
  readonly #encoder = new MemberEncoder();
  readonly #slabs: readonly Slab[];
  #turn = 0;
  #filled = 0;
  #extents: MovedExtent[] = [];
  #entries = 0;
  #catalogCopy: CopyOfCatalog | undefined;

  private constructor(archive: OpenArchive, tools: MovedArchiveTools) {
    this.#tools = tools;
    this.#archive = archive;
    this.#journal = new JournalSpool(tools.spoolDirectory, `journal-${archive.identity.uuid}`);
    // Shared with the thread that digests: nothing is copied for it.
    this.#slabs = [0, 1].map(() => ({
      bytes: Buffer.from(new SharedArrayBuffer(SLAB_BYTES)),
      isFree: Promise.resolve(),
    }));
  }

  /** As `OpenArchive.begin`. */
  static async begin(
    targets: readonly CopyTarget[],
    order: { readonly identity: ArchiveIdentity; readonly tools: MovedArchiveTools },
    signal: AbortSignal,
  ): Promise<MovedArchive> {
    const archive = await OpenArchive.begin(targets, order, signal);
    try {
      return new MovedArchive(archive, order.tools);
    } catch (error) {
      await archive.abandon();
      throw error;
    }
  }

  get identity(): ArchiveIdentity {
    return this.#archive.identity;
  }

  get archiveId(): number {
    return this.#archive.archiveId;
  }

  get entries(): number {
    return this.#entries;
  }

  /** Bytes of the stream by now. */
  get lengthBytes(): number {
    return this.#archive.stream.lengthBytes + this.#filled;
  }

  get journalBytes(): number {
    return this.#journal.lengthBytes;
  }

  /** Media whose drives have warned: end the archive soon. */
  get mediaNearEnd(): readonly number[] {
    return this.#archive.mediaNearEnd;
  }

  /** Adds a line to the journal, its LF included. */
  addLine(line: string): void {
    this.#journal.add(line);
  }

  addEntry(entry: Omit<JournalEntry, 'kind'>): void {
    this.#journal.addEntry(entry);
  }

  /** Adds a member of its own behind the others. @returns where its data begin in the stream */
  async addOwn(file: CopiedFile): Promise<number> {
    await this.#flush();
    return this.#archive.addOwn(file);
  }

  /** One of its own members is a copy of the catalog. */
  holdsCopy(copy: CopyOfCatalog): void {
    this.#catalogCopy = copy;
  }

  /**
   * Adds a content, or a part of one, from the spool.
   * @param onBytes sees its data as they are written, in order; of a part, those of the part
   */
  async addMember(
    { entry, part, file }: MovedMember,
    onBytes: (bytes: Buffer, offset: number) => void,
  ): Promise<void> {
    const member = movedMember(entry, part);
    const { headBytes, mapBytes, dataBytes } = await this.#addHead(member);
    const start = this.lengthBytes - headBytes;
    const { moved, content } = entry;
    const offset = part?.offset ?? 0;
    const whole = [{ offset: 0, lengthBytes: member.lengthBytes }];
    for (const range of member.ranges ?? whole) {
      const from = offset + range.offset;
      const { lengthBytes } = range;
      await this.#addData({ file, base: moved.base, from, lengthBytes, onBytes });
    }
    await this.#addZeros(padTo512(dataBytes) - dataBytes);
    const extent: Extent = {
      contentOffset: offset,
      lengthBytes: member.lengthBytes,
      archiveOffset: start + headBytes - mapBytes,
      storedBytes: mapBytes + dataBytes,
      form: member.ranges ? 'sparse' : 'plain',
    };
    this.#entries += 1;
    this.#extents.push({ contentId: moved.contentId, sizeBytes: content.sizeBytes, extent });
    if (this.#extents.length >= EXTENTS_MAX) this.record();
  }

  /** Tells the catalog what the archive holds by now. */
  record(): void {
    const extents = this.#extents;
    this.#extents = [];
    this.#tools.extents.add(this.archiveId, extents);
  }

  /** Journal, digest, filemark, position proven, and the commit. @returns what has to read back, by medium */
  async finish(
    told: ToldElsewhere,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<number, readonly ArchiveProof[]>> {
    await this.#flush();
    this.record();
    const ended = await this.#archive.finish(this.#journal);
    const { lengthBytes, lengthBlocks, blake3, sha256, journalBytes, good } = ended;
    this.#tools.archives.commit(this.archiveId, {
      lengthBytes,
      lengthBlocks,
      blake3,
      sha256,
      journalBytes,
      copiesGood: good.map(({ mediumId }) => mediumId),
      catalogCopy: this.#catalogCopy,
      ...told,
    });
    return this.#count(ended, signal);
  }

  /** A filemark ends it where it stands, where that is still possible, and nothing of it counts. */
  abandon(): Promise<void> {
    return this.#archive.abandon();
  }

  close(): void {
    this.#journal.close();
  }

  /** What is committed is counted on the chips of the media that hold it. */
  async #count({ good, hashedBytes, blake3 }: EndedArchive, signal: AbortSignal) {
    const proofs = new Map<number, readonly ArchiveProof[]>();
    for (const { tape, mediumId, archive } of good) {
      const { archiveId } = this;
      const { startBlock } = archive;
      proofs.set(mediumId, [{ archiveId, startBlock, lengthBytes: hashedBytes, blake3 }]);
      try {
        await tape.countArchive(signal);
      } catch (error) {
        // The archive is safe; it is the drive that has to be proven again.
        if (!(error instanceof CodedError)) throw error;
        this.#tools.onCopyFailure(mediumId, error);
      }
    }
    return proofs;
  }

  async #addHead(member: ReturnType<typeof movedMember>) {
    for (const isEmpty of [false, true]) {
      if (isEmpty) await this.#flush();
      const slab = await this.#slab();
      const lengths = this.#encoder.encodeInto(slab.bytes, this.#filled, member);
      if (!lengths) continue;
      this.#filled += lengths.headBytes;
      return lengths;
    }
    // Attributes of megabytes.
    const { head, mapBytes, dataBytes } = this.#encoder.encode(member);
    await this.#archive.stream.write(head);
    return { headBytes: head.length, mapBytes, dataBytes };
  }

  async #addData(data: {
    readonly file: SpoolPart;
    readonly base: number;
    readonly from: number;
    readonly lengthBytes: number;
    readonly onBytes: (bytes: Buffer, offset: number) => void;
  }): Promise<void> {
    const { file, base, from, lengthBytes, onBytes } = data;
    for (let at = 0; at < lengthBytes; ) {
      const slab = await this.#slab();
      const room = slab.bytes.subarray(this.#filled, this.#filled + lengthBytes - at);
      const count = file.read(room, base + from + at);
      assert(count > 0, 'what is in the spool is read to its end');
      onBytes(room.subarray(0, count), from + at);
      this.#filled += count;
      at += count;
      if (this.#filled === SLAB_BYTES) await this.#flush();
    }
  }

  async #addZeros(count: number): Promise<void> {
    for (let left = count; left > 0; ) {
      const slab = await this.#slab();
      const zeros = Math.min(left, SLAB_BYTES - this.#filled);
      slab.bytes.fill(0, this.#filled, this.#filled + zeros);
      this.#filled += zeros;
      left -= zeros;
      if (this.#filled === SLAB_BYTES) await this.#flush();
    }
  }

  async #slab(): Promise<Slab> {
    if (this.#filled === SLAB_BYTES) await this.#flush();
    const slab = this.#slabs[this.#turn];
    assert(slab);
    if (this.#filled === 0) await slab.isFree;
    return slab;
  }

  async #flush(): Promise<void> {
    const slab = this.#slabs[this.#turn];
    assert(slab);
    if (this.#filled === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    slab.isFree = promise;
    const bytes = slab.bytes.subarray(0, this.#filled);
    this.#turn = (this.#turn + 1) % this.#slabs.length;
    this.#filled = 0;
    await this.#archive.stream.write(bytes, resolve);
  }
}
