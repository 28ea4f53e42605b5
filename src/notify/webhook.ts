/**
 * Messages by HTTP POST: signed as Standard Webhooks 1.0 says, or in the bodies that Slack and Discord take.
 *
 * Addresses of Slack and Discord are secrets themselves: only the name of the server is ever logged.
 */
import { createHmac } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import { CodedError, errnoOf } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import { type QuestionWords, wordsOf } from '../domain/question-words.ts';
import type { Channel, Message } from './channel.ts';
import { documentOf } from './document.ts';

export type WebhookSettings = {
  readonly url: string;
  readonly format: 'standard' | 'slack' | 'discord';
  /** `whsec_` and base64; of `standard` alone. */
  readonly secret?: string | undefined;
};

const SECRET_PREFIX = 'whsec_';
/** docs.slack.dev, chat.postMessage: longer ones may be cut. In characters. */
const SLACK_TEXT_MAX = 4000;
/** discord.com/developers, Create Message: `content`. In characters. */
const DISCORD_CONTENT_MAX = 2000;
/** They say "later" rather than "never" (RFC 9110 15.5.9, RFC 6585 4). */
const LATER_STATUSES: ReadonlySet<number> = new Set([408, 425, 429]);

export function webhookChannel({ url, format, secret }: WebhookSettings, clock: Clock): Channel {
  const { host } = new URL(url);
  return {
    name: `webhook ${printable(host)}`,
    async send(message, signal) {
      const body = JSON.stringify(bodyOf(message, format));
      const seconds = Math.floor(clock.nowMs() / 1000);
      const headers = { 'content-type': 'application/json', 'user-agent': 'shelfs' };
      const signed =
        secret && format === 'standard' ? signature(message.id, { seconds, body, secret }) : {};
      await post(url, { headers: { ...headers, ...signed }, body }, signal);
    },
  };
}

/** The three headers by which a receiver knows the sender. @param seconds since the epoch, of this very try */
export function signature(
  id: string,
  {
    seconds,
    body,
    secret,
  }: { readonly seconds: number; readonly body: string; readonly secret: string },
): Record<string, string> {
  const key = Buffer.from(secret.replace(SECRET_PREFIX, ''), 'base64');
  const digest = createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64');
  return {
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': `v1,${digest}`,
  };
}

export function bodyOf(message: Message, format: WebhookSettings['format']): object {
  if (format === 'standard') return documentOf(message);
  const text = textOf(message.host, wordsOf(message.notice));
  if (format === 'slack') return { text: cut(slackText(text), SLACK_TEXT_MAX) };
  // A name in a message must not call everybody.
  return { content: cut(discordText(text), DISCORD_CONTENT_MAX), allowed_mentions: { parse: [] } };
}

function textOf(host: string, { subject, lines, commands }: QuestionWords): string {
  const answers = commands.map(({ command, does }) => `${command}  (${does})`);
  return [`${printable(host)}: ${subject}`, ...lines, ...answers].join('\n');
}

/** docs.slack.dev, "Escaping text". */
function slackText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** Markdown would swallow characters of names. */
function discordText(text: string): string {
  return text.replace(/[\\*_~`|>[\]()#<@]/g, (character) => `\\${character}`);
}

function cut(text: string, charactersMax: number): string {
  return text.length <= charactersMax ? text : `${text.slice(0, charactersMax - 3)}...`;
}

async function post(
  url: string,
  { headers, body }: { readonly headers: Record<string, string>; readonly body: string },
  signal: AbortSignal,
): Promise<void> {
  let response: Response;
  try {
    // Elsewhere the message has no business, nor the signature.
    response = await fetch(url, { method: 'POST', headers, body, signal, redirect: 'manual' });
  } catch (cause) {
    signal.throwIfAborted();
    throw new CodedError('NOTICE_FAILED', `the server cannot be reached (${reasonOf(cause)})`);
  }
  await response.body?.cancel();
  const { status } = response;
  if (response.ok) return;
  const isLater = status >= 500 || LATER_STATUSES.has(status);
  throw new CodedError(
    isLater ? 'NOTICE_FAILED' : 'NOTICE_REFUSED',
    `the server answered ${status}`,
  );
}

/** The kernel's word for it; messages of fetch may hold the address. */
function reasonOf(cause: unknown): string {
  return (cause instanceof Error ? errnoOf(cause.cause) : undefined) ?? 'error';
}
