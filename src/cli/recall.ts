/** `shelfs recall`: brings files from tape into the stage. */
import { formatSize } from '../base/bytes.ts';
import { FAILURES } from '../base/errors.ts';
import { workingDirectory } from '../base/machine.ts';
import { printable } from '../base/text.ts';
import { pathArgument } from '../job/path-argument.ts';
import type { RecallEvent, RecallReport } from '../job/recall.ts';
import { command, type OpenContext } from './context.ts';
import { AT, HOST } from './path-options.ts';
import { Progress } from './progress.ts';

/** Failures shown one by one; --json has an event of each. */
const FAILURES_SHOWN = 20;

export const recall = (open: OpenContext) =>
  command(
    {
      command: 'recall <paths..>',
      describe: 'Bring files from tape into the stage, so that reading them takes no time',
      builder: (yargs) =>
        yargs
          .positional('paths', {
            type: 'string',
            array: true,
            demandOption: true,
            describe: 'what to bring, as `shelfs ls` shows it; with everything below',
          })
          .option('at', AT)
          .option('host', HOST),
      run: async ({ app, output, signal, setExit }, args) => {
        const here = workingDirectory();
        const progress = new Progress(output, app.clock);
        const paths = args.paths.map((path) => pathArgument(path, here));
        const order = { paths, host: args.host, at: args.at };
        const report = await progress.follow(
          app.recallPaths(order, progress.ofFiles<RecallEvent>(describe), signal),
          'what is in the stage by now is whole; the same command goes on with the rest',
        );
        output.event({ event: 'end', ...report });
        progress.end(formatReport(report));
        const [first] = report.failed;
        if (first) setExit(FAILURES[first.code].exit);
      },
    },
    open,
  );

function describe(event: RecallEvent): string | undefined {
  return event.event === 'medium' ? `reading ${event.barcode}` : undefined;
}

function formatReport({ recalled, staged, bytes, failed, failures }: RecallReport): string {
  const lines = [`${recalled} recalled, ${staged} there already, ${formatSize(bytes)}`];
  for (const { path, reason } of failed.slice(0, FAILURES_SHOWN))
    lines.push(`${path}: ${printable(reason)}`);
  if (failures > FAILURES_SHOWN)
    lines.push(`and ${failures - FAILURES_SHOWN} more; --json lists them`);
  return lines.join('\n');
}
