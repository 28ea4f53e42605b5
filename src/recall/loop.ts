/**
 * Recalls for all: cartridge after cartridge, until nobody has wanted anything for a while.
 *
 * One process at a time runs it. It takes the drive when there is work, keeps it for a moment longer, and leaves the
 * cartridge where it is. A medium that is not there is asked for, and the rest goes on meanwhile. While all drives are
 * others', it asks those who can hand them over.
 */
import type { Clock } from '../base/clock.ts';
import { CodedError } from '../base/errors.ts';
import type { RunRoles } from '../catalog/run-db/roles.ts';
import type { Media, Medium } from '../catalog/shelf/media.ts';
import type { Library } from '../storage/library.ts';
import { LostPlaces } from '../storage/lost-places.ts';
import { ofMedium } from '../storage/of-medium.ts';
import { isHard } from '../storage/operator-failure.ts';
import { Tape } from '../storage/tape.ts';
import type { Ahead } from './ahead.ts';
import type { MediumAsker } from './asker.ts';
import type { Bell } from './bell.ts';
import type { Board } from './board.ts';
import type { Presence } from './presence.ts';
import { Sweeper } from './sweeper.ts';

export type LoopSettings = {
  /** So often a medium is asked for that was not there, or was another one. */
  readonly attemptsMax: number;
  /** The drive is kept so long when there is nothing more to do, in ms. */
  readonly holdMs: number;
  /** Backups are asked to let go of their drives also where a person would have to exchange cartridges. */
  readonly isFirst: boolean;
};

export type LoopTools = {
  readonly board: Board;
  readonly ahead: Ahead;
  readonly presence: Presence;
  readonly media: Media;
  readonly roles: RunRoles;
  readonly library: () => Promise<Library>;
  readonly asker: MediumAsker;
  readonly clock: Clock;
  /** Rings when this process wants something. */
  readonly bell: Bell;
  readonly settings: LoopSettings;
  onMedium(barcode: string): void;
  warn(message: string): void;
};

/** How often run.db is looked at, and drives are asked for that others have. */
const POLL_MS = 1000;
/**
 * A sweep that begins before it is known what will be read ahead has to come back for it, by a locate of half a minute. While
 * the cartridge is being loaded there is time; beyond that, so much.
 */
const GATHERING_MS = 5000;
/** Handed over by a backup, the drive goes back after so long without work, or after so long at all. */
const HANDOVER_IDLE_MS = 60_000;
/** While a backup is under way, it may be the drive without work that it waits for. */
const IDLE_BESIDE_JOBS_MS = 2000;
const HANDOVER_MS = 15 * 60_000;
/** Jobs that wait for a drive ask for it every two seconds: left alone for so long it is theirs. */
const YIELD_MS = 10_000;

type Attached = { readonly tape: Tape; readonly medium: Medium; readonly sweeper: Sweeper };

export class Loop {
  readonly #tools: LoopTools;
  #attached: Attached | undefined;
  /** Media being asked for; what ends the asking. */
  readonly #asking = new Map<number, AbortController>();
  readonly #attempts = new Map<number, number>();
  readonly #lostPlaces = new LostPlaces<number>();
  #hasAsked = false;
  /** The medium for which no drive was to be had: what is walked on it stays gathered, or each try would gather it anew. */
  #awaited: number | undefined;
  /** Since when this process has a drive. */
  #heldSinceMs: number | undefined;
  /** A medium has come, or will not. */
  #isChanged = false;
  /** Of asking. */
  #failure: unknown;

  constructor(tools: LoopTools) {
    this.#tools = tools;
  }

  /** Where the head of the attached cartridge stands, in bytes. */
  get position(): { readonly mediumId: number; readonly headByte: number } | undefined {
    const { medium, sweeper } = this.#attached ?? {};
    return medium && sweeper && { mediumId: medium.id, headByte: sweeper.headByte };
  }

  /** @throws what ends all recalls: a library without drives, a bug; the signal's reason */
  async run(signal: AbortSignal): Promise<void> {
    const { board, ahead, clock, bell } = this.#tools;
    let idleSinceMs = clock.monotonicMs();
    try {
      await this.#look(signal);
      for (;;) {
        await this.#refresh(signal);
        this.#stopAsking();
        if (this.#isChanged) await this.#placeAnew(signal);
        const medium = this.#choose();
        if (medium) {
          const isServed = await this.#serve(medium, signal);
          if (isServed) idleSinceMs = clock.monotonicMs();
          if (!isServed || board.isFull) await bell.wait(POLL_MS, signal);
          board.isFull = false;
          continue;
        }
        this.#awaited = undefined;
        // Who asks for it again may be luckier.
        if (board.isEmpty) board.offline.clear();
        if (clock.monotonicMs() - idleSinceMs >= this.#idleMsMax) {
          await this.#letGo();
          if (board.isEmpty) return;
        }
        await bell.wait(POLL_MS, signal);
      }
    } finally {
      for (const asking of this.#asking.values()) asking.abort();
      await ahead.close();
      await board.close();
      await this.#letGo();
    }
  }

  /** What the library holds, and what is in its drives. */
  async #look(signal: AbortSignal): Promise<void> {
    const { board, media, presence } = this.#tools;
    try {
      // What was not to be had may have been brought since.
      for (const barcode of await presence.look(signal)) board.offline.delete(barcode);
    } catch (error) {
      // Somebody moves cartridges just now: what was known is good enough to ask for a drive.
      if (!(error instanceof CodedError) || error.failure.retry !== 'later') throw error;
    }
    if (this.#attached) return;
    board.loaded = presence.loaded === undefined ? undefined : media.find(presence.loaded)?.id;
  }

  async #refresh(signal: AbortSignal): Promise<void> {
    await this.#tools.board.refresh(signal);
    this.#tools.ahead.refresh(this.#attached?.medium.id ?? this.#awaited);
  }

  #choose(): Medium | undefined {
    const { board, ahead, media, clock } = this.#tools;
    const { medium } = this.#attached ?? {};
    // Else its cartridge would have to be loaded once more for those who will want it in a moment.
    if (medium && ahead.hasMore && !this.#isOver(medium.id)) return medium;
    const mediumId = board.queue.choose({
      loaded: this.#attached?.medium.id ?? board.loaded,
      nowMs: clock.nowMs(),
      isUsable: (id) => !this.#asking.has(id),
    });
    return mediumId === undefined ? undefined : media.get(mediumId);
  }

  /** @returns false where no drive was to be had: ask again in a while */
  async #serve(medium: Medium, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#tools;
    try {
      const attached = await this.#attach(medium, signal);
      await attached.sweeper.run();
      this.#lostPlaces.forget(medium.id);
      if (this.#isTurnOver) {
        await this.#letGo();
        await clock.sleepMs(YIELD_MS, signal);
      }
      return true;
    } catch (error) {
      if (!(error instanceof CodedError) || signal.aborted) throw error;
      await this.#detach();
      const isServed = this.#passOver(medium, error, signal);
      await this.#placeAnew(signal);
      return isServed;
    }
  }

  async #placeAnew(signal: AbortSignal): Promise<void> {
    this.#isChanged = false;
    await this.#look(signal);
    await this.#tools.board.placeAll(signal);
  }

  async #attach(medium: Medium, signal: AbortSignal): Promise<Attached> {
    if (this.#attached?.medium.id === medium.id) return this.#attached;
    await this.#detach();
    const { board, ahead, library, clock, onMedium } = this.#tools;
    const { barcode, uuid, foreign } = medium;
    if (uuid === undefined) {
      const sentence = `cartridge ${barcode} has no label that the catalog knows`;
      throw new CodedError('MEDIUM_MISMATCH', sentence, { volser: barcode.slice(0, 6) });
    }
    const isLoaded = board.loaded === medium.id;
    ahead.refresh(medium.id);
    const meant = { barcode, uuid, purpose: 'read', foreign } as const;
    const tape = await Tape.attach(await library(), meant, signal);
    const refresh = () => this.#refresh(signal);
    const isOver = (mediumId: number) => this.#isOver(mediumId);
    const used = { board, ahead, clock, refresh, isOver };
    const sweeper = new Sweeper(used, tape, { medium, signal });
    this.#attached = { tape, medium, sweeper };
    this.#awaited = undefined;
    this.#heldSinceMs ??= clock.monotonicMs();
    this.#attempts.delete(medium.id);
    board.loaded = medium.id;
    onMedium(barcode);
    if (!isLoaded) await board.placeAll(signal);
    await ahead.settle(GATHERING_MS, signal);
    return this.#attached;
  }

  /** @returns whether something is different now; false where a drive may be free later */
  #passOver(medium: Medium, error: CodedError, signal: AbortSignal): boolean {
    const { board, roles, clock, settings, asker, warn } = this.#tools;
    const { retry } = error.failure;
    if (retry === 'later') {
      this.#awaited = medium.id;
      const { isFirst } = settings;
      this.#hasAsked = roles.ask(clock.nowMs(), { isFirst }) > 0 || this.#hasAsked;
      return false;
    }
    warn(ofMedium(medium.barcode, error));
    if (this.#lostPlaces.mayTryAgain(medium.id, error)) return true;
    if (isHard(error) && asker.decide) this.#decide(medium, error, signal);
    else if (retry === 'operator') this.#ask(medium, error, signal);
    else board.offline.set(medium.barcode, error);
    return true;
  }

  /** Others are served meanwhile. */
  #ask(medium: Medium, reason: CodedError, signal: AbortSignal): void {
    const { board, asker, settings, bell } = this.#tools;
    const { id, barcode, location } = medium;
    const attempt = (this.#attempts.get(id) ?? 0) + 1;
    if (attempt > settings.attemptsMax) {
      this.#attempts.delete(id);
      board.offline.set(barcode, offline(barcode, reason));
      return;
    }
    this.#attempts.set(id, attempt);
    const stop = new AbortController();
    this.#asking.set(id, stop);
    const line = board.queue.lines().find(({ mediumId }) => mediumId === id);
    const { contents = 0, readers = 0 } = line ?? {};
    const request = { barcode, location, reason: reason.message, contents, readers, attempt };
    const asked = async () => {
      try {
        const answer = await asker.ask(request, AbortSignal.any([signal, stop.signal]));
        if (answer === 'declined') {
          board.offline.set(barcode, offline(barcode, reason));
          this.#attempts.delete(id);
        }
      } catch (error) {
        if (!stop.signal.aborted && !signal.aborted) this.#failure ??= error;
      }
      this.#asking.delete(id);
      this.#isChanged = true;
      bell.ring();
    };
    void asked();
  }

  /** A drive gave up on it: a person says whether it is tried again. What other copies have goes on meanwhile. */
  #decide({ id, barcode }: Medium, error: CodedError, signal: AbortSignal): void {
    const { board, asker, bell } = this.#tools;
    const stop = new AbortController();
    this.#asking.set(id, stop);
    board.doubted.add(barcode);
    if (board.loaded === id) board.loaded = undefined;
    const decided = async () => {
      try {
        const either = AbortSignal.any([signal, stop.signal]);
        const answer = await asker.decide?.({ barcode, error }, either);
        if (answer === 'retry') this.#lostPlaces.forget(id);
        else board.offline.set(barcode, error);
      } catch (failure) {
        if (!stop.signal.aborted && !signal.aborted) this.#failure ??= failure;
      }
      board.doubted.delete(barcode);
      this.#asking.delete(id);
      this.#isChanged = true;
      bell.ring();
    };
    void decided();
  }

  /** Nobody wants them any more. */
  #stopAsking(): void {
    if (this.#failure !== undefined) throw this.#failure;
    const wanted = new Set(this.#tools.board.queue.lines().map(({ mediumId }) => mediumId));
    for (const [id, stop] of this.#asking) if (!wanted.has(id)) stop.abort();
  }

  #isOver(mediumId: number): boolean {
    const { board, clock } = this.#tools;
    if (this.#isTurnOver) return true;
    const isUsable = (id: number) => !this.#asking.has(id);
    return board.queue.isOverdue({ mediumId, nowMs: clock.nowMs(), isUsable });
  }

  /** So long a drive is kept without work: a backup that is under way may be waiting for it. */
  get #idleMsMax(): number {
    const { roles, settings } = this.#tools;
    if (this.#grantedMs !== undefined) return HANDOVER_IDLE_MS;
    return roles.handovers().length > 0
      ? Math.min(IDLE_BESIDE_JOBS_MS, settings.holdMs)
      : settings.holdMs;
  }

  /** Since when a backup has left us its drives. */
  get #grantedMs(): number | undefined {
    if (!this.#hasAsked) return undefined;
    const granted = this.#tools.roles.handovers().find(({ grantedMs }) => grantedMs !== undefined);
    return granted?.grantedMs;
  }

  /** Others wait for a drive, and we have had one for long enough. */
  get #isTurnOver(): boolean {
    const { roles, clock } = this.#tools;
    if (this.#heldSinceMs === undefined) return false;
    if (clock.monotonicMs() - this.#heldSinceMs <= HANDOVER_MS) return false;
    return roles.handovers().length > 0;
  }

  async #detach(): Promise<void> {
    const attached = this.#attached;
    this.#attached = undefined;
    await attached?.tape.close();
  }

  async #letGo(): Promise<void> {
    await this.#detach();
    this.#heldSinceMs = undefined;
    if (!this.#hasAsked) return;
    this.#hasAsked = false;
    this.#tools.roles.giveBack();
  }
}

function offline(barcode: string, reason: CodedError): CodedError {
  return new CodedError(
    reason.code === 'MEDIUM_MISMATCH' ? 'MEDIUM_MISMATCH' : 'MEDIUM_OFFLINE',
    `cartridge ${barcode} is not to be had: ${reason.message}`,
    { volser: barcode.slice(0, 6), cause: reason },
  );
}
