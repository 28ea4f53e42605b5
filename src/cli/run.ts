/** One command line from argv to exit status, with everything of the process passed in. */
import { CodedError, errnoOf } from '../base/errors.ts';
import { isOfProgram, replacedFailure } from '../base/program-files.ts';
import { printable } from '../base/text.ts';
import type { App, WireOptions } from '../wire.ts';
import { type Background, NO_BACKGROUND } from './background.ts';
import { helperArguments } from './mount-helper.ts';
import { makeOutput, type Streams } from './output.ts';
import { program } from './program.ts';
import { terminalOf } from './terminal.ts';

export type Surroundings = {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly isRoot: boolean;
  readonly streams: Streams;
  /** Aborted when the person wants to stop. */
  readonly signal: AbortSignal;
  /** For commands that go on without a terminal; without it they stay. */
  readonly background?: Background;
  /** The arguments are those of mount(8). */
  readonly isMountHelper?: boolean;
  /** Of the package. */
  readonly version: string;
  /** What tests put in place of the machine's. */
  readonly replaced?: Partial<Pick<WireOptions, 'clock' | 'random' | 'host'>>;
};

/** @returns the exit status, one of EXIT_MEANINGS; bugs reject */
export async function run(argv: readonly string[], around: Surroundings): Promise<number> {
  const { environment, isRoot, streams, signal, background = NO_BACKGROUND, version } = around;
  let status = 0;
  const apps: App[] = [];
  const ended = new AbortController();
  const ahead: Promise<void>[] = [];
  // Until the options are parsed, a guess decides how a failure to parse them is told.
  let output = makeOutput({ json: argv.includes('--json'), quiet: false }, streams);
  try {
    await program(
      around.isMountHelper ? helperArguments(argv) : argv,
      async (args) => {
        output = makeOutput({ json: args.json ?? false, quiet: args.quiet ?? false }, streams);
        const isTracing = (args.verbose ?? 0) >= 2;
        const [{ stateDirectory }, { wire }] = await Promise.all([
          import('../config.ts'),
          import('../wire.ts'),
        ]);
        const app = wire({
          stateDirectory: stateDirectory({ state: args.state, environment, isRoot }),
          configPath: args.config,
          program: `shelfs ${version}`,
          terminal: terminalOf(streams),
          warn: (message) => void streams.stderr.write(`${printable(message)}\n`),
          trace: isTracing ? (line) => streams.stderr.write(`${line}\n`) : undefined,
          ...around.replaced,
        });
        apps.push(app);
        ahead.push(app.keepWhole(ended.signal));
        return {
          app,
          output,
          signal,
          background,
          isUtf8: isUtf8(environment),
          setExit: (wanted) => {
            status = wanted;
          },
        };
      },
      {
        version,
        print: (text) => streams.stdout.write(`${text}\n`),
        columns: streams.stdout.columns,
      },
    );
  } catch (error) {
    const failure = asFailure(error);
    output.failure(failure);
    status = failure.failure.exit;
  } finally {
    ended.abort();
    await Promise.all(ahead);
    for (const app of apps) app.close();
  }
  return status;
}

/** By the locale (locale(7)); a terminal that calls itself dumb has no signs but ASCII's. */
function isUtf8({ LC_ALL, LC_CTYPE, LANG, TERM }: Surroundings['environment']): boolean {
  return TERM !== 'dumb' && /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || '');
}

/**
 * What the file system refused somewhere is a failure with a sentence, and so is what lacks a part of the program that was
 * replaced; everything else that is not named is a bug.
 */
function asFailure(error: unknown): CodedError {
  if (error instanceof CodedError) return error;
  const isSystem = error instanceof Error && 'syscall' in error && errnoOf(error) !== undefined;
  const path =
    isSystem && 'path' in error && typeof error.path === 'string' ? error.path : undefined;
  const replaced = !isSystem || isOfProgram(path ?? '') ? replacedFailure(error) : undefined;
  if (replaced) return replaced;
  if (!isSystem) throw error;
  const sentence = `${path ?? 'the system'}: ${String(error.syscall)} failed (${errnoOf(error)})`;
  return new CodedError('FAILED', sentence, { cause: error, ...(path !== undefined && { path }) });
}
