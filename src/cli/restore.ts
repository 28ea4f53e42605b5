/** `shelfs restore`: brings entries back below a directory, or says first what that takes. */
import { formatSize } from '../base/bytes.ts';
import { FAILURES } from '../base/errors.ts';
import { workingDirectory } from '../base/machine.ts';
import { formatTable, printable } from '../base/text.ts';
import { pathArgument } from '../job/path-argument.ts';
import type { RestoreEvent, RestorePlan, RestoreReport } from '../job/restore/report.ts';
import { command, type OpenContext } from './context.ts';
import { countOf } from './format.ts';
import { AT, HOST } from './path-options.ts';
import { Progress } from './progress.ts';

/** Failures, and files without a copy, that are shown one by one; --json has an event of each failure. */
const NAMES_SHOWN = 20;

export const restore = (open: OpenContext) =>
  command(
    {
      command: 'restore <paths..>',
      describe: 'Bring files back below a directory, as they were at any time',
      builder: (yargs) =>
        yargs
          .positional('paths', {
            type: 'string',
            array: true,
            demandOption: true,
            describe: 'what to bring back, as `shelfs ls` shows it; / is everything',
          })
          .option('to', {
            type: 'string',
            demandOption: true,
            requiresArg: true,
            describe: 'an existing directory; paths are kept below it',
          })
          .option('at', AT)
          .option('host', HOST)
          .option('plan', { type: 'boolean', describe: 'only say which cartridges it takes' })
          .option('overwrite', { type: 'boolean', describe: 'replace what is there and differs' }),
      run: async ({ app, output, signal, setExit }, args) => {
        const here = workingDirectory();
        const order = {
          paths: args.paths.map((path) => pathArgument(path, here)),
          host: args.host,
          at: args.at,
          to: pathArgument(args.to, here),
          overwrite: args.overwrite ?? false,
        };
        if (args.plan) {
          const plan = await app.planRestore(order, signal);
          output.result(plan, () => formatPlan(plan));
          return;
        }
        const progress = new Progress(output, app.clock);
        const listen = progress.ofFiles<RestoreEvent>(describe);
        const report = await progress.follow(
          app.restore(order, listen, signal),
          'what is there by now is whole; the same command goes on with the rest',
        );
        output.event({ event: 'end', ...report });
        progress.end(formatReport(report));
        const [first] = report.failed;
        if (first) setExit(FAILURES[first.code].exit);
      },
    },
    open,
  );

function describe(event: RestoreEvent): string | undefined {
  switch (event.event) {
    case 'plan':
      return describePlan(event.plan);
    case 'medium':
      return `reading ${event.barcode}`;
    default:
      return undefined;
  }
}

function describePlan({ files, bytes, media }: RestorePlan): string {
  if (media.length === 0) return 'nothing has to be read from a cartridge';
  const from = media.map(({ barcode }) => barcode).join(', ');
  return `${countOf(files, 'file')}, ${formatSize(bytes)}, from ${from}`;
}

function formatPlan(plan: RestorePlan): string {
  const rows = plan.media.map(({ barcode, location, files, bytes, minutes }) => [
    barcode,
    location ?? '',
    files,
    formatSize(bytes),
    minutes,
  ]);
  const lines = [`${countOf(plan.files, 'file')}, ${formatSize(plan.bytes)}`];
  if (rows.length > 0)
    lines.push(formatTable(['CARTRIDGE', 'LOCATION', 'FILES', 'SIZE', 'MINUTES'], rows));
  if (plan.lostFiles > 0) {
    const more = plan.lostFiles - NAMES_SHOWN;
    const shown = plan.lost.slice(0, NAMES_SHOWN).join(', ');
    lines.push(`without a good copy: ${shown}${more > 0 ? ` and ${more} more` : ''}`);
  }
  return lines.join('\n');
}

function formatReport(report: RestoreReport): string {
  const lines = [
    `${report.restored} restored, ${report.kept} there already, ${formatSize(report.bytes)}`,
  ];
  if (report.keptOther > 0)
    lines.push(
      `${report.keptOther} of those there are not as in the snapshot; --overwrite replaces them`,
    );
  for (const [what, times] of Object.entries(report.notSet)) {
    lines.push(`${printable(what)} could not be set for ${times}`);
  }
  for (const { path, reason } of report.failed.slice(0, NAMES_SHOWN)) {
    lines.push(`${path}: ${printable(reason)}`);
  }
  const more = report.failures - NAMES_SHOWN;
  if (more > 0) lines.push(`and ${more} more; --json lists them`);
  return lines.join('\n');
}
