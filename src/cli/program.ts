/** The command line: every command, the options all of them share, and the help. */
import yargs from 'yargs';
import { CodedError, EXIT_MEANINGS } from '../base/errors.ts';
import { addCommands } from './commands.ts';
import type { OpenContext } from './context.ts';

/** Options that may be given more than once; positionals and what follows `--` are lists too. */
const LISTS: ReadonlySet<string> = new Set([
  ...[
    '_',
    '--',
    'drive',
    'exclude',
    'preset',
    'paths',
    'sources',
    'barcodes',
    'media',
    'places',
    'medium',
  ],
]);

/**
 * Parses and runs one command.
 * @param open opens what a command works with; called when a handler runs
 * @param about.print takes help and version
 * @throws CodedError USAGE, or what the command throws
 */
export async function program(
  argv: readonly string[],
  open: OpenContext,
  about: { version: string; print: (text: string) => void },
): Promise<void> {
  const options = yargs()
    .locale('en')
    // An option is what it is called: no --no-X, no --x.y, and no list that swallows what follows.
    .parserConfiguration({
      'boolean-negation': false,
      'dot-notation': false,
      'greedy-arrays': false,
    })
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
    .middleware(refuseRepeated, true);
  const parser = (await addCommands(options, open, argv))
    .demandCommand(1, 'say a command; `shelfs --help` lists them')
    .strict()
    .recommendCommands()
    .version(about.version)
    .help()
    .wrap(null)
    .epilogue(formatExits())
    .exitProcess(false)
    .fail((message, error) => {
      // Errors of handlers come this way too: they pass through untouched. A YError is yargs' own, of an option without value.
      if (error && error.name !== 'YError') throw error;
      // Of several lines one is made: what is printed has no control bytes.
      throw new CodedError('USAGE', (message || error.message).replaceAll(/\s*\n\s*/g, ' '));
    });
  await parser.parseAsync([...argv], {}, (_error, _argv, text) => {
    if (text) about.print(text);
  });
}

/** The exit statuses, as help and README print them. */
export function formatExits(): string {
  const lines = [...EXIT_MEANINGS].map(
    ([status, meaning]) => `  ${String(status).padStart(3)}  ${meaning}`,
  );
  return ['Exit status:', ...lines].join('\n');
}

/** An option given twice would arrive as a list where one value is meant; an empty one is an unset variable of a script. */
function refuseRepeated(args: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(args)) {
    if (Array.isArray(value) && !LISTS.has(name)) {
      throw new CodedError('USAGE', `--${name} is given more than once; say it once`);
    }
    if (value === '' || (Array.isArray(value) && value.includes(''))) {
      throw new CodedError(
        'USAGE',
        `${name === '_' ? 'an argument' : `--${name}`} is empty; say what it is to be`,
      );
    }
  }
}
