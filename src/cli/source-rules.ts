/** `shelfs source rules ...`: patterns and presets, of all sources or of one. */
import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { CommandModule } from 'yargs';
import { CodedError } from '../base/errors.ts';
import { type Raw, rawOf, rawText, toRaw } from '../base/raw.ts';
import { formatTable, printable } from '../base/text.ts';
import type { RuleWords } from '../job/source-rules.ts';
import {
  changeRules,
  findSource,
  globalRules,
  listSources,
  type SourceDetails,
} from '../job/sources.ts';
import { command, type GlobalArgs, type OpenContext } from './context.ts';
import { documentPath } from './format.ts';

type Rules = SourceDetails['rules'];

/** How patterns and presets are said, wherever they are. */
export type RuleArgs = GlobalArgs & {
  exclude?: string[] | undefined;
  excludeFrom?: string | undefined;
  preset?: string[] | undefined;
};

const words = (describe: string) =>
  ({ type: 'string', array: true, requiresArg: true, describe }) as const;
const word = (describe: string) => ({ type: 'string', requiresArg: true, describe }) as const;

export const RULE_OPTIONS = {
  exclude: words('leave out what matches, as in .gitignore; may be repeated'),
  'exclude-from': word('file with such patterns, one a line'),
  preset: words('leave out a list of patterns: caches, build, python, ...'),
} as const;

export const rules = (open: OpenContext): CommandModule<GlobalArgs, GlobalArgs> => ({
  command: 'rules',
  describe: 'Patterns and presets of all sources, or of one',
  builder: (yargs) =>
    yargs
      .command(list(open))
      .command(change(open, 'add', 'Leave out more; what is named last is the stronger'))
      .command(change(open, 'remove', 'Leave these out no longer'))
      .demandCommand(1, 'say what: list, add or remove')
      .strict(),
  handler: () => {},
});

const list = (open: OpenContext) =>
  command(
    {
      command: 'list',
      describe: 'In the order they apply: of all sources, then of each',
      builder: (yargs) => yargs,
      run: async ({ app, output }) => {
        const catalog = await app.catalog('read');
        const [global, sources] = [globalRules(catalog), listSources(catalog)];
        const document = {
          globalRules: global.map(documentRule),
          sources: sources.map(({ source, rules }) => ({
            name: source.name,
            rules: rules.map(documentRule),
          })),
        };
        output.result(document, () => formatAll(global, sources));
      },
    },
    open,
  );

type ChangeArgs = RuleArgs & { source?: string | undefined };

const change = (open: OpenContext, verb: 'add' | 'remove', describe: string) =>
  command<ChangeArgs>(
    {
      command: verb,
      describe,
      builder: (yargs) =>
        yargs.options({ ...RULE_OPTIONS, source: word('of this source; default: of all') }),
      run: async ({ app, output }, args) => {
        const catalog = await app.catalog('write');
        const order = { verb, source: args.source, ...(await ruleWords(args)) };
        const now = changeRules(catalog, order);
        const name = args.source && findSource(catalog, args.source).name;
        output.result({ source: name ?? null, rules: now.map(documentRule) }, () => {
          const whose = name === undefined ? 'all sources' : printable(name);
          return `${whose}: ${describeRules(now) || 'no rules'}`;
        });
      },
    },
    open,
  );

/** More than anybody writes by hand; each costs a test a file. */
const PATTERN_FILE_BYTES_MAX = 1024 * 1024;

/** What is typed is stronger than what a file says. @throws CodedError USAGE where the file is too long */
export async function ruleWords(args: RuleArgs): Promise<RuleWords> {
  const { exclude = [], excludeFrom, preset: presets = [] } = args;
  const typed = exclude.map(rawOf);
  if (excludeFrom === undefined) return { patterns: typed, presets };
  const path = resolve(excludeFrom);
  if ((await stat(path)).size > PATTERN_FILE_BYTES_MAX) {
    const sentence = `--exclude-from ${printable(excludeFrom)}: more than 1 MiB of patterns`;
    throw new CodedError('USAGE', sentence);
  }
  const lines = toRaw(await readFile(path)).split(/\r?\n/) as Raw[];
  const read = lines.filter((line) => /\S/.test(line) && !line.startsWith('#'));
  return { patterns: [...read, ...typed], presets };
}

export function documentRule({ kind, value }: Rules[number]) {
  const { path, pathBase64 } = documentPath(value);
  return { kind, value: path, ...(pathBase64 !== undefined && { valueBase64: pathBase64 }) };
}

/** In one line. */
export function describeRules(rules: Rules): string {
  return rules
    .map(({ kind, value }) => {
      const text = rawText(value);
      return kind === 'pattern' ? text : `${kind} ${text || '.'}`;
    })
    .join(', ');
}

function formatAll(global: Rules, sources: readonly SourceDetails[]): string {
  const rows = [
    ...global.map((rule) => ['(all)', rule] as const),
    ...sources.flatMap(({ source, rules }) => rules.map((rule) => [source.name, rule] as const)),
  ].map(([name, { kind, value }]) => [name, kind, rawText(value) || '.']);
  if (rows.length === 0) return 'no rules yet; `shelfs source rules add` makes one for all sources';
  return formatTable(['SOURCE', 'KIND', 'RULE'], rows);
}
