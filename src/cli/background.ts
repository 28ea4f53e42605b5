/**
 * A command that goes on in the background: the same program is started anew, apart from the terminal, and this one waits
 * until it says that it is ready, or why it is not.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, open, rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CodedError, errnoOf, FAILURES } from '../base/errors.ts';

export interface Background {
  /** Tells who started this process that it is ready; nothing where nobody did. */
  tellReady(): void;
  /**
   * Starts this very command line with more arguments. Resolves once it is ready, or has ended before. What it has to say goes
   * to the log file.
   */
  start(moreArguments: readonly string[], logPath: string): Promise<Started>;
  /** Runs another command line of this program to its end. */
  run(words: readonly string[]): Promise<Said>;
}

/** What a command said, on both streams, and its exit status. */
export type Said = { readonly status: number; readonly text: string };

export type Started =
  | { readonly kind: 'ready'; readonly pid: number }
  /** `exit`: its status; `said`: the last lines of what it wrote. */
  | { readonly kind: 'ended'; readonly exit: number; readonly said: string };

/** Where the command cannot be started anew: it is run by a test, or as a part of another program. */
export const NO_BACKGROUND: Background = {
  tellReady() {},
  start: async () => {
    throw new CodedError('USAGE', 'there is no background here; say --foreground');
  },
  run: async () => {
    throw new CodedError('USAGE', 'there is no program here to be started');
  },
};

/** What of the process it takes. */
export type BackgroundProcess = {
  readonly execPath: string;
  readonly execArgv: readonly string[];
  readonly argv: readonly string[];
  /** There where a parent listens. */
  readonly send?: ((message: string) => unknown) | undefined;
  disconnect?(): void;
  chdir(directory: string): void;
};

const READY = 'ready';
const SAID_BYTES = 64 * 1024;
/** A longer log makes way for a new one; the one before it is kept. */
const LOG_BYTES_MAX = 2 ** 20;

export function backgroundOf(own: BackgroundProcess): Background {
  return {
    tellReady() {
      if (!own.send) return;
      own.send(READY);
      own.disconnect?.();
      // Or the directory it was started in could not be unmounted as long as it runs.
      own.chdir('/');
    },
    run: (words) =>
      new Promise((resolve, reject) => {
        const [script = ''] = own.argv.slice(1);
        const child = spawn(own.execPath, [...own.execArgv, script, ...words], {
          stdio: ['ignore', 'pipe', 'pipe'],
        });
        let text = '';
        for (const stream of [child.stdout, child.stderr])
          stream.setEncoding('utf8').on('data', (piece: string) => {
            text += piece;
          });
        child.once('error', reject);
        child.once('close', (status) => resolve({ status: status ?? FAILURES.FAILED.exit, text }));
      }),
    async start(moreArguments, logPath) {
      await mkdir(dirname(logPath), { recursive: true });
      await makeWay(logPath);
      const log = await open(logPath, 'a+', 0o600);
      try {
        const { size } = await log.stat();
        const child = spawn(
          own.execPath,
          [...own.execArgv, ...own.argv.slice(1), ...moreArguments],
          {
            detached: true,
            stdio: ['ignore', 'ignore', log.fd, 'ipc'],
          },
        );
        const exit = await exitOrReady(child);
        if (exit === undefined && child.pid !== undefined) {
          child.disconnect();
          child.unref();
          return { kind: 'ready', pid: child.pid };
        }
        const said = Buffer.alloc(SAID_BYTES);
        const { bytesRead } = await log.read(said, 0, said.length, size);
        const text = said
          .toString('utf8', 0, bytesRead)
          .trim()
          .replace(/^shelfs: /, '');
        return { kind: 'ended', exit: exit ?? 1, said: text || `it ended at once; see ${logPath}` };
      } finally {
        await log.close();
      }
    },
  };
}

async function makeWay(logPath: string): Promise<void> {
  try {
    if ((await stat(logPath)).size > LOG_BYTES_MAX) await rename(logPath, `${logPath}.1`);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}

/** Undefined once it is ready. */
function exitOrReady(child: ChildProcess): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    child.once('message', () => resolve(undefined));
    child.once('error', reject);
    child.once('exit', (status) => resolve(status ?? FAILURES.FAILED.exit));
  });
}
