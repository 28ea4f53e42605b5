/** `shelfs jobs`, `job ...` and `logs`: what runs and what happened. */
import type { CommandModule } from 'yargs';
import { formatSize } from '../base/bytes.ts';
import { CodedError } from '../base/errors.ts';
import { workingDirectory } from '../base/machine.ts';
import { rawText } from '../base/raw.ts';
import { formatTable, printable } from '../base/text.ts';
import {
  archivesOf,
  entriesOf,
  findJob,
  type JobArchive,
  type JobEntry,
  type JobSummary,
  listJobs,
  watchJob,
} from '../job/jobs.ts';
import { findLines, levelArgument, timeArgument } from '../job/logs.ts';
import { pathArgument } from '../job/path-argument.ts';
import { cutScrub } from '../job/scrub/begin.ts';
import { runBackup } from './backup.ts';
import { command, type GlobalArgs, type OpenContext } from './context.ts';
import { documentPath, documentTime, formatTime } from './format.ts';
import { jobFacts, requestWords } from './job-facts.ts';
import { runScrub } from './scrub.ts';

type Line = ReturnType<typeof findLines> extends Generator<infer Found> ? Found : never;

const JOBS_SHOWN = 20;
const COUNT_MAX = 1_000_000;

export const jobs = (open: OpenContext) =>
  command(
    {
      command: 'jobs',
      describe: 'What runs and what ran, the newest first',
      builder: (yargs) =>
        yargs.option('limit', {
          type: 'number',
          requiresArg: true,
          describe: `so many; default ${JOBS_SHOWN}`,
        }),
      run: async ({ app, output }, args) => {
        const limit = whole('--limit', args.limit ?? JOBS_SHOWN);
        const found = listJobs(await app.catalog('read'), limit);
        output.result({ jobs: found.map(documentJob) }, () => formatJobs(found));
      },
    },
    open,
  );

export const job = (open: OpenContext): CommandModule<GlobalArgs, GlobalArgs> => ({
  command: 'job',
  describe: 'One job: shown, watched, cancelled, gone on with',
  builder: (yargs) =>
    yargs
      .command(show(open))
      .command(watch(open))
      .command(cancel(open))
      .command(resume(open))
      .demandCommand(1, 'say what: show, watch, cancel or resume')
      .strict(),
  handler: () => {},
});

const ID = { type: 'string', demandOption: true, describe: 'number of the job' } as const;

const show = (open: OpenContext) =>
  command(
    {
      command: 'show <id>',
      describe: 'What a job did',
      builder: (yargs) =>
        yargs
          .positional('id', ID)
          .option('files', { type: 'boolean', describe: 'what it found new, changed, gone, ...' }),
      run: async ({ app, output, signal }, args) => {
        const number = jobArgument(args.id);
        const catalog = await app.catalog('read');
        const found = findJob(catalog, number);
        const archives = archivesOf(catalog, number);
        const document = { ...documentJob(found), archives };
        if (args.files) {
          await output.list(
            {
              name: 'files',
              head: document,
              items: entriesOf(catalog, number),
              document: documentJobEntry,
              text: formatJobEntry,
            },
            signal,
          );
        } else output.result(document, () => formatJob(found, archives));
      },
    },
    open,
  );

const watch = (open: OpenContext) =>
  command(
    {
      command: 'watch <id>',
      describe: 'What a job says, until it ends',
      builder: (yargs) => yargs.positional('id', ID),
      run: async ({ app, output, signal, setExit }, args) => {
        const number = jobArgument(args.id);
        const tools = { catalog: await app.catalog('read'), clock: app.clock };
        const lines = watchJob(tools, number, signal);
        let next = await lines.next();
        for (; !next.done; next = await lines.next()) {
          output.event({ event: 'log', ...documentLine(next.value) });
          output.summary(formatLine(next.value));
        }
        const ended = next.value;
        output.event({ event: 'end', ...documentJob(ended) });
        output.summary(`job ${number}: ${stateOf(ended)}`);
        if (ended.state === 'failed' || ended.isInterrupted) setExit(1);
      },
    },
    open,
  );

const cancel = (open: OpenContext) =>
  command(
    {
      command: 'cancel <id>',
      describe: 'End a backup; what it has stored stays',
      builder: (yargs) => yargs.positional('id', ID),
      run: async ({ app, output, signal }, args) => {
        const number = jobArgument(args.id);
        const state = await app.cancelJob(number, signal);
        output.result({ job: number, state }, () => `job ${number}: ${state}`);
      },
    },
    open,
  );

const resume = (open: OpenContext) =>
  command(
    {
      command: 'resume <id>',
      describe: 'Go on with a backup or a scrub that was interrupted',
      builder: (yargs) => yargs.positional('id', ID),
      run: async (context, args) => {
        const number = jobArgument(args.id);
        const scrub = cutScrub(await context.app.catalog('read'), number);
        if (scrub) return runScrub(context, scrub);
        const sources = await context.app.unfinishedSources(number);
        await runBackup(context, {
          sources,
          copies: undefined,
          pool: undefined,
          allowEmpty: false,
          wait: true,
          verify: false,
          workers: RESUME_WORKERS,
        });
      },
    },
    open,
  );

/** As `backup` has them where nothing else is said. */
const RESUME_WORKERS = 2;

export const logs = (open: OpenContext) =>
  command(
    {
      command: 'logs',
      describe: 'What jobs said',
      builder: (yargs) =>
        yargs.options({
          level: {
            type: 'string',
            requiresArg: true,
            describe: 'debug, info, warning or error, and worse; default info',
          },
          job: { type: 'string', requiresArg: true, describe: 'of this job' },
          since: {
            type: 'string',
            requiresArg: true,
            describe: 'from a time such as 2026-11-20, or 12h, 7d ago',
          },
          until: { type: 'string', requiresArg: true, describe: 'up to such a time' },
          path: { type: 'string', requiresArg: true, describe: 'about this path or below it' },
          last: { type: 'number', requiresArg: true, describe: 'so many lines; default: all' },
        }),
      run: async ({ app, output, signal }, args) => {
        const nowMs = app.clock.nowMs();
        const { since, until, path, last } = args;
        const query = {
          level: levelArgument(args.level ?? 'info'),
          jobNumber: args.job === undefined ? undefined : jobArgument(args.job),
          sinceMs: since === undefined ? undefined : timeArgument(since, { edge: 'first', nowMs }),
          untilMs: until === undefined ? undefined : timeArgument(until, { edge: 'last', nowMs }),
          path: path === undefined ? undefined : rawText(pathArgument(path, workingDirectory())),
        };
        const count = last === undefined ? undefined : whole('--last', last);
        const items = findLines(await app.catalog('read'), query, count);
        let isEmpty = true;
        const text = (line: Line) => {
          isEmpty = false;
          return formatLine(line);
        };
        const tail = () => ({ document: {}, text: isEmpty ? 'nothing of the kind was said' : '' });
        const list = { name: 'lines', head: {}, document: documentLine, text, tail };
        await output.list({ ...list, items }, signal);
      },
    },
    open,
  );

/** @throws CodedError USAGE */
function jobArgument(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new CodedError('USAGE', `"${printable(text)}" is no number of a job`);
}

function whole(option: string, value: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= COUNT_MAX) return value;
  throw new CodedError('USAGE', `${option}: say a whole number from 1 to ${COUNT_MAX}`);
}

function documentJob(found: JobSummary) {
  const { startedMs, endedMs, snapshotId: _, ...facts } = found;
  return {
    ...facts,
    snapshot: found.snapshot ?? null,
    started: documentTime(startedMs),
    ended: endedMs === undefined ? null : documentTime(endedMs),
  };
}

function stateOf({ state, isInterrupted, number }: JobSummary): string {
  return isInterrupted ? `interrupted; \`shelfs job resume ${number}\` goes on` : state;
}

function formatJobs(found: readonly JobSummary[]): string {
  if (found.length === 0) return 'no job yet';
  const rows = found.map((one) => [
    one.number,
    one.verb,
    one.isInterrupted ? 'interrupted' : one.state,
    formatTime(one.startedMs),
    one.endedMs === undefined ? '' : formatDuration(one.endedMs - one.startedMs),
    one.snapshot ?? '',
  ]);
  return formatTable(['JOB', 'VERB', 'STATE', 'STARTED', 'TOOK', 'SNAPSHOT'], rows);
}

function formatJob(found: JobSummary, archives: readonly JobArchive[]): string {
  const { parameters, report, startedMs, endedMs } = found;
  const facts: [string, string | undefined][] = [
    ['state', stateOf(found)],
    ['started', formatTime(startedMs)],
    ['ended', endedMs === undefined ? undefined : formatTime(endedMs)],
    ['snapshot', found.snapshot],
    ['host', `${found.host} (${found.os}), process ${found.pid}`],
    ['asked for', requestWords(Object(parameters)) || undefined],
    ...jobFacts(Object(report ?? {})),
  ];
  const rows = facts.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
  const parts = [formatTable([`job ${found.number}`, found.verb], rows)];
  if (archives.length > 0) {
    const written = archives.map(({ uuid, state, lengthBytes, copies }) => [
      uuid,
      state,
      lengthBytes === undefined ? '' : formatSize(lengthBytes),
      copies.map(({ barcode, fileNumber }) => `${barcode}:${fileNumber}`).join(' '),
    ]);
    parts.push(formatTable(['ARCHIVE', 'STATE', 'SIZE', 'MEDIUM:FILE'], written));
  }
  return parts.join('\n\n');
}

function documentJobEntry({ path, change, movedFrom, sizeBytes }: JobEntry) {
  return {
    change,
    ...documentPath(path),
    ...(movedFrom !== undefined && { movedFrom: documentPath(movedFrom).path }),
    ...(sizeBytes !== undefined && { size: sizeBytes }),
  };
}

function formatJobEntry({ path, change, movedFrom, sizeBytes }: JobEntry): string {
  const size = sizeBytes === undefined ? '' : formatSize(sizeBytes);
  const from = movedFrom === undefined ? '' : `${rawText(movedFrom)} -> `;
  return `${change.padEnd(10)}  ${size.padStart(8)}  ${from}${rawText(path)}`;
}

function documentLine({ id, jobNumber, timeMs, level, path, message, facts }: Line) {
  return {
    id,
    job: jobNumber,
    time: documentTime(timeMs),
    level,
    ...(path !== undefined && { path }),
    message,
    ...(facts !== undefined && { facts }),
  };
}

function formatLine({ jobNumber, timeMs, level, path, message }: Line): string {
  const about = path === undefined ? '' : `${printable(path)}: `;
  return `${formatTime(timeMs)}  job ${jobNumber}  ${level}  ${about}${printable(message)}`;
}

function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return parts.map((part, index) => String(part).padStart(index === 0 ? 1 : 2, '0')).join(':');
}
