/** `shelfs source ...`: what is protected. */
import type { CommandModule } from 'yargs';
import { usage } from '../base/errors.ts';
import { workingDirectory } from '../base/machine.ts';
import { rawText } from '../base/raw.ts';
import { formatTable, printable } from '../base/text.ts';
import { pathArgument } from '../job/path-argument.ts';
import { parseSourceOptions, type SourceOptions } from '../job/source-options.ts';
import {
  addSource,
  globalRules,
  listSources,
  markPaths,
  removeSource,
  type SourceDetails,
} from '../job/sources.ts';
import { type Context, command, type GlobalArgs, type OpenContext } from './context.ts';
import { documentPath } from './format.ts';
import { explain, test, tree } from './source-look.ts';
import {
  describeRules,
  documentRule,
  RULE_OPTIONS,
  type RuleArgs,
  rules,
  ruleWords,
} from './source-rules.ts';
import { commandWords } from './words.ts';

export const source = (open: OpenContext): CommandModule<GlobalArgs, GlobalArgs> => ({
  command: 'source',
  describe: 'What is protected: directories, and what of them is left out',
  builder: (yargs) =>
    yargs
      .command(add(open))
      .command(list(open))
      .command(remove(open))
      .command(rules(open))
      .command(mark(open, 'track', 'Keep paths, whatever the patterns say'))
      .command(mark(open, 'untrack', 'Leave paths out, whatever the patterns say'))
      .command(tree(open))
      .command(explain(open))
      .command(test(open))
      .demandCommand(1, 'say what: add, list, remove, rules, track, untrack, tree, explain or test')
      .strict(),
  handler: () => {},
});

type AddArgs = RuleArgs & {
  path: string;
  name?: string | undefined;
  as?: string | undefined;
  followSymlinks?: boolean | undefined;
  oneFileSystem?: boolean | undefined;
  host?: string | undefined;
  changedBy?: string | undefined;
  rehashOnCtime?: boolean | undefined;
  nodump?: boolean | undefined;
  cacheDirs?: string | undefined;
  before?: string | undefined;
  after?: string | undefined;
};

const word = (describe: string) => ({ type: 'string', requiresArg: true, describe }) as const;
const flag = (describe: string) => ({ type: 'boolean', describe }) as const;

const add = (open: OpenContext) =>
  command<AddArgs>(
    {
      command: 'add <path>',
      describe: 'Protect a directory',
      builder: (yargs) =>
        yargs
          .positional('path', { type: 'string', demandOption: true, describe: 'the directory' })
          .options({
            name: word('of the source; default: the last name of its path'),
            as: word('the path its files are known by; default: where they are'),
            host: word('the host whose files they are; default: this one'),
            ...RULE_OPTIONS,
            'follow-symlinks': flag('store what links lead to; default: the links'),
            'one-file-system': flag('stay out of what is mounted below'),
            'changed-by': word('what tells a changed file; default size,mtime,ctime,inode'),
            'rehash-on-ctime': flag('read files anew whose ctime alone has changed'),
            nodump: flag('leave out what is flagged with chattr +d'),
            'cache-dirs': word('leave-out: what is in directories with a CACHEDIR.TAG'),
            before: word('program to run before; no shell, quotes as in one'),
            after: word('program to run afterwards'),
          }),
      run: async ({ app, output }, args) => {
        const here = workingDirectory();
        const details = await addSource(
          {
            catalog: await app.catalog('write'),
            hostName: app.host.name,
            ownDirectories: await app.ownDirectories(),
          },
          {
            path: pathArgument(args.path, here),
            name: args.name,
            host: args.host,
            original: args.as === undefined ? undefined : pathArgument(args.as, here),
            ...(await ruleWords(args)),
            options: optionsOf(args),
          },
        );
        output.result(documentSource(details), () => {
          const { name, path } = details.source;
          return `${printable(name)}: ${rawText(path)}\nnext: shelfs source tree ${printable(name)}`;
        });
      },
    },
    open,
  );

/** @throws CodedError USAGE */
export function optionsOf(args: Omit<AddArgs, 'path'>): SourceOptions {
  const { cacheDirs, changedBy, before, after } = args;
  if (cacheDirs !== undefined && cacheDirs !== 'leave-out' && cacheDirs !== 'enter')
    throw usage(`--cache-dirs ${printable(cacheDirs)}: say leave-out or enter`);
  const criteria = changedBy?.split(',').map((criterion) => criterion.trim());
  const unknown = criteria?.find((name) => !['size', 'mtime', 'ctime', 'inode'].includes(name));
  if (unknown !== undefined)
    throw usage(`--changed-by ${printable(unknown)}: say some of size,mtime,ctime,inode`);
  return parseSourceOptions({
    followSymlinks: args.followSymlinks,
    oneFileSystem: args.oneFileSystem,
    changedBy: criteria && [...new Set(criteria)],
    ctimeMeans: args.rehashOnCtime ? 'content' : undefined,
    nodump: args.nodump,
    cacheDirectories: cacheDirs,
    before: before === undefined ? undefined : commandWords(before),
    after: after === undefined ? undefined : commandWords(after),
  });
}

const list = (open: OpenContext) =>
  command(
    {
      command: 'list',
      describe: 'Sources and their rules',
      builder: (yargs) => yargs,
      run: async ({ app, output }) => {
        const catalog = await app.catalog('read');
        const [found, global] = [listSources(catalog), globalRules(catalog)];
        const document = {
          sources: found.map(documentSource),
          globalRules: global.map(documentRule),
        };
        output.result(document, () =>
          [
            formatSources(found, app.host.name),
            ...(global.length > 0 ? [`all sources: ${describeRules(global)}`] : []),
          ].join('\n'),
        );
      },
    },
    open,
  );

const remove = (open: OpenContext) =>
  command(
    {
      command: 'remove <name>',
      describe: 'Protect a source no longer; what was backed up of it stays',
      builder: (yargs) =>
        yargs.positional('name', {
          type: 'string',
          demandOption: true,
          describe: 'of the source',
        }),
      run: async ({ app, output }, args) => {
        const removed = removeSource(await app.catalog('write'), args.name);
        output.result(documentSource(removed), () => {
          const { name, path } = removed.source;
          return `${printable(name)}: ${rawText(path)} is backed up no longer; what was backed up stays`;
        });
      },
    },
    open,
  );

const mark = (open: OpenContext, verb: 'track' | 'untrack', describe: string) =>
  command(
    {
      command: `${verb} <paths..>`,
      describe,
      builder: (yargs) =>
        yargs
          .positional('paths', {
            type: 'string',
            array: true,
            demandOption: true,
            describe: 'within a source',
          })
          .option('forget', flag('take back what was said of them')),
      run: ({ app, output }, args) =>
        markAll({ app, output }, args.forget === true ? 'forget' : verb, args.paths),
    },
    open,
  );

async function markAll(
  { app, output }: Pick<Context, 'app' | 'output'>,
  verb: 'track' | 'untrack' | 'forget',
  paths: readonly string[],
): Promise<void> {
  const here = workingDirectory();
  const marked = markPaths(await app.catalog('write'), {
    mark: verb,
    paths: paths.map((path) => pathArgument(path, here)),
    hostName: app.host.name,
  });
  const done = { track: 'tracked', untrack: 'untracked', forget: 'decided by patterns' }[verb];
  output.result(
    {
      marked: marked.map(({ source, path }) => ({ source, mark: verb, ...documentPath(path) })),
    },
    () =>
      marked
        .map(({ source, path }) => `${rawText(path)}: ${done} in ${printable(source)}`)
        .join('\n'),
  );
}

export function documentSource({ source, host, options, rules }: SourceDetails) {
  const { path: original, pathBase64: originalBase64 } = documentPath(source.original);
  return {
    name: source.name,
    ...documentPath(source.path),
    original,
    host,
    ...(originalBase64 !== undefined && { originalBase64 }),
    options,
    rules: rules.map(documentRule),
  };
}

function formatSources(found: readonly SourceDetails[], ownHost: string): string {
  if (found.length === 0) return 'no source yet; `shelfs source add PATH` makes one';
  const rows = found.map(({ source, host, options, rules }) => [
    source.name,
    rawText(source.path),
    knownAs(source, host === ownHost ? undefined : host),
    describeOptions(options),
    describeRules(rules),
  ]);
  return formatTable(['NAME', 'PATH', 'KNOWN AS', 'OPTIONS', 'RULES'], rows);
}

/** Empty where files are known as what they are here. */
function knownAs({ original, path }: SourceDetails['source'], host: string | undefined): string {
  if (host !== undefined) return `${printable(host)}:${rawText(original)}`;
  return original === path ? '' : rawText(original);
}

function describeOptions(options: SourceOptions): string {
  const { changedBy, before, after } = options;
  const said = [
    options.followSymlinks && 'follow-symlinks',
    options.oneFileSystem && 'one-file-system',
    changedBy.length < 4 && `changed-by ${changedBy.join(',')}`,
    options.ctimeMeans === 'content' && 'rehash-on-ctime',
    options.nodump && 'nodump',
    options.cacheDirectories === 'leave-out' && 'cache-dirs leave-out',
    before && `before ${before.join(' ')}`,
    after && `after ${after.join(' ')}`,
  ];
  return said.filter((text) => typeof text === 'string').join('; ');
}
