/**
 * Tells everything on every channel, each at its own pace. A channel that fails is tried again a few times, then the
 * message is given up and the reason logged: it never fails a job, nor holds one up.
 */
import type { Clock } from '../base/clock.ts';
import { CodedError } from '../base/errors.ts';
import type { Random } from '../base/random.ts';
import { printable } from '../base/text.ts';
import type { Notice } from '../domain/question.ts';
import type { Channel, Message } from './channel.ts';

export type NotifierTools = {
  readonly channels: readonly Channel[];
  readonly clock: Clock;
  readonly random: Random;
  readonly host: string;
  warn(message: string): void;
};

/** A message is sent again after so long each; a server that restarts is back by then. */
const RETRY_DELAYS_MS = [5000, 30_000, 120_000, 600_000] as const;
const SEND_TIMEOUT_MS = 30_000;
/** Of one channel. Beyond that the oldest are given up: they are answered or out of date by then. */
const WAITING_MAX = 100;
/** What is under way at the end of the process may take so long still. */
const GRACE_MS = 5000;

type Line = { readonly channel: Channel; readonly waiting: Message[]; isBusy: boolean };

export class Notifier {
  readonly #tools: NotifierTools;
  readonly #lines: readonly Line[];
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<void>>();

  constructor(tools: NotifierTools) {
    this.#tools = tools;
    this.#lines = tools.channels.map((channel) => ({ channel, waiting: [], isBusy: false }));
  }

  /** Whether there is anybody to be told. */
  get reaches(): boolean {
    return this.#lines.length > 0;
  }

  /** Returns at once. After `close` nothing more is sent. */
  tell(notice: Notice): void {
    if (this.#stop.signal.aborted) return;
    const { clock, random, host } = this.#tools;
    const message = { id: `msg_${random.uuid()}`, timeMs: clock.nowMs(), host, notice };
    for (const line of this.#lines) {
      line.waiting.push(message);
      if (line.waiting.length > WAITING_MAX) {
        line.waiting.shift();
        this.#tools.warn(`${line.channel.name}: too many messages wait; the oldest is given up`);
      }
      if (!line.isBusy) this.#start(line);
    }
  }

  /** Lets what is under way come to its end, within seconds. May be called twice. */
  async close(): Promise<void> {
    const grace = new AbortController();
    const late = this.#tools.clock.sleepMs(GRACE_MS, grace.signal).then(
      () => this.#stop.abort(),
      () => {},
    );
    await Promise.all(this.#running);
    grace.abort();
    await late;
    this.#stop.abort();
  }

  #start(line: Line): void {
    const run = this.#run(line).finally(() => this.#running.delete(run));
    this.#running.add(run);
  }

  async #run(line: Line): Promise<void> {
    line.isBusy = true;
    for (let message = line.waiting.shift(); message; message = line.waiting.shift())
      await this.#deliver(line.channel, message);
    line.isBusy = false;
  }

  /** @throws what is a bug of the channel's */
  async #deliver(channel: Channel, message: Message): Promise<void> {
    const { clock, warn } = this.#tools;
    const { signal } = this.#stop;
    for (let tried = 0; !signal.aborted; tried += 1) {
      try {
        await this.#send(channel, message);
        return;
      } catch (error) {
        if (!(error instanceof CodedError)) {
          if (signal.aborted) return;
          throw error;
        }
        const delayMs = RETRY_DELAYS_MS[tried];
        const isLast = delayMs === undefined || error.failure.retry !== 'later';
        const next = isLast ? 'it is given up' : `again in ${delayMs / 1000} s`;
        warn(`${channel.name}: ${printable(error.message)}; ${next}`);
        if (isLast) return;
        await clock.sleepMs(delayMs, signal).catch((reason: unknown) => {
          if (!signal.aborted) throw reason;
        });
      }
    }
  }

  /** One try, for a limited time. */
  async #send(channel: Channel, message: Message): Promise<void> {
    const late = new AbortController();
    const done = new AbortController();
    const timer = this.#tools.clock.sleepMs(SEND_TIMEOUT_MS, done.signal).then(
      () =>
        late.abort(new CodedError('NOTICE_FAILED', `no end of it in ${SEND_TIMEOUT_MS / 1000} s`)),
      () => {},
    );
    try {
      const signal = AbortSignal.any([this.#stop.signal, late.signal]);
      await Promise.race([channel.send(message, signal), rejection(signal)]);
    } finally {
      done.abort();
      await timer;
    }
  }
}

/** Never resolves. */
function rejection(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  if (signal.aborted) reject(signal.reason);
  signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  // Where the other one wins the race, nobody listens to this one.
  promise.catch(() => {});
  return promise;
}
