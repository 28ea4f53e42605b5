/** The terminal that a command was typed at, for questions: shown there, answered there. */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Terminal } from '../wire.ts';
import type { Streams } from './output.ts';

/** Undefined where messages do not go to a terminal. */
export function terminalOf({ stderr, stdin }: Streams): Terminal | undefined {
  if (stderr.isTTY !== true) return undefined;
  return {
    write: (text) => void stderr.write(text),
    lines: (onLine) => {
      if (stdin?.isTTY !== true || !isForeground()) return undefined;
      // Closed, it pauses the stream, and nothing keeps the process.
      const reader = createInterface({ input: stdin, terminal: false });
      reader.on('line', onLine);
      return { close: () => reader.close() };
    },
  };
}

/** The kernel stops a process that reads from its terminal in the background (SIGTTIN). */
function isForeground(): boolean {
  const stat = readFileSync('/proc/self/stat', 'latin1');
  // proc(5): behind the program's name come state, ppid, pgrp, session, tty_nr, tpgid.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[2] === fields[5];
}
