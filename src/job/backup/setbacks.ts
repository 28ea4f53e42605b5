/** Drives and media that fail a run, and what helps: another medium, another try, or fewer copies. */
import { CodedError } from '../../base/errors.ts';
import { LostPlaces } from '../../storage/lost-places.ts';
import { ofMedium } from '../../storage/of-medium.ts';
import { AttachFailure } from './attach-failure.ts';
import type { MediaSet } from './media-set.ts';

export type SetbackTools = {
  readonly media: MediaSet;
  /** Wanted of each archive. */
  readonly copies: number;
  warn(message: string): void;
};

export class Setbacks {
  readonly #tools: SetbackTools;
  /** Media of the archive under way whose drives failed. */
  readonly #lost = new Map<number, CodedError>();
  #lostPlaces = new LostPlaces<number>();
  #copies: number;

  constructor(tools: SetbackTools) {
    this.#tools = tools;
    this.#copies = tools.copies;
  }

  /** Of each archive, as many as there is room for. */
  get copies(): number {
    return this.#copies;
  }

  /** Whether a medium of the archive under way failed. */
  get isAny(): boolean {
    return this.#lost.size > 0;
  }

  /** A medium of the archive under way failed; the archive may go on with others. */
  note(mediumId: number, error: CodedError): void {
    this.#lost.set(mediumId, error);
  }

  /** The archive ended without the media that failed: they are not written again. The others may lose their places anew. */
  async dropLost(): Promise<void> {
    this.#lostPlaces = new LostPlaces();
    for (const [mediumId, reason] of this.#lost) await this.#tools.media.drop(mediumId, reason);
    this.#lost.clear();
  }

  /**
   * After a failure that ended an archive: the plan may begin anew. Where a person is there, he decides.
   * @throws the failure where nothing helps
   */
  async help(error: unknown, signal: AbortSignal): Promise<void> {
    const { media, warn } = this.#tools;
    const failure = error instanceof AttachFailure ? error.failure : error;
    if (!(failure instanceof CodedError)) throw error;
    if (failure.code === 'MEDIUM_FULL' && this.#lost.size === 0 && this.#copies > 1) {
      this.#copies -= 1;
      warn(
        `there is no room for ${this.#copies + 1} copies; the rest of the run gets ${this.#copies}`,
      );
      return;
    }
    const lost = [...this.#lost];
    this.#lost.clear();
    if (error instanceof AttachFailure) lost.push([error.mediumId, failure]);
    if (lost.length === 0) throw failure;
    for (const [mediumId, reason] of lost) await this.#settle(mediumId, reason, signal);
    const { length } = await media.rooms(new AbortController().signal);
    if (length === 0 && !media.isByHand) throw failure;
  }

  /** As `help`. @returns the failure where nothing helps */
  async helpOrTell(error: unknown, signal: AbortSignal): Promise<CodedError | undefined> {
    try {
      await this.help(error, signal);
      return undefined;
    } catch (left) {
      if (left instanceof CodedError) return left;
      throw left;
    }
  }

  async #settle(mediumId: number, reason: CodedError, signal: AbortSignal): Promise<void> {
    const { media, warn } = this.#tools;
    if (reason.failure.retry === 'later' || reason.code === 'INTERRUPTED') throw reason;
    if (!this.#lostPlaces.mayTryAgain(mediumId, reason)) {
      const decision = await media.decide(mediumId, reason, signal);
      if (decision === 'abort') throw reason;
      if (decision === 'bad') return media.drop(mediumId, reason);
      this.#lostPlaces.forget(mediumId);
    }
    warn(ofMedium(media.barcodeOf(mediumId), reason));
    await media.detach(mediumId);
  }
}
