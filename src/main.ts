#!/usr/bin/env node
/** The process: its arguments, streams, signals and exit status. Nothing else ends it or listens to signals. */
import { readFile } from 'node:fs/promises';
import { CodedError, FAILURES } from './base/errors.ts';
import { run } from './cli/run.ts';

const interrupt = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    // The second time means it: a drive that does not answer must not keep a person waiting for hours.
    if (interrupt.signal.aborted) process.exit(FAILURES.INTERRUPTED.exit);
    interrupt.abort(new CodedError('INTERRUPTED', `stopped by ${name}; once more ends at once`));
  });
}
// A reader that went away (`shelfs ... | head`) is no failure of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

const packageFile = await readFile(new URL('../package.json', import.meta.url), 'utf8');
const { version } = JSON.parse(packageFile) as { version: string };
process.exitCode = await run(process.argv.slice(2), {
  environment: process.env,
  isRoot: process.getuid?.() === 0,
  streams: process,
  signal: interrupt.signal,
  version,
});
