/** A way to tell a person. Each delivers one message once; who asks again, and how often, is the notifier's. */
import type { Notice } from '../domain/question.ts';

export type Message = {
  /** Stays the same when it is sent again, so that a receiver may know it. */
  readonly id: string;
  /** Wall time, in ms since the epoch. */
  readonly timeMs: number;
  /** Where the question is asked. */
  readonly host: string;
  readonly notice: Notice;
};

export interface Channel {
  /** For logs: no secret is in it. */
  readonly name: string;
  /** @throws CodedError NOTICE_FAILED where another try may help, NOTICE_REFUSED where none will; the signal's reason */
  send(message: Message, signal: AbortSignal): Promise<void>;
}
