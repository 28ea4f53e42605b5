#!/usr/bin/env node
/** argv to one command to exit status: the only place that ends the process or listens to signals. */
import { readFile } from 'node:fs/promises';
import { CodedError } from './base/errors.ts';
import { makeOutput } from './cli/output.ts';
import { program } from './cli/program.ts';
import { stateDirectory } from './config.ts';
import { wire } from './wire.ts';

const INTERRUPTED = 130;

const interrupt = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    // The second time means it: a drive that does not answer must not keep a person waiting for hours.
    if (interrupt.signal.aborted) process.exit(INTERRUPTED);
    interrupt.abort(new CodedError('INTERRUPTED', `stopped by ${name}; once more ends at once`));
  });
}
// A reader that went away (`shelfs ... | head`) is no failure of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

process.exitCode = await run(process.argv.slice(2));

async function run(argv: readonly string[]): Promise<number> {
  let status = 0;
  let output = makeOutput({ json: argv.includes('--json'), quiet: false }, process);
  const packageFile = await readFile(new URL('../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(packageFile) as { version: string };
  try {
    await program(
      argv,
      (args) => {
        output = makeOutput({ json: args.json ?? false, quiet: args.quiet ?? false }, process);
        return {
          app: wire({
            stateDirectory: stateDirectory({
              state: args.state,
              environment: process.env,
              isRoot: process.getuid?.() === 0,
            }),
            configPath: args.config,
            trace:
              (args.verbose ?? 0) >= 2 ? (line) => process.stderr.write(`${line}\n`) : undefined,
          }),
          output,
          signal: interrupt.signal,
          setExit: (wanted) => {
            status = wanted;
          },
        };
      },
      version,
    ).parseAsync();
    return status;
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    output.failure(error);
    return error.failure.exit;
  }
}
