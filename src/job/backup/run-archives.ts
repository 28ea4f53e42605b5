/** The archives of one run: numbered one after the other, begun on the media of the plan, ended whole or torn. */
import type { Clock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import type { CopyPolicy } from '../../catalog/content/contents.ts';
import type { Job } from '../../catalog/job/jobs.ts';
import type { Run } from '../../catalog/run/run.ts';
import { type ArchiveProofs, ArchiveWriter } from './archive-writer.ts';
import type { Digester } from './digester.ts';
import type { MediaSet } from './media-set.ts';
import type { EntryOutcome, StoredFiles } from './member-writer.ts';
import { type ArchiveIdentity, type CopyTarget, identify } from './open-archive.ts';
import { runLine } from './run-journal.ts';
import type { Setbacks } from './setbacks.ts';
import type { SplitFiles } from './split-files.ts';
import { StagingArea, type StagingTools } from './stream-way.ts';

export type RunArchivesTools = {
  readonly catalog: Catalog;
  readonly run: Run;
  readonly job: Job;
  readonly program: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly media: MediaSet;
  readonly digester: Digester;
  readonly sha256: boolean;
  readonly spoolDirectory: string;
  readonly staging: Pick<StagingTools, 'mode' | 'directory' | 'bytesMax'>;
  /** What counts as stored. */
  readonly policy: CopyPolicy;
  onStored(files: StoredFiles): void;
  onArchive(archive: WrittenArchive): void;
  warn(message: string): void;
};

export type WrittenArchive = {
  readonly uuid: string;
  readonly media: readonly string[];
  readonly entries: number;
  readonly bytes: number;
};

export type RunArchivesParts = {
  readonly tools: RunArchivesTools;
  /** Told of media whose drives fail. */
  readonly setbacks: Setbacks;
  readonly split: SplitFiles;
  onEntry(outcome: EntryOutcome): void;
};

export class RunArchives {
  readonly #parts: RunArchivesParts;
  readonly #staging: StagingArea;
  /** A wish to stop is heard between files: an archive that is begun is ended properly. */
  readonly #steady = new AbortController().signal;
  #count: number;

  /** @param countBefore archives that a cut process has written */
  constructor(parts: RunArchivesParts, countBefore: number) {
    this.#parts = parts;
    this.#count = countBefore;
    const { tools } = parts;
    const spareBytes = (mediumId: number) => tools.media.room.spareBytes(mediumId);
    this.#staging = new StagingArea({ ...tools, ...tools.staging, spareBytes });
  }

  /** By now. */
  get count(): number {
    return this.#count;
  }

  /** @param onCopyFailure told of each medium that fails; the archive goes on with the others. Throws as `ArchiveWriter.begin` */
  async begin(
    targets: readonly CopyTarget[],
    onCopyFailure = (mediumId: number, error: CodedError) =>
      this.#parts.setbacks.note(mediumId, error),
  ): Promise<ArchiveWriter> {
    const { tools: all, split, onEntry } = this.#parts;
    const { catalog, run, policy, digester, sha256, spoolDirectory, job, program } = all;
    const identity = this.#nextIdentity();
    const staging = this.#staging;
    const kept = { catalog, run, policy, digester, sha256, spoolDirectory };
    const tools = { ...kept, staging, onCopyFailure, onEntry, onStored: all.onStored };
    const writer = await ArchiveWriter.begin(
      targets,
      { identity, parts: split.places, tools },
      this.#steady,
    );
    writer.addLine(runLine(job, program));
    return writer;
  }

  /** Ends it and commits it. @returns the media that hold it. Throws as `ArchiveWriter.finish`; MEDIUM_FULL: nothing in it is whole */
  async finish(
    writer: ArchiveWriter,
    targets: readonly CopyTarget[],
  ): Promise<readonly CopyTarget[]> {
    const { media, onArchive } = this.#parts.tools;
    const good = await this.#ended(writer, targets);
    for (const [mediumId, proofs] of good) media.keepProofs(mediumId, proofs);
    const written = targets.filter(({ mediumId }) => good.has(mediumId));
    onArchive({
      uuid: writer.identity.uuid,
      media: written.map(({ tape }) => tape.barcode),
      entries: writer.entries,
      bytes: writer.lengthBytes,
    });
    return written;
  }

  #nextIdentity(): ArchiveIdentity {
    this.#count += 1;
    return identify(this.#parts.tools, this.#count);
  }

  /** Whole, or torn before the member in which a drive has warned. */
  async #ended(writer: ArchiveWriter, targets: readonly CopyTarget[]): Promise<ArchiveProofs> {
    if (writer.ending === 'whole') return writer.finish(this.#steady);
    if (writer.entries === 0) throw this.#endTooNear(writer);
    const bytes = writer.lengthBytes;
    const proofs = await writer.finishTorn(this.#nextIdentity(), this.#steady);
    for (const { mediumId, tape } of targets) {
      if (!writer.mediaNearEnd.includes(mediumId)) continue;
      this.#parts.tools.warn(
        `${tape.barcode}: the end of the tape came after ${bytes} bytes of an archive, before the plan expected it; the file it came in is written anew to another one`,
      );
    }
    return proofs;
  }

  /** The drive warned within the archive's first member: nothing in it is whole, and the medium is full. */
  #endTooNear(writer: ArchiveWriter): CodedError {
    const error = new CodedError(
      'MEDIUM_FULL',
      `the end of the tape came after ${writer.lengthBytes} bytes of an archive, before the plan expected it`,
    );
    for (const mediumId of writer.mediaNearEnd) this.#parts.setbacks.note(mediumId, error);
    return error;
  }
}
