/** Tells of a long run: one line that lives on a terminal, lines now and then elsewhere, events with --json. */
import type { Clock } from '../base/clock.ts';
import { CodedError } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import { countOf } from './format.ts';
import type { Output } from './output.ts';

/** Often enough for the eye, seldom enough for a log. */
const TERMINAL_MS = 200;
const LINES_MS = 10_000;

/** A person has stopped it, or can bring what it lacks. */
const RESUMABLE: ReadonlySet<string> = new Set(['INTERRUPTED', 'MEDIUM_FULL', 'MEDIUM_OFFLINE']);

type Named = { readonly event: string };

/** What any run may tell, in the words that all of them use. */
type Shared =
  | { readonly event: 'waiting'; readonly reason: string }
  | { readonly event: 'warning'; readonly message: string };

type FileEvent = { readonly event: 'file'; readonly path: string; readonly bytes: number };

export class Progress {
  readonly #output: Output;
  readonly #clock: Clock;
  #shownMs = Number.NEGATIVE_INFINITY;

  constructor(output: Output, clock: Clock) {
    this.#output = output;
    this.#clock = clock;
  }

  /** How far it is; most of what comes is left out. */
  show(event: object, text: () => string): void {
    const everyMs = this.#output.isLive ? TERMINAL_MS : LINES_MS;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#shownMs < everyMs) return;
    this.#shownMs = nowMs;
    this.#output.event(event);
    this.#output.status(text());
  }

  /**
   * Listens to a run: what comes often is shown now and then, all else told, each as `describe` words it; what waits and what
   * warns is worded here.
   */
  listen<Event extends Named>(
    describe: (event: Event) => string | undefined,
    often: readonly Event['event'][] = [],
  ): (event: Event) => void {
    const shown: ReadonlySet<string> = new Set(often);
    return (event) => {
      if (shown.has(event.event)) this.show(event, () => describe(event) ?? '');
      else this.tell(event, isShared(event) ? sharedText(event) : describe(event));
    };
  }

  /** Listens to a run that brings files: these are counted and shown. */
  ofFiles<Event extends Named>(
    describe: (event: Event) => string | undefined,
  ): (event: Event | FileEvent) => void {
    let files = 0;
    const listen = this.listen(describe);
    return (event) => {
      if (!isFile(event)) {
        listen(event);
        return;
      }
      files += 1;
      this.show(event, () => `${countOf(files, 'file')}  ${event.path}`);
    };
  }

  /**
   * Waits for the end of a run; one that fails leaves no line behind.
   * @param stopped said where it can be gone on with: what counts, and what does the rest
   */
  async follow<T>(run: Promise<T>, stopped?: string): Promise<T> {
    try {
      return await run;
    } catch (error) {
      this.clear();
      if (stopped !== undefined && error instanceof CodedError && RESUMABLE.has(error.code))
        this.#output.note(stopped);
      throw error;
    }
  }

  /** Something that happened once. */
  tell(event: object, text: string | undefined): void {
    this.#output.event(event);
    if (text === undefined) return;
    this.clear();
    this.#output.note(text);
  }

  clear(): void {
    this.#output.status('');
  }

  /** The report for people; its event has been told. */
  end(text: string): void {
    this.clear();
    this.#output.summary(text);
  }
}

function isFile<Event extends Named>(event: Event | FileEvent): event is FileEvent {
  return event.event === 'file';
}

function isShared<Event extends Named>(event: Event | Shared): event is Shared {
  return event.event === 'waiting' || event.event === 'warning';
}

function sharedText(event: Shared): string {
  return event.event === 'waiting'
    ? `waiting: ${printable(event.reason)}`
    : `warning: ${printable(event.message)}`;
}
