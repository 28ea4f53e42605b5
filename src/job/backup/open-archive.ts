/**
 * An archive that is begun: announced in the catalog, its opening in its stream, and ended in one of three ways. What
 * stands between, members and journal, is its writer's.
 */
import { strict as assert } from 'node:assert';
import { archiveTail, DIGEST_MEMBER_BYTES, encodeDigest } from '../../archive/digest.ts';
import { formatStart } from '../../archive/journal.ts';
import { encodeOpening, type Opening } from '../../archive/opening.ts';
import { ownHead, ownPath } from '../../archive/own-member.ts';
import type { Clock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import { rawOf } from '../../base/raw.ts';
import type { CopiedFile } from '../../catalog/file/copy.ts';
import type { Job } from '../../catalog/job/jobs.ts';
import type { ArchivesOfRun } from '../../catalog/run/archives.ts';
import type { MediumEnd } from '../../catalog/shelf/archives.ts';
import type { Tape } from '../../storage/tape.ts';
import type { TapeArchive, Written } from '../../storage/tape-archive.ts';
import { ArchiveStream } from './archive-stream.ts';
import type { Digester } from './digester.ts';
import type { JournalSpool } from './journal-spool.ts';
import { writeOwn } from './own-bytes.ts';
import type { StagingArea, StreamWay } from './stream-way.ts';

/** A medium that takes a copy. */
export type CopyTarget = { readonly mediumId: number; readonly tape: Tape };

/** An archive on one of its media. */
export type ArchiveCopy = CopyTarget & { readonly archive: TapeArchive };

export type ArchiveIdentity = {
  readonly uuid: string;
  readonly job: { readonly number: number; readonly uuid: string };
  readonly verb: string;
  readonly host: string;
  readonly sequence: number;
  readonly createdMs: number;
  readonly program: string;
};

/** Of a job's next archive, which begins now. @param sequence from 1 */
export function identify(
  { job, clock, random, program }: IdentityTools,
  sequence: number,
): ArchiveIdentity {
  return {
    uuid: random.uuid(),
    job: { number: job.number, uuid: job.uuid },
    verb: job.verb,
    host: job.host,
    sequence,
    createdMs: clock.nowMs(),
    program,
  };
}

export type IdentityTools = {
  readonly job: Pick<Job, 'number' | 'uuid' | 'verb' | 'host'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly program: string;
};

export type OpeningTools = {
  /** Where archives are announced. */
  readonly run: { readonly archives: Pick<ArchivesOfRun, 'begin' | 'tear'> };
  readonly digester: Digester;
  readonly sha256: boolean;
  readonly staging: StagingArea;
  /** A copy's drive failed; the archive goes on with the others. */
  onCopyFailure(mediumId: number, error: CodedError): void;
};

/** An archive torn on purpose: what the one behind it says of it, and where it ended on each medium. */
export type TornArchive = {
  readonly completes: NonNullable<Opening['completes']>;
  readonly ends: readonly MediumEnd[];
};

/** What an archive came to: the media that hold it whole, and what its stream hashes to. */
export type EndedArchive = {
  readonly good: readonly ArchiveCopy[];
  readonly lengthBlocks: number;
  /** Of the whole stream; of a torn one, up to the tear. */
  readonly lengthBytes: number;
  /** Bytes that the hashes cover. */
  readonly hashedBytes: number;
  readonly blake3: Buffer;
  readonly sha256: Buffer | undefined;
  /** Of its journal; of a torn one, which has none, 0. */
  readonly journalBytes: number;
};

/** Blocks of zeros behind a tear: where a reader looks for a digest, nothing of a file's bytes may stand. */
const BLOCKS_BEHIND_TEAR = 2;

export class OpenArchive {
  readonly archiveId: number;
  readonly identity: ArchiveIdentity;
  readonly copies: readonly ArchiveCopy[];
  readonly stream: ArchiveStream;
  readonly blockBytes: number;
  readonly #run: OpeningTools['run'];
  /** Copies with a filemark behind them. */
  #closed: readonly ArchiveCopy[] = [];

  private constructor(
    archiveId: number,
    parts: {
      identity: ArchiveIdentity;
      copies: readonly ArchiveCopy[];
      blockBytes: number;
      tools: OpeningTools;
      way: StreamWay;
    },
    signal: AbortSignal,
  ) {
    const { tools, blockBytes } = parts;
    this.archiveId = archiveId;
    this.identity = parts.identity;
    this.copies = parts.copies;
    this.blockBytes = blockBytes;
    this.#run = tools.run;
    tools.digester.begin({ sha256: tools.sha256 });
    this.stream = new ArchiveStream(
      parts.copies.map(({ archive, mediumId }) => ({
        archive,
        onFailure: (error) => tools.onCopyFailure(mediumId, error),
      })),
      { blockBytes, digester: tools.digester, way: parts.way },
      signal,
    );
  }

  /**
   * Begins an archive at the end of each tape's data and announces it in the catalog.
   * @param order.torn the archive that this one completes. Then a medium where it cannot begin is left out, as long as
   *   there is another
   * @throws CodedError of the first drive that fails; of one that completes: of the last
   */
  static async begin(
    targets: readonly CopyTarget[],
    order: {
      readonly identity: ArchiveIdentity;
      readonly tools: OpeningTools;
      readonly torn?: TornArchive | undefined;
    },
    signal: AbortSignal,
  ): Promise<OpenArchive> {
    const { identity, tools, torn } = order;
    const blockBytes = targets[0]?.tape.blockBytes;
    assert(blockBytes !== undefined, 'an archive has at least one copy');
    assert(
      targets.every(({ tape }) => tape.blockBytes === blockBytes),
      'copies have equal blocks',
    );
    // What completes another is small, and the drive has warned already.
    const mediumIds = targets.map(({ mediumId }) => mediumId);
    const warnBytes = torn ? 0 : tools.staging.bytesFor(mediumIds, blockBytes);
    const copies: ArchiveCopy[] = [];
    let failure: CodedError | undefined;
    for (const target of targets) {
      try {
        const archive = await target.tape.beginArchive(signal, { warnBytes });
        copies.push({ ...target, archive });
      } catch (error) {
        if (!(error instanceof CodedError)) throw error;
        tools.onCopyFailure(target.mediumId, error);
        if (torn === undefined || error.code === 'INTERRUPTED') throw error;
        failure = error;
      }
    }
    if (copies.length === 0 && failure) throw failure;
    const announced = announcementOf(identity, copies, blockBytes);
    const archiveId = tools.run.archives.begin(announced, torn?.ends);
    const way = tools.staging.wayOf({
      bytesMax: copies.every((copy) => copy.archive.warnsEarlier) ? warnBytes : 0,
      blockBytes,
      generations: copies.map(({ tape }) => tape.label.generation),
    });
    const parts = { identity, copies, blockBytes, tools, way };
    const archive = new OpenArchive(archiveId, parts, signal);
    try {
      await archive.stream.write(archive.#opening(torn));
    } catch (error) {
      await archive.abandon();
      throw error;
    }
    return archive;
  }

  /** Media whose drives have warned: end the archive soon. */
  get mediaNearEnd(): readonly number[] {
    const { nearEnd } = this.stream;
    if (nearEnd.size === 0) return [];
    return this.copies.flatMap(({ archive, mediumId }) => (nearEnd.has(archive) ? mediumId : []));
  }

  /** Adds a member below `.shelfs/`. @returns where its data begin in the stream */
  async addOwn({ name, lengthBytes, read }: CopiedFile): Promise<number> {
    const { uuid, createdMs } = this.identity;
    await this.stream.write(ownHead(ownPath(uuid, name), lengthBytes, createdMs).head);
    const position = this.stream.lengthBytes;
    await writeOwn(this.stream, read());
    await this.stream.write(Buffer.alloc(padding(lengthBytes, 512)));
    return position;
  }

  /**
   * Journal, digest, filemark, and the position proven.
   * @param journal its lines but for the first, which is the archive's own
   */
  async finish(journal: JournalSpool): Promise<EndedArchive> {
    const { stream, blockBytes } = this;
    const { uuid, createdMs, host } = this.identity;
    const created = new Date(createdMs).toISOString();
    const start = formatStart({ archive: uuid, host: rawOf(host), created, hasProofs: true });
    const journalBytes = start.length + journal.lengthBytes;
    await stream.write(ownHead(ownPath(uuid, 'journal'), journalBytes, createdMs).head);
    const offset = stream.lengthBytes;
    await stream.write(Buffer.from(start, 'latin1'));
    await writeOwn(stream, journal.read());
    await stream.write(Buffer.alloc(padding(journalBytes, 512)));
    const hashedBytes = stream.lengthBytes;
    const { blake3, sha256 } = await stream.digests();
    const digest = encodeDigest({
      uuid,
      blake3,
      sha256,
      lengthBytes: hashedBytes,
      journal: { offset, lengthBytes: journalBytes },
    });
    assert(digest.length === DIGEST_MEMBER_BYTES);
    await stream.writeTail(digest);
    await stream.writeTail(Buffer.alloc(archiveTail(stream.lengthBytes, blockBytes)));
    const lengthBytes = stream.lengthBytes;
    const hashes = { lengthBytes, hashedBytes, blake3, sha256, journalBytes };
    return this.#ended(await stream.finish(), hashes);
  }

  /** Whether so much can be cut off the end of a member, and what lies before can never pass for the whole of it. */
  canTear(restBytes: number): boolean {
    return restBytes > (BLOCKS_BEHIND_TEAR + 1) * this.blockBytes;
  }

  /** Tears the archive on purpose, where `canTear` says so: another has to complete it (FORMAT.md section 3.3). */
  async tear(): Promise<EndedArchive> {
    const { stream, blockBytes } = this;
    const lengthBytes = stream.lengthBytes;
    const { blake3, sha256 } = await stream.digests();
    const behind = padding(lengthBytes, blockBytes) + BLOCKS_BEHIND_TEAR * blockBytes;
    await stream.writeTail(Buffer.alloc(behind));
    const hashes = { lengthBytes, hashedBytes: lengthBytes, blake3, sha256, journalBytes: 0 };
    return this.#ended(await stream.finish(), hashes);
  }

  /** Gives the archive up: a filemark ends it where it stands, where that is still possible, and nothing of it counts. */
  async abandon(): Promise<void> {
    await this.stream.digests();
    const written = await this.stream.abandon().catch((error: unknown) => {
      if (error instanceof CodedError) return undefined;
      throw error;
    });
    const closed = this.copies.filter(({ archive }) => written?.has(archive));
    this.#run.archives.tear(this.archiveId, endsOf([...this.#closed, ...closed]));
  }

  #ended(
    written: ReadonlyMap<TapeArchive, Written>,
    hashes: Omit<EndedArchive, 'good' | 'lengthBlocks'>,
  ): EndedArchive {
    const good = this.copies.filter(({ archive }) => written.has(archive));
    this.#closed = good;
    const [first] = good;
    assert(first);
    return { ...hashes, good, lengthBlocks: first.archive.lengthBlocks };
  }

  #opening(torn: TornArchive | undefined): Buffer {
    const { uuid, job, verb, host, sequence, createdMs, program } = this.identity;
    return encodeOpening({
      uuid,
      job: { ...job },
      verb,
      host,
      sequence,
      created: new Date(createdMs).toISOString(),
      program,
      blockBytes: this.blockBytes,
      copies: this.copies.map(({ tape, archive }) => ({
        barcode: tape.barcode,
        medium: tape.label.uuid,
        file: archive.fileNumber,
        block: archive.startBlock,
      })),
      ...(torn && { completes: torn.completes }),
    });
  }
}

/** Where media end behind an archive that is closed: its filemark counts as a block. */
export function endsOf(closed: readonly ArchiveCopy[]): MediumEnd[] {
  return closed.map(({ mediumId, archive: { fileNumber, startBlock, lengthBlocks } }) => ({
    mediumId,
    nextFile: fileNumber + 1,
    nextBlock: startBlock + lengthBlocks + 1,
  }));
}

function announcementOf(
  { uuid, sequence }: ArchiveIdentity,
  copies: readonly ArchiveCopy[],
  blockBytes: number,
) {
  return {
    uuid,
    sequence,
    blockBytes,
    copies: copies.map(({ mediumId, archive: { fileNumber, startBlock } }) => ({
      mediumId,
      fileNumber,
      startBlock,
    })),
  };
}

function padding(lengthBytes: number, grain: number): number {
  return (grain - (lengthBytes % grain)) % grain;
}
