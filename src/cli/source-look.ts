/** `shelfs source tree`, `explain` and `test`: what a backup would keep, and why. */
import { formatSize } from '../base/bytes.ts';
import { CodedError } from '../base/errors.ts';
import { workingDirectory } from '../base/machine.ts';
import { rawText } from '../base/raw.ts';
import { formatTable, printable } from '../base/text.ts';
import { pathArgument } from '../job/path-argument.ts';
import { type Explanation, explainPath } from '../job/source-explain.ts';
import { describeReason, type Survey, surveySource, type Tally } from '../job/source-survey.ts';
import { findSource, listSources } from '../job/sources.ts';
import { type Context, command, type OpenContext } from './context.ts';
import { countOf, documentPath } from './format.ts';

const DEPTH_MAX = 100;

export const tree = (open: OpenContext) =>
  command(
    {
      command: 'tree [name]',
      describe: 'Directories with sizes; what is left out, and by which rule',
      builder: (yargs) =>
        yargs
          .positional('name', { type: 'string', describe: 'of the source; default: all' })
          .option('depth', {
            type: 'number',
            requiresArg: true,
            describe: 'levels of directories to show; default 1',
          }),
      run: async (context, args) => {
        const depth = args.depth ?? 1;
        if (!Number.isInteger(depth) || depth < 0 || depth > DEPTH_MAX)
          throw new CodedError('USAGE', `--depth: say a whole number from 0 to ${DEPTH_MAX}`);
        const found = await survey(context, { name: args.name, depth, measuresLeftOut: true });
        const { output, setExit } = context;
        output.result({ sources: found.map(documentSurvey) }, () =>
          found.map(formatTree).join('\n\n'),
        );
        if (found.some(({ unreadable }) => unreadable.count > 0)) setExit(3);
      },
    },
    open,
  );

export const test = (open: OpenContext) =>
  command(
    {
      command: 'test <name>',
      describe: 'Walk a source as a backup does: counts, and what cannot be read',
      builder: (yargs) =>
        yargs.positional('name', { type: 'string', demandOption: true, describe: 'of the source' }),
      run: async (context, args) => {
        const found = await survey(context, { name: args.name, depth: 0, measuresLeftOut: false });
        const { output, setExit } = context;
        output.result(found.map(documentSurvey)[0], () => found.map(formatTest).join('\n'));
        if (found.some(({ unreadable }) => unreadable.count > 0)) setExit(3);
      },
    },
    open,
  );

async function survey(
  { app, signal }: Context,
  request: { name: string | undefined; depth: number; measuresLeftOut: boolean },
): Promise<Survey[]> {
  const { name, depth, measuresLeftOut } = request;
  const catalog = await app.catalog('read');
  const ownDirectories = await app.ownDirectories();
  const sources =
    name === undefined
      ? listSources(catalog).map(({ source }) => source)
      : [findSource(catalog, name)];
  if (sources.length === 0)
    throw new CodedError('USAGE', 'no source yet; `shelfs source add PATH` makes one');
  const found: Survey[] = [];
  for (const source of sources) {
    const options = { ownDirectories, depth, measuresLeftOut, signal };
    found.push(await surveySource(catalog, source, options));
  }
  return found;
}

export const explain = (open: OpenContext) =>
  command(
    {
      command: 'explain <path>',
      describe: 'Whether a path is backed up, and what decides it',
      builder: (yargs) =>
        yargs.positional('path', {
          type: 'string',
          demandOption: true,
          describe: 'within a source',
        }),
      run: async ({ app, output }, args) => {
        const found = explainPath(await app.catalog('read'), {
          path: pathArgument(args.path, workingDirectory()),
          hostName: app.host.name,
          ownDirectories: await app.ownDirectories(),
        });
        const { reason, verdict } = found.decision;
        const document = {
          ...documentPath(found.path),
          source: found.source.name,
          type: found.type,
          verdict,
          reason: reason === undefined ? null : describeReason(reason),
        };
        output.result(document, () => formatExplanation(found));
      },
    },
    open,
  );

function formatExplanation({ path, source, decision, at }: Explanation): string {
  const { verdict, reason } = decision;
  const why = reason === undefined ? 'no rule leaves it out' : describeReason(reason);
  const where = at === undefined ? '' : `, at ${at === '' ? 'the source itself' : rawText(at)}`;
  const what = {
    kept: 'is backed up',
    excluded: 'is left out',
    passage: 'is left out, but for what is tracked in it',
  }[verdict];
  return `${rawText(path)} ${what} (source ${printable(source.name)})\n${why}${where}`;
}

function documentSurvey({ source, directories, rules, kept, leftOut, unreadable }: Survey) {
  return {
    name: source.name,
    ...documentPath(source.path),
    kept,
    leftOut,
    rules: rules.map(({ reason, ...tally }) => ({ rule: describeReason(reason), ...tally })),
    directories: directories.map(({ path, reason, ...tallies }) => ({
      ...documentPath(path),
      ...tallies,
      rule: reason === undefined ? null : describeReason(reason),
    })),
    unreadable: {
      count: unreadable.count,
      first: unreadable.first.map(({ path, failure }) => ({
        ...documentPath(path),
        reason: failure.message,
      })),
    },
  };
}

function formatTree(found: Survey): string {
  const { source, directories } = found;
  const rows = directories.map(({ path, kept, leftOut, reason }) => {
    const depth = path === '' ? 0 : path.split('/').length;
    const name = path === '' ? rawText(source.path) : `${rawText(path)}/`;
    return [
      formatSize(kept.bytes),
      kept.files.toLocaleString('en-US'),
      leftOut.files + leftOut.directories > 0 ? formatSize(leftOut.bytes) : '',
      `${'  '.repeat(depth)}${name}`,
      reason === undefined ? '' : describeReason(reason),
    ];
  });
  const parts = [
    `source ${printable(source.name)}`,
    formatTable(['KEPT', 'FILES', 'LEFT OUT', 'DIRECTORY', 'BY'], rows),
  ];
  if (found.rules.length > 0) parts.push(formatRules(found));
  return [...parts, ...formatUnreadable(found)].join('\n\n');
}

function formatRules({ rules }: Survey): string {
  const rows = rules.map(({ reason, files, directories, bytes }) => [
    formatSize(bytes),
    files,
    directories,
    describeReason(reason),
  ]);
  return formatTable(['LEFT OUT', 'FILES', 'DIRECTORIES', 'BY'], rows);
}

function formatTest(found: Survey): string {
  const { source, kept, leftOut } = found;
  const counted = ({ files, directories }: Readonly<Tally>) =>
    `${countOf(files, 'file')}, ${countOf(directories, 'directory')}`;
  const lines = [
    `source ${printable(source.name)}: ${rawText(source.path)}`,
    `kept: ${counted(kept)}, ${formatSize(kept.bytes)}`,
    `left out: ${counted(leftOut)}, not counting what is in them`,
  ];
  return [...lines, ...formatUnreadable(found)].join('\n');
}

function formatUnreadable({ unreadable: { count, first } }: Survey): string[] {
  if (count === 0) return [];
  const lines = first.map(({ failure }) => `  ${printable(failure.message)}`);
  const more = count > first.length ? [`  and ${count - first.length} more`] : [];
  return [[`unreadable: ${count}`, ...lines, ...more].join('\n')];
}
