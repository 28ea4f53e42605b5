/**
 * Writes one archive: opening, members as the readers deliver them, journal, digest; then filemark, proof of the position,
 * and the commit in the catalog. Until then nothing of it counts.
 *
 * Where the end of a tape comes inside a member, only that member is given up: the archive is torn before it, and a small
 * one behind it tells of the members that are whole. Both count with one commit, or neither does.
 */
import { strict as assert } from 'node:assert';
import type { JournalEntry } from '../../archive/journal.ts';
import type { Place } from '../../archive/place.ts';
import { CodedError } from '../../base/errors.ts';
import type { CopiedFile } from '../../catalog/file/copy.ts';
import type { FinishedArchive, JournaledEnd } from '../../catalog/shelf/archives.ts';
import type { CopyOfCatalog } from '../../catalog/shelf/catalog-copies.ts';
import type { Feed } from './feed.ts';
import { JournalSpool } from './journal-spool.ts';
import { type MemberTools, MemberWriter } from './member-writer.ts';
import {
  type ArchiveCopy,
  type ArchiveIdentity,
  type CopyTarget,
  type EndedArchive,
  endsOf,
  OpenArchive,
  type OpeningTools,
} from './open-archive.ts';
import type { Fragment } from './read-ahead.ts';
import type { ArchiveProof } from './verify.ts';

export type ArchiveTools = MemberTools &
  OpeningTools & {
    /** Where the journal waits until it is written. */
    readonly spoolDirectory: string;
  };

/** What has to read back from each medium. */
export type ArchiveProofs = ReadonlyMap<number, readonly ArchiveProof[]>;

export class ArchiveWriter {
  readonly #tools: ArchiveTools;
  readonly #archive: OpenArchive;
  readonly #journal: JournalSpool;
  readonly #members: MemberWriter;
  #carried: readonly number[] = [];
  #end: JournaledEnd | undefined;
  #catalogCopy: CopyOfCatalog | undefined;

  private constructor(
    archive: OpenArchive,
    { parts, tools }: { parts: Map<number, Place[][]>; tools: ArchiveTools },
  ) {
    this.#tools = tools;
    this.#archive = archive;
    const journal = new JournalSpool(tools.spoolDirectory, `journal-${archive.identity.uuid}`);
    this.#journal = journal;
    this.#members = new MemberWriter(archive, { journal, parts, tools });
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
    const archive = await OpenArchive.begin(targets, options, signal);
    try {
      return new ArchiveWriter(archive, options);
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

  get lengthBytes(): number {
    return this.#archive.stream.lengthBytes;
  }

  get entries(): number {
    return this.#members.entries;
  }

  /** Media whose drives have warned: end the archive soon. */
  get mediaNearEnd(): readonly number[] {
    return this.#archive.mediaNearEnd;
  }

  /**
   * How the archive can end now. `torn`: within a member, which is given up; `not`: not before that is whole, for so little
   * of it is missing that the tear would not be seen.
   */
  get ending(): 'whole' | 'torn' | 'not' {
    const { open } = this.#members;
    if (open === undefined || open.start === this.lengthBytes) return 'whole';
    return this.#archive.canTear(open.end - this.lengthBytes) ? 'torn' : 'not';
  }

  /** A member has begun whose bytes are not all in the stream. */
  get isInMember(): boolean {
    return this.#members.open !== undefined;
  }

  /** The journal tells the end of its run, and those of the earlier ones with these snapshots. */
  carries(end: JournaledEnd, snapshotIds: readonly number[]): void {
    this.#end = end;
    this.#carried = snapshotIds;
  }

  get mediumIds(): readonly number[] {
    return this.#archive.copies.map(({ mediumId }) => mediumId);
  }

  /** Of the lines by now. */
  get journalBytes(): number {
    return this.#journal.lengthBytes;
  }

  /** One of its own members is a copy of the catalog. */
  holdsCopy(copy: CopyOfCatalog): void {
    this.#catalogCopy = copy;
  }

  /** Adds a member of its own behind those of entries. @returns where its data begin in the stream */
  addOwn(file: CopiedFile): Promise<number> {
    assert(!this.isInMember, 'a member is written to its end');
    return this.#archive.addOwn(file);
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
  add(feed: Feed, fragment: Fragment): Promise<void> {
    return this.#members.add(feed, fragment);
  }

  /** Tells the catalog what the archive holds by now. */
  record(): void {
    this.#members.record();
  }

  /**
   * Ends the archive: journal, digest, filemark, position proven, and the commit. A member of which nothing has been
   * written yet is left out.
   * @returns what has to read back on each medium that holds it
   */
  async finish(signal: AbortSignal): Promise<ArchiveProofs> {
    assert(this.ending === 'whole', 'a member is written to its end');
    this.#members.dropOpen();
    const ended = await this.#archive.finish(this.#journal);
    this.#members.record();
    const finished = finishedOf(ended, ended.good);
    this.#tools.run.archives.commit(this.archiveId, {
      ...finished,
      carriedSnapshots: this.#carried,
      end: this.#end,
      catalogCopy: this.#catalogCopy,
    });
    return this.#count([{ archiveId: this.archiveId, ended }], ended.good, signal);
  }

  /**
   * Ends the archive before the member it is in, which is given up, and completes it by another archive. A copy counts
   * where both are good.
   * @param identity of the archive that completes it
   * @returns what has to read back on each medium that holds them
   */
  async finishTorn(identity: ArchiveIdentity, signal: AbortSignal): Promise<ArchiveProofs> {
    const { open } = this.#members;
    assert(open && this.ending === 'torn' && this.#carried.length === 0);
    const torn = await this.#archive.tear();
    this.#members.dropOpen();
    this.#members.record();
    const [first] = this.#archive.copies;
    assert(first);
    const { fileNumber: file, startBlock: block } = first.archive;
    const completes = { uuid: this.identity.uuid, file, block, wholeBytes: open.start };
    const completing = await OpenArchive.begin(
      torn.good,
      { identity, tools: this.#tools, torn: { completes, ends: endsOf(torn.good) } },
      signal,
    );
    const { archiveId } = completing;
    let ended: EndedArchive;
    try {
      ended = await completing.finish(this.#journal);
    } catch (error) {
      await completing.abandon();
      throw error;
    }
    const good = torn.good.filter(({ mediumId }) =>
      ended.good.some((copy) => copy.mediumId === mediumId),
    );
    this.#tools.run.archives.commitCompleted(
      { archiveId: this.archiveId, ...finishedOf(torn, good) },
      { archiveId, ...finishedOf(ended, ended.good) },
    );
    const both = [
      { archiveId: this.archiveId, ended: torn },
      { archiveId, ended },
    ];
    return this.#count(both, good, signal);
  }

  /**
   * Gives the archive up: a filemark ends it where it stands, where that is still possible, and nothing of it counts.
   */
  abandon(): Promise<void> {
    return this.#archive.abandon();
  }

  close(): void {
    this.#journal.close();
  }

  /** What is committed is counted on the chips of the media that hold it. */
  async #count(
    archives: readonly { readonly archiveId: number; readonly ended: EndedArchive }[],
    good: readonly ArchiveCopy[],
    signal: AbortSignal,
  ): Promise<ArchiveProofs> {
    this.#members.forgetFailed(good);
    for (const { tape, mediumId } of good) {
      try {
        for (const _ of archives) await tape.countArchive(signal);
      } catch (error) {
        // The archive is safe; it is the drive that has to be proven again.
        if (!(error instanceof CodedError)) throw error;
        this.#tools.onCopyFailure(mediumId, error);
      }
    }
    return new Map(
      good.map(({ mediumId }) => [
        mediumId,
        archives.flatMap(({ archiveId, ended }) => proofOn(mediumId, archiveId, ended)),
      ]),
    );
  }
}

function finishedOf(ended: EndedArchive, good: readonly ArchiveCopy[]): FinishedArchive {
  const { lengthBytes, lengthBlocks, blake3, sha256, journalBytes } = ended;
  const copiesGood = good.map(({ mediumId }) => mediumId);
  return { lengthBytes, lengthBlocks, blake3, sha256, journalBytes, copiesGood };
}

function proofOn(mediumId: number, archiveId: number, ended: EndedArchive): ArchiveProof[] {
  const { good, hashedBytes: lengthBytes, blake3 } = ended;
  return good
    .filter((copy) => copy.mediumId === mediumId)
    .map(({ archive: { startBlock } }) => ({ archiveId, startBlock, lengthBytes, blake3 }));
}
