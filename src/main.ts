#!/usr/bin/env node
/** The process: its arguments, streams, signals and exit status. Nothing else ends it or listens to signals. */
import { readFile } from 'node:fs/promises';
import * as modules from 'node:module';
import { basename } from 'node:path';
import { CodedError, FAILURES } from './base/errors.ts';
import { limitYoungGeneration } from './base/young-generation.ts';
import { compileCacheDirectory } from './cli/compile-cache.ts';

// mount(8) starts us by the system's own Node, which may be any: it says so, instead of what it stumbles over.
if (!('enableCompileCache' in modules)) {
  process.stderr.write(`shelfs: Node 22.22 or later is needed, this is ${process.versions.node}\n`);
  process.exit(FAILURES.FAILED.exit);
}
limitYoungGeneration();
const interrupt = new AbortController();
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
for (const name of SIGNALS) {
  process.on(name, () => {
    if (interrupt.signal.aborted) {
      // The second time means it, whatever a thread still waits for: the signal's own way ends the process at once.
      for (const each of SIGNALS) process.removeAllListeners(each);
      process.kill(process.pid, name);
      return;
    }
    process.stderr.write('shelfs: stopping after the command under way; once more ends at once\n');
    interrupt.abort(new CodedError('INTERRUPTED', `stopped by ${name}`));
  });
}
// A reader that went away (`shelfs ... | head`) is no failure of ours, and messages without a reader stop nothing.
process.stderr.on('error', () => {});
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') return;
  process.stderr.write(`shelfs: the output cannot be written (${error.code})\n`);
  process.exit(FAILURES.FAILED.exit);
});

const cacheDirectory = compileCacheDirectory(process.env, process.geteuid?.() ?? -1);
if (cacheDirectory !== undefined) modules.enableCompileCache(cacheDirectory);
// What is imported from here on is kept compiled.
const { run } = await import('./cli/run.ts');
const { backgroundOf } = await import('./cli/background.ts');
const { HELPER_NAME } = await import('./cli/mount-helper.ts');

const packageFile = await readFile(new URL('../package.json', import.meta.url), 'utf8');
const { version } = JSON.parse(packageFile) as { version: string };
process.exitCode = await run(process.argv.slice(2), {
  background: backgroundOf(process),
  isMountHelper: basename(process.argv[1] ?? '') === HELPER_NAME,
  environment: process.env,
  isRoot: process.getuid?.() === 0,
  streams: process,
  signal: interrupt.signal,
  version,
});
