/** `shelfs recover`: the catalog anew, from the cartridges alone; or what they know beyond it, merged into it. */
import { formatSize } from '../base/bytes.ts';
import { CodedError, FAILURES } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import type { RecoverEvent, RecoverReport } from '../job/recover/report.ts';
import { command, type OpenContext } from './context.ts';
import { countOf } from './format.ts';
import { Progress } from './progress.ts';

export const recover = (open: OpenContext) =>
  command(
    {
      command: 'recover [places..]',
      describe: 'Make the catalog anew from cartridges, when it is lost or set back',
      builder: (yargs) =>
        yargs
          .positional('places', {
            type: 'string',
            array: true,
            describe:
              'where they are: devices of a changer and drives, or a directory of virtual ones; with --merge default: the library',
          })
          .option('merge', {
            type: 'boolean',
            describe: 'keep the catalog there is, and add what cartridges know beyond it',
          })
          .option('medium', {
            type: 'string',
            array: true,
            requiresArg: true,
            describe: 'read this cartridge only; may be given several times',
          }),
      run: async ({ app, output, signal, setExit }, args) => {
        const progress = new Progress(output, app.clock);
        const listen = (event: RecoverEvent) => {
          if (event.event === 'entries' || event.event === 'file')
            progress.show(event, () => describe(event) ?? '');
          else progress.tell(event, describe(event));
        };
        const media = (args.medium ?? []).map((barcode) => barcode.trim().toUpperCase());
        try {
          const into = args.merge === true ? 'merge' : 'new';
          const order = { from: args.places ?? [], media, into } as const;
          const report = await app.recover(order, listen, signal);
          progress.end(formatReport(report));
          if (report.leftOut.length > 0) setExit(FAILURES.SOURCE_UNREADABLE.exit);
        } catch (error) {
          progress.clear();
          if (error instanceof CodedError && error.code === 'INTERRUPTED')
            output.note('what was read is kept; the same command goes on with the rest');
          throw error;
        }
      },
    },
    open,
  );

function describe(event: RecoverEvent): string | undefined {
  switch (event.event) {
    case 'medium':
      return `reading ${printable(event.barcode)} in ${event.drive}`;
    case 'file':
      return `${printable(event.barcode)}: tape file ${event.file}`;
    case 'base':
      return `the catalog of ${event.taken} on ${printable(event.barcode)} is whole: what journals tell since is added`;
    case 'no-base':
      return 'no copy of the catalog: it is made from the journals alone';
    case 'kept':
      return `the catalog as it was is kept as ${printable(event.path)}`;
    case 'entries':
      return `${event.entries} entries`;
    case 'warning':
      return `warning: ${printable(event.message)}`;
    default:
      return undefined;
  }
}

function formatReport(report: RecoverReport): string {
  const { media, snapshots, archives, lost, missing, leftOut } = report;
  const lines = [
    `${countOf(snapshots, 'snapshot')} in ${countOf(archives, 'archive')} on ${media.map(printable).join(', ')}`,
  ];
  if (missing.length > 0)
    lines.push(`not here, but named by these: ${missing.map(printable).join(', ')}`);
  if (leftOut.length > 0) lines.push(`left out: ${leftOut.map(printable).join(', ')}`);
  if (lost.contents > 0)
    lines.push(
      `${countOf(lost.contents, 'content')} (${formatSize(lost.bytes)}) on none of them: shown, and lost until found`,
    );
  if (report.kept === null)
    lines.push('the config names the library alone: no rules of retention, so nothing expires');
  lines.push('next: shelfs snapshots; shelfs catalog check; media on hold: shelfs media release');
  return lines.join('\n');
}
