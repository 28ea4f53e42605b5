/** Programs that tell people: run by argv, without a shell, for a limited time. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { CodedError, errnoOf } from '../base/errors.ts';
import { printable } from '../base/text.ts';

/** Of what it says on stderr, for the log; in bytes. */
const REASON_BYTES_MAX = 300;

/**
 * @param input what it reads from stdin
 * @throws CodedError NOTICE_REFUSED where it cannot be run, NOTICE_FAILED where it ends with another status than 0
 */
export async function runProgram(
  argv: readonly [string, ...string[]],
  input: string,
  signal: AbortSignal,
): Promise<void> {
  const [program, ...words] = argv;
  const child = spawn(program, words, {
    stdio: ['pipe', 'ignore', 'pipe'],
    signal,
    killSignal: 'SIGKILL',
  });
  const told = collectStderr(child);
  // One that ends without reading is not wrong: its exit status tells.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  let code: unknown;
  let killedBy: unknown;
  try {
    [code, killedBy] = await once(child, 'close');
  } catch (cause) {
    signal.throwIfAborted();
    const why = errnoOf(cause) ?? 'error';
    throw new CodedError('NOTICE_REFUSED', `${printable(program)} cannot be run (${why})`, {
      cause,
    });
  }
  signal.throwIfAborted();
  if (code === 0) return;
  const how =
    code === null ? `was ended by ${String(killedBy)}` : `ended with status ${String(code)}`;
  const reason = printable(told().trim());
  throw new CodedError(
    'NOTICE_FAILED',
    `${printable(program)} ${how}${reason === '' ? '' : `: ${reason}`}`,
  );
}

function collectStderr(child: ChildProcess): () => string {
  let told = Buffer.alloc(0);
  child.stderr?.on('data', (part: Buffer) => {
    if (told.length < REASON_BYTES_MAX)
      told = Buffer.concat([told, part]).subarray(0, REASON_BYTES_MAX);
  });
  return () => told.toString('utf8');
}
