/** Messages by mail, over SMTP. */
import { createTransport } from 'nodemailer';
import { CodedError, errnoOf } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import { wordsOf } from '../domain/question-words.ts';
import type { Channel, Message } from './channel.ts';

export type MailSettings = {
  readonly server: string;
  readonly port: number;
  /** `starttls`: refused where the server has none. */
  readonly security: 'starttls' | 'tls' | 'none';
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly from: string;
  readonly to: readonly string[];
};

/** Of a connection, a greeting, an answer. */
const PATIENCE_MS = 20_000;
/** RFC 5322 2.1.1 wants lines of at most 78 characters; a subject need not say more. */
const SUBJECT_MAX = 120;

export function mailChannel(settings: MailSettings): Channel {
  const { server, password = '', from, to } = settings;
  const transport = transportOf(settings);
  return {
    name: `mail ${printable(server)}`,
    async send(message) {
      try {
        await transport.sendMail({ from, to: [...to], ...mailOf(message) });
      } catch (error) {
        throw failureOf(error, password);
      }
    },
  };
}

/** A file on its way to the same people; all of it is in memory. @throws CodedError NOTICE_FAILED, NOTICE_REFUSED */
export async function mailFile(
  settings: MailSettings,
  file: { readonly subject: string; readonly name: string; readonly content: Buffer },
): Promise<void> {
  const { from, to, password = '' } = settings;
  const { subject, name: filename, content } = file;
  try {
    await transportOf(settings).sendMail({
      from,
      to: [...to],
      subject: subject.slice(0, SUBJECT_MAX),
      text: `${filename}: SQLite, compressed with zstd\n`,
      attachments: [{ filename, content, contentType: 'application/zstd' }],
      // RFC 3834: nobody's absence answers it.
      headers: { 'Auto-Submitted': 'auto-generated' },
    });
  } catch (error) {
    throw failureOf(error, password);
  }
}

function transportOf(settings: MailSettings) {
  const { server, port, security, user, password = '' } = settings;
  return createTransport({
    host: server,
    port,
    secure: security === 'tls',
    requireTLS: security === 'starttls',
    ignoreTLS: security === 'none',
    ...(user !== undefined && { auth: { user, pass: password } }),
    connectionTimeout: PATIENCE_MS,
    greetingTimeout: PATIENCE_MS,
    socketTimeout: PATIENCE_MS,
    // Nothing that a message holds is a file or an address to be fetched.
    disableFileAccess: true,
    disableUrlAccess: true,
  });
}

/** Subject and text hold no control byte but the ends of lines in the text. */
export function mailOf({ id, timeMs, host, notice }: Message) {
  const { subject, lines, commands } = wordsOf(notice);
  const answers = commands.map(({ command, does }) => `  ${command}\n      ${does}`);
  const parts = [
    lines.join('\n'),
    ...(answers.length > 0 ? [`To answer:\n${answers.join('\n')}`] : []),
  ];
  return {
    subject: `[shelfs ${printable(host)}] ${subject}`.slice(0, SUBJECT_MAX),
    text: `${parts.join('\n\n')}\n`,
    date: new Date(timeMs),
    messageId: `<${id}@shelfs.invalid>`,
    // RFC 3834: nobody's absence answers it.
    headers: { 'Auto-Submitted': 'auto-generated' },
  };
}

/** Answers of class 5 are final (RFC 5321 4.2.1). What servers say may repeat what they were told. */
function failureOf(error: unknown, password: string): CodedError {
  if (!(error instanceof Error)) throw error;
  const status = 'responseCode' in error ? Number(error.responseCode) : 0;
  const isSecret = password !== '' && error.message.includes(password);
  const reason = isSecret ? (errnoOf(error) ?? 'error') : error.message;
  const code = status >= 500 ? 'NOTICE_REFUSED' : 'NOTICE_FAILED';
  return new CodedError(code, printable(reason.slice(0, 300)));
}
