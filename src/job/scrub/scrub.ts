/**
 * Scrub: archives are read back before somebody needs them.
 *
 * A cartridge on a shelf fails silently: the loss is found at the restore, years late. Scrub finds it while another copy is
 * still good. It reads whole archives in the tape's order, those first that nobody has read for longest, because locating
 * costs more than reading. It only reports and marks; making the missing copy is groom's work, and the next backup's.
 */
import type { Clock } from '../../base/clock.ts';
import { CodedError } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';
import { printable } from '../../base/text.ts';
import { ReadBack } from '../../catalog/care/read-back.ts';
import type { Catalog } from '../../catalog/catalog.ts';
import { Jobs } from '../../catalog/job/jobs.ts';
import { Media, type Medium } from '../../catalog/shelf/media.ts';
import type { DriveHandover } from '../../recall/handover.ts';
import { attachAsking, barcodesInDrives } from '../../storage/attach.ts';
import type { Library } from '../../storage/library.ts';
import { LostPlaces } from '../../storage/lost-places.ts';
import { ofMedium } from '../../storage/of-medium.ts';
import { absentOperator, type Operator } from '../../storage/operator.ts';
import { decideFailure } from '../../storage/operator-failure.ts';
import { patiently } from '../../storage/patience.ts';
import type { Tape } from '../../storage/tape.ts';
import { findMedium } from '../media.ts';
import { ScrubJob, type ScrubRequest } from './begin.ts';
import { bytesOf, chooseCopies, type MediumToRead } from './choose.ts';
import { type KnownMedium, MediumScrub } from './medium.ts';
import type { ScrubEvent, ScrubReport } from './report.ts';
import type { StreamHasher } from './stream.ts';
import { ScrubTally } from './tally.ts';

export type ScrubTools = {
  /** Open for writing. */
  readonly catalog: Catalog;
  readonly library: Library;
  readonly clock: Clock;
  readonly random: Random;
  readonly host: { readonly name: string; readonly system: string };
  readonly pid: number;
  /** Hashes what is read, on a thread; closed by who made it. */
  readonly hasher: StreamHasher;
  /** Who brings cartridges and decides about failures; left out: nobody is there. */
  readonly operator?: Operator | undefined;
  /** Lets recalls have the drive between archives. */
  readonly handover?: DriveHandover | undefined;
};

/** States of media that are read where none is named. */
const READ_ANYWAY: ReadonlySet<string> = new Set(['scratch', 'filling', 'full', 'suspect', 'hold']);

/**
 * Goes on with one of the same words that was cut short. Damage is in the report, not thrown.
 * @throws CodedError USAGE for media that are not to be read; what ends a scrub as a whole, which can be gone on with
 */
export async function scrub(
  request: ScrubRequest,
  tools: ScrubTools,
  listen: (event: ScrubEvent) => void,
  signal: AbortSignal,
): Promise<ScrubReport> {
  const named = request.media.map((name) => readable(findMedium(tools.catalog, name)));
  const running = new Scrub(new ScrubJob(request, tools), request, { ...tools, listen });
  return running.run(named, signal);
}

/** @throws CodedError USAGE where there is nothing to be read */
function readable(medium: Medium): KnownMedium {
  const { barcode, kind, state, uuid } = medium;
  const refuse = (why: string) =>
    new CodedError('USAGE', `${printable(barcode)} ${why}; nothing was read`);
  if (kind !== 'tape') throw refuse('is no tape');
  if (state === 'unlabelled' || uuid === undefined)
    throw refuse('has no label that this catalog knows: there is nothing to compare it with');
  return { ...medium, uuid };
}

class Scrub {
  readonly #job: ScrubJob;
  readonly #request: ScrubRequest;
  readonly #tools: ScrubTools & { readonly listen: (event: ScrubEvent) => void };
  readonly #tally: ScrubTally;
  readonly #jobs: Jobs;
  readonly #media: Media;
  readonly #readBack: ReadBack;

  constructor(
    job: ScrubJob,
    request: ScrubRequest,
    tools: ScrubTools & { readonly listen: (event: ScrubEvent) => void },
  ) {
    const { catalog, clock, listen } = tools;
    this.#job = job;
    this.#request = request;
    this.#tools = tools;
    this.#jobs = new Jobs(catalog);
    const { number: jobNumber } = job.job;
    this.#tally = new ScrubTally({ jobs: this.#jobs, jobNumber, clock, listen });
    this.#media = new Media(catalog);
    this.#readBack = catalog.part(ReadBack);
  }

  async run(named: readonly KnownMedium[], signal: AbortSignal): Promise<ScrubReport> {
    const { number } = this.#job.job;
    try {
      const media = named.length > 0 ? named : await this.#atHand(signal);
      const chosen = this.#choose(media);
      const copies = chosen.flatMap((medium) => medium.copies);
      this.#tally.bytesTotal = copies.reduce((sum, copy) => sum + bytesOf(copy), 0);
      this.#tools.listen({
        event: 'begin',
        job: number,
        resumed: this.#job.isResumed,
        media: chosen.map(({ barcode }) => barcode),
        archives: copies.length,
        bytes: this.#tally.bytesTotal,
      });
      for (const order of chosen) await this.#readMedium(order, signal);
      const report = this.#tally.report();
      this.#jobs.setReport(number, report);
      this.#jobs.setState(number, report.state);
      this.#tools.listen({ event: 'end', ...report });
      return report;
    } catch (error) {
      // Cut short, it is gone on with; so it is after whatever else a later attempt may find mended.
      const isOver = error instanceof CodedError && error.failure.retry === 'never';
      if (isOver && error.code !== 'INTERRUPTED') this.#jobs.setState(number, 'failed');
      throw error;
    } finally {
      this.#tally.flush();
    }
  }

  /** In the library; where a person is the changer, in a drive, or all where none is. */
  async #atHand(signal: AbortSignal): Promise<KnownMedium[]> {
    const { library } = this.#tools;
    const all = this.#media
      .list()
      .filter(({ kind, state, uuid }) => kind === 'tape' && uuid && READ_ANYWAY.has(state))
      .map(readable);
    const status = await this.#patiently(() => library.status(signal), signal);
    const present = status.changer
      ? new Set(status.cartridges.flatMap(({ barcode }) => barcode ?? []))
      : await barcodesInDrives(library, signal);
    const found = all.filter(({ barcode }) => present.has(barcode));
    return found.length > 0 || status.changer ? found : all;
  }

  #choose(media: readonly KnownMedium[]): MediumToRead[] {
    const { maxBytes, samplePercent, isQuick } = this.#request;
    const orders = media.map(({ id, barcode }) => ({
      barcode,
      copies: this.#readBack.copiesOn(id),
    }));
    return chooseCopies(orders, {
      maxBytes,
      samplePercent: isQuick ? 100 : samplePercent,
      isDone: (copy) => this.#job.isDone(copy),
    });
  }

  async #readMedium({ barcode, copies }: MediumToRead, signal: AbortSignal): Promise<void> {
    const { catalog, hasher } = this.#tools;
    const medium = readable(findMedium(catalog, barcode));
    const reading = new MediumScrub(medium, copies, {
      catalog,
      hasher,
      job: this.#job,
      tally: this.#tally,
      isQuick: this.#request.isQuick,
      between: (tape) => this.#between(tape, signal),
    });
    const lostPlaces = new LostPlaces<string>();
    for (;;) {
      try {
        const contents = reading.copiesLeft;
        const tape = await this.#patiently(() => this.#attach(medium, contents, signal), signal);
        try {
          if (await reading.read(tape, signal)) return;
        } finally {
          await tape.close();
        }
      } catch (error) {
        if (!(error instanceof CodedError)) throw error;
        if ((await this.#decide(error, { barcode, lostPlaces }, signal)) === 'retry') continue;
        this.#tally.notRead({ barcode, reason: error.message, code: error.code });
        return;
      }
    }
  }

  /** Recalls have the drive for a while where somebody waits for one. */
  async #between(tape: Tape, signal: AbortSignal): Promise<boolean> {
    let isLetGo = false;
    const hasChanger = !this.#tools.library.isByHand;
    const letGo = async () => {
      await tape.close();
      isLetGo = true;
    };
    const onWait = (reason: string | undefined) => this.#onWait(reason);
    await this.#tools.handover?.between({ hasChanger, letGo, onWait }, signal);
    return isLetGo;
  }

  /** @throws what ends the scrub */
  async #decide(
    error: CodedError,
    { barcode, lostPlaces }: { readonly barcode: string; readonly lostPlaces: LostPlaces<string> },
    signal: AbortSignal,
  ): Promise<'retry' | 'pass'> {
    const { retry } = error.failure;
    if (lostPlaces.mayTryAgain(barcode, error)) {
      this.#tally.warn(ofMedium(barcode, error));
      return 'retry';
    }
    if (retry === 'later' || error.code === 'INTERRUPTED') throw error;
    const { operator = absentOperator, library, clock } = this.#tools;
    const onAsked = () => this.#onWait(error.message);
    const asked = { barcode, error, who: this.#who, onAsked };
    const decision = await decideFailure(asked, { operator, library, clock }, signal);
    this.#onWait(undefined);
    if (decision === 'abort') throw error;
    return decision === 'retry' ? 'retry' : 'pass';
  }

  #attach(medium: KnownMedium, archives: number, signal: AbortSignal): Promise<Tape> {
    const { library, clock, operator = absentOperator } = this.#tools;
    const waiting = { who: this.#who, contents: archives, readers: undefined };
    const meant = { ...medium, purpose: 'read' } as const;
    const onWait = (reason: string | undefined) => this.#onWait(reason);
    return attachAsking({ medium: meant, waiting, onWait }, { library, operator, clock }, signal);
  }

  get #who(): string {
    return `scrub (job ${this.#job.job.number})`;
  }

  #onWait(reason: string | undefined): void {
    this.#jobs.setState(this.#job.job.number, reason === undefined ? 'running' : 'waiting');
    if (reason !== undefined) this.#tools.listen({ event: 'waiting', reason });
  }

  #patiently<T>(step: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const { clock, listen } = this.#tools;
    const onWait = (reason: string) => listen({ event: 'waiting', reason });
    return patiently(step, { clock, onWait }, signal);
  }
}
