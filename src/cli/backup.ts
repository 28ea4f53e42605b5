/** `shelfs backup`: stores what is protected, and tells how far it is. */
import { formatSize } from '../base/bytes.ts';
import { CodedError, FAILURES } from '../base/errors.ts';
import { formatTable, printable } from '../base/text.ts';
import type { DryRunReport } from '../job/backup/dry-run.ts';
import type { BackupEvent, BackupReport } from '../job/backup/report.ts';
import { type Context, command, type OpenContext } from './context.ts';
import { countOf } from './format.ts';
import { Progress } from './progress.ts';

/** Readers and hashers on threads of their own; more than two only wait for the same disk. */
const WORKERS_DEFAULT = 2;
const WORKERS_MAX = 64;

export const backup = (open: OpenContext) =>
  command(
    {
      command: 'backup [sources..]',
      describe: 'Store what is new or changed, and make a snapshot',
      builder: (yargs) =>
        yargs
          .positional('sources', {
            type: 'string',
            array: true,
            describe: 'names of sources; default: all',
          })
          .option('dry-run', {
            type: 'boolean',
            describe: 'only say what would be written, to how many cartridges and how long',
          })
          .option('copies', {
            type: 'number',
            requiresArg: true,
            describe: 'write everything to so many cartridges; default: as configured',
          })
          .option('pool', {
            type: 'string',
            requiresArg: true,
            describe: 'media of this pool; default: as configured',
          })
          .option('allow-empty', {
            type: 'boolean',
            describe: 'take a source that is suddenly empty for deleted',
          })
          .option('verify', {
            type: 'boolean',
            describe: 'read back what was written before a cartridge leaves its drive',
          })
          .option('no-wait', {
            type: 'boolean',
            describe: 'end with status 11 where drives are in use, instead of waiting for them',
          })
          .option('hash-workers', {
            type: 'number',
            requiresArg: true,
            describe: `threads that read and hash (${WORKERS_DEFAULT})`,
          })
          .option('single-threaded', { type: 'boolean', describe: 'read and hash in one thread' }),
      run: async (context, args) => {
        const workers = args['single-threaded']
          ? 0
          : count('hash-workers', args['hash-workers'] ?? WORKERS_DEFAULT, WORKERS_MAX);
        const request = {
          sources: args.sources ?? [],
          copies: args.copies === undefined ? undefined : count('copies', args.copies, 4),
          pool: args.pool,
          allowEmpty: args['allow-empty'] ?? false,
          verify: args.verify ?? false,
          wait: args['no-wait'] !== true,
          workers,
        };
        if (!args['dry-run']) return runBackup(context, request);
        const report = await context.app.dryRun(request, context.signal);
        context.output.result(report, () => formatDryRun(report));
        if (report.files.unreadable > 0) context.setExit(FAILURES.SOURCE_UNREADABLE.exit);
      },
    },
    open,
  );

/** Also for a job that is gone on with. */
export async function runBackup(
  { app, output, signal, setExit }: Context,
  request: Parameters<Context['app']['backup']>[0],
): Promise<void> {
  const progress = new Progress(output, app.clock);
  const tell = progress.listen(describe, ['progress', 'scan', 'hash']);
  let ended: BackupReport | undefined;
  const listen = (event: BackupEvent) => {
    if (event.event === 'end') ended = event;
    tell(event);
  };
  const work = app.backup(request, listen, signal).catch((error: unknown) => {
    // The first copies are there and have their snapshot; further ones failed.
    if (ended) output.note(formatReport(ended));
    throw error;
  });
  const report = await progress.follow(
    work,
    'what is stored by now counts; `shelfs backup` goes on with the rest',
  );
  progress.end(formatReport(report));
  if (report.files.unreadable > 0) setExit(FAILURES.SOURCE_UNREADABLE.exit);
}

/** Of the bytes, before it is said how long the rest takes. */
const FORESEEN_SHARE = 0.01;

function describe(event: BackupEvent): string | undefined {
  switch (event.event) {
    case 'begin':
      return `job ${event.job}: ${event.resumed ? 'going on with' : 'backing up'} ${event.sources.map(printable).join(', ')}`;
    case 'medium':
      return `${event.barcode} is in ${event.drive}`;
    case 'archive':
      return `${formatSize(event.bytes)} stored on ${event.media.join(' and ')}`;
    case 'copy':
      return `${formatSize(event.bytes)} copied to ${event.media.join(' and ')}`;
    case 'progress': {
      const rate = event.seconds > 0 ? event.bytes / event.seconds : 0;
      // From the first few bytes nothing can be foretold: a drive is being loaded meanwhile.
      const isForeseen = rate > 0 && event.bytes >= event.bytesTotal * FORESEEN_SHARE;
      const left = isForeseen ? (event.bytesTotal - event.bytes) / rate : undefined;
      const parts = [
        `${event.files}/${event.filesTotal} files`,
        `${formatSize(event.bytes)} of ${formatSize(event.bytesTotal)}`,
        `${formatSize(rate)}/s`,
        ...event.media.map(({ barcode, filled }) => `${barcode} ${Math.floor(filled * 100)} %`),
        ...(left === undefined ? [] : [`${formatDuration(Math.max(0, left))} left`]),
        event.file,
      ];
      return parts.join('  ');
    }
    default:
      return undefined;
  }
}

function formatReport(report: BackupReport): string {
  const { files, bytes } = report;
  const counts = Object.entries(files)
    .filter(([, value]) => value > 0)
    .map(([name, value]) => `${value} ${name}`);
  const lines = [
    report.snapshot === null
      ? `nothing has changed: ${counts.join(', ') || 'no entries'}`
      : `snapshot ${report.snapshot}${report.state === 'partial' ? ' (partial)' : ''}: ${counts.join(', ')}`,
    `${formatSize(bytes.scanned)} scanned, ${formatSize(bytes.written)} written, ${formatSize(bytes.deduplicated)} were there already`,
  ];
  if (report.media.length > 0) lines.push(`media: ${report.media.join(', ')}`);
  for (const { path, reason } of report.unreadable) lines.push(`${path}: ${printable(reason)}`);
  const missing = files.unreadable - report.unreadable.length;
  if (missing > 0)
    lines.push(`and ${missing} more; \`shelfs logs --job ${report.job}\` names them`);
  return lines.join('\n');
}

function formatDryRun(report: DryRunReport): string {
  const { files, bytes, forecast } = report;
  const counts = Object.entries(files)
    .filter(([, value]) => value > 0)
    .map(([name, value]) => `${value} ${name}`);
  const lines = [
    counts.join(', ') || 'no entries',
    `${formatSize(bytes.scanned)} scanned, at most ${formatSize(forecast.storedBytes)} to be written, ${formatSize(bytes.deduplicated)} are there already`,
  ];
  for (const { rule, entries, bytes: left } of report.excluded) {
    lines.push(`left out by ${printable(rule)}: ${entries} entries, ${formatSize(left)}`);
  }
  if (forecast.media.length > 0) {
    const rows = forecast.media.map(({ key, writtenBytes, roomBytes }) => [
      key.replace(/^~ /, ''),
      formatSize(writtenBytes),
      `${Math.floor((100 * writtenBytes) / roomBytes)} %`,
    ]);
    lines.push(formatTable(['CARTRIDGE', 'WRITTEN', 'OF ITS ROOM'], rows));
    const { media, wasteBytes } = forecast.tightest;
    lines.push(
      `left over ${formatSize(forecast.wasteBytes)}; packed as tightly as can be: ${countOf(media, 'cartridge')}, ${formatSize(wasteBytes)}`,
      `about ${formatDuration(forecast.hours * 3600)}`,
    );
  }
  if (forecast.mediaMissing > 0) {
    lines.push(`missing: ${countOf(forecast.mediaMissing, 'scratch cartridge')}`);
  }
  for (const { path, reason } of report.unreadable) lines.push(`${path}: ${printable(reason)}`);
  return lines.join('\n');
}

function formatDuration(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  return minutes > 0 ? `${minutes} min` : `${Math.ceil(seconds)} s`;
}

function count(name: string, value: number, most: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new CodedError('USAGE', `--${name} is a number from 1 to ${most}`);
}
