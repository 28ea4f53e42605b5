/** What every command module is given: the application, where words go, and when to stop. */
import type { ArgumentsCamelCase, Argv, CommandModule } from 'yargs';
import { CodedError } from '../base/errors.ts';
import { type Place, parsePlace } from '../domain/place.ts';
import type { App } from '../wire.ts';
import type { Background } from './background.ts';
import type { Output } from './output.ts';

export type Context = {
  readonly app: App;
  readonly output: Output;
  readonly signal: AbortSignal;
  readonly background: Background;
  /** What is printed may use more than ASCII. */
  readonly isUtf8: boolean;
  /** Exit status of a command that is done but found something wrong. */
  setExit(status: number): void;
};

/** Opened when a handler runs, so that `--help` opens nothing. */
export type OpenContext = (args: GlobalArgs) => Context | Promise<Context>;

export type GlobalArgs = {
  readonly state?: string | undefined;
  readonly config?: string | undefined;
  readonly json?: boolean | undefined;
  readonly quiet?: boolean | undefined;
  readonly verbose?: number | undefined;
};

/** A command with typed arguments, in one piece. */
export function command<Args extends GlobalArgs>(
  definition: {
    readonly command: string;
    readonly describe: string;
    readonly builder: (yargs: Argv<GlobalArgs>) => Argv<Args>;
    readonly run: (context: Context, args: ArgumentsCamelCase<Args>) => Promise<void>;
  },
  open: OpenContext,
): CommandModule<GlobalArgs, Args> {
  return {
    command: definition.command,
    describe: definition.describe,
    builder: definition.builder,
    handler: async (args) => definition.run(await open(args), args),
  };
}

/** @throws CodedError USAGE */
export function placeArgument(text: string): Place {
  const place = parsePlace(text);
  if (place) return place;
  throw new CodedError(
    'USAGE',
    `"${text}" is no place; say slot3, port1, drive0 or a barcode such as ABC001L9`,
  );
}
