/** Tells of a long run: one line that lives on a terminal, lines now and then elsewhere, events with --json. */
import type { Clock } from '../base/clock.ts';
import type { Output } from './output.ts';

/** Often enough for the eye, seldom enough for a log. */
const TERMINAL_MS = 200;
const LINES_MS = 10_000;

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

  /** Listens to a run that brings files: these are counted and shown, everything else is told as `describe` words it. */
  ofFiles<Event extends { readonly event: string }>(
    describe: (event: Event) => string | undefined,
  ): (event: Event | FileEvent) => void {
    let files = 0;
    return (event) => {
      if (!isFile(event)) {
        this.tell(event, describe(event));
        return;
      }
      files += 1;
      this.show(event, () => `${files} files  ${event.path}`);
    };
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

function isFile<Event extends { readonly event: string }>(
  event: Event | FileEvent,
): event is FileEvent {
  return event.event === 'file';
}
