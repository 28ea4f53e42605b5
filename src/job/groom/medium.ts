/**
 * One medium being groomed: what is needed of it is read into the spool and written from there, as often as the spool is
 * filled; then its journals are told anew, and it is given up.
 */
import { strict as assert } from 'node:assert';
import type { Clock } from '../../base/clock.ts';
import type { CodedError } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import { rawText } from '../../base/raw.ts';
import { Archives } from '../../catalog/archives.ts';
import { fillOfMedia } from '../../catalog/capacity.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { Contents } from '../../catalog/contents.ts';
import type { Job } from '../../catalog/jobs.ts';
import { type LiveContent, LiveContents, type PoolCopies } from '../../catalog/live.ts';
import { Media, type Medium } from '../../catalog/media.ts';
import { MovedExtents } from '../../catalog/moved.ts';
import { unfinishedOn } from '../../catalog/retell.ts';
import { type GivenUp, giveUpMedium } from '../../catalog/scratch.ts';
import { Spooled } from '../../catalog/spooled.ts';
import { Wanted } from '../../catalog/wanted.ts';
import type { ArchiveConfig } from '../../config.ts';
import type { Library } from '../../storage/library.ts';
import type { Operator } from '../../storage/operator.ts';
import type { Digester } from '../backup/digester.ts';
import type { MediaSet } from '../backup/media-set.ts';
import { limitsOf } from '../backup/run-media.ts';
import { Fetcher } from '../restore/fetch.ts';
import { readBackEarlier } from './read-back.ts';
import type { GroomEvent, GroomedMedium, LostFile } from './report.ts';
import { RunLines } from './run-lines.ts';
import { type Spool, type SpooledFile, tooLarge } from './spool.ts';
import { tellAnew } from './tell.ts';
import { MovedWriter } from './write.ts';

export type MediumGroomTools = {
  readonly catalog: Catalog;
  readonly library: Library;
  readonly clock: Clock;
  readonly random: Random;
  readonly archive: ArchiveConfig;
  readonly stateDirectory: string;
  readonly program: string;
  readonly job: Job;
  /** What is written to. */
  readonly set: MediaSet;
  readonly pool: string;
  readonly copies: number;
  readonly digester: Digester;
  readonly spool: Spool;
  /** There is one drive: what is written to leaves it before the medium is read, and the other way round. */
  readonly isSwapped: boolean;
  readonly isPatient: boolean;
  readonly sha256: boolean;
  readonly operator: Operator;
  listen(event: GroomEvent): void;
  warn(message: string): void;
  onWait(reason: string | undefined): void;
  onLost(file: LostFile): void;
};

/** How often it is asked whether a run is still under way, and how long at most. */
const QUIET_POLL_MS = 5000;
const QUIET_MS_MAX = 3_600_000;
/** Contents that the spool takes: their rows are in tables, but not those of what is being read. */
const CONTENTS_MAX = 1_000_000;

export class MediumGroom {
  readonly #medium: Medium;
  readonly #tools: MediumGroomTools;
  readonly #contents: Contents;
  readonly #archives: Archives;
  readonly #spooled: Spooled;
  readonly #policy: PoolCopies;
  readonly #writer: MovedWriter;
  readonly #lines: RunLines;
  #movedContents = 0;
  #movedBytes = 0;
  #lost = 0;
  /** What only a run has that is not finished: it has no name yet under which it could be told. */
  #pending = 0;

  constructor(medium: Medium, tools: MediumGroomTools) {
    const { catalog } = tools;
    this.#medium = medium;
    this.#tools = tools;
    this.#contents = new Contents(catalog);
    this.#archives = new Archives(catalog);
    this.#spooled = new Spooled(catalog);
    this.#policy = { copies: tools.copies, poolId: new Media(catalog).ensurePool(tools.pool).id };
    const { liveBytes: bytesTotal = 0 } = fillOfMedia(catalog).get(medium.id) ?? {};
    const { barcode } = medium;
    const { writer, lines } = moverOf(tools, {
      spooled: this.#spooled,
      givenUp: new Set([medium.id]),
      onMoved: (_contentId, sizeBytes) => {
        this.#movedContents += 1;
        this.#movedBytes += sizeBytes;
        const [contents, bytes] = [this.#movedContents, this.#movedBytes];
        tools.listen({ event: 'progress', barcode, contents, bytes, bytesTotal });
      },
    });
    this.#writer = writer;
    this.#lines = lines;
  }

  async run(signal: AbortSignal): Promise<GroomedMedium> {
    const { catalog, set } = this.#tools;
    const { id, state } = this.#medium;
    const job = unfinishedOn(catalog, id);
    if (job !== undefined)
      return this.#kept(
        `job ${job} is not finished, and its journal lies there: go on with it, or cancel it`,
      );
    // Nothing more is to come there while it is emptied.
    if (state === 'filling') new Media(catalog).setState(id, 'full');
    await set.rooms(signal);
    // What went to a medium that turned out to be bad meanwhile counts no more: it is moved once more.
    for (let before = -1; this.#suspects() > before && this.#lost + this.#pending === 0; ) {
      before = this.#suspects();
      await this.#move(signal);
    }
    if (this.#lost > 0)
      return this.#kept(`${this.#lost} of its contents cannot be had from any medium`);
    if (this.#pending > 0)
      return this.#kept(
        `a run that is not finished needs ${this.#pending} of its contents: groom it again then`,
      );
    await readBackEarlier(catalog, { givenUp: id, set }, signal);
    const archiveId = await tellAnew(
      { mediumId: id, lines: this.#lines, writer: this.#writer },
      this.#tools,
      signal,
    );
    await set.verify(signal);
    await set.close();
    return this.#ended(await this.#giveUp(archiveId, signal));
  }

  #suspects(): number {
    const isSuspect = ({ state }: Medium) => state === 'suspect';
    return new Media(this.#tools.catalog).list().filter(isSuspect).length;
  }

  /** Until everything that is needed of it is elsewhere, or cannot be had. */
  async #move(signal: AbortSignal): Promise<void> {
    const { catalog, set, isSwapped } = this.#tools;
    const needing = new LiveContents(catalog, this.#medium.id);
    const contents = needing.needing(this.#policy);
    for (let next = contents.next(); !next.done; ) {
      signal.throwIfAborted();
      if (isSwapped) {
        await set.verify(signal);
        await set.close();
      }
      const fetcher = this.#fetcher(needing);
      let bytes = 0;
      let count = 0;
      for (; !next.done && count < CONTENTS_MAX; next = contents.next()) {
        if (next.value.isPending) {
          this.#pending += 1;
          continue;
        }
        const size = this.#dataBytes(next.value);
        if (size > this.#tools.spool.bytesMax) {
          const { path } = next.value.entry;
          this.#lose(next.value, tooLarge(rawText(path), size, this.#tools.spool.bytesMax));
          continue;
        }
        if (bytes + size > this.#tools.spool.bytesMax) break;
        bytes += size;
        count += 1;
        fetcher.want(next.value.contentId, next.value.entry);
      }
      await fetcher.run(signal);
      await this.#writer.store(signal);
    }
    // What is still in its drive is read back with what follows.
    await set.verify(signal);
  }

  #fetcher(live: LiveContents): Fetcher<SpooledFile> {
    const { catalog, library, clock, operator, job, warn, onWait, listen, spool } = this.#tools;
    return new Fetcher<SpooledFile>({
      who: `groom (job ${job.number})`,
      wanted: new Wanted(catalog),
      contents: this.#contents,
      archives: this.#archives,
      media: new Media(catalog),
      library,
      clock,
      operator,
      target: { createFile: (_path, sizeBytes) => spool.createFile(sizeBytes) },
      preferred: [this.#medium.id],
      onMedium: (barcode) => listen({ event: 'medium', barcode, drive: null }),
      onWait,
      onWhole: (entry, file) => {
        const { contentId } = entry.inode;
        assert(contentId !== undefined, 'what was wanted has a content');
        const heldBy = this.#tools.copies > 1 ? live.holdersOf(contentId) : [];
        this.#spooled.add({ contentId, entry, base: file.base }, heldBy);
      },
      onLost: (entry, error) => this.#lose({ entry }, error),
      onFailure: (entry, error) => this.#lose({ entry }, error),
      warn,
    });
  }

  #lose({ entry }: Pick<LiveContent, 'entry'>, error: CodedError): void {
    this.#lost += 1;
    const { barcode } = this.#medium;
    this.#tools.onLost({ path: rawText(entry.path), barcode, reason: error.message });
  }

  #dataBytes({ contentId, entry }: LiveContent): number {
    const ranges = this.#contents.get(contentId)?.ranges;
    if (!ranges) return entry.inode.sizeBytes;
    return ranges.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  }

  /** While a run is under way it may name what nobody needs now: it is waited for, for a while. */
  async #giveUp(archiveId: number, signal: AbortSignal): Promise<GivenUp> {
    const { catalog, clock, isPatient, onWait } = this.#tools;
    const startMs = clock.monotonicMs();
    for (let isTold = false; ; isTold = true) {
      const given = giveUpMedium(catalog, {
        ...this.#policy,
        mediumId: this.#medium.id,
        archiveId,
      });
      const isOver = !isPatient || clock.monotonicMs() - startMs > QUIET_MS_MAX;
      const isBusy = given.state === 'kept' && given.isBusy;
      if (isTold && !isBusy) onWait(undefined);
      if (given.state !== 'kept' || !given.isBusy || isOver) return given;
      if (!isTold) onWait(`${this.#medium.barcode} is not given up yet: ${given.reason}`);
      await clock.sleepMs(QUIET_POLL_MS, signal);
    }
  }

  #ended(given: GivenUp): GroomedMedium {
    if (given.state === 'kept') return this.#kept(given.reason);
    return { ...this.#told(), state: given.state, reason: null };
  }

  #kept(reason: string): GroomedMedium {
    return { ...this.#told(), state: 'kept', reason };
  }

  #told() {
    const { barcode } = this.#medium;
    return { barcode, contents: this.#movedContents, bytes: this.#movedBytes };
  }
}

/** Who writes, and who tells of it. */
export function moverOf(
  tools: Omit<MediumGroomTools, 'copies' | 'onLost'>,
  options: {
    readonly spooled: Spooled;
    readonly givenUp: ReadonlySet<number>;
    onMoved(contentId: number, sizeBytes: number): void;
  },
): { readonly writer: MovedWriter; readonly lines: RunLines } {
  const { catalog, set, archive, job, program } = tools;
  const { spooled, givenUp, onMoved } = options;
  const contents = new Contents(catalog);
  const extents = new MovedExtents(catalog);
  const lines = new RunLines(catalog, { contents, extents, program, host: job.host, givenUp });
  const writer = new MovedWriter({
    ...tools,
    media: set,
    contents,
    archives: new Archives(catalog),
    spooled,
    extents,
    spoolDirectory: tools.stateDirectory,
    lines,
    archiveMsMax: archive.minutes * 60_000,
    limits: () => limitsOf(set, { catalog, archive, jobNumber: job.number, copies: 1 }),
    onArchive: (written) => tools.listen({ event: 'archive', ...written }),
    onMoved,
  });
  return { writer, lines };
}
