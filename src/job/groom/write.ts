/**
 * Writes what is in the spool to cartridges of the pool, by the same plan as a backup's. What fails is planned anew with what
 * is left; an archive counts when it is committed, and what it holds leaves the spool then.
 */
import { strict as assert } from 'node:assert';
import type { Clock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import { type Raw, rawText } from '../../base/raw.ts';
import type { MovedExtents } from '../../catalog/care/moved.ts';
import type { Spooled } from '../../catalog/care/spooled.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import type { Contents } from '../../catalog/content/contents.ts';
import type { Job } from '../../catalog/job/jobs.ts';
import type { Archives } from '../../catalog/shelf/archives.ts';
import { ContentHasher } from '../../hash/content-hasher.ts';
import type { Part } from '../../pack/item.ts';
import type { PlanLimits } from '../../pack/limits.ts';
import { Planner, type PlanStep } from '../../pack/plan.ts';
import type { Digester } from '../backup/digester.ts';
import type { MediaSet } from '../backup/media-set.ts';
import { type ArchiveIdentity, type CopyTarget, identify } from '../backup/open-archive.ts';
import { Setbacks } from '../backup/setbacks.ts';
import { StagingArea } from '../backup/stream-way.ts';
import {
  MovedArchive,
  type MovedArchiveTools,
  type MovedMember,
  type ToldElsewhere,
} from './moved-archive.ts';
import { type MovedEntry, movedItem } from './moved-member.ts';
import type { RunLines } from './run-lines.ts';
import type { SpoolPart } from './spool.ts';

export type MovedWriterTools = {
  readonly catalog: Catalog;
  readonly contents: Contents;
  readonly archives: Archives;
  readonly spooled: Spooled;
  readonly extents: MovedExtents;
  readonly spoolDirectory: string;
  readonly media: MediaSet;
  readonly job: Job;
  readonly lines: RunLines;
  readonly digester: Digester;
  readonly sha256: boolean;
  readonly program: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly archiveMsMax: number;
  /** By the media there are now. */
  limits(): PlanLimits;
  onArchive(archive: { media: readonly string[]; entries: number; bytes: number }): void;
  /** A content is whole in an archive that counts. */
  onMoved(contentId: number, sizeBytes: number): void;
  warn(message: string): void;
};

/** A part of the spool that is full, or as full as it will be. */
export type SpooledPart = { readonly number: number; readonly file: SpoolPart };

type Step = PlanStep<MovedEntry>;

/** What a plan takes from where. */
type Source = { readonly part: SpooledPart; readonly heldBy: readonly number[] };

/** How far a content has been hashed. */
type Underway = { readonly hasher: ContentHasher; at: number };

export class MovedWriter {
  readonly #tools: MovedWriterTools;
  readonly #setbacks: Setbacks;
  readonly #staging: StagingArea;
  /** A wish to stop is heard between members: an archive that is begun is ended properly. */
  readonly #steady = new AbortController().signal;
  readonly #hasher = new ContentHasher();
  /** Files in parts: others may come between them. */
  readonly #split = new Map<number, Underway>();
  #sequence = 0;

  constructor(tools: MovedWriterTools) {
    this.#tools = tools;
    this.#setbacks = new Setbacks({ ...tools, copies: 1 });
    const { clock, random, spoolDirectory, media, warn } = tools;
    this.#staging = new StagingArea({
      // What is written has gathered on a disk already.
      mode: 'never',
      directory: spoolDirectory,
      bytesMax: 0,
      clock,
      random,
      spareBytes: (mediumId) => media.room.spareBytes(mediumId),
      warn,
    });
  }

  /**
   * Until nothing is left in a part of the spool. Others may be filled meanwhile.
   * @throws CodedError MEDIUM_FULL where no medium has room; the failure of the last drive
   */
  async store(part: SpooledPart, signal: AbortSignal): Promise<void> {
    for (const heldBy of this.#tools.spooled.groups(part.number))
      while ((await this.#plan({ part, heldBy }, signal)) === 'again');
    this.#tools.spooled.clear(part.number);
    part.file.clear();
  }

  /**
   * One archive of which it is known what it holds, on a medium with room for it.
   * @param options.fill adds what it holds, anew where a medium failed
   * @throws CodedError MEDIUM_FULL where no medium has room
   */
  async append(
    options: {
      readonly bytes: number;
      /** In a sentence: `no medium has room for` it. */
      readonly what: string;
      /** Ids of media it is not to lie on. */
      readonly avoid: readonly number[];
      fill(archive: MovedArchive, roomBytes: number): Promise<ToldElsewhere>;
    },
    signal: AbortSignal,
  ): Promise<{ readonly archiveId: number }> {
    for (;;) {
      try {
        const done = await this.#append(options, signal);
        if (done) return done;
      } catch (error) {
        await this.#setbacks.help(error, signal);
      }
    }
  }

  async #append(
    options: Parameters<MovedWriter['append']>[0],
    signal: AbortSignal,
  ): Promise<{ readonly archiveId: number } | undefined> {
    const { media } = this.#tools;
    const rooms = await this.#rooms(options.avoid, signal);
    const attached = media.attached.map(({ tape }) => tape.barcode);
    const fits = rooms.filter(({ roomBytes }) => roomBytes >= options.bytes);
    // The one in the drive, else one that is begun: a scratch cartridge is worth more than an archive like this.
    const best =
      fits.find(({ key }) => attached.includes(key)) ??
      fits.find(({ state }) => state === 'appendable') ??
      fits[0];
    if (!best)
      throw new CodedError(
        'MEDIUM_FULL',
        `no medium has room for ${options.what}; label scratch media, or add some`,
      );
    const targets = await media.attach([best.key], signal);
    if (media.isOtherwise) return undefined;
    const archive = await this.#begin(targets);
    try {
      const told = await options.fill(archive, best.roomBytes);
      await this.#finish(archive, { targets, told });
      for (const mediumId of archive.mediaNearEnd) media.setFull(mediumId);
      return { archiveId: archive.archiveId };
    } catch (error) {
      await archive.abandon();
      throw error;
    } finally {
      archive.close();
    }
  }

  async #rooms(avoid: readonly number[], signal: AbortSignal) {
    const { media } = this.#tools;
    const rooms = await media.roomsToWrite(signal);
    const avoided = new Set(avoid.map((id) => media.barcodeOf(id)));
    return rooms.filter(({ key }) => !avoided.has(key));
  }

  /** One plan from the spool to its end, or to a failure that another medium or another try can help. */
  async #plan(source: Source, signal: AbortSignal): Promise<'done' | 'again'> {
    signal.throwIfAborted();
    this.#split.clear();
    const rooms = await this.#rooms(source.heldBy, signal);
    const planner = new Planner<MovedEntry>({
      media: rooms,
      copies: 1,
      limits: this.#tools.limits(),
    });
    const steps = this.#steps(planner, source);
    try {
      for (let next = steps.next(); !next.done; next = steps.next()) {
        assert(next.value.kind === 'begin', 'archives follow each other');
        signal.throwIfAborted();
        await this.#tools.media.handOver(signal);
        const from = { steps, file: source.part.file };
        if ((await this.#archive(next.value.media, from, signal)) === 'again') return 'again';
      }
      return 'done';
    } catch (error) {
      await this.#setbacks.help(error, signal);
      return 'again';
    } finally {
      steps.return();
    }
  }

  *#steps(planner: Planner<MovedEntry>, { part, heldBy }: Source): Generator<Step, void> {
    const { spooled, contents, lines } = this.#tools;
    for (const moved of spooled.of(part.number, heldBy))
      yield* planner.add(movedItem(moved, contents, lines.foreign));
    yield* planner.finish();
  }

  async #archive(
    barcodes: readonly string[],
    from: { readonly steps: Generator<Step, void>; readonly file: SpoolPart },
    signal: AbortSignal,
  ): Promise<'next' | 'again'> {
    const { media } = this.#tools;
    const targets = await media.attach(barcodes, signal);
    if (media.isOtherwise) return 'again';
    const archive = await this.#begin(targets);
    const whole: MovedEntry[] = [];
    try {
      const isAtEnd = await this.#fill({ archive, ...from, whole }, signal);
      this.tell(archive, whole);
      await this.#finish(archive, { targets, told: {} });
      for (const { moved, content } of whole)
        this.#tools.onMoved(moved.contentId, content.sizeBytes);
      this.#tools.spooled.remove(whole.map(({ moved }) => moved.contentId));
      const nearEnd = archive.mediaNearEnd;
      for (const mediumId of nearEnd) media.setFull(mediumId);
      if (isAtEnd && nearEnd.length === 0 && !this.#setbacks.isAny) return 'next';
      await this.#setbacks.dropLost();
      return 'again';
    } catch (error) {
      await archive.abandon();
      throw error;
    } finally {
      archive.close();
    }
  }

  /** @returns whether all that was planned for the archive is in it */
  async #fill(
    into: {
      readonly archive: MovedArchive;
      readonly steps: Generator<Step, void>;
      readonly file: SpoolPart;
      readonly whole: MovedEntry[];
    },
    signal: AbortSignal,
  ): Promise<boolean> {
    const { archive, steps, file, whole } = into;
    const { clock, archiveMsMax } = this.#tools;
    const startMs = clock.monotonicMs();
    for (let next = steps.next(); !next.done; next = steps.next()) {
      const step = next.value;
      if (step.kind === 'end') return true;
      assert(step.kind === 'piece');
      const entry = step.item.key;
      await this.#add(archive, { entry, part: step.part, file });
      if (!step.part || step.part.number === step.part.count) whole.push(entry);
      const isLate = clock.monotonicMs() - startMs > archiveMsMax;
      if (archive.mediaNearEnd.length > 0 || isLate || signal.aborted) return false;
    }
    return false;
  }

  /**
   * The bytes are proven once more on their way from the disk to the tape.
   * @throws CodedError FAILED where the disk gives back other bytes than it took
   */
  async #add(archive: MovedArchive, { entry, part, file }: MovedMember): Promise<void> {
    const { content, moved, row } = entry;
    const underway = this.#underway(moved.contentId, part);
    await archive.addMember({ entry, part, file }, (bytes, offset) => {
      underway.hasher.updateZeros(offset - underway.at);
      underway.hasher.update(bytes);
      underway.at = offset + bytes.length;
    });
    if (part && part.number < part.count) return;
    this.#split.delete(moved.contentId);
    underway.hasher.updateZeros(content.sizeBytes - underway.at);
    if (underway.hasher.finish().hash.equals(content.hash)) return;
    throw spoolLied(row.path);
  }

  #underway(contentId: number, part: Part | undefined): Underway {
    if (!part) {
      this.#hasher.reset();
      return { hasher: this.#hasher, at: 0 };
    }
    if (part.number === 1) this.#split.set(contentId, { hasher: new ContentHasher(), at: 0 });
    const underway = this.#split.get(contentId);
    assert(underway, 'the parts of a content follow each other');
    return underway;
  }

  /** Names of hosts other than the one that writes. */
  get foreign(): ReadonlyMap<number, string> {
    return this.#tools.lines.foreign;
  }

  /** A content that was moved in another way than by `store` is whole elsewhere. */
  moved(contentId: number, sizeBytes: number): void {
    this.#tools.onMoved(contentId, sizeBytes);
  }

  /** Lines of what is whole in the archive: who reads its journal alone knows its members. */
  tell(archive: MovedArchive, whole: readonly MovedEntry[]): void {
    archive.record();
    const { lines, extents } = this.#tools;
    lines.look();
    // All before any line: whether a name is a member is asked of a table.
    for (const { moved } of whole) extents.note(moved.contentId, moved.entry);
    let told: number | undefined;
    for (const entry of whole) {
      const { moved, inode } = entry;
      const run = lines.runOf(moved.entry);
      if (!run) continue;
      if (run.job.number !== told) archive.addLine(run.line);
      told = run.job.number;
      lines.addEntry(archive, { ...moved.entry, hostId: moved.hostId, inode }, run);
    }
  }

  async #begin(targets: readonly CopyTarget[]): Promise<MovedArchive> {
    const { archives, job } = this.#tools;
    const tools: MovedArchiveTools = {
      ...this.#tools,
      run: {
        archives: {
          begin: (archive, ends) => archives.begin(job.number, archive, ends),
          tear: (archiveId, ends) => archives.tear(archiveId, ends),
        },
      },
      staging: this.#staging,
      onCopyFailure: (mediumId, error) => this.#setbacks.note(mediumId, error),
    };
    return MovedArchive.begin(targets, { identity: this.#identity(), tools }, this.#steady);
  }

  #identity(): ArchiveIdentity {
    this.#sequence += 1;
    return identify(this.#tools, this.#sequence);
  }

  async #finish(
    archive: MovedArchive,
    { targets, told }: { readonly targets: readonly CopyTarget[]; readonly told: ToldElsewhere },
  ): Promise<void> {
    const good = await archive.finish(told, this.#steady);
    const { media } = this.#tools;
    for (const [mediumId, proofs] of good) media.keepProofs(mediumId, proofs);
    media.room.grown();
    this.#tools.onArchive({
      media: targets.filter(({ mediumId }) => good.has(mediumId)).map(({ tape }) => tape.barcode),
      entries: archive.entries,
      bytes: archive.lengthBytes,
    });
  }
}

/** @returns the failure of a disk that gives back other bytes than it took */
export function spoolLied(path: Raw): CodedError {
  return new CodedError(
    'FAILED',
    `the disk of the spool gave back other bytes of ${rawText(path)} than were put there; nothing of them was kept`,
  );
}
