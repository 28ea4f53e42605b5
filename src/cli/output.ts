/**
 * Where a command's words go: one JSON document on stdout with `--json`, text for people otherwise; messages on stderr.
 * No control byte of a name ever reaches a terminal.
 */
import type { CodedError } from '../base/errors.ts';
import { printable } from '../base/text.ts';

export interface Output {
  /** The result of a command: the document with --json, else the text. */
  result(document: unknown, text: () => string): void;
  /** A message for the person at the terminal; silent with --quiet. */
  note(text: string): void;
  /** Why the command failed. */
  failure(error: CodedError): void;
}

export type Streams = {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
};

export function makeOutput(options: { json: boolean; quiet: boolean }, streams: Streams): Output {
  return {
    result(document, text) {
      if (options.json) streams.stdout.write(formatJson(document));
      else if (!options.quiet) streams.stdout.write(`${text()}\n`);
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
  const text = JSON.stringify(document, undefined, 2);
  const escaped = text.replace(/(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    Array.from(
      { length: character.length },
      (_, unit) => `\\u${character.charCodeAt(unit).toString(16).padStart(4, '0')}`,
    ).join(''),
  );
  return `${escaped}\n`;
}
