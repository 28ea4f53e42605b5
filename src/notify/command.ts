/** A program of the operator's own: gets each message as one JSON document on stdin. */
import { printable } from '../base/text.ts';
import type { Channel } from './channel.ts';
import { documentOf } from './document.ts';
import { runProgram } from './program.ts';

export function commandChannel(argv: readonly [string, ...string[]]): Channel {
  return {
    name: `command ${printable(argv[0])}`,
    send: (message, signal) => runProgram(argv, `${JSON.stringify(documentOf(message))}\n`, signal),
  };
}
