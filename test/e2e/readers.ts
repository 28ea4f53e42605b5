/** Processes that read files of a mount, and whether they wait there. */
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { startProgram, until } from './program.ts';

export type Ended = { readonly exit: number | null; readonly signal: string | null };

export type Reader = {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  kill(signal: NodeJS.Signals): void;
};

/** A program that reads; its output is thrown away. */
export function startReader(argv: readonly string[]): Reader {
  const child: ChildProcess = startProgram(argv);
  child.stdout?.resume();
  child.stderr?.resume();
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exit, signal) => resolve({ exit, signal }));
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`${argv[0]} cannot be started`);
  return { pid, ended, kill: (signal) => void child.kill(signal) };
}

/** In the kernel, for an answer of a file system in user space; not for a folder's listing, which comes at once. */
function isWaiting(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/wchan`, 'latin1').includes('request_wait_answer');
  } catch {
    return false;
  }
}

export async function untilAllWait(readers: readonly Reader[]): Promise<void> {
  await until(() => readers.every(({ pid }) => isWaiting(pid)), 'all readers wait for tapes');
}

/** All end, and soon: what they wait for will not come. @returns how long the last one took, in ms */
export async function expectSoon(
  readers: readonly Reader[],
  check: (ended: Ended) => void,
): Promise<number> {
  const startMs = performance.now();
  for (const { ended } of readers) check(await ended);
  const tookMs = performance.now() - startMs;
  expect(tookMs).toBeLessThan(SOON_MS);
  return tookMs;
}

/** They take some milliseconds; a machine may be that slow, one that waits for a tape is not that fast. */
const SOON_MS = 10_000;
