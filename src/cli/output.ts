/**
 * Where a command's words go: one JSON document on stdout with `--json`, text for people otherwise; messages on stderr.
 * No control byte of a name ever reaches a terminal.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { CodedError } from '../base/errors.ts';
import { printable } from '../base/text.ts';

export interface Output {
  /** The result of a command: the document with --json, else the text. */
  result(document: unknown, text: () => string): void;
  /** A result of perhaps millions of items, written as they come. */
  list<Item>(list: ListOf<Item>, signal: AbortSignal): Promise<void>;
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

export type ListOf<Item> = {
  /** Of the list in the document. */
  readonly name: string;
  readonly items: Iterable<Item>;
  readonly document: (item: Item) => unknown;
  /** A line. */
  readonly text: (item: Item) => string;
  /** What stands in the document before the list. */
  readonly head: object;
  /** And behind it, known when all items were written; `text` for people, where there is something to say. */
  readonly tail?: () => { readonly document: object; readonly text: string };
};

export type Streams = {
  readonly stdout: {
    write(text: string): unknown;
    /** Of a terminal. */
    readonly columns?: number | undefined;
  };
  readonly stderr: {
    write(text: string): unknown;
    /** Of a terminal. */
    readonly isTTY?: boolean | undefined;
    readonly columns?: number | undefined;
  };
  /** Read from only while a question is open. */
  readonly stdin?: (NodeJS.ReadableStream & { readonly isTTY?: boolean | undefined }) | undefined;
};

const COLUMNS_DEFAULT = 80;
/** Written at once; between two writes the event loop has a turn, so that a person can stop it. */
const LIST_CHARACTERS = 64 * 1024;

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
    async list(list, signal) {
      if (options.quiet && !options.json) return;
      let buffered = '';
      for (const part of options.json ? listDocument(list) : listText(list)) {
        buffered += part;
        if (buffered.length < LIST_CHARACTERS) continue;
        streams.stdout.write(buffered);
        buffered = '';
        await turn();
        signal.throwIfAborted();
      }
      streams.stdout.write(buffered);
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

function* listDocument<Item>({ name, items, document, head, tail }: ListOf<Item>) {
  const members = (object: object) =>
    Object.entries(object).flatMap(([key, value]) =>
      value === undefined
        ? []
        : [`${escaped(JSON.stringify(key))}: ${escaped(JSON.stringify(value))}`],
    );
  yield `{\n${members(head)
    .map((member) => `  ${member},\n`)
    .join('')}  ${JSON.stringify(name)}: [`;
  let separator = '\n';
  for (const item of items) {
    yield `${separator}    ${escaped(JSON.stringify(document(item)))}`;
    separator = ',\n';
  }
  const last = members(tail?.().document ?? {}).map((member) => `,\n  ${member}`);
  yield `\n  ]${last.join('')}\n}\n`;
}

function* listText<Item>({ items, text, tail }: ListOf<Item>) {
  for (const item of items) yield `${text(item)}\n`;
  const last = tail?.().text ?? '';
  if (last !== '') yield `${last}\n`;
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
