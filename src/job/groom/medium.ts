/**
 * One medium being groomed: what is needed of it is read into the spool and written from there, as often as the spool is
 * filled; then its journals are told anew, and it is given up.
 */
import type { Clock } from '../../base/clock.ts';
import type { CodedError } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import { rawText } from '../../base/raw.ts';
import { type LiveContent, LiveContents, type PoolCopies } from '../../catalog/care/live.ts';
import { MovedExtents } from '../../catalog/care/moved.ts';
import { unfinishedOn } from '../../catalog/care/retell.ts';
import { type GivenUp, giveUpMedium } from '../../catalog/care/scratch.ts';
import { Spooled } from '../../catalog/care/spooled.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { Contents } from '../../catalog/content/contents.ts';
import type { Job } from '../../catalog/job/jobs.ts';
import { Archives } from '../../catalog/shelf/archives.ts';
import { fillOfMedia } from '../../catalog/shelf/capacity.ts';
import { Media, type Medium } from '../../catalog/shelf/media.ts';
import type { ArchiveConfig } from '../../config.ts';
import type { Library } from '../../storage/library.ts';
import type { Operator } from '../../storage/operator.ts';
import type { Digester } from '../backup/digester.ts';
import type { MediaSet } from '../backup/media-set.ts';
import { limitsOf } from '../backup/run-media.ts';
import type { Survivors } from '../survivors.ts';
import { isToGroom } from './choose.ts';
import type { KeptTape } from './kept-tape.ts';
import { moveAll } from './move.ts';
import { readBackEarlier } from './read-back.ts';
import type { GroomEvent, GroomedMedium, LostFile } from './report.ts';
import { RunLines } from './run-lines.ts';
import type { Spool } from './spool.ts';
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
  readonly kept: KeptTape;
  /** Media that are counted on, for the whole job. */
  readonly survivors: Survivors;
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

/** What all that is written with media of one pool works with. */
export type GroomingTools = Omit<MediumGroomTools, 'copies' | 'onLost'>;

/** How often it is asked whether a run is still under way, and how long at most. */
const QUIET_POLL_MS = 5000;
const QUIET_MS_MAX = 3_600_000;

export class MediumGroom {
  readonly #medium: Medium;
  readonly #tools: MediumGroomTools;
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
    const { id } = this.#medium;
    const media = new Media(catalog);
    // It was chosen before others were groomed, hours ago perhaps.
    const { state } = media.get(id);
    if (!isToGroom(state)) return this.#kept(`it is ${state} by now`);
    const job = unfinishedOn(catalog, id);
    if (job !== undefined)
      return this.#kept(
        `job ${job} is not finished, and its journal lies there: go on with it, or cancel it`,
      );
    // Nothing more is to come there while it is emptied.
    if (state === 'filling') media.worsen(id, 'full');
    await set.rooms(signal);
    // What went to a medium that turned out to be bad meanwhile counts no more, nor what was counted on one that is not what it
    // was: it is moved once more.
    const { survivors } = this.#tools;
    for (let before = -1; this.#suspects() > before && this.#lost + this.#pending === 0; ) {
      before = this.#suspects();
      await this.#move(signal);
      if (!survivors.isAwaiting) continue;
      await set.close();
      await survivors.look(signal);
      before = -1;
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
    const { id } = this.#medium;
    const { survivors } = this.#tools;
    const order = {
      live: new LiveContents(this.#tools.catalog, id),
      policy: this.#policy,
      proof: survivors,
      preferred: [id],
      spooled: this.#spooled,
      writer: this.#writer,
      onLost: (entry: LiveContent['entry'], error: CodedError) => this.#lose({ entry }, error),
    };
    const { pending } = await moveAll(order, this.#tools, signal);
    this.#pending += pending;
  }

  #lose({ entry }: Pick<LiveContent, 'entry'>, error: CodedError): void {
    this.#lost += 1;
    const { barcode } = this.#medium;
    this.#tools.onLost({ path: rawText(entry.path), barcode, reason: error.message });
  }

  /** While a run is under way it may name what nobody needs now: it is waited for, for a while. */
  async #giveUp(archiveId: number, signal: AbortSignal): Promise<GivenUp> {
    const { catalog, clock, isPatient, onWait, survivors } = this.#tools;
    const startMs = clock.monotonicMs();
    for (let isTold = false; ; isTold = true) {
      const given = giveUpMedium(catalog, {
        ...this.#policy,
        mediumId: this.#medium.id,
        archiveId,
        isProven: (id) => survivors.isProven(id),
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
  tools: GroomingTools,
  options: {
    readonly spooled: Spooled;
    readonly givenUp: ReadonlySet<number>;
    onMoved(contentId: number, sizeBytes: number): void;
  },
): { readonly writer: MovedWriter; readonly lines: RunLines } {
  const { catalog, set, archive, job, program } = tools;
  const { spooled, givenUp, onMoved } = options;
  const contents = new Contents(catalog);
  contents.rememberTwins();
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
