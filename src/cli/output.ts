/**
 * Where a command's words go: one JSON document on stdout with `--json`, text for people otherwise; messages on stderr.
 * No control byte of a name ever reaches a terminal.
 */
import type { CodedError } from '../base/errors.ts';
import { printable } from '../base/text.ts';

export interface Output {
  /** The result of a command: the document with --json, else the text. */
  result(document: unknown, text: () => string): void;
  /** Something that happened in a long run: with --json a line of its own on stdout. */
  event(document: object): void;
  /** A terminal that a line can live on. */
  readonly isLive: boolean;
  /** How far it is: on a terminal the line is written over; empty takes it away. Elsewhere a message. */
  status(text: string): void;
  /** How a long run ended, for people; its document was the last event. */
  summary(text: string): void;
  /** A message for the person at the terminal; silent with --quiet. */
  note(text: string): void;
  /** Why the command failed. */
  failure(error: CodedError): void;
}

export type Streams = {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: {
    write(text: string): unknown;
    /** Of a terminal. */
    readonly isTTY?: boolean | undefined;
    readonly columns?: number | undefined;
  };
};

const COLUMNS_DEFAULT = 80;

export function makeOutput(options: { json: boolean; quiet: boolean }, streams: Streams): Output {
  const { stderr } = streams;
  const isLive = stderr.isTTY === true && !options.json && !options.quiet;
  return {
    isLive,
    status(text) {
      if (options.quiet || options.json) return;
      // Carriage return, the line, and everything behind it erased (ECMA-48 EL).
      if (isLive) {
        const line = printable(text).slice(0, (stderr.columns ?? COLUMNS_DEFAULT) - 1);
        stderr.write(`\r${line}\x1b[K`);
      } else if (text !== '') stderr.write(`${printable(text)}\n`);
    },
    summary(text) {
      if (!options.json && !options.quiet) streams.stdout.write(`${text}\n`);
    },
    result(document, text) {
      if (options.json) streams.stdout.write(formatJson(document));
      else if (!options.quiet) streams.stdout.write(`${text()}\n`);
    },
    event(document) {
      if (options.json) streams.stdout.write(`${escaped(JSON.stringify(document))}\n`);
    },
    note(text) {
      if (!options.quiet) streams.stderr.write(`${text}\n`);
    },
    failure(error) {
      streams.stderr.write(`shelfs: ${printable(error.message)}\n`);
      if (options.json) {
        const { code, facts, failure } = error;
        const document = { error: { code, exit: failure.exit, message: error.message, ...facts } };
        streams.stdout.write(formatJson(document));
      }
    },
  };
}

/** What may steer a terminal stands in a document only within strings, where an escape says the same. */
function formatJson(document: unknown): string {
  return `${escaped(JSON.stringify(document, undefined, 2))}\n`;
}

function escaped(json: string): string {
  return json.replace(/(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    Array.from(
      { length: character.length },
      (_, unit) => `\\u${character.charCodeAt(unit).toString(16).padStart(4, '0')}`,
    ).join(''),
  );
}
