/** `shelfs scrub`: cartridges read back against what was written, or live files compared with the catalog. */
import { formatSize, parseSize } from '../base/bytes.ts';
import { CodedError, FAILURES } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import type { SourceCheck, SourceCheckEvent } from '../job/scrub/against-source.ts';
import { HARMLESS, type ScrubEvent, type ScrubReport } from '../job/scrub/report.ts';
import { type Context, command, type OpenContext } from './context.ts';
import { countOf } from './format.ts';
import { Progress } from './progress.ts';

/** Shown one by one; --json has an event of each. */
const SHOWN = 20;

export const scrub = (open: OpenContext) =>
  command(
    {
      command: 'scrub [media..]',
      describe:
        'Read cartridges back against what was written, those first that nobody has read for longest',
      builder: (yargs) =>
        yargs
          .positional('media', {
            type: 'string',
            array: true,
            describe: 'cartridges; default: all at hand. With --against-source: sources',
          })
          .option('max-bytes', {
            type: 'string',
            requiresArg: true,
            describe: 'begin no archive after so many bytes, for instance 2TB',
          })
          .option('sample', {
            type: 'number',
            requiresArg: true,
            describe:
              'percent of each cartridge, what was unread for longest; again and again it goes over all',
          })
          .option('quick', {
            type: 'boolean',
            describe: 'only labels, journals and where the data end',
          })
          .option('against-source', {
            type: 'boolean',
            describe: 'compare live files with the newest snapshot; no cartridge is needed',
          })
          .conflicts('against-source', ['max-bytes', 'sample', 'quick'])
          .conflicts('quick', ['sample', 'max-bytes'])
          .epilog(
            'Ends with 1 where a cartridge gave wrong bytes, with 22 where a file has no other good copy. Nothing is ever written to a cartridge.',
          ),
      run: async (context, args) => {
        const media = args.media ?? [];
        if (args['against-source']) return againstSource(context, media);
        const request = {
          media,
          maxBytes:
            args['max-bytes'] === undefined ? Number.POSITIVE_INFINITY : sizeOf(args['max-bytes']),
          samplePercent: percentOf(args.sample ?? 100),
          isQuick: args.quick ?? false,
        };
        return runScrub(context, request);
      },
    },
    open,
  );

/** Also for a job that is gone on with. */
export async function runScrub(
  { app, output, signal, setExit }: Context,
  request: Parameters<Context['app']['scrub']>[0],
): Promise<void> {
  const progress = new Progress(output, app.clock);
  const report = await progress.follow(
    app.scrub(request, progress.listen(describe, ['progress']), signal),
    'what was read counts; the same command goes on with the rest',
  );
  progress.end(formatReport(report));
  setExit(exitOf(report));
}

/** What is lost comes before what could not be read, that before damage of which there are good copies. */
function exitOf({ lostFiles, notRead, found, findings }: ScrubReport): number {
  if (lostFiles > 0) return FAILURES.MEDIUM_UNREADABLE.exit;
  const [first] = notRead;
  if (first) return FAILURES[first.code].exit;
  return isHarmed({ found, findings }) ? FAILURES.FAILED.exit : 0;
}

function isHarmed({ found, findings }: Pick<ScrubReport, 'found' | 'findings'>): boolean {
  return findings > found.length || found.some(({ kind }) => !HARMLESS.has(kind));
}

function describe(event: ScrubEvent): string | undefined {
  switch (event.event) {
    case 'begin':
      return `job ${event.job}: ${event.resumed ? 'going on with' : 'reading'} ${countOf(event.archives, 'archive')}, ${formatSize(event.bytes)}, on ${event.media.join(', ') || 'no media'}`;
    case 'medium':
      return `${event.barcode} is in ${event.drive}`;
    case 'progress': {
      const { barcode, file, bytes, bytesTotal, seconds } = event;
      const rate = seconds > 0 ? `  ${formatSize(bytes / seconds)}/s` : '';
      return `${barcode} file ${file}  ${formatSize(bytes)} of ${formatSize(bytesTotal)}${rate}`;
    }
    case 'finding': {
      const file = event.file === undefined ? '' : `, file ${event.file}`;
      const blocks = event.blocks ? ` (block ${event.blocks.first})` : '';
      return `${event.barcode}${file}: ${printable(event.sentence)}${blocks}`;
    }
    default:
      return undefined;
  }
}

function formatReport(report: ScrubReport): string {
  const { damagedArchives, bytes, media, notRead } = report;
  const archives = media.reduce((sum, medium) => sum + medium.archives, 0);
  const done = bytes > 0 ? `read, ${formatSize(bytes)}` : 'looked at';
  const harm = damagedArchives > 0 ? `${damagedArchives} not right` : 'not all of it is right';
  const lines = [
    `${countOf(archives, 'archive')} on ${countOf(media.length, 'cartridge')} ${done}: ${isHarmed(report) ? harm : 'all right'}`,
  ];
  const suspect = media.filter(({ state, findings }) => state === 'suspect' && findings > 0);
  if (suspect.length > 0) {
    const names = suspect.map(({ barcode }) => barcode).join(', ');
    lines.push(
      `suspect: ${names}; the next backup stores again what has no other good copy, and what is whole is still read`,
    );
  }
  for (const { path, barcode, first, last, elsewhere, isSafe } of report.damaged.slice(0, SHOWN)) {
    const span = first === last ? first : `${first} to ${last}`;
    const others = elsewhere.map(
      (other) => `${other.barcode}${other.location ? ` (${printable(other.location)})` : ''}`,
    );
    lines.push(
      `${path} (${span}) is not whole on ${barcode}; ${isSafe ? `good on ${others.join(', ')}` : 'there is no other good copy'}`,
    );
  }
  const more = report.damagedFiles - Math.min(SHOWN, report.damaged.length);
  if (more > 0) lines.push(`and ${more} more; \`shelfs logs --job ${report.job}\` names them`);
  for (const { barcode, reason } of notRead)
    lines.push(`${barcode} was not read: ${printable(reason)}`);
  return lines.join('\n');
}

async function againstSource(
  { app, output, signal, setExit }: Context,
  names: readonly string[],
): Promise<void> {
  const progress = new Progress(output, app.clock);
  const words = (event: SourceCheckEvent) =>
    event.event === 'progress' ? `${event.source}: ${countOf(event.entries, 'entry')}` : undefined;
  const listen = progress.listen(words, ['progress']);
  const report = await progress.follow(app.checkSources(names, listen, signal));
  progress.end(formatCheck(report));
  if (report.counts.unreadable > 0) setExit(FAILURES.SOURCE_UNREADABLE.exit);
}

function formatCheck({ entries, counts, differences }: SourceCheck): string {
  const found = Object.entries(counts).filter(([, count]) => count > 0);
  const words = found.map(([kind, count]) => `${count} ${kind}`).join(', ');
  const lines = [`${countOf(entries, 'entry')} compared: ${words || 'all as they were backed up'}`];
  for (const { kind, path, detail } of differences.slice(0, SHOWN))
    lines.push(`${kind}: ${path}${detail === '' ? '' : ` (${printable(detail)})`}`);
  const all = found.reduce((sum, [, count]) => sum + count, 0);
  if (all > SHOWN) lines.push(`and ${all - SHOWN} more; --json lists them`);
  return lines.join('\n');
}

function percentOf(percent: number): number {
  if (percent > 0 && percent <= 100) return percent;
  throw new CodedError('USAGE', '--sample is a percentage above 0, at most 100');
}

function sizeOf(text: string): number {
  const bytes = parseSize(text);
  if (bytes !== undefined && bytes > 0) return bytes;
  throw new CodedError(
    'USAGE',
    `--max-bytes: "${printable(text)}" is no size; say for instance 2TB`,
  );
}
