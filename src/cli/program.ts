/** The command line: every command, the options all of them share, and the help. */
import yargs, { type Argv } from 'yargs';
import { CodedError, EXIT_MEANINGS } from '../base/errors.ts';
import type { GlobalArgs, OpenContext } from './context.ts';
import { demo } from './demo.ts';
import { doctor } from './doctor.ts';
import { init } from './init.ts';
import { library } from './library.ts';

/** @param open opens what a command works with; called when a handler runs */
export function program(
  argv: readonly string[],
  open: OpenContext,
  version: string,
): Argv<GlobalArgs> {
  return yargs([...argv])
    .scriptName('shelfs')
    .usage('$0 COMMAND\n\nYour tapes on the shelf, as a filesystem.')
    .option('state', {
      type: 'string',
      requiresArg: true,
      describe: 'state directory; else $SHELFS_STATE',
    })
    .option('config', {
      type: 'string',
      requiresArg: true,
      describe: 'config file; default: config.toml in the state directory',
    })
    .option('json', { type: 'boolean', describe: 'one JSON document on stdout' })
    .option('quiet', { type: 'boolean', describe: 'no messages' })
    .option('verbose', {
      alias: 'v',
      type: 'count',
      describe: 'more messages; -vv shows every SCSI command',
    })
    .command(init(open))
    .command(library(open))
    .command(doctor(open))
    .command(demo(open))
    .demandCommand(1, 'say a command; `shelfs --help` lists them')
    .strict()
    .recommendCommands()
    .version(version)
    .help()
    .wrap(null)
    .epilogue(formatExits())
    .exitProcess(false)
    .fail((message, error) => {
      // yargs hands over errors of handlers here too: those pass through untouched.
      throw error ?? new CodedError('USAGE', message);
    });
}

/** The exit statuses, as help and README print them. */
export function formatExits(): string {
  const lines = [...EXIT_MEANINGS].map(
    ([status, meaning]) => `  ${String(status).padStart(3)}  ${meaning}`,
  );
  return ['Exit status:', ...lines].join('\n');
}
