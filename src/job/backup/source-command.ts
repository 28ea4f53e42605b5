/** A source's own commands, before it is read and after: a snapshot made and dropped. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { CodedError } from '../../base/errors.ts';
import { printable } from '../../base/text.ts';
import type { Source } from '../../catalog/job/sources.ts';
import { parseSourceOptions } from '../source-options.ts';

/** Without a shell; what it prints goes where our messages go. */
export async function runCommand(
  source: Source,
  when: 'before' | 'after',
  signal: AbortSignal,
): Promise<void> {
  const [program, ...words] = parseSourceOptions(source.options)[when] ?? [];
  if (program === undefined) return;
  const child = spawn(program, words, { stdio: ['ignore', 2, 2], signal });
  const what = `the command ${when} source ${printable(source.name)} (${printable(program)})`;
  let code: unknown;
  let killedBy: unknown;
  try {
    [code, killedBy] = await once(child, 'close');
  } catch (cause) {
    signal.throwIfAborted();
    const reason = cause instanceof Error ? cause.message : 'error';
    throw new CodedError('FAILED', `${what} cannot be run: ${printable(reason)}`, { cause });
  }
  if (code === 0) return;
  const how =
    code === null ? `was ended by ${String(killedBy)}` : `ended with status ${String(code)}`;
  throw new CodedError('FAILED', `${what} ${how}`);
}
