/** `shelfs groom`: frees cartridges that hold little of what is still needed. */
import { formatSize } from '../base/bytes.ts';
import { CodedError, FAILURES } from '../base/errors.ts';
import { formatTable, printable } from '../base/text.ts';
import type { GroomEvent, GroomPlan, GroomReport } from '../job/groom/report.ts';
import { command, type OpenContext } from './context.ts';
import { countOf } from './format.ts';
import { Progress } from './progress.ts';

/** Files that cannot be had, shown one by one; the job's log has them all. */
const NAMES_SHOWN = 20;

export const groom = (open: OpenContext) =>
  command(
    {
      command: 'groom [media..]',
      describe: 'Move what is still needed off cartridges that hold little else, and free them',
      builder: (yargs) =>
        yargs
          .positional('media', {
            type: 'string',
            array: true,
            describe: 'barcodes; default: all with too little live on them',
          })
          .option('below', {
            type: 'number',
            requiresArg: true,
            describe: 'cartridges of whose bytes fewer percent are live; default: as configured',
          })
          .option('dry-run', {
            type: 'boolean',
            describe: 'only say which cartridges, what that frees and how long it takes',
          })
          .option('no-wait', {
            type: 'boolean',
            describe: 'end with status 11 where drives are in use, instead of waiting for them',
          }),
      run: async ({ app, output, signal, setExit }, args) => {
        const belowPercent = args.below;
        if (belowPercent !== undefined && !(belowPercent >= 0 && belowPercent <= 100))
          throw new CodedError('USAGE', '--below is a number from 0 to 100');
        const order = { names: args.media ?? [], belowPercent, wait: args['no-wait'] !== true };
        if (args['dry-run']) {
          const plan = await app.planGroom(order, signal);
          output.result(plan, () => formatPlan(plan));
          return;
        }
        const progress = new Progress(output, app.clock);
        const report = await progress.follow(
          app.groom(order, progress.listen(describe, ['progress']), signal),
          'what was moved by now counts; `shelfs groom` goes on with the rest',
        );
        progress.end(formatReport(report));
        if (report.lost.length > 0) setExit(FAILURES.MEDIUM_UNREADABLE.exit);
        else if (report.state === 'partial') setExit(FAILURES.FAILED.exit);
      },
    },
    open,
  );

function describe(event: GroomEvent): string | undefined {
  switch (event.event) {
    case 'begin':
      return `job ${event.job}: grooming ${event.media.join(', ') || 'nothing'}`;
    case 'medium':
      return event.drive === null
        ? `reading ${event.barcode}`
        : `${event.barcode} is in ${event.drive}`;
    case 'archive':
      return `${formatSize(event.bytes)} stored on ${event.media.join(' and ')}`;
    case 'progress':
      return `${event.barcode}: ${countOf(event.contents, 'file')}, ${formatSize(event.bytes)} of about ${formatSize(Math.max(event.bytes, event.bytesTotal))}`;
    case 'done':
      return event.state === 'kept'
        ? `${event.barcode} is kept: ${printable(event.reason ?? '')}`
        : `${event.barcode} is ${event.state === 'scratch' ? 'scratch' : `empty, and stays ${event.state}`}`;
    default:
      return undefined;
  }
}

function formatPlan({ media, freedBytes, seconds }: GroomPlan): string {
  if (media.length === 0) return 'no cartridge has so little live on it';
  const rows = media.map((medium) => [
    medium.barcode,
    `${Math.round(medium.livePercent)} %`,
    formatSize(medium.liveBytes),
    formatSize(medium.freedBytes),
    minutesOf(medium.seconds),
  ]);
  return [
    formatTable(['CARTRIDGE', 'LIVE', 'TO BE MOVED', 'FREED', 'MINUTES'], rows),
    `groom: frees ${formatSize(freedBytes)}, takes about ${minutesOf(seconds)} minutes`,
  ].join('\n');
}

function minutesOf(seconds: number): number {
  return Math.max(1, Math.ceil(seconds / 60));
}

function formatReport({ job, media, copied, lost, lostMore }: GroomReport): string {
  const freed = media.filter(({ state }) => state !== 'kept');
  const bytes = media.reduce((sum, one) => sum + one.bytes, 0);
  const lines = [
    media.length === 0
      ? 'no cartridge has so little live on it'
      : `${formatSize(bytes)} moved; free now: ${freed.map(({ barcode }) => barcode).join(', ') || 'none'}`,
  ];
  for (const { barcode, state, reason } of media)
    if (state === 'kept') lines.push(`${barcode} is kept: ${printable(reason ?? '')}`);
  for (const { pool, bytes: copiedBytes, missing } of copied) {
    const still = missing > 0 ? `; ${missing} contents have too few copies still` : '';
    lines.push(`pool ${printable(pool)}: ${formatSize(copiedBytes)} copied${still}`);
  }
  for (const { path, reason } of lost.slice(0, NAMES_SHOWN))
    lines.push(`${printable(path)}: ${printable(reason)}`);
  const more = lost.length + lostMore - NAMES_SHOWN;
  if (more > 0) lines.push(`and ${more} more; \`shelfs logs --job ${job}\` names them`);
  return lines.join('\n');
}
