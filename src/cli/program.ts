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

/** What the parser says in words of its own, said so that it helps. */
const SENTENCES = {
  'Not enough non-option arguments: got %s, need at least %s': {
    one: 'an argument is missing: %s given, %s needed; --help names them',
    other: 'an argument is missing: %s given, %s needed; --help names them',
  },
  'Too many non-option arguments: got %s, maximum of %s': {
    one: 'too many arguments: %s given, at most %s taken',
    other: 'too many arguments: %s given, at most %s taken',
  },
  'Missing required argument: %s': {
    one: 'missing: --%s; --help says what it is',
    other: 'missing: --%s; --help says what they are',
  },
  'Unknown argument: %s': {
    one: 'unknown here: %s; --help lists what there is',
    other: 'unknown here: %s; --help lists what there is',
  },
  'Unknown command: %s': {
    one: 'there is no command %s; `shelfs --help` lists them',
    other: 'there are no commands %s; `shelfs --help` lists them',
  },
  'Did you mean %s?': 'there is no such command; did you mean %s?',
  'Not enough arguments following: %s': 'a value is missing behind --%s',
  'Show help': 'show this help',
  'Show version number': 'print the version',
};

/**
 * Parses and runs one command.
 * @param open opens what a command works with; called when a handler runs
 * @param about.print takes help and version
 * @throws CodedError USAGE, or what the command throws
 */
export async function program(
  argv: readonly string[],
  open: OpenContext,
  about: {
    readonly version: string;
    readonly print: (text: string) => void;
    /** Of the terminal that help is printed to; elsewhere lines are as long as they are. */
    readonly columns?: number | undefined;
  },
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
    .wrap(about.columns ?? null)
    .epilogue(formatExits())
    .exitProcess(false)
    .fail((message, error) => {
      // Errors of handlers come this way too: they pass through untouched. A YError is yargs' own, of an option without value.
      if (error && error.name !== 'YError') throw error;
      // Of several lines one is made: what is printed has no control bytes.
      const sentence = (message || error.message).replaceAll(/\s*\n\s*/g, ' ');
      throw new CodedError('USAGE', withoutTwins(sentence));
    });
  // Its types know of no plurals.
  const worded: { updateStrings(sentences: object): unknown } = parser;
  worded.updateStrings(SENTENCES);
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

/** The parser names what it does not know twice, as it was typed and in camel case. */
function withoutTwins(sentence: string): string {
  return sentence.replaceAll(/, ([a-z]+(?:[A-Z][a-z]*)+)/g, (all, camel: string) => {
    const typed = camel.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    return sentence.includes(typed) ? '' : all;
  });
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
